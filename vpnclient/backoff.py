"""When to try again after a loss: at once, then after 10, 20, 30 ... 100 s, until the budget is spent.

The budget is what may be slept, not a deadline (cli-parity.md section 6.3): the attempt after the sleep that spends it
is still made.  Pure: no clock, no randomness; jitter is a number that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator

STEP = 10.0  # seconds added with every failure
LONGEST = 100.0  # seconds


def waits(budget: float) -> Iterator[float]:
    """Seconds to wait before attempt 2, 3, ...; attempt 1 is made at once.  budget: seconds, 0 = one attempt."""
    wait = 0.0
    while budget > 0:
        wait = min(wait + STEP, LONGEST)
        yield wait
        budget -= wait


def jittered(wait: float, unit: float) -> float:
    """The wait, shortened by up to a fifth, so that a thousand clients do not return in the same second.

    unit: a random number in [0, 1).
    """
    return wait * (1.0 - 0.2 * unit)
