"""What a lab gateway and its client say between the head of the answer and the framing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from vpnclient.lab import gateway as module
from vpnclient.lab.gateway import _go_through
from vpnclient.lab.netns import LabError


class FourBytes:
    """Greets, answers the first four bytes in capitals; then the framing begins."""

    def __init__(self) -> None:
        self._got = b""

    def begin(self) -> bytes:
        return b"hello:"

    def feed(self, data: bytes) -> bytes:
        before, self._got = len(self._got), self._got + data
        return self._got[:4].upper() if before < 4 <= len(self._got) else b""

    def rest(self) -> bytes | None:
        return self._got[4:] if len(self._got) >= 4 else None


class Stream:
    def __init__(self, chunks: Sequence[bytes], *, hangs: bool = False) -> None:
        self._chunks, self._hangs, self.sent = list(chunks), hangs, b""

    async def read(self, limit: int = 65536) -> bytes:
        if self._hangs and not self._chunks:
            await asyncio.Event().wait()
        return self._chunks.pop(0) if self._chunks else b""

    async def write(self, data: bytes) -> None:
        self.sent += data


def go(first: bytes, stream: Stream) -> bytes:
    return asyncio.run(_go_through(FourBytes(), cast(Any, stream), first))


@pytest.mark.parametrize("first, chunks", [(b"abcdrest", []), (b"", [b"abcdrest"]), (b"a", [b"b", b"cdre", b"st"])])
def test_any_chunking_gives_the_same_and_the_rest_is_the_framing(first: bytes, chunks: list[bytes]) -> None:
    stream = Stream(chunks)
    rest = go(first, stream) + b"".join(stream._chunks)
    assert (rest, stream.sent) == (b"rest", b"hello:ABCD")


def test_a_client_that_leaves_or_says_nothing_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="left before the tunnel was open"):
        go(b"ab", Stream([]))
    monkeypatch.setattr(module, "OPENING_LIMIT", 0.02)
    with pytest.raises(LabError, match="did not open its tunnel within"):
        go(b"ab", Stream([], hangs=True))


class InRecords(FourBytes):
    """Says each thing in a record of its own."""

    def begin(self) -> tuple[bytes, ...]:  # type: ignore[override]
        return b"hel", b"lo:"


def test_a_tuple_is_records_of_their_own() -> None:
    class Recording(Stream):
        records: tuple[bytes, ...] = ()

        async def write(self, data: bytes) -> None:
            self.records += (data,)

    stream = Recording([])
    asyncio.run(_go_through(InRecords(), cast(Any, stream), b"abcd"))
    assert stream.records == (b"hel", b"lo:", b"ABCD")
