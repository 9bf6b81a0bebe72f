"""What a client costs, read from /proc: CPU time of a process and all below it, memory, and datagrams of its namespace.

Source: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # per second, the unit of times in /proc/PID/stat


@dataclass(frozen=True, slots=True)
class Stat:
    """ticks: user and system time of all threads; waited: the same of children that have ended."""

    pid: int
    parent: int
    ticks: int
    waited: int


def parse_stat(text: str) -> Stat:
    """A line of /proc/PID/stat; the program's name may hold anything, so what counts is its last parenthesis."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    times = [int(field) for field in fields[11:15]]
    return Stat(int(head.split(" ", 1)[0]), int(fields[1]), times[0] + times[1], times[2] + times[3])


def below(root: int, known: Iterable[Stat]) -> list[Stat]:
    """The process and its descendants."""
    stats = {one.pid: one for one in known}
    family: list[Stat] = []
    wanted = [root]
    while wanted:
        pid = wanted.pop()
        if pid in stats:
            family.append(stats[pid])
            wanted += [one.pid for one in stats.values() if one.parent == pid and one.pid != pid]
    return family


def family(root: int) -> list[Stat]:
    """As `below`, now.  Raises ProcessLookupError: it has ended."""
    stats = []
    for path in PROC.glob("[0-9]*/stat"):
        try:
            stats.append(parse_stat(path.read_text(errors="replace")))
        except OSError:
            continue  # it ended meanwhile
    found = below(root, stats)
    if not found:
        raise ProcessLookupError(f"process {root} has ended")
    return found


def cpu_seconds(root: int) -> float:
    """User and system time so far."""
    return sum(one.ticks + one.waited for one in family(root)) / TICKS


def parse_resident(text: str) -> int:
    """Bytes, from /proc/PID/status."""
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmRSS in the status of a process")


def resident_bytes(root: int) -> int:
    return sum(parse_resident((PROC / str(one.pid) / "status").read_text()) for one in family(root))


def parse_snmp(text: str, protocol: str) -> dict[str, int]:
    """A protocol's counters, from /proc/PID/net/snmp: a line of names, then a line of numbers."""
    lines = [line.split() for line in text.splitlines() if line.startswith(f"{protocol}: ")]
    if len(lines) != 2:
        raise ValueError(f"got {len(lines)} lines of {protocol} in snmp counters, want 2")
    return dict(zip(lines[0][1:], map(int, lines[1][1:]), strict=True))


def datagrams(pid: int) -> int:
    """UDP datagrams in and out of the namespace of a process, so far."""
    counters = parse_snmp((PROC / str(pid) / "net" / "snmp").read_text(), "Udp")
    return counters["InDatagrams"] + counters["OutDatagrams"]
