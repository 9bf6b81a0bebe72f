"""The search for the largest packet, against a path that is simulated (anyconnect.md section 7)."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.anyconnect.mtu_search import PATIENCE, TRIES, TRY, MtuSearch


def search(low: int, high: int, path: int, *, lost: int = 0, rtt: float = 0.02) -> tuple[MtuSearch, float, int]:
    """Run it over a path that takes `path` bytes and loses the first `lost` probes; also seconds and probes spent."""
    now, sent, found = 100.0, 0, MtuSearch(low, high, 100.0, b"mark")
    pending: list[tuple[float, int]] = []
    while found.result is None:
        payload = found.probe(now)
        if payload is not None:
            sent += 1
            assert payload.startswith(b"mark")
            if len(payload) <= path and sent > lost:
                pending.append((now + rtt, len(payload)))
        nexts = [at for at, _ in pending] + [found.deadline()]
        now = max(now, min(nexts)) if min(nexts) < inf else now
        for at, size in [one for one in pending if one[0] <= now]:
            pending.remove((at, size))
            found.answered(size, now)
    return found, now - 100.0, sent


def test_a_path_that_takes_all_needs_one_probe() -> None:
    found, seconds, sent = search(576, 1400, 1400)
    assert (found.result, sent) == (1400, 1) and seconds < 0.03
    assert found.deadline() == inf and found.probe(200.0) is None


@pytest.mark.parametrize("path", [576, 577, 1000, 1279, 1399])
def test_the_largest_size_is_found(path: int) -> None:
    found, seconds, _sent = search(576, 1400, path)
    assert found.result == path and seconds < PATIENCE


def test_lost_probes_are_sent_again() -> None:
    found, _, sent = search(576, 1400, 1400, lost=TRIES - 1)
    assert found.result == 1400 and sent == TRIES


def test_a_path_that_never_answers_leaves_what_was_negotiated() -> None:
    found, seconds, _ = search(576, 1400, 0)
    assert found.result == 1400 and seconds <= PATIENCE + TRY


def test_there_is_nothing_to_search_between_equals() -> None:
    found, _, sent = search(1280, 1280, 1280)
    assert (found.result, sent) == (1280, 1)


def test_the_kernel_may_know_better() -> None:
    found = MtuSearch(576, 1400, 0.0)
    assert len(found.probe(0.0) or b"") == 1400
    found.limit(1200, 0.01)
    assert len(found.probe(0.01) or b"") == 1200
    found.answered(1200, 0.02)
    found.probe(0.02)
    assert found.result == 1200


def test_answers_of_other_sizes_say_nothing() -> None:
    found = MtuSearch(576, 1400, 0.0)
    found.probe(0.0)
    for size in (0, 1, 575, 1401, 60000):  # Q18: one byte proves life only
        found.answered(size, 0.01)
    assert found.result is None


@given(st.integers(68, 1300), st.integers(0, 800), st.integers(0, 2000), st.integers(0, 3))
def test_the_result_is_never_out_of_bounds(low: int, more: int, path: int, lost: int) -> None:
    found, seconds, _ = search(low, low + more, path, lost=lost)
    assert found.result is not None and low <= found.result <= low + more
    assert seconds <= PATIENCE + TRY
    if low < path and lost < TRIES:
        assert found.result == min(path, low + more)
