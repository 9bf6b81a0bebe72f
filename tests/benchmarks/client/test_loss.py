"""The search for the highest rate without loss."""

from __future__ import annotations

import pytest

from benchmarks.client.loss import MAX_RATES, Care, Trial, highest_rate

CARE = Care(seconds=1.0, tries=2, close=1.05)


class Link:
    """Carries so many packets a second; hiccups: trials, by number, that lose whatever the rate."""

    def __init__(self, carries: float, *, sends: float = 1e9, hiccups: tuple[int, ...] = ()) -> None:
        self.carries, self.sends, self.hiccups = carries, sends, hiccups
        self.trials: list[float] = []

    def __call__(self, wanted: float) -> Trial:
        self.trials.append(wanted)
        sent = int(min(wanted, self.sends))
        lost = sent // 2 if len(self.trials) in self.hiccups else max(0, sent - int(self.carries))
        return Trial(wanted, sent, sent - lost, 1.0)


@pytest.mark.parametrize("carries", [1200.0, 40000.0, 99000.0, 3e6])
@pytest.mark.parametrize("begin", [1000.0, 50000.0, 1e6])
def test_the_limit_is_found_from_above_and_from_below(carries: float, begin: float) -> None:
    link = Link(carries)

    found = highest_rate(link, begin, CARE)

    assert carries / 1.06 <= found <= carries * 1.002


def test_a_known_rate_is_looked_around_in_small_steps() -> None:
    link = Link(100000.0)

    found = highest_rate(link, 98000.0, Care(1.0, 2, 1.15, step=1.3))

    assert found >= 98000.0
    assert len(link.trials) <= 6


def test_one_hiccup_is_no_limit_but_two_are() -> None:
    once, twice = Link(1e6, sends=100000.0, hiccups=(1,)), Link(1e6, sends=100000.0, hiccups=(1, 2))

    assert highest_rate(once, 100000.0, CARE) == 100000.0
    highest_rate(twice, 100000.0, CARE)
    assert twice.trials[:3] == [100000.0, 100000.0, 50000.0]


def test_what_the_sender_cannot_send_ends_the_search() -> None:
    link = Link(1e9, sends=70000.0)

    assert highest_rate(link, 50000.0, CARE) == 70000.0
    assert link.trials == [50000.0, 100000.0]


def test_a_link_that_loses_everything_has_no_rate() -> None:
    link = Link(0.0)

    assert highest_rate(link, 50000.0, CARE) == 0.0
    assert len(link.trials) <= 2 * MAX_RATES


@pytest.mark.parametrize(("lost", "passed"), [(0, True), (10, True), (11, False)])
def test_a_tenth_of_a_percent_may_be_lost(lost: int, passed: bool) -> None:
    assert Trial(10000.0, 10000, 10000 - lost, 1.0).passed is passed


def test_nothing_sent_is_no_success() -> None:
    assert not Trial(10000.0, 0, 0, 1.0).passed
