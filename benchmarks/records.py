"""DTLS records, sealed and opened by the engine, beside libcrypto alone: `python -m benchmarks.records`.

Nanoseconds a record at three sizes; the ratio is of rounds that follow each other on the same buffers, so it holds
where other work slows both.  More than 100 %: the engine tells libcrypto of a record in fewer calls than the textbook.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import build

PROGRAM = "bench_records"
ROUNDS, QUICK_ROUNDS = 201, 7
GOAL = 0.85  # of libcrypto's speed, at GOAL_SIZE
GOAL_SIZE = 1400  # bytes of payload


@dataclass(frozen=True, slots=True)
class Line:
    """Medians.  ns: a record; ratio: libcrypto's time to ours, so that more is better; low, high: its quartiles."""

    suite: str
    size: int
    what: str
    ns: float
    ratio: float
    low: float
    high: float


def measure(rounds: int, program: Path | None = None) -> list[Line]:
    command = [str(program or build(PROGRAM)), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[tuple[str, int, str], list[tuple[float, float]]] = defaultdict(list)
    for line in done.stdout.splitlines():
        suite, size, sealed, opened, raw_sealed, raw_opened = line.split()
        found[suite, int(size), "seal"].append((float(sealed), float(raw_sealed)))
        found[suite, int(size), "open"].append((float(opened), float(raw_opened)))
    return [_line(*key, pairs) for key, pairs in found.items()]


def _line(suite: str, size: int, what: str, pairs: list[tuple[float, float]]) -> Line:
    ratios = sorted(raw / ours for ours, raw in pairs)
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return Line(suite, size, what, statistics.median(ours for ours, _raw in pairs), middle, low, high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    parser.add_argument("--json", action="store_true", help="the figures alone")
    wishes = parser.parse_args()
    lines = measure(QUICK_ROUNDS if wishes.quick else ROUNDS)
    if wishes.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
        return
    print(f"{'suite':<18} {'bytes':>5}  {'':<4} {'ns':>6} {'Gbit/s':>7}  beside libcrypto (quartiles)")
    for line in lines:
        rate = line.size * 8 / line.ns
        spread = f"{line.ratio:>5.0%} ({line.low:.0%}..{line.high:.0%})"
        print(f"{line.suite:<18} {line.size:>5}  {line.what:<4} {line.ns:>6.0f} {rate:>7.2f}  {spread}")
    missed = [line for line in lines if line.size == GOAL_SIZE and line.ratio < GOAL]
    for line in missed:
        print(f"missed: {line.suite}, {line.what}: {line.ratio:.0%} of libcrypto alone, want {GOAL:.0%}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
