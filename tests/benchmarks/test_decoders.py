"""No framing allocates while packets pass, and none copies more than it may; the benchmark's parts do what they say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from benchmarks.cases import CASES, Case, Goal
from benchmarks.measure import COUNTING_PROGRAM, Engine, Figure, Row, build, measure_python
from benchmarks.report import figures, goal_lines, verdicts

SIZES = (64, 1400)  # bytes


@cache
def counting() -> Path:
    """The program that counts; it checks itself that libcrypto's allocations and the engine's copies are seen."""
    return build(COUNTING_PROGRAM)


def counted(case: Case, size: int) -> Row:
    row = Row(case.name, "C", size)
    Engine(counting(), counting(), tun=-1).count(case, size, row)
    return row


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("size", SIZES)
def test_packets_pass_without_allocation_and_with_no_more_copies_than_allowed(case: Case, size: int) -> None:
    row = counted(case, size)

    assert row.counted_packets > 100
    assert row.allocations == 0
    assert row.copies["decode"] <= case.copies + 0.01


def test_copies_are_seen() -> None:
    (case,) = (case for case in CASES if case.name == "ppp-f5, datagrams")

    assert counted(case, 1400).copies["decode"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_python_twins_run(case: Case) -> None:
    row = measure_python(case, 576, repeats=2, tun=-1)

    assert set(row.decode) == {"memory", "wintun"}
    assert sum(row.shares.values()) == 1


def row_of(case: Case, size: int, ns: float, *, ratio: float = 1.0, placed: float = 1.0) -> Row:
    figure = Figure(ns, ns, ns)
    beside = Figure(ratio, ratio, ratio)
    return Row(
        case.name,
        "C",
        size,
        encode=figure,
        decode={"memory": figure, "wintun": figure},
        ratio={"decode": beside, "encode": beside},
        shares={"in_place": placed, "copied": 1 - placed, "expanded": 0.0, "moved": 0.0},
        copies={"decode": 0.0, "encode": 0.0},
        allocations=0,
    )


@pytest.mark.parametrize(
    ("goal", "good", "bad"),
    [(Goal.PACKETS, 199.0, 201.0), (Goal.FEW_ESCAPES, 63.0, 65.0), (Goal.ALL_ESCAPES, 159.0, 161.0)],
    ids=lambda value: str(value),
)
def test_a_goal_of_speed_is_met_or_missed(goal: Goal, good: float, bad: float) -> None:
    case = next(case for case in CASES if case.goal is goal)

    assert not any(verdict.missed for verdict in verdicts([case], [row_of(case, 64, good)]))
    assert next(v.text() for v in verdicts([case], [row_of(case, 64, bad)]) if v.missed) == "missed at 64"


def test_esp_is_held_against_libcrypto_and_against_copies() -> None:
    case = next(case for case in CASES if case.goal is Goal.RAW)

    assert not any(verdict.missed for verdict in verdicts([case], [row_of(case, 64, 1, ratio=0.81)]))
    assert sum(bool(v.missed) for v in verdicts([case], [row_of(case, 64, 1, ratio=0.79)])) == 2
    assert sum(bool(v.missed) for v in verdicts([case], [row_of(case, 64, 1, placed=0.9)])) == 1


def test_the_tables_have_as_many_cells_as_columns() -> None:
    case = CASES[0]
    rows = [row_of(case, 64, 10)]

    for head, lines in (figures(rows, "C", 64), goal_lines(verdicts([case], rows), (64, 576))):
        assert lines and all(len(line) == len(head) for line in lines)
