"""Lines of text from standard input: capped, and readable in a thread that can be woken up.

A line is at most MAX_LINE bytes (cli-parity 4.1 and 10).  One `Lines` reads a stream from the first byte to the last:
what --passwd-on-stdin leaves in the buffer, the next question finds.
"""

from __future__ import annotations

import io
import os
import select
from typing import BinaryIO

from vpnclient.errors import ClientError, Exit

MAX_LINE = 4096  # bytes, without the line end
_CHUNK = 4096


class SecretSourceFailed(ClientError):
    """A stored secret, or a line of standard input, cannot be used.  The text never holds the secret."""

    code, exit_code = "secret-source-failed", Exit.INPUT_NEEDED


class Woken(Exception):
    """The read was given up because `wake` became readable."""


class Lines:
    """The lines of one input stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        try:
            self._fd: int | None = stream.fileno()
        except (OSError, io.UnsupportedOperation):
            self._fd = None  # a stream in memory

    @property
    def terminal(self) -> int | None:
        """The descriptor, if a person sits at the other end."""
        return self._fd if self._fd is not None and os.isatty(self._fd) else None

    def next(self, wake: int | None = None) -> str | None:
        """The next line without its end; None: end of file.  Blocks; `wake` becoming readable raises Woken."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE + 1:
                raise SecretSourceFailed(f"secret too long: a line of more than {MAX_LINE} bytes on standard input")
            chunk = self._read(wake)
            if not chunk:
                if not self._buffer:
                    return None
                self._buffer += b"\n"
                break
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\n")
        return _decoded(raw.removesuffix(b"\r"))

    def discard(self) -> None:
        """Forget what was typed ahead."""
        self._buffer = b""

    def _read(self, wake: int | None) -> bytes:
        if self._fd is None:
            return self._stream.read(_CHUNK)
        watched = [self._fd] if wake is None else [self._fd, wake]
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            raise Woken
        return os.read(self._fd, _CHUNK)


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_LINE:
        raise SecretSourceFailed(f"secret too long: a line of {len(raw)} bytes on standard input, at most {MAX_LINE}")
    if b"\0" in raw:
        raise SecretSourceFailed("standard input: a line with a NUL byte")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SecretSourceFailed(f"standard input: not UTF-8 (byte {exc.start} of the line)") from None
