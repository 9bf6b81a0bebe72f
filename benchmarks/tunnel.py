"""Our client beside openconnect and beside a bare pump, in one run on one machine: `make bench`.

In every round each client connects to each gateway over each channel, moves TCP and UDP, is pinged, and disconnects;
the order of the two changes every round.  What counts are the ratios, medians over the rounds: gateway, client and load
share the machine's cores, and other work on the machine hits all.  Client CPU is user plus system time of the client's
processes per gigabyte of payload.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.client.cases import CASES, MEASURES, Contender, Selection, select
from benchmarks.client.chart import chart
from benchmarks.client.contenders import compile_ours
from benchmarks.client.goals import verdicts
from benchmarks.client.loss import Care
from benchmarks.client.report import markdown, show
from benchmarks.client.run import Plan, Runner
from benchmarks.client.spread import Failure, Results, Sample
from benchmarks.measure import build

ROUNDS, SECONDS, IDLE, CARE = 5, 2.5, 1.0, Care(seconds=0.25, tries=2, close=1.15)
QUICK_ROUNDS, QUICK_SECONDS, QUICK_IDLE, QUICK_CARE = 1, 1.0, 0.5, Care(seconds=0.15, tries=1, close=1.5)
PLAIN_WIDTH = 190  # columns where there is no terminal
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def machine() -> dict[str, str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release().partition("-")[0],
        "congestion control": CONGESTION.read_text().strip(),
    }


def note(about: dict[str, str], results: Results) -> str:
    rounds = 1 + max((one.round for one in results.samples), default=0)
    cores = f"{about['cores']} cores for both ends and the load"
    text = f"{about['processor']}, {cores}, Linux {about['kernel']}, TCP {about['congestion control']}"
    return f"{text}; median of {rounds} rounds, lowest to highest" if rounds > 1 else f"{text}; one round"


def document(about: dict[str, str], results: Results) -> dict[str, object]:
    judged = [
        {
            "case": one.case.name,
            "figure": one.key,
            "beside": one.beside,
            "wanted": one.wanted,
            "got": asdict(one.got),
            "met": one.met,
        }
        for one in verdicts(results)
    ]
    return {
        "machine": about,
        "samples": [asdict(one) for one in results.samples],
        "failures": [asdict(one) for one in results.failures],
        "verdicts": judged,
    }


def read_document(path: Path) -> tuple[dict[str, str], Results]:
    """What an earlier run wrote.  Raises OSError, ValueError or KeyError."""
    read = json.loads(path.read_text())
    samples = [Sample(**{**one, "contender": Contender(one["contender"])}) for one in read["samples"]]
    failures = [Failure(**{**one, "contender": Contender(one["contender"])}) for one in read["failures"]]
    return dict(read["machine"]), Results(samples, failures)


def measure(plan: Plan) -> Results:
    """Run the plan, with a bar on a terminal and a line a step elsewhere."""
    console = Console(stderr=True)
    compile_ours()
    for program in ("bench_bare", "bench_udpload"):
        build(program)
    if not console.is_terminal:
        began = time.monotonic()

        def tell(done: int, steps: int, text: str) -> None:
            print(f"{time.monotonic() - began:5.0f} s  {done}/{steps}  {text}", file=sys.stderr, flush=True)

        return Runner(plan, tell).run()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting")
        return Runner(
            plan, lambda done, steps, text: progress.update(task, completed=done, total=steps, description=text)
        ).run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tunnel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None, help=f"how often each takes its turn (default {ROUNDS})")
    parser.add_argument("--seconds", type=float, default=None, help=f"of one TCP transfer (default {SECONDS:g})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} short round: no figures to quote")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CASE/MEASURE",
        help=f"these alone; patterns; repeatable.  Cases: {', '.join(one.name for one in CASES)}.  "
        f"Measures: {', '.join(MEASURES)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write samples and verdicts there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the chart there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="FILE", help="run nothing: report what --json wrote"
    )
    wishes = parser.parse_args()
    try:
        wishes.chosen = select(tuple(Selection.parse(text) for text in wishes.only))
    except ValueError as exc:
        parser.error(f"--only: {exc}")
    return wishes


def main() -> None:
    wishes = _arguments()
    if wishes.source:
        about, results = read_document(wishes.source)
    else:
        if os.geteuid() != 0:
            sys.exit("benchmarks.tunnel: needs root, for network namespaces: run it with sudo")
        about = machine()
        rounds = wishes.rounds or (QUICK_ROUNDS if wishes.quick else ROUNDS)
        seconds = wishes.seconds or (QUICK_SECONDS if wishes.quick else SECONDS)
        idle, care = (QUICK_IDLE, QUICK_CARE) if wishes.quick else (IDLE, CARE)
        results = measure(Plan(wishes.chosen, rounds, seconds, idle, care))
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    console.print(note(about, results), highlight=False)
    show(results, console)
    if wishes.json:
        wishes.json.write_text(json.dumps(document(about, results), indent=1) + "\n")
    if wishes.svg:
        wishes.svg.write_text(chart(results, note(about, results)))
    if wishes.markdown:
        wishes.markdown.write_text(markdown(results))
    if results.failures:
        sys.exit("benchmarks.tunnel: not everything could be measured; see above")


if __name__ == "__main__":
    main()
