"""Our client beside openconnect, in turn in front of the same ocserv over TLS, in one run: `make bench`.

Each round lets both clients connect, move TCP both ways and disconnect; the order changes every round.  What counts are
the ratios (ours / openconnect), medians over the rounds: gateway, client and load share the machine's cores, and other
work on the machine hits both.  Client CPU is user plus system time of the client's process per gigabyte of payload.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS, Running, Target, compile_ours
from tests.peers.ocserv import GATEWAY_V4, ocserv
from tests.peers.traffic import iperf, iperf_server, ping
from vpnclient.lab.netns import Namespace, pair

GB = 1e9  # bytes
MAX_RESIDENT = 64.0  # MB, the goal
MAX_EXTRA_START = 0.5  # seconds on top of openconnect's, the goal


@dataclass(frozen=True, slots=True)
class Sample:
    """One client in one round."""

    down_mbit: float
    up_mbit: float
    down_cpu: float  # client CPU seconds per GB
    up_cpu: float
    to_configured: float  # seconds
    start_cpu: float  # CPU seconds until then
    resident_mb: float


def measure(target: Target, name: str, seconds: float) -> Sample:
    with CONTENDERS[name](target) as running:
        ping(target.space, GATEWAY_V4, count=1)
        down, down_cpu = _transfer(target.space, running, seconds, "down")
        up, up_cpu = _transfer(target.space, running, seconds, "up")
        resident = running.resident_bytes() / 1e6
        return Sample(down, up, down_cpu, up_cpu, running.to_configured, running.start_cpu, resident)


def _transfer(space: Namespace, running: Running, seconds: float, mode: str) -> tuple[float, float]:
    before = running.cpu_seconds()
    (flow,) = iperf(space, GATEWAY_V4, seconds=seconds, mode=mode)
    return flow.megabits, (running.cpu_seconds() - before) / (flow.bytes / GB)


def run(rounds: int, seconds: float, tell: Callable[[str], None]) -> dict[str, list[Sample]]:
    compile_ours()
    samples: dict[str, list[Sample]] = {name: [] for name in CONTENDERS}
    with pair() as both, ocserv(both.gateway, both.gateway_v4) as server, iperf_server(both.gateway):
        target = Target(both.client, both.gateway_v4, server.pin())
        for number in range(rounds):
            order = list(CONTENDERS) if number % 2 == 0 else list(reversed(CONTENDERS))
            for name in order:
                tell(f"round {number + 1} of {rounds}: {name}")
                samples[name].append(measure(target, name, seconds))
    return samples


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.  `goal` tells from the medians (ours, theirs) whether it is met; None: there is none."""

    title: str
    field: str
    unit: str
    wanted: str = ""
    goal: Callable[[float, float], bool] | None = None


ROWS = (
    Row("TCP down", "down_mbit", "Mbit/s", "ratio >= 1.0", lambda ours, theirs: ours >= theirs),
    Row("TCP up", "up_mbit", "Mbit/s", "ratio >= 1.0", lambda ours, theirs: ours >= theirs),
    Row("client CPU, down", "down_cpu", "s/GB", "ratio <= 0.8", lambda ours, theirs: ours <= 0.8 * theirs),
    Row("client CPU, up", "up_cpu", "s/GB", "ratio <= 0.8", lambda ours, theirs: ours <= 0.8 * theirs),
    Row(
        "start to configured",
        "to_configured",
        "s",
        f"at most {MAX_EXTRA_START} s more",
        lambda ours, theirs: ours <= theirs + MAX_EXTRA_START,
    ),
    Row("CPU until then", "start_cpu", "s"),
    Row("resident memory", "resident_mb", "MB", f"< {MAX_RESIDENT:.0f} MB", lambda ours, theirs: ours < MAX_RESIDENT),
)


def report(samples: dict[str, list[Sample]], console: Console) -> bool:
    """Print the table; True if every goal is met."""
    table = Table(title="vpnclient beside openconnect, same ocserv, TLS (medians; lowest to highest)")
    for column in ("", "vpnclient", "openconnect", "ratio", "goal", ""):
        table.add_column(column, justify="left" if column in ("", "goal") else "right")
    met = True
    for row in ROWS:
        ours, theirs = ([getattr(sample, row.field) for sample in samples[name]] for name in CONTENDERS)
        ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
        good = row.goal is None or row.goal(statistics.median(ours), statistics.median(theirs))
        met = met and good
        verdict = ("[green]met[/]" if good else "[red]missed[/]") if row.goal else ""
        table.add_row(
            row.title, _spread(ours, row.unit), _spread(theirs, row.unit), f"{ratio:.2f}", row.wanted, verdict
        )
    console.print(table)
    return met


def _spread(values: list[float], unit: str) -> str:
    digits = 0 if min(values) >= 100 else 2
    return f"{statistics.median(values):.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tunnel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often both clients take their turn (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there")
    wishes = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("benchmarks.tunnel: needs root, for network namespaces: run it with sudo")
    console = Console()
    samples = run(wishes.rounds, wishes.seconds, lambda text: print(text, file=sys.stderr, flush=True))
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, {wishes.rounds} rounds")
    report(samples, console)
    if wishes.json:
        document = {name: [asdict(sample) for sample in taken] for name, taken in samples.items()}
        wishes.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
