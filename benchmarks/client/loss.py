"""The highest rate of packets of which less than 0.1 % are lost.  No I/O: a trial is a function.

From where it begins the rate is raised until one fails (or lowered until one passes), then the gap is halved, by ratio,
until it is small.  A rate that fails is tried again: the machine has other work too, and one hiccup is no limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MAX_LOSS = 0.001  # of the packets
KEPT = 0.9  # of the wanted rate that a sender has to manage, or it is the sender that limits
MAX_RATES = 16  # of one search
LEAST_RATE = 500.0  # packets a second; nothing below is looked for


@dataclass(frozen=True, slots=True)
class Care:
    """seconds: of a trial; tries: of a rate, until one passes; close: lowest rate that failed / highest that passed,
    when the search ends; step: how fast the rate is raised or lowered until then."""

    seconds: float
    tries: int
    close: float
    step: float = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """wanted: packets a second that were asked for."""

    wanted: float
    sent: int
    received: int
    seconds: float

    @property
    def passed(self) -> bool:
        return self.sent > 0 and self.sent - self.received <= self.sent * MAX_LOSS

    @property
    def rate(self) -> float:
        """Packets a second that arrived."""
        return self.received / self.seconds

    @property
    def sender_limits(self) -> bool:
        return self.sent < KEPT * self.wanted * self.seconds


def highest_rate(trial: Callable[[float], Trial], begin: float, care: Care) -> float:
    """Packets a second that arrived; 0: not even the least rate passes."""
    best: Trial | None = None
    failed = math.inf
    wanted = begin
    for _ in range(MAX_RATES):
        done = _try(trial, wanted, care.tries)
        if done.passed and (best is None or done.wanted > best.wanted):
            best = done
        if not done.passed:
            failed = min(failed, wanted)
        low = 0.0 if best is None else best.wanted
        if (done.passed and done.sender_limits) or low * care.close >= failed or failed <= LEAST_RATE:
            break
        wanted = _next(low, failed, care.step)
    return best.rate if best is not None else 0.0


def _try(trial: Callable[[float], Trial], wanted: float, tries: int) -> Trial:
    """The first that passes, or the last."""
    for _ in range(tries):
        done = trial(wanted)
        if done.passed:
            break
    return done


def _next(low: float, failed: float, step: float) -> float:
    if failed == math.inf:
        return low * step
    if low == 0.0:
        return max(LEAST_RATE, failed / step)
    return math.sqrt(low * failed)
