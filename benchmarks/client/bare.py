"""The bare pump as a contender: bench_bare on both sides, a TUN device each, no protocol between them."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator

from benchmarks.client.cases import Case
from benchmarks.client.contenders import ConnectFailed, Running
from benchmarks.client.processes import cpu_seconds
from benchmarks.measure import build
from vpnclient.lab.netns import LabError, Namespace, Pair

DEVICE = "bare0"
MTU = 1400  # bytes; as the tunnels have it
GATEWAY, CLIENT = "10.98.0.1", "10.98.0.2"  # in the tunnel
LISTEN_LIMIT = 5.0  # seconds
_PORTS = itertools.count(7001)  # a TCP port that was just used waits for its last packets


@contextlib.contextmanager
def bare(both: Pair, case: Case) -> Iterator[Running]:
    program, kind, port = str(build("bench_bare")), "udp" if case.channel.datagrams else "tls", str(next(_PORTS))
    with contextlib.ExitStack() as undo:
        began = time.monotonic()
        ends = []
        for space, role in ((both.gateway, "listen"), (both.client, "connect")):
            end = space.popen(program, kind, role, both.gateway_v4, port, DEVICE, str(MTU))
            undo.callback(_stop, end)
            ends.append(end)
            if role == "listen":
                _wait_for_listener(both.gateway, end, kind, port)
        for end in ends:
            assert end.stdout is not None  # a pipe, see Namespace.popen
            if not end.stdout.readline().startswith("ready"):
                raise ConnectFailed("bench_bare did not connect; what it said is above")
        for space, own, peer in ((both.gateway, GATEWAY, CLIENT), (both.client, CLIENT, GATEWAY)):
            space.ip("link", "set", DEVICE, "mtu", str(MTU), "up")
            space.ip("address", "add", own, "peer", peer, "dev", DEVICE)
        yield Running(ends[1].pid, time.monotonic() - began, cpu_seconds(ends[1].pid), GATEWAY)
        if any(end.poll() is not None for end in ends):
            raise ConnectFailed("bench_bare ended early; what it said is above")


def _wait_for_listener(space: Namespace, end: subprocess.Popen[str], kind: str, port: str) -> None:
    flag = "-Hlun" if kind == "udp" else "-Hltn"
    until = time.monotonic() + LISTEN_LIMIT
    while f":{port}" not in space.run("ss", flag).stdout:
        if end.poll() is not None or time.monotonic() > until:
            raise LabError("bench_bare does not listen; what it said is above")
        time.sleep(0.01)


def _stop(end: subprocess.Popen[str]) -> None:
    """It ends with its standard input."""
    try:
        end.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        end.kill()
        end.communicate()
