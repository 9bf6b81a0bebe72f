"""deflate compression: one raw stream each way for the life of the connection: the reference; the twin is deflate.c.

A packet is what a sync flush gives (00 00 ff ff at its end), and the Adler-32, big-endian, of all plaintext so far.
Packets that go uncompressed touch neither.  Source: AnyConnect notes, section 8.3.
"""

from __future__ import annotations

import zlib

from protocols.errors import MalformedFrame

WINDOW_BITS = 12  # of our stream
ANY_WINDOW_BITS = 15  # of the peer's
MEMORY_LEVEL = 9
CHECKSUM = 4  # bytes


class Deflate:
    """One direction."""

    stateful = True

    def __init__(self) -> None:
        level, method = zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED
        self._out = zlib.compressobj(level, method, -WINDOW_BITS, MEMORY_LEVEL)
        self._in = zlib.decompressobj(-ANY_WINDOW_BITS)
        self._sum = zlib.adler32(b"")  # of all plaintext
        self._error: MalformedFrame | None = None

    def shrink(self, packet: bytes, room: int) -> bytes | None:
        """Whether there is room is known before: a packet that was put into the stream must be sent."""
        if not packet or bound(len(packet)) > room:
            return None
        out = self._out.compress(packet) + self._out.flush(zlib.Z_SYNC_FLUSH)
        self._sum = zlib.adler32(packet, self._sum)
        return out + self._sum.to_bytes(CHECKSUM, "big")

    def expand(self, data: bytes, room: int) -> bytes:
        """Raises MalformedFrame, and then always."""
        if self._error is None:
            try:
                return self._expand(data, room)
            except MalformedFrame as exc:
                self._error = exc
        raise self._error

    def _expand(self, data: bytes, room: int) -> bytes:
        if len(data) <= CHECKSUM:
            raise MalformedFrame("deflate payload", got=len(data), want=f">= {CHECKSUM + 1} bytes", at=0)
        try:
            out = self._in.decompress(data[:-CHECKSUM], room)
        except zlib.error:
            raise MalformedFrame("deflate blocks", got="damage", want="what inflates", at=0) from None
        if self._in.eof:
            raise MalformedFrame("deflate stream", got="its end", want="one that lasts", at=0)
        if self._in.unconsumed_tail:
            raise MalformedFrame("deflate output", got="more", want=f"<= {room} bytes", at=0)
        self._sum = zlib.adler32(out, self._sum)
        told, wanted = data[-CHECKSUM:], self._sum.to_bytes(CHECKSUM, "big")
        if told != wanted:
            raise MalformedFrame("deflate checksum", got=told.hex(), want=wanted.hex(), at=len(data) - CHECKSUM)
        return out


def bound(length: int) -> int:
    """The most that zlib makes of so many bytes and a flush, with room to spare, and the checksum."""
    return length + length // 8 + length // 64 + 64
