"""Statistics of the rounds."""

from __future__ import annotations

import pytest

from benchmarks.client.cases import BARE_TLS, Contender
from benchmarks.client.spread import Results, Spread, percentile
from tests.benchmarks.client.made import LAB_TLS, sample


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0, 4)


def test_ratios_are_taken_within_a_round() -> None:
    pairs = [(10.0, 5.0), (100.0, 10.0), (9.0, 3.0)]  # ratios 2, 10, 3; of the medians it would be 2
    results = Results(
        [
            sample(LAB_TLS, contender, number, up_mbit=value)
            for number, both in enumerate(pairs)
            for contender, value in zip((Contender.OURS, Contender.THEIRS), both, strict=True)
        ]
    )

    assert results.ratio(LAB_TLS, "up_mbit", Contender.THEIRS) == Spread(3.0, 2.0, 10.0, 3)


def test_a_round_in_which_one_is_missing_has_no_ratio() -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, 0, up_mbit=8.0),
            sample(LAB_TLS, Contender.OURS, 1, up_mbit=6.0),
            sample(LAB_TLS, Contender.THEIRS, 1, up_mbit=3.0),
        ]
    )

    assert results.ratio(LAB_TLS, "up_mbit", Contender.THEIRS) == Spread(2.0, 2.0, 2.0, 1)
    assert results.ratio(LAB_TLS, "up_mbit", Contender.BARE) is None


def test_the_bare_pump_is_taken_from_its_own_case() -> None:
    results = Results(
        [sample(LAB_TLS, Contender.OURS, up_mbit=6.0), sample(BARE_TLS, Contender.BARE, up_mbit=8.0)],
    )

    ratio = results.ratio(LAB_TLS, "up_mbit", Contender.BARE)
    assert ratio is not None and ratio.median == 0.75


def test_a_rate_of_nothing_is_no_divisor() -> None:
    results = Results(
        [sample(LAB_TLS, Contender.OURS, udp64_up=6.0), sample(LAB_TLS, Contender.THEIRS, udp64_up=0.0)],
    )

    assert results.ratio(LAB_TLS, "udp64_up", Contender.THEIRS) is None


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)])
def test_percentiles(share: float, wanted: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == wanted
