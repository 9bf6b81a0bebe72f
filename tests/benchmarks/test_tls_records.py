"""The benchmark of TLS records runs, and measures both kinds of every suite; not how fast this machine is."""

from __future__ import annotations

from benchmarks.tls_records import measure


def test_both_kinds_of_every_suite_are_measured() -> None:
    lines = measure(2)
    assert [line.maker for line in lines] == ["libssl", "own"] * 3
    assert len({line.suite for line in lines}) == 3 and all(line.write > 0 < line.read for line in lines)
