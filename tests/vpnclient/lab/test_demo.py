"""The demo's report; tests/system/test_lab_demo.py runs the whole."""

from __future__ import annotations

import io
import json
import queue
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from vpnclient.errors import UsageError
from vpnclient.lab.demo import Report, run_demo
from vpnclient.lab.programs import Program, way_of_packets


def make() -> tuple[Report, io.StringIO]:
    out = io.StringIO()
    return Report(Console(file=out, width=100)), out


def test_one_failed_check_fails_it_all() -> None:
    report, out = make()
    assert not report.good  # nothing was shown
    report.check("pings", True, "3 of 3")
    assert report.good
    report.check("routes", False, "left: [r1]\nmore")
    assert not report.good
    report.table()
    assert "✓ pings: 3 of 3" in out.getvalue() and "✗ routes: left: [r1]" in out.getvalue()
    assert out.getvalue().count("more") == 1  # the table has the first line only


def test_the_last_way_of_packets_is_what_counts() -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    for name, detail in (("TLS", ""), ("DTLS", "DTLSv1.2, AES")):
        lines.put(json.dumps({"event": "channel", "name": name, "detail": detail}))
        lines.put(json.dumps({"event": "statistics"}))
    lines.put(None)
    with subprocess.Popen([sys.executable, "-c", ""], text=True) as process:
        assert way_of_packets(Program("client", process, Path("log"), lines)) == ("DTLS", "DTLSv1.2, AES")


def test_unknown_protocols_are_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="got protocol 'nope', want one of: anyconnect"):
        run_demo("nope", 1.0)
