"""Doubles of the HTTP seam: a scripted stream instead of TLS, and a dialer that hands them out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

HANG = object()  # in a script: wait for ever


class FakeStream:
    """Replays a script of bytes, exceptions and HANG; its end is an orderly EOF.  Remembers what was written."""

    def __init__(self, *script: object, address: str = "192.0.2.1", write_error: Exception | None = None) -> None:
        self.script = list(script)
        self.written = b""
        self.closed = False
        self.write_error = write_error
        self.info = object()
        self.peer_host = address
        self.peername = f"{address}:443"

    async def read(self, limit: int = 65536) -> bytes:
        if not self.script:
            return b""
        step = self.script[0]
        if step is HANG:
            await asyncio.get_running_loop().create_future()
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, bytes)
        if len(step) > limit:
            self.script[0] = step[limit:]
            return step[:limit]
        del self.script[0]
        return step if step else await self.read(limit)

    async def write(self, data: bytes) -> None:
        if self.write_error is not None:
            raise self.write_error
        self.written += data

    async def close(self, linger: float = 0) -> None:
        self.closed = True

    @property
    def requests(self) -> list[bytes]:
        """Request lines written so far."""
        return re.findall(rb"[A-Z]+ /\S* HTTP/1\.1", self.written)


class FakeDialer:
    """Hands out streams in order; remembers where it was asked to dial."""

    def __init__(self, *streams: FakeStream) -> None:
        self.streams = list(streams)
        self.dialed: list[tuple[str, int]] = []
        self.kept_alive: list[int] = []

    async def dial(self, host: str, port: int, *, keep_alive: int = 0) -> FakeStream:
        self.dialed.append((host, port))
        self.kept_alive.append(keep_alive)
        return self.streams[len(self.dialed) - 1]


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """An answer with a Content-Length."""
    lines = [f"HTTP/{version} {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found", *headers: str) -> bytes:
    return answer(b"", f"Location: {location}", *headers, status=status)


def chopped(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """The data in pieces of these sizes; what is left is the last piece."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]
