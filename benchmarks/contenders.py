"""The clients that are compared: started in a namespace, configured, and watched through /proc.

Each contender is told to connect by the same URL, pin and password, and is "configured" when its interface has the
addresses and routes: ours says so in an event, openconnect when the stock vpnc-script has returned.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.client import client
from tests.peers.ocserv import PASSWORD, PORT, USER
from vpnclient.lab.netns import Namespace

TICKS = os.sysconf("SC_CLK_TCK")  # per second, the unit of utime and stime in /proc/PID/stat
VPNC_SCRIPT = "/usr/share/vpnc-scripts/vpnc-script"
CONNECT_TIMEOUT = 20.0  # seconds
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Running:
    """A connected client.

    to_configured: seconds from its start until the host was configured.  start_cpu: CPU seconds until then, those
    of the programs that it ran included.
    """

    pid: int
    to_configured: float
    start_cpu: float

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        return _cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no VmRSS of process {self.pid}")


def _cpu_seconds(pid: int, *, children: bool = False) -> float:
    """children: with the time of those that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) / TICKS


def compile_ours() -> None:
    """As an installer does; a checkout used with PYTHONDONTWRITEBYTECODE would be compiled at each start."""
    for package in ("vpnclient", "protocols", "transports"):
        compileall.compile_dir(ROOT / package, quiet=1)


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway, as both clients are told of it."""

    space: Namespace  # the client's
    address: str
    pin: str

    @property
    def url(self) -> str:
        return f"https://{self.address}:{PORT}/"


Contender = Callable[[Target], "contextlib.AbstractContextManager[Running]"]


@contextlib.contextmanager
def ours(target: Target) -> Iterator[Running]:
    argv = (target.url, "--servercert", target.pin, "--user", USER, "--passwd-on-stdin", "--non-inter")
    with tempfile.TemporaryDirectory(prefix="vpn-bench-") as folder:
        began = time.monotonic()
        with client(target.space, *argv, stdin=f"{PASSWORD}\n", run_dir=Path(folder)) as running:
            running.wait_for("configured", timeout=CONNECT_TIMEOUT)
            took = time.monotonic() - began
            cpu = _cpu_seconds(running.process.pid, children=True)
            running.wait_for("state", state="connected", timeout=CONNECT_TIMEOUT)
            yield Running(running.process.pid, took, cpu)
            running.stop()


@contextlib.contextmanager
def openconnect(target: Target) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="vpn-bench-") as folder:
        mark, script = Path(folder) / "configured", Path(folder) / "script"
        script.write_text(f'#!/bin/sh\n{VPNC_SCRIPT}\n[ "$reason" = connect ] && : > {mark}\nexit 0\n')
        script.chmod(0o755)
        argv = ("openconnect", "--protocol=anyconnect", "--no-dtls", "--servercert", target.pin, "--user", USER)
        began = time.monotonic()
        process = subprocess.Popen(
            target.space.command(*argv, "--passwd-on-stdin", "--non-inter", "--script", str(script), target.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(f"{PASSWORD}\n".encode())
            process.stdin.close()
            while not mark.exists():
                assert process.poll() is None, "openconnect ended before it was configured"
                assert time.monotonic() - began < CONNECT_TIMEOUT, "openconnect was not configured in time"
                time.sleep(0.002)
            took = time.monotonic() - began
            time.sleep(0.2)  # it waits for the script, then for packets
            yield Running(process.pid, took, _cpu_seconds(process.pid, children=True))
            process.send_signal(signal.SIGINT)
            process.wait(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


CONTENDERS: dict[str, Contender] = {"vpnclient": ours, "openconnect": openconnect}
