"""Our lab gateway as a program in a network namespace."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vpnclient.lab.netns import Namespace
from vpnclient.lab.programs import Program, gateway_facts, program

USER, PASSWORD = "test", "secret-7"
PATIENCE = 60.0  # seconds; only a broken test waits that long


@dataclass(frozen=True, slots=True)
class LabGateway:
    """facts: its first line of output."""

    program: Program
    facts: dict[str, str]

    @property
    def log(self) -> str:
        return self.program.log.read_text(errors="replace")

    def wait_for(self, text: str, *, count: int = 1, timeout: float = PATIENCE) -> None:
        """Until its log has `text` so often.  Fails with the whole log."""
        until = time.monotonic() + timeout
        while self.log.count(text) < count:
            assert time.monotonic() < until, f"no {text!r} x {count} within {timeout} s in:\n{self.log}"
            time.sleep(0.05)


@contextlib.contextmanager
def lab_gateway(
    space: Namespace,
    address: str,
    *argv: str,
    password: str = PASSWORD,
    protocol: str = "anyconnect",
    port: int = 443,
) -> Iterator[LabGateway]:
    """A running `vpnclient lab serve PROTOCOL`; ended at the end.  password "": no password user."""
    users = ["--user", USER, "--password-stdin"] if password else []
    command = ["lab", "serve", protocol, "--listen", f"{address}:{port}", *users, *argv]
    with tempfile.TemporaryDirectory(prefix="vpn-lab-") as folder:
        where = Path(folder)
        with program("gateway", space, command, stdin=f"{password}\n", folder=where, run_dir=where) as running:
            yield LabGateway(running, gateway_facts(running))
