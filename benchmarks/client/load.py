"""Load through a tunnel: iperf3 for TCP, ping for round trips, and bench_udpload for datagrams.

UDP does not come from iperf3: it makes a system call for each packet on both sides and paces by spinning, so its own
cost is above that of the tunnels, with which it shares two cores.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.client.loss import Trial
from benchmarks.measure import build
from tests.peers.traffic import IPERF_PORT, Flow
from vpnclient.lab.netns import Namespace

SLACK = 20.0  # seconds that a load may take longer than it should
RAMP = 0.3  # seconds until TCP is at its speed
PING_EVERY = 0.01  # seconds
UDP_PORT = 5202
UDP_HEADERS = 28  # bytes of IPv4 and UDP
DRAIN = 0.1  # seconds for what is queued to arrive
MODES = {"up": (), "down": ("-R",), "both": ("--bidir",)}


class LoadError(Exception):
    """A load did not run as it should."""


# --- TCP and ping ---------------------------------------------------------------------------------------------------


def parse_iperf(text: str, mode: str) -> list[Flow]:
    """What arrived, of `iperf3 -J`: one flow, or up and down."""
    report = json.loads(text)
    if "error" in report:
        raise LoadError(f"iperf3: {report['error']}")
    keys = ["sum_received", "sum_received_bidir_reverse"] if mode == "both" else ["sum_received"]
    return [Flow(report["end"][key]["bytes"], report["end"][key]["seconds"]) for key in keys]


def parse_ping(text: str) -> list[float]:
    """Milliseconds of each that came back."""
    return [float(found) for found in re.findall(r" time=([\d.]+) ms", text)]


def ping(space: Namespace, address: str, seconds: float) -> list[float]:
    """Round trips in milliseconds; raises LoadError if half of them or more are lost."""
    count = max(3, int(seconds / PING_EVERY))
    argv = ("ping", "-n", "-c", str(count), "-i", str(PING_EVERY), "-W", "1", address)
    times = parse_ping(space.run(*argv, check=False, timeout=seconds * 20 + SLACK).stdout)
    if len(times) * 2 <= count:
        raise LoadError(f"{len(times)} of {count} pings came back")
    return times


@dataclass(frozen=True, slots=True)
class Transfer:
    """flows: one, or up and down; pings: milliseconds, while it ran."""

    flows: list[Flow]
    pings: list[float] = field(default_factory=list)

    @property
    def megabits(self) -> float:
        return sum(flow.megabits for flow in self.flows)

    @property
    def bytes(self) -> int:
        return sum(flow.bytes for flow in self.flows)


def transfer(space: Namespace, address: str, mode: str, seconds: float, *, pinged: bool) -> Transfer:
    """TCP for so long; mode: up, down or both."""
    argv = ("iperf3", "-c", address, "-p", str(IPERF_PORT), "-t", f"{seconds:g}", "-J", *MODES[mode])
    running = space.popen(*argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        times: list[float] = []
        if pinged:
            time.sleep(RAMP)
            times = ping(space, address, max(0.1, seconds - 2 * RAMP))
        said, _ = running.communicate(timeout=seconds + SLACK)
    except subprocess.TimeoutExpired as exc:
        raise LoadError(f"iperf3 hangs after {seconds + SLACK:g} s") from exc
    finally:
        running.kill()
        running.wait()
    return Transfer(parse_iperf(said, mode), times)


# --- UDP ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class UdpSink:
    """Counts what arrives in a namespace, by run."""

    program: Path
    process: subprocess.Popen[str]
    run: int = 0

    def trial(self, space: Namespace, address: str, size: int, rate: float, seconds: float) -> Trial:
        """Send packets of `size` bytes from `space` to the sink's `address`."""
        self.run += 1
        argv = ["send", address, str(UDP_PORT), str(size - UDP_HEADERS), f"{rate:.0f}", f"{seconds:g}", str(self.run)]
        said = space.run(str(self.program), *argv, timeout=seconds + SLACK).stdout.split()
        time.sleep(DRAIN)
        return Trial(rate, int(said[0]), self._count(), float(said[1]))

    def _count(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None  # pipes, see udp_sink
        self.process.stdin.write(f"{self.run}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def udp_sink(space: Namespace) -> Iterator[UdpSink]:
    program = build("bench_udpload")
    process = space.popen(str(program), "sink", str(UDP_PORT))
    try:
        assert process.stdout is not None  # a pipe, see Namespace.popen
        if process.stdout.readline() != "ready\n":
            raise LoadError("bench_udpload did not start")
        yield UdpSink(program, process)
    finally:
        process.kill()
        process.communicate()
