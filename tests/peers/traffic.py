"""Real traffic between namespaces: ping and iperf3."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vpnclient.lab.netns import Namespace

IPERF_PORT = 5201
PATIENCE = 60.0  # seconds; only a broken test waits that long


def ping(space: Namespace, address: str, *, count: int = 3) -> None:
    """Every one of `count` pings must come back; ping itself is content with one."""
    said = space.run("ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", "10", address).stdout
    assert f" {count} received" in said, said


def pings(space: Namespace, address: str) -> bool:
    return space.run("ping", "-n", "-c", "1", "-W", "1", address, check=False).returncode == 0


def wait_until_pings(space: Namespace, address: str, *, timeout: float = PATIENCE) -> None:
    until = time.monotonic() + timeout
    while not pings(space, address):
        assert time.monotonic() < until, f"{address} did not answer within {timeout} s"


@dataclass(frozen=True, slots=True)
class Flow:
    """What iperf3 measured: bytes received by the far end, seconds."""

    bytes: int
    seconds: float

    @property
    def megabits(self) -> float:
        return self.bytes * 8 / self.seconds / 1e6


@contextlib.contextmanager
def iperf_server(space: Namespace) -> Iterator[None]:
    server = subprocess.Popen(
        space.command("iperf3", "-s", "-p", str(IPERF_PORT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + PATIENCE
        while f":{IPERF_PORT}" not in space.run("ss", "-Hltn").stdout:
            assert server.poll() is None and time.monotonic() < until, "iperf3 did not start"
            time.sleep(0.02)
        yield
    finally:
        server.kill()
        server.wait()


def iperf(space: Namespace, address: str, *, seconds: float, mode: str = "up") -> list[Flow]:
    """One TCP transfer to an iperf server.  mode: up, down or both (then two flows: up, down)."""
    flags = {"up": [], "down": ["-R"], "both": ["--bidir"]}[mode]
    argv = ["iperf3", "-c", address, "-p", str(IPERF_PORT), "-t", str(seconds), "-J", *flags]
    done = space.run(*argv, timeout=seconds + 2 * PATIENCE)
    report = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    end = report["end"]
    keys = ["sum_received", "sum_received_bidir_reverse"] if mode == "both" else ["sum_received"]
    return [Flow(end[key]["bytes"], end[key]["seconds"]) for key in keys]
