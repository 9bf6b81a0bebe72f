"""Our own client as a program in a network namespace, driven through its events."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vpnclient.lab.netns import Namespace

Event = dict[str, Any]
PATIENCE = 60.0  # seconds; only a broken test waits that long


class Client:
    """`vpnclient connect ... --events json` as a process; `wait_for` reads its events in order."""

    def __init__(self, space: Namespace, *argv: str, stdin: str = "", run_dir: Path, module: str = "vpnclient") -> None:
        self.space, self.run_dir = space, run_dir
        self.seen: list[Event] = []
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            space.command(sys.executable, "-m", module, "connect", "--events", "json", *argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env={**os.environ, "VPNCLIENT_RUN_DIR": str(run_dir)},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(stdin)
            self.process.stdin.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(json.loads(line))
        self._queue.put(None)

    @property
    def stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()

    def wait_for(self, event: str, *, timeout: float = PATIENCE, **fields: object) -> Event:
        """The next event of this kind with these fields.  Fails with all that was seen."""
        until = time.monotonic() + timeout
        while True:
            found = self.next_event(until - time.monotonic())
            if found is None:
                told = "\n".join(map(str, self.seen[-30:]))
                raise AssertionError(f"no {event} {fields} within {timeout} s; seen:\n{told}\nstderr:\n{self.stderr}")
            if found["event"] == event and all(found.get(name) == value for name, value in fields.items()):
                return found

    def next_event(self, timeout: float) -> Event | None:
        """The next of any kind; None: it did not come in time, or the client has ended."""
        try:
            found = self._queue.get(timeout=max(0.01, timeout))
        except queue.Empty:
            return None
        if found is not None:
            self.seen.append(found)
        return found

    def connected(self, timeout: float = PATIENCE) -> Event:
        """Wait until packets flow; the `configured` event."""
        configured = self.wait_for("configured", timeout=timeout)
        self.wait_for("state", state="connected", timeout=timeout)
        return configured

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def finish(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; the exit status."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        while (event := self._queue.get()) is not None:
            self.seen.append(event)
        return status

    def stop(self, timeout: float = PATIENCE) -> int:
        """Ctrl-C; the exit status."""
        self.signal(signal.SIGINT)
        return self.finish(timeout)

    def error(self) -> Event:
        """The one error event it ended with."""
        (found,) = (event for event in self.seen if event["event"] == "error")
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._stderr.close()


@contextlib.contextmanager
def client(space: Namespace, *argv: str, stdin: str = "", run_dir: Path, module: str = "vpnclient") -> Iterator[Client]:
    """A running client; killed at the end if it still runs.  module: what runs it, with other limits of time."""
    running = Client(space, *argv, stdin=stdin, run_dir=run_dir, module=module)
    try:
        yield running
    finally:
        running.close()
