"""Packets a second of the engine's framings, without a network: `python -m benchmarks.framings [NAME ...]`.

Compiles framings.c against the engine's library and runs it with small and with full-size packets, one thread.  The
first framing is the yardstick for the others; figures of different runs or machines are not to be compared.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "transports" / "engine"
FRAMINGS = ("cstp", "gpst", "oncp", "ift")
SIZES = (64, 1400)  # bytes of packet


def build() -> Path:
    program = ROOT / "build" / "bench_framings"
    program.parent.mkdir(exist_ok=True)
    source = ROOT / "benchmarks" / "framings.c"
    library = ENGINE / "libvpnengine.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11", f"-I{ENGINE}", str(source), str(library)]
    subprocess.run([*command, f"-Wl,-rpath,{ENGINE}", "-o", str(program)], check=True)
    return program


def main(names: list[str]) -> None:
    program = build()
    for size in SIZES:
        subprocess.run([str(program), str(size), *(names or FRAMINGS)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
