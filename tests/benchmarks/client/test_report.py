"""The tables, and what a run leaves in a file."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from benchmarks.client.cases import Contender
from benchmarks.client.report import HEADINGS, markdown, number, rows, show, spread
from benchmarks.client.spread import Failure, Spread
from benchmarks.tunnel import document, note, read_document
from tests.benchmarks.client.made import LAB_DTLS, LAB_TLS, everything

ABOUT = {"processor": "A [new] one", "cores": "2", "kernel": "6.18", "congestion control": "cubic"}


def test_numbers_have_three_digits_or_so() -> None:
    assert [number(value, "ms") for value in (0.0456, 0.456, 4.56, 45.6, 456.0)] == [
        "0.046 ms",
        "0.46 ms",
        "4.56 ms",
        "45.6 ms",
        "456 ms",
    ]
    assert number(123456.0, "packets/s") == "123 k/s"
    assert number(4567.0, "packets/s") == "4567 /s"


def test_a_spread_of_several_rounds_shows_lowest_and_highest() -> None:
    assert spread(Spread(2.0, 1.0, 3.0, 5), "s") == "2.00 s (1.00 to 3.00)"
    assert spread(Spread(2.0, 2.0, 2.0, 1), "s") == "2.00 s"
    assert spread(Spread(2.0, 1.0, 3.0, 5), "") == "2.00 (1.00 to 3.00)"
    assert spread(None, "s") == ""


def test_every_line_has_as_many_cells_as_headings_and_says_its_verdict() -> None:
    lines = list(rows(LAB_TLS, everything()))

    assert lines and all(len(line) == len(HEADINGS) for line in lines)
    (down,) = (line for line in lines if line[0] == "TCP down")
    assert down[4] == ">= 3.5 met" and down[7] == ">= 0.75 met"


def test_the_bare_pumps_start_is_compared_with_nothing() -> None:
    (start,) = (line for line in rows(LAB_TLS, everything()) if line[0] == "start to configured")

    assert start[4] == "<= 0.5 s more met" and start[5:] == ("", "", "")


def test_what_was_not_measured_and_what_is_worse_is_said() -> None:
    results = everything(better=0.5)
    results.failures.append(Failure("lab-dtls", Contender.OURS, 0, "asked for DTLS, ran over TLS"))
    results.samples = [s for s in results.samples if s.case != "lab-dtls" or s.contender is not Contender.OURS]
    out = io.StringIO()

    show(results, Console(file=out, width=200))

    said = out.getvalue()
    assert "vpnclient in lab-dtls, round 1: asked for DTLS, ran over TLS" in said
    assert "lab gateway, TLS, TCP down: 0.50 (0.50 to 0.50) of openconnect's, wanted >= 3.5" in said
    assert "Where openconnect is better" in said and "ocserv, TLS, ping, idle: 2.00 of openconnect's" in said
    assert "1 not measured" in said
    assert "asked for DTLS, ran over TLS" in markdown(results)
    assert results.ratio(LAB_DTLS, "up_mbit", Contender.THEIRS) is None


def test_markdown_tables_are_whole() -> None:
    tables = [line for line in markdown(everything()).splitlines() if line.startswith("|")]

    assert len(tables) > 60
    assert {line.count("|") for line in tables} == {len(HEADINGS) + 1, 4}


def test_what_a_run_writes_is_read_back_as_it_was(tmp_path: Path) -> None:
    results = everything()
    results.failures.append(Failure("lab-dtls", Contender.OURS, 0, "asked for DTLS, ran over TLS"))
    file = tmp_path / "run.json"

    file.write_text(json.dumps(document(ABOUT, results)))

    assert read_document(file) == (ABOUT, results)
    assert json.loads(file.read_text())["verdicts"][0]["wanted"].startswith(">=")


def test_the_note_tells_machine_and_rounds() -> None:
    assert "A [new] one, 2 cores for both ends and the load, Linux 6.18, TCP cubic" in note(ABOUT, everything())
    assert "median of 3 rounds" in note(ABOUT, everything(rounds=3))
    assert note(ABOUT, everything(rounds=1)).endswith("one round")
