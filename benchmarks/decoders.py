"""Every framing's decoder and encoder, the engine's and the Python reference: `python -m benchmarks.decoders`.

Packets and megabytes of packets a second at three sizes, into a memory sink, the ring of a Wintun adapter (the double
of its driver) and a TUN device; the share that the sinks counted as placed, copied or expanded; copies and allocations
as counted around the loops; and each goal with its verdict.  One thread decodes.  libcrypto alone does the same
cryptography on the same buffers, round by round, so its ratio to ESP holds where other work slows both.  Into a TUN
the kernel's write dominates: a table shows it beside a bare write(2).  The TUN is in a private network namespace, which
needs root and goes with this process; without root there is no column for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.measure import COUNTING_PROGRAM, PROGRAM, Engine, Row, build, measure_python
from benchmarks.report import figures, goal_lines, percent, show, verdicts
from transports.engine import ffi, lib, text
from transports.tun import Tun

SIZES = (64, 576, 1400)  # bytes of IP packet
IN_NAMESPACE = "VPNCLIENT_BENCH_NAMESPACE"  # set where this runs in a namespace of its own
ROUNDS, QUICK_ROUNDS = 201, 15  # of the C loops
REPEATS, QUICK_REPEATS = 7, 5  # of the Python ones


def enter_namespace() -> None:
    """Start again in a network namespace of its own, where that can be had."""
    if os.geteuid() != 0 or IN_NAMESPACE in os.environ:
        return
    inside = ["unshare", "--net", "--"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[IN_NAMESPACE] = "1"
        os.execvp("unshare", [*inside, sys.executable, "-m", "benchmarks.decoders", *sys.argv[1:]])


def open_tun(stack: ExitStack) -> int:
    """A TUN that is up and whose packets lead nowhere; -1: none to be had."""
    if IN_NAMESPACE not in os.environ or not Path("/dev/net/tun").exists():
        return -1
    tun = stack.enter_context(Tun.open("bench%d", offload=False))
    subprocess.run(["ip", "link", "set", tun.name, "mtu", "1500", "up"], check=True)
    return tun.fileno()


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    abi = ffi.new("struct ve_abi *")
    lib.ve_abi(abi)
    crypto = text(abi.openssl)
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, {crypto}, Python {platform.python_version()}"


def run(cases: tuple[Case, ...], *, quick: bool, tun: int) -> list[Row]:
    engine = Engine(build(PROGRAM), build(COUNTING_PROGRAM), tun)
    rounds, repeats = (QUICK_ROUNDS, QUICK_REPEATS) if quick else (ROUNDS, REPEATS)
    rows = []
    for number, case in enumerate(cases):
        print(f"{number + 1} of {len(cases)}: {case.name}", file=sys.stderr, flush=True)
        for size in SIZES:
            rows.append(engine.measure(case, size, rounds))
            rows.append(measure_python(case, size, repeats, tun))
    return rows


def report(cases: tuple[Case, ...], rows: list[Row]) -> bool:
    """Print the tables; True if every goal is met."""
    for language in ("C", "Python"):
        for size in SIZES:
            what = "M/s: million packets a second, median ± half the distance of the quartiles; MB of packets"
            show(f"{language}, packets of {size} bytes ({what})", *figures(rows, language, size))
    beside = [
        [row.name, *(percent(r.ratio["tun"].median) for r in rows if r.language == "C" and r.name == row.name)]
        for row in rows
        if row.language == "C" and row.size == SIZES[0] and "tun" in row.ratio
    ]
    title = "C into a TUN, of what write(2) of ready packets reaches"
    show(title, ["framing", *(f"{size} bytes" for size in SIZES)], beside)
    found = verdicts(cases, rows)
    show("Goals (decoding and encoding in C, memory sink)", *goal_lines(found, SIZES))
    return not any(verdict.missed for verdict in found)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decoders", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only framings whose name begins so")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    wishes = parser.parse_args()
    cases = tuple(c for c in CASES if not wishes.names or c.name.startswith(tuple(wishes.names)))
    if not cases:
        sys.exit(f"no framing begins with {' or '.join(wishes.names)}; there are: {', '.join(c.name for c in CASES)}")
    enter_namespace()
    began, before = time.monotonic(), os.getloadavg()[0]
    with ExitStack() as stack:
        rows = run(cases, quick=wishes.quick, tun=open_tun(stack))
    print(f"{machine()}\nload average {before:.2f} before, {os.getloadavg()[0]:.2f} after; one thread measured", end="")
    print(f" for {time.monotonic() - began:.0f} s")
    report(cases, rows)
    if wishes.json:
        document = {"machine": machine(), "load": os.getloadavg()[0], "rows": [row.document() for row in rows]}
        wishes.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
