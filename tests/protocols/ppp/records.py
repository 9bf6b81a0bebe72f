"""DTLS records between two ends in memory; what a network does to them, a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

Fate = Callable[[bytes], Iterable[bytes]]  # what arrives of a record


class FakeRecords:
    """One end.  fate: of what it sends."""

    def __init__(self, fate: Fate = lambda record: (record,)) -> None:
        self.waiting: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.other: FakeRecords | None = None
        self.sent: list[bytes] = []
        self.linked: tuple[str, Any] | None = None
        self.closed = False
        self._fate = fate

    async def send(self, payload: bytes) -> None:
        self.sent.append(payload)
        if self.other is not None:
            for record in self._fate(payload):
                self.other.waiting.put_nowait(record)

    async def receive(self, timeout: float) -> bytes:
        async with asyncio.timeout(timeout):
            came = await self.waiting.get()
        if isinstance(came, Exception):
            raise came
        return came

    def link(self, framing: str, *, largest: int = 0, options: Any = ()) -> Any:
        self.linked = framing, options
        return self

    def close(self) -> None:
        self.closed = True


def pair(client: Fate = lambda record: (record,), server: Fate = lambda record: (record,)) -> tuple[FakeRecords, ...]:
    """client, server: the fate of what that end sends."""
    ends = FakeRecords(client), FakeRecords(server)
    ends[0].other, ends[1].other = ends[1], ends[0]
    return ends
