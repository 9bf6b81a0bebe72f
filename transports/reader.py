"""Reads packets that leave the host, in place, from the Send ring of a Wintun adapter.

A thin face of reader.c, for tests and for users without a pump.  Source: Wintun notes, section 7.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from mmap import mmap

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import DeviceError, EngineError


@dataclass(frozen=True, slots=True)
class ReaderStats:
    """Counters of a reader; the meanings are in engine.h (struct ve_reader_stats)."""

    packets: int
    bytes: int
    not_ip: int
    batches: int
    corrupt: int


class RingReader:
    """The consumer of a Send ring."""

    def __init__(self, native: CData, error: CData) -> None:
        if not native:
            raise EngineError(text(error))
        self.native: CData = ffi.gc(native, lib.ve_reader_free)
        self._at: CData = ffi.new("uint8_t **")
        self._kept: CData = None  # memory that must live as long

    @classmethod
    def ring(cls, ring: bytearray | mmap, event: int) -> RingReader:
        """ring and event as in NativeSink.wintun; neither may go before the reader.  Raises EngineError."""
        error = errbuf()
        memory = ffi.from_buffer("uint8_t[]", ring, require_writable=True)
        reader = cls(lib.ve_reader_wintun(memory, len(memory), event, error, ERROR_SIZE), error)
        reader._kept = memory
        return reader

    @classmethod
    def session(cls, calls: CData, event: int) -> RingReader:
        """Reads through a session of wintun.dll, which must outlive the reader.  calls: struct ve_wintun_calls *."""
        error = errbuf()
        return cls(lib.ve_reader_session(calls, event, error, ERROR_SIZE), error)

    def packets(self) -> Iterator[memoryview]:
        """What waits, each packet in the ring itself, valid until release().  Raises DeviceError."""
        while True:
            length = lib.ve_reader_next(self.native, self._at)
            if length == lib.VE_EMPTY:
                return
            if length == lib.VE_GONE:
                raise DeviceError("the tunnel adapter has ended: it was removed, or its driver was")
            if length < 0:
                raise DeviceError("the tunnel adapter's ring is corrupt: got a packet size that cannot be")
            yield memoryview(ffi.buffer(self._at[0], length))

    def release(self) -> None:
        """All packets that were given out have been used."""
        lib.ve_reader_release(self.native)

    def batch(self) -> list[bytes]:
        """Copies of what waits, released."""
        found = [bytes(packet) for packet in self.packets()]
        self.release()
        return found

    def wait(self, milliseconds: int) -> bool:
        """Whether there may be something to read."""
        return bool(lib.ve_reader_wait(self.native, milliseconds) == lib.VE_OK)

    def restart(self) -> None:
        """The registration has ended: make the ring ready to be registered again."""
        if lib.ve_reader_restart(self.native) != lib.VE_OK:
            raise EngineError("only a ring of our own is registered again")

    def stats(self) -> ReaderStats:
        out = ffi.new("struct ve_reader_stats *")
        lib.ve_reader_stats(self.native, out)
        return ReaderStats(*(int(getattr(out, f.name)) for f in fields(ReaderStats)))
