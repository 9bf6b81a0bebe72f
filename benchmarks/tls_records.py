"""Records of TLS 1.3 by libssl and by the engine itself, in turns: `python -m benchmarks.tls_records`.

Nanoseconds of `ve_tls_write` and of `ve_tls_read` for 1400 bytes, both ends in one thread, without the system calls.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from benchmarks.measure import build

PROGRAM = "bench_tls_records"
ROUNDS = 2001  # of 64 records
SIZE = 1400  # bytes


@dataclass(frozen=True, slots=True)
class Line:
    """Medians, nanoseconds a record.  maker: "libssl" or "own"."""

    suite: str
    maker: str
    write: float
    read: float


def measure(rounds: int) -> list[Line]:
    done = subprocess.run([str(build(PROGRAM)), str(rounds)], capture_output=True, text=True, check=True)
    fields = [line.split() for line in done.stdout.splitlines()]
    return [Line(suite, maker, float(write), float(read)) for suite, maker, write, read in fields]


def main() -> None:
    lines = measure(ROUNDS)
    print(f"{'suite':<30} {'records':<7}  {'write':>8} {'s/GB':>6}  {'read':>8} {'s/GB':>6}")
    for line in lines:
        figures = "  ".join(f"{ns:>5.0f} ns {ns / SIZE:>6.3f}" for ns in (line.write, line.read))
        print(f"{line.suite:<30} {line.maker:<7}  {figures}")
    slower = [
        own
        for own, other in zip(lines[1::2], lines[::2], strict=True)
        if own.write + own.read > other.write + other.read
    ]
    for line in slower:
        print(f"missed: {line.suite}: our own records cost more than libssl's")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
