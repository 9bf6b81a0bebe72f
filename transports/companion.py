"""A program of the user's that lives beside a session and talks with us over its standard input, a socket.

Its standard output goes to our standard error.  It gets a session of its own, so that a Ctrl-C at the terminal does not
reach it, and ends with ours at the latest: the socket is closed, then it is told to end, then it is ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from transports.account import Account
from transports.errors import TransportError

STDERR = 2  # our descriptor
MAX_LINE = 1023  # bytes
GRACE = 0.5  # seconds for each of the three ways to end


class CompanionFailed(TransportError):
    """The program cannot be run, has ended, or does not answer."""


class Companion:
    """`start` it, `send` and read lines, `stop` it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self._name, self._process, self._ours = name, process, ours
        self._buffer = bytearray()

    @classmethod
    def start(cls, argv: Sequence[str], environment: Mapping[str, str], *, user: str = "") -> Companion:
        """environment: on top of our own.  user: run it as this one, in its home.  Raises CompanionFailed."""
        who = _account(user)
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            process = subprocess.Popen(
                list(argv),
                stdin=theirs.fileno(),
                stdout=STDERR,
                env={**os.environ, **environment, **who.environment},
                cwd=who.home,
                user=who.uid,
                group=who.gid,
                extra_groups=who.groups,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError, ValueError) as exc:
            ours.close()
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            raise CompanionFailed(f"{argv[0]} cannot be run: {why}") from exc
        finally:
            theirs.close()
        return cls(argv[0], process, ours)

    async def send(self, data: bytes) -> None:
        """Raises CompanionFailed."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._ours, data)
        except OSError as exc:
            raise CompanionFailed(f"{self._name} has ended: {exc.strerror}") from exc

    async def line(self, timeout: float) -> str:
        """The next line, without its end.  timeout: seconds.  Raises CompanionFailed."""
        try:
            async with asyncio.timeout(timeout):
                while b"\n" not in self._buffer:
                    if len(self._buffer) > MAX_LINE:
                        raise CompanionFailed(f"{self._name} sent a line of more than {MAX_LINE} bytes")
                    data = await asyncio.get_running_loop().sock_recv(self._ours, MAX_LINE)
                    if not data:
                        raise CompanionFailed(f"{self._name} ended before its answer did")
                    self._buffer += data
        except TimeoutError as exc:
            raise CompanionFailed(f"{self._name} did not answer within {timeout:.0f} s") from exc
        except OSError as exc:
            raise CompanionFailed(f"{self._name} has ended: {exc.strerror}") from exc
        line, _, rest = bytes(self._buffer).partition(b"\n")
        if len(line) > MAX_LINE:
            raise CompanionFailed(f"{self._name} sent a line of more than {MAX_LINE} bytes")
        self._buffer = bytearray(rest)
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def discard(self) -> None:
        """Forget what has arrived."""
        self._buffer.clear()
        with suppress(OSError):
            while self._ours.recv(65536):
                pass

    def stop(self) -> None:
        """End it; takes 3 * GRACE at most."""
        self._ours.close()
        for number in (0, signal.SIGTERM, signal.SIGKILL):  # 0 only looks whether it is there
            self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
                return


def _account(user: str) -> Account:
    try:
        return Account.of(user)
    except ValueError as exc:
        raise CompanionFailed(str(exc)) from None
