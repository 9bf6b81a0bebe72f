"""The tables of `python -m benchmarks.decoders`: figures, and what was wanted beside what was reached."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.cases import Case, Goal
from benchmarks.measure import Figure, Row

PACKETS = 5.0  # million a second
PACKETS_SIZE = 64  # bytes
FEW_ESCAPES, ALL_ESCAPES = 1000.0, 400.0  # MB/s
RAW = 0.8  # of libcrypto alone
NO_COPY = 0.01  # copied bytes a byte of packet that count as none


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal of one framing; got: by size, already with its unit."""

    name: str
    what: str
    wanted: str
    got: dict[int, str]
    missed: tuple[int, ...]  # sizes

    def text(self) -> str:
        return f"missed at {', '.join(map(str, self.missed))}" if self.missed else "met"


def megapackets(figure: Figure) -> str:
    """Millions a second, and half of the distance between the quartiles of the rounds."""
    return f"{1e3 / figure.median:.4g} ±{100 * (figure.high - figure.low) / 2 / figure.median:.0f}%"


def megabytes(figure: Figure, size: int) -> str:
    return f"{1e3 * size / figure.median:.0f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


# --- figures ----------------------------------------------------------------------------------------------------


def figures(rows: Sequence[Row], language: str, size: int) -> tuple[list[str], list[list[str]]]:
    """Head and lines of one table."""
    head = ["framing", "decode M/s", "MB/s", "wintun M/s", "TUN M/s", "encode M/s", "MB/s", "in place", "copied"]
    head += ["expanded"]
    head += ["copies in/out", "bytes on wire"] if language == "C" else []
    lines = []
    for row in rows:
        if row.language != language or row.size != size or row.encode is None:
            continue
        line = [row.name, megapackets(row.decode["memory"]), megabytes(row.decode["memory"], size)]
        line += [megapackets(row.decode[sink]) if sink in row.decode else "no root" for sink in ("wintun", "tun")]
        line += [megapackets(row.encode), "header" if row.header_only else megabytes(row.encode, size)]
        line += [percent(row.shares[name]) for name in ("in_place", "copied", "expanded")]
        if language == "C":
            line += [f"{abs(row.copies['decode']):.2f}/{row.copies['encode']:.2f}", f"{row.bytes_on_wire:.0f}"]
        lines.append(line)
    return head, lines


# --- goals ------------------------------------------------------------------------------------------------------


def verdicts(cases: Sequence[Case], rows: Sequence[Row]) -> list[Verdict]:
    found: list[Verdict] = []
    for case in cases:
        mine = {row.size: row for row in rows if row.language == "C" and row.name == case.name}
        found += _speed(case, mine)
        copies = {size: row.copies["decode"] for size, row in mine.items()}
        most = case.copies + NO_COPY
        missed = tuple(size for size, value in copies.items() if value > most or _unplaced(case, mine[size]))
        wanted = "0" if case.copies == 0 else "at most 1"
        got = {size: f"{abs(value):.2f}" for size, value in copies.items()}
        found.append(Verdict(case.name, "copies of a decoded packet", wanted, got, missed))
    counted = {row.size: row for row in rows if row.language == "C" and row.allocations}
    got = {row.size: "0" for row in rows if row.language == "C"}
    got |= {size: str(row.allocations) for size, row in counted.items()}
    found.append(Verdict("all", "allocations while packets pass", "0", got, tuple(counted)))
    return found


def _unplaced(case: Case, row: Row) -> bool:
    """What must not be copied was written, or moved in the ring."""
    return case.copies == 0 and (row.shares["in_place"] < 1 or row.shares["moved"] > 0)


def _speed(case: Case, rows: dict[int, Row]) -> list[Verdict]:
    match case.goal:
        case Goal.PACKETS:
            rows = {size: row for size, row in rows.items() if size == PACKETS_SIZE}
            return [_packets(case, rows, what) for what in ("decode", "encode")] if rows else []
        case Goal.FEW_ESCAPES:
            return [_throughput(case, rows, FEW_ESCAPES)]
        case Goal.ALL_ESCAPES:
            return [_throughput(case, rows, ALL_ESCAPES)]
        case Goal.RAW:
            return [_beside_raw(case, rows, what) for what in ("decode", "encode")]
        case Goal.NONE:
            return []


def _figure(row: Row, what: str) -> Figure:
    assert row.encode is not None
    return row.decode["memory"] if what == "decode" else row.encode


def _packets(case: Case, rows: dict[int, Row], what: str) -> Verdict:
    speed = {size: 1e3 / _figure(row, what).median for size, row in rows.items()}
    got = {size: f"{value:.1f} M packets/s" for size, value in speed.items()}
    return Verdict(case.name, what, case.goal.value, got, tuple(s for s, value in speed.items() if value < PACKETS))


def _throughput(case: Case, rows: dict[int, Row], wanted: float) -> Verdict:
    speed = {size: 1e3 * size / _figure(row, "decode").median for size, row in rows.items()}
    got = {size: f"{value:.0f} MB/s" for size, value in speed.items()}
    return Verdict(case.name, "decode", case.goal.value, got, tuple(s for s, value in speed.items() if value < wanted))


def _beside_raw(case: Case, rows: dict[int, Row], what: str) -> Verdict:
    ratio = {size: row.ratio[what] for size, row in rows.items()}
    got = {size: f"{percent(r.median)} ({percent(r.low)} to {percent(r.high)})" for size, r in ratio.items()}
    return Verdict(case.name, what, case.goal.value, got, tuple(s for s, r in ratio.items() if r.median < RAW))


def goal_lines(found: Sequence[Verdict], sizes: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    head = ["framing", "what", "wanted", *(f"{size} bytes" for size in sizes), ""]
    return head, [
        [verdict.name, verdict.what, verdict.wanted, *(verdict.got.get(size, "") for size in sizes), verdict.text()]
        for verdict in found
    ]


# --- printing ---------------------------------------------------------------------------------------------------


def show(title: str, head: list[str], lines: list[list[str]]) -> None:
    """A rich table on a terminal, aligned text in a pipe."""
    if not lines:
        return
    if sys.stdout.isatty():
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(head):
            table.add_column(column, justify="left" if number == 0 else "right")
        for line in lines:
            *most, last = line
            colour = "green" if last == "met" else "red" if last.startswith("missed") else ""
            table.add_row(*most, f"[{colour}]{last}[/]" if colour else last)
        Console().print(table)
        return
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    print(f"\n{title}")
    for line in [head, *lines]:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())
