"""The clients that are compared: started in a namespace, configured, and asked which channel they use.

Each client is told to connect by the same URL, pin and password, and is "configured" when its interface has the
addresses and routes: ours says so in an event, openconnect when the stock vpnc-script has returned.  A client that was
to use datagrams has to say that it does, before anything is measured.
"""

from __future__ import annotations

import compileall
import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client.cases import Case, Channel, Contender
from benchmarks.client.processes import cpu_seconds
from tests.peers.client import Client, Event, client
from vpnclient.lab.netns import Namespace

ROOT = Path(__file__).parents[2]
VPNC_SCRIPT = "/usr/share/vpnc-scripts/vpnc-script"
CONNECT_TIMEOUT = 20.0  # seconds
CHANNEL_TIMEOUT = 8.0  # seconds after that for the datagram channel
SETTLE = 0.2  # seconds
STOP_TIMEOUT = 10.0  # seconds
OPENCONNECT_TELLS = {Channel.DTLS: "Established DTLS connection", Channel.ESP: "ESP session established"}


class WrongChannel(Exception):
    """A client does not use the channel that it was asked to use."""

    def __init__(self, wanted: Channel, found: str, detail: str = "") -> None:
        super().__init__(f"asked for {wanted}, ran over {found}{': ' if detail else ''}{detail}")


class ConnectFailed(Exception):
    """A client did not connect."""


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway, as both clients are told of it.  address: the gateway's in the tunnel."""

    space: Namespace  # the client's
    url: str
    pin: str
    user: str
    password: str
    address: str


@dataclass(frozen=True, slots=True)
class Running:
    """A connected contender.

    to_configured: seconds from its start until the host was configured.  start_cpu: CPU seconds until then, those of
    the programs that it ran included.  address: of the other end, in the tunnel.
    """

    pid: int
    to_configured: float
    start_cpu: float
    address: str


Start = Callable[[Target, Case], "contextlib.AbstractContextManager[Running]"]


def compile_ours() -> None:
    """As an installer does; a checkout used with PYTHONDONTWRITEBYTECODE would be compiled at each start."""
    for package in ("vpnclient", "protocols", "transports"):
        compileall.compile_dir(ROOT / package, quiet=1)


# --- ours -----------------------------------------------------------------------------------------------------------


def channel_told(event: Event) -> str:
    """What an event of ours says of the channel; empty: nothing."""
    name = event.get("name")
    return name if event.get("event") == "channel" and isinstance(name, str) else ""


@contextlib.contextmanager
def ours(target: Target, case: Case) -> Iterator[Running]:
    argv = [target.url, "--protocol", case.protocol, "--servercert", target.pin, "--user", target.user]
    argv += ["--passwd-on-stdin", "--non-inter", *(() if case.channel.datagrams else ("--no-dtls",))]
    with tempfile.TemporaryDirectory(prefix="vpn-bench-") as folder:
        began = time.monotonic()
        with client(target.space, *argv, stdin=f"{target.password}\n", run_dir=Path(folder)) as running:
            running.wait_for("configured", timeout=CONNECT_TIMEOUT)
            took, cpu = time.monotonic() - began, cpu_seconds(running.process.pid)
            running.wait_for("state", state="connected", timeout=CONNECT_TIMEOUT)
            _wait_for_channel(running, case.channel)
            yield Running(running.process.pid, took, cpu, target.address)
            running.stop()
            check_told(running.seen, case.channel)


def _wait_for_channel(running: Client, wanted: Channel) -> None:
    if not wanted.datagrams:
        return
    until = time.monotonic() + CHANNEL_TIMEOUT
    while not any(channel_told(event) == wanted for event in running.seen):
        if running.next_event(until - time.monotonic()) is None:
            last = next((told for event in reversed(running.seen) if (told := channel_told(event))), Channel.TLS)
            raise WrongChannel(wanted, last)


def check_told(seen: list[Event], wanted: Channel) -> None:
    """Of the whole session, after its end.  Raises WrongChannel: it changed, or was never the wanted one."""
    told = [channel for event in seen if (channel := channel_told(event))]
    if wanted.datagrams:
        told = told[told.index(wanted) :] if wanted in told else [*told, Channel.TLS]
    wrong = next((channel for channel in told if channel != wanted), None)
    if wrong is not None:
        raise WrongChannel(wanted, wrong, "as the client said")


# --- openconnect ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def openconnect(target: Target, case: Case) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="vpn-bench-") as name:
        folder = Path(name)
        script = folder / "script"
        script.write_text(f'#!/bin/sh\n{VPNC_SCRIPT}\n[ "$reason" = connect ] && : > {folder}/configured\nexit 0\n')
        script.chmod(0o755)
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                target.space.command(*_openconnect_argv(target, case, script)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            assert process.stdin is not None  # a pipe
            process.stdin.write(f"{target.password}\n".encode())
            process.stdin.close()
            took = _wait_until_configured(process, folder, began)
            cpu = cpu_seconds(process.pid)  # by now it waits for packets
            _wait_for_line(folder / "log", case.channel)
            yield Running(process.pid, took, cpu, target.address)
            process.send_signal(signal.SIGINT)
            process.wait(STOP_TIMEOUT)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _openconnect_argv(target: Target, case: Case, script: Path) -> list[str]:
    argv = ["openconnect", f"--protocol={case.protocol}", "--servercert", target.pin, "--user", target.user]
    argv += ["--passwd-on-stdin", "--non-inter", "--script", str(script)]
    return [*argv, *(() if case.channel.datagrams else ("--no-dtls",)), target.url]


def _wait_until_configured(process: subprocess.Popen[bytes], folder: Path, began: float) -> float:
    while not (folder / "configured").exists():
        if process.poll() is not None or time.monotonic() - began > CONNECT_TIMEOUT:
            lines = (folder / "log").read_text(errors="replace").splitlines()
            raise ConnectFailed(f"openconnect was not configured; it said last: {' / '.join(lines[-3:])}")
        time.sleep(0.002)
    took = time.monotonic() - began
    time.sleep(SETTLE)
    return took


def _wait_for_line(log: Path, wanted: Channel) -> None:
    if not wanted.datagrams:
        return
    until = time.monotonic() + CHANNEL_TIMEOUT
    while OPENCONNECT_TELLS[wanted] not in log.read_text(errors="replace"):
        if time.monotonic() > until:
            raise WrongChannel(wanted, Channel.TLS)
        time.sleep(0.02)


STARTS: dict[Contender, Start] = {Contender.OURS: ours, Contender.THEIRS: openconnect}
