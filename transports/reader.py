"""Reads packets that leave the host, in place, from the Send ring of a Wintun adapter.

A thin face of reader_wintun.c, for tests and for users without a pump.  Source: Wintun notes, section 7.1.
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
    """The consumer of a Send ring.  ring and event as in NativeSink.wintun; neither may go before the reader."""

    def __init__(self, ring: bytearray | mmap, event: int) -> None:
        error = errbuf()
        self._memory: CData = ffi.from_buffer("uint8_t[]", ring, require_writable=True)
        native = lib.ve_reader_wintun(self._memory, len(self._memory), event, error, ERROR_SIZE)
        if not native:
            raise EngineError(text(error))
        self.native: CData = ffi.gc(native, lib.ve_reader_free)
        self._at: CData = ffi.new("uint8_t **")

    def packets(self) -> Iterator[memoryview]:
        """What waits, each packet in the ring itself, valid until release().  Raises DeviceError."""
        while True:
            length = lib.ve_reader_next(self.native, self._at)
            if length == lib.VE_EMPTY:
                return
            if length == lib.VE_GONE:
                raise DeviceError("the tunnel adapter ended the registration of its rings")
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
        lib.ve_reader_restart(self.native)

    def stats(self) -> ReaderStats:
        out = ffi.new("struct ve_reader_stats *")
        lib.ve_reader_stats(self.native, out)
        return ReaderStats(*(int(getattr(out, f.name)) for f in fields(ReaderStats)))
