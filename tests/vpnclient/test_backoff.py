"""The vectors of cli-parity.md section 13."""

from __future__ import annotations

import pytest

from vpnclient.backoff import jittered, waits


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (300, [10, 20, 30, 40, 50, 60, 70, 80]),
        (60, [10, 20, 30]),
        (15, [10, 20]),
        (0, []),
    ],
)
def test_waits_until_the_budget_is_spent(budget: float, expected: list[float]) -> None:
    assert list(waits(budget)) == expected


def test_the_wait_is_capped() -> None:
    assert max(waits(5000)) == 100


def test_jitter_only_shortens() -> None:
    assert jittered(100, 0.0) == 100
    assert 80 < jittered(100, 0.999) < 81
