"""The demo's two programs: a lab gateway and the real client, each a process in its namespace."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpnclient.lab.netns import LabError, Namespace

START_LIMIT = 30.0  # seconds for the gateway to listen
EXIT_LIMIT = 15.0  # seconds to end after a signal
LOG_TAIL = 12  # lines of a program's log shown when it failed
COMMAND = (sys.executable, "-m", "vpnclient")

Event = dict[str, Any]  # a line of --events json


@dataclass(slots=True)
class Program:
    """A running process whose lines on standard output are read as they come."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    lines: queue.Queue[str | None]

    def next_line(self, until: float) -> str | None:
        """The next line of output; None: it has ended.  Raises LabError when it takes too long."""
        try:
            return self.lines.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise LabError(f"{self.name} says nothing; its log ends:\n{self.tail()}") from None

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signal it and wait; its exit status.  Raises LabError if it does not end."""
        self.process.send_signal(number)
        try:
            return self.process.wait(EXIT_LIMIT)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end on signal {number}; its log ends:\n{self.tail()}") from None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:])


@contextlib.contextmanager
def program(
    name: str, space: Namespace, argv: list[str], *, stdin: str, folder: Path, run_dir: Path
) -> Iterator[Program]:
    """Start `vpnclient ARGV` inside; killed at the end if it still runs."""
    log = folder / f"{name}.log"
    environment = {**os.environ, "VPNCLIENT_RUN_DIR": str(run_dir), "XDG_CONFIG_HOME": str(folder)}
    with log.open("w") as stderr:
        process = space.popen(*COMMAND, *argv, stderr=stderr.fileno(), env=environment)
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        assert process.stdin is not None  # a pipe, see Namespace.popen
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()
        yield Program(name, process, log, lines)
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None  # as above
        process.stdout.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None  # a pipe, see Namespace.popen
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def gateway_facts(gateway: Program) -> dict[str, str]:
    """The gateway's first line.  Raises LabError."""
    line = gateway.next_line(time.monotonic() + START_LIMIT)
    if line is None:
        raise LabError(f"the gateway did not start:\n{gateway.tail()}")
    facts: dict[str, str] = json.loads(line)
    return facts


def events_until_connected(client: Program, limit: float) -> Iterator[Event]:
    """The client's events, the last one says that packets flow.  Raises LabError if it ends before."""
    until = time.monotonic() + limit
    while (line := client.next_line(until)) is not None:
        event: Event = json.loads(line)
        yield event
        if event["event"] == "state" and event["state"] == "connected":
            return
    raise LabError(f"the client ended with status {client.process.wait()}:\n{client.tail()}")


def way_of_packets(client: Program) -> tuple[str, str]:
    """Which way packets went last, and by which ciphers, as a client that has ended said.  Raises LabError."""
    way, detail = "", ""
    while (line := client.next_line(time.monotonic() + EXIT_LIMIT)) is not None:
        event: Event = json.loads(line)
        if event["event"] == "channel":
            way, detail = event["name"], event["detail"]
    return way, detail
