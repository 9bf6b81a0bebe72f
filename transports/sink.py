"""Where decoded packets go: the contract of a sink, a reference in memory, and the engine's sinks.

    reserve(capacity)   room for a packet; None: full or larger than MAX_PACKET, counted
        .expand(...)        more room, in place or by a copy; False: none, counted and given back
        .park(used)         hold back nobody: what came is copied aside, and goes behind the others once it is whole
        .commit(length)     the packet is the first `length` bytes: it may only shrink
        .abort()            give the room back
    write(packet)       copy a packet in
    abandon()           no decoder is at work any more: give back what a lost link left open
    flush()             hand over what was committed, in order of reservation

What is not an IP packet is dropped and counted at commit; bytes beyond the IP length are cut (linux-tun notes, 13).
An open reservation holds back those behind it until it is parked.  MemorySink is the Python twin of sink.c.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from enum import Enum
from mmap import mmap
from typing import Protocol

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import DeviceError, EngineError
from transports.offload import Offload

MAX_PACKET = 16384  # bytes; VE_MAX_PACKET
IPV4_HEADER = 20
IPV6_HEADER = 40
RING_OVERHEAD = 65548  # bytes of a Wintun ring besides its capacity; VE_RING_OVERHEAD


@dataclass(slots=True)
class SinkStats:
    """Counters of a sink; the meanings are in engine.h (struct ve_sink_stats)."""

    packets: int = 0
    bytes: int = 0
    in_place: int = 0
    copied: int = 0
    expanded: int = 0
    moved: int = 0
    parked: int = 0
    aborted: int = 0
    dropped_full: int = 0
    dropped_expand: int = 0
    refused: int = 0
    not_ip: int = 0
    oversize: int = 0
    over_mtu: int = 0
    writes: int = 0
    super_packets: int = 0
    joined: int = 0
    join_refused: int = 0
    join_bad_checksum: int = 0

    @classmethod
    def from_struct(cls, struct: CData) -> SinkStats:
        return cls(*(int(getattr(struct, f.name)) for f in fields(cls)))


class Reservation(Protocol):
    """Room for one packet, until it is committed or aborted."""

    @property
    def data(self) -> memoryview:
        """The reserved bytes, writable."""

    def expand(self, used: int, capacity: int) -> bool:
        """Make room for `capacity` bytes, keeping the first `used`; take `data` anew.  False: given back, counted."""

    def park(self, used: int) -> None:
        """Leave the order, keeping the first `used` bytes; take `data` anew.  At the commit it comes in by a copy."""

    def commit(self, length: int) -> None:
        """The packet is the first `length` bytes.  Raises ValueError if it is longer than the reservation."""

    def abort(self) -> None:
        """Nothing is sent."""


class PacketSink(Protocol):
    """A memory sink, a TUN or a Wintun ring."""

    def reserve(self, capacity: int) -> Reservation | None: ...
    def write(self, packet: bytes) -> bool:
        """Whether it was taken; False: dropped and counted."""

    def flush(self) -> None:
        """Raises DeviceError when the device is gone."""

    def stats(self) -> SinkStats: ...


def ip_length(packet: bytes | bytearray | memoryview) -> int:
    """Length in bytes of the IP packet at the beginning, by its own header; 0: there is none."""
    if len(packet) < IPV4_HEADER:
        return 0
    version = packet[0] >> 4
    if version == 4:
        header, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        return total if IPV4_HEADER <= header <= total <= len(packet) else 0
    if version == 6 and len(packet) >= IPV6_HEADER:
        total = IPV6_HEADER + int.from_bytes(packet[4:6], "big")
        return total if total <= len(packet) else 0
    return 0


# --- the reference ---------------------------------------------------------------------------------------------


class _State(Enum):
    OPEN = "open"
    READY = "ready"
    VOID = "void"


@dataclass(slots=True, eq=False)
class MemoryReservation:
    """A slot of a MemorySink."""

    sink: MemorySink
    room: bytearray
    state: _State = _State.OPEN
    packet: bytes = b""
    grown: bool = False
    parked: bool = False

    @property
    def data(self) -> memoryview:
        return memoryview(self.room)

    def expand(self, used: int, capacity: int) -> bool:
        self._must_be_open()
        if capacity > MAX_PACKET or used > len(self.room):
            self.sink.counters.oversize += 1
            self.state = _State.VOID
            return False
        if capacity > len(self.room):
            self.room = self.room[:used].ljust(capacity, b"\0")
            self.grown = True
        return True

    def park(self, used: int) -> None:
        self._must_be_open()
        if used > len(self.room):
            self.sink.counters.oversize += 1
            self.state = _State.VOID
            raise ValueError(f"parked with {used} bytes, reserved {len(self.room)}")
        if not self.parked:
            self.room[used:] = bytes(len(self.room) - used)
            self.sink.park(self)

    def commit(self, length: int) -> None:
        self._must_be_open()
        self.sink.settle(self, length, copied=self.parked)

    def abort(self) -> None:
        self._must_be_open()
        self.sink.counters.aborted += 1
        self.state = _State.VOID

    def _must_be_open(self) -> None:
        if self.state is not _State.OPEN:
            raise ValueError("the reservation is no longer open")


@dataclass(slots=True)
class MemorySink:
    """Keeps flushed packets until they are taken; the reference for every sink."""

    slots: int = 64
    counters: SinkStats = field(default_factory=SinkStats)
    _entries: deque[MemoryReservation] = field(default_factory=deque)
    _parked: list[MemoryReservation] = field(default_factory=list)
    _flushed: int = 0  # entries at the front that may be taken

    def reserve(self, capacity: int) -> MemoryReservation | None:
        if capacity > MAX_PACKET:
            self.counters.oversize += 1
            return None
        if len(self._entries) == self.slots:
            self.counters.dropped_full += 1
            return None
        entry = MemoryReservation(self, bytearray(capacity))
        self._entries.append(entry)
        return entry

    def write(self, packet: bytes) -> bool:
        entry = self.reserve(len(packet))
        if entry is None:
            return False
        entry.room[:] = packet
        self.settle(entry, len(packet), copied=True)
        return True

    def abandon(self) -> None:
        for entry in (*self._entries, *self._parked):
            if entry.state is _State.OPEN:
                entry.abort()

    def park(self, entry: MemoryReservation) -> None:
        """Its place is given back, as if it were aborted."""
        entry.parked = True
        self._entries[self._entries.index(entry)] = MemoryReservation(self, bytearray(), _State.VOID)
        self._parked = [other for other in self._parked if other.state is _State.OPEN] + [entry]
        self.counters.parked += 1

    def settle(self, entry: MemoryReservation, length: int, *, copied: bool) -> None:
        """Close a reservation: judge what is in it."""
        entry.state = _State.VOID
        if length > len(entry.room):
            self.counters.oversize += 1
            raise ValueError(f"commit of {length} bytes, reserved {len(entry.room)}")
        total = ip_length(entry.data[:length])
        if not total:
            self.counters.not_ip += 1
            return
        if entry.parked and not self._comes_back(entry):
            return
        entry.state, entry.packet = _State.READY, bytes(entry.room[:total])
        if entry.grown:
            self.counters.expanded += 1
        elif copied:
            self.counters.copied += 1
        else:
            self.counters.in_place += 1

    def _comes_back(self, entry: MemoryReservation) -> bool:
        """Behind all that was reserved meanwhile, if there is room."""
        if len(self._entries) == self.slots:
            self.counters.dropped_full += 1
            return False
        self._entries.append(entry)
        return True

    def flush(self) -> None:
        while self._flushed < len(self._entries):
            entry = self._entries[self._flushed]
            if entry.state is _State.OPEN:
                break
            if entry.state is _State.READY:
                self.counters.packets += 1
                self.counters.bytes += len(entry.packet)
            self._flushed += 1
        while self._flushed and self._entries[0].state is _State.VOID:
            self._drop_front()

    def take(self) -> bytes | None:
        """The oldest flushed packet."""
        while self._flushed:
            entry = self._drop_front()
            if entry.state is _State.READY:
                return entry.packet
        return None

    def stats(self) -> SinkStats:
        return self.counters

    def _drop_front(self) -> MemoryReservation:
        self._flushed -= 1
        return self._entries.popleft()


# --- the engine's ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class NativeReservation:
    """Memory of a native sink.  Do not touch `data` after commit or abort."""

    sink: NativeSink
    at: CData  # None: closed; that memory may be another's by now
    capacity: int

    @property
    def data(self) -> memoryview:
        return memoryview(ffi.buffer(self._open(), self.capacity))

    def expand(self, used: int, capacity: int) -> bool:
        at = lib.ve_sink_expand(self.sink.native, self._open(), used, capacity)
        self.at, self.capacity = at or None, max(self.capacity, capacity)
        return bool(at)

    def park(self, used: int) -> None:
        at = lib.ve_sink_park(self.sink.native, self._open(), used)
        self.at = at or None
        if not at:
            raise ValueError(f"parked with {used} bytes, reserved {self.capacity}, or no longer open")

    def commit(self, length: int) -> None:
        at, self.at = self._open(), None
        if lib.ve_sink_commit(self.sink.native, at, length) != lib.VE_OK:
            raise ValueError(f"commit of {length} bytes, reserved {self.capacity}, or no longer open")

    def abort(self) -> None:
        at, self.at = self._open(), None
        if lib.ve_sink_abort(self.sink.native, at) != lib.VE_OK:
            raise ValueError("the reservation is no longer open")

    def _open(self) -> CData:
        if self.at is None:
            raise ValueError("the reservation is no longer open")
        return self.at


class NativeSink:
    """A sink of the engine, for tests and for decoders written in Python.  Frees it when collected."""

    def __init__(self, native: CData, error: CData) -> None:
        if not native:
            raise EngineError(text(error))
        self.native: CData = ffi.gc(native, lib.ve_sink_free)
        self._kept: CData = None  # memory that must live as long

    @classmethod
    def memory(cls, slots: int = 64) -> NativeSink:
        error = errbuf()
        return cls(lib.ve_sink_memory(slots, error, ERROR_SIZE), error)

    @classmethod
    def tun(cls, fd: int, mtu: int, offload: Offload = Offload.NONE) -> NativeSink:
        """Writes to an attached, non-blocking TUN descriptor, which it borrows.  mtu: bytes."""
        error = errbuf()
        return cls(lib.ve_sink_tun_offload(fd, mtu, offload, error, ERROR_SIZE), error)

    @classmethod
    def wintun(cls, ring: bytearray | mmap, event: int, mtu: int) -> NativeSink:
        """Decodes into the Receive ring of a Wintun adapter.

        ring: capacity + RING_OVERHEAD bytes, writable, registered with the driver (or about to be); event: the one
        registered with it, an eventfd or a HANDLE.  Neither may go before the sink.  Raises EngineError.
        """
        error = errbuf()
        memory = ffi.from_buffer("uint8_t[]", ring, require_writable=True)
        sink = cls(lib.ve_sink_wintun(memory, len(memory), event, mtu, error, ERROR_SIZE), error)
        sink._kept = memory
        return sink

    @classmethod
    def session(cls, calls: CData, mtu: int) -> NativeSink:
        """Sends through a session of wintun.dll, which must outlive the sink.  calls: struct ve_wintun_calls *."""
        error = errbuf()
        return cls(lib.ve_sink_session(calls, mtu, error, ERROR_SIZE), error)

    def restart(self) -> None:
        """Of a Wintun ring whose registration has ended: make it ready to be registered again."""
        if lib.ve_sink_wintun_restart(self.native) != lib.VE_OK:
            raise EngineError("only the ring of a Wintun adapter is registered")

    def idle(self) -> int | None:
        """Call before sleeping.  Milliseconds after which to call again at the latest; None: no need."""
        ms: int = lib.ve_sink_idle(self.native)
        return None if ms < 0 else ms

    def reserve(self, capacity: int) -> NativeReservation | None:
        at = lib.ve_sink_reserve(self.native, capacity)
        return NativeReservation(self, at, capacity) if at else None

    def write(self, packet: bytes) -> bool:
        return bool(lib.ve_sink_write(self.native, packet, len(packet)) == lib.VE_OK)

    def abandon(self) -> None:
        """No decoder is at work on this sink any more: abort what is open."""
        lib.ve_sink_abandon(self.native)

    def flush(self) -> None:
        if lib.ve_sink_flush(self.native) != lib.VE_OK:
            raise DeviceError("the tunnel interface was removed")

    def take(self) -> bytes | None:
        """Of a memory sink: the oldest flushed packet."""
        out = ffi.new("uint8_t[]", MAX_PACKET)
        length = lib.ve_sink_memory_take(self.native, out, MAX_PACKET)
        if length == lib.VE_EMPTY:
            return None
        if length < 0:
            raise EngineError("only a memory sink keeps packets")
        return bytes(ffi.buffer(out, length))

    def stats(self) -> SinkStats:
        out = ffi.new("struct ve_sink_stats *")
        lib.ve_sink_stats(self.native, out)
        return SinkStats.from_struct(out)
