"""The benchmark of DTLS records runs, and tells what was asked; not how fast this machine is."""

from __future__ import annotations

from benchmarks.records import measure


def test_every_suite_and_size_is_measured() -> None:
    lines = measure(2)
    assert len(lines) == len({(line.suite, line.size, line.what) for line in lines}) == 3 * 3 * 2
    assert all(line.ns > 0 and line.low <= line.ratio <= line.high for line in lines)
