"""Batches of datagrams on a UdpSocket: thin face of the engine's (engine.h, ve_datagrams), for tests and probes.

The engine's pump does the same without Python.  Datagrams are copied in and out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntFlag

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import ConnectionLost, EngineError
from transports.tcp import reason_of
from transports.udp import UdpSocket

BATCH: int = lib.VE_DATAGRAM_BATCH  # datagrams that wait, at most


class UdpOffload(IntFlag):
    """What the kernel does of a batch; the values are the engine's (VE_UDP_*)."""

    NONE = 0
    SEGMENT = 1  # a run of equally long datagrams is handed over as one
    JOINED = 2  # several of the peer may come as one


@dataclass(frozen=True, slots=True)
class DatagramStats:
    """Counters; the meanings are in engine.h (struct ve_datagram_stats)."""

    tx_datagrams: int
    tx_bytes: int
    tx_calls: int
    tx_segmented: int
    tx_full: int
    rx_datagrams: int
    rx_bytes: int
    rx_calls: int
    rx_joined: int
    too_large: int
    no_buffers: int
    firewalled: int
    truncated: int
    refused: int
    fallbacks: int

    @classmethod
    def from_struct(cls, struct: CData) -> DatagramStats:
        return cls(*(int(getattr(struct, f.name)) for f in fields(cls)))


class Datagrams:
    """Close it before its socket."""

    def __init__(
        self, udp: UdpSocket, largest: int = 1500, offload: UdpOffload = UdpOffload.SEGMENT | UdpOffload.JOINED
    ) -> None:
        """largest: bytes of the largest datagram either way.  offload: what may be used where the kernel has it."""
        err = errbuf()
        native = lib.ve_datagrams_new(udp.fileno(), largest, err, ERROR_SIZE)
        if native == ffi.NULL:
            raise EngineError(text(err))
        self._native: CData | None = ffi.gc(native, lib.ve_datagrams_free)
        self._udp = udp
        self.offload = UdpOffload(lib.ve_datagrams_offload(native, offload))

    def put(self, datagram: bytes) -> bool:
        """Whether there was room for it in the batch."""
        room = lib.ve_datagrams_room(self._open(), len(datagram))
        if room == ffi.NULL:
            return False
        ffi.memmove(room, datagram, len(datagram))
        lib.ve_datagrams_put(self._open(), len(datagram))
        return True

    def flush(self) -> bool:
        """Whether the kernel has all; False: wait until the socket is writable.  Raises ConnectionLost.

        What the kernel does not have stays, after an error too.
        """
        rc = self._checked(lib.ve_datagrams_flush(self._open()))
        return rc == int(lib.VE_OK)

    @property
    def waiting(self) -> int:
        """Datagrams that the kernel has not yet taken."""
        return int(lib.ve_datagrams_waiting(self._open()))

    def receive(self) -> list[bytes]:
        """All that one system call brings; none: wait until the socket is readable.  Raises ConnectionLost."""
        self._checked(lib.ve_datagrams_receive(self._open()))
        return list(self._given_out())

    @property
    def more(self) -> bool:
        """The last receive filled every buffer."""
        return bool(lib.ve_datagrams_more(self._open()))

    def mtu(self) -> int:
        """As UdpSocket.path_mtu, never below the least that IP allows.  Raises ConnectionLost."""
        return self._checked(lib.ve_datagrams_mtu(self._open()))

    def mtu_changed(self) -> bool:
        """Whether the kernel has called a datagram too large since this was last asked."""
        return bool(lib.ve_datagrams_mtu_changed(self._open()))

    def probe(self, on: bool) -> None:
        """On: send what the device takes, whatever ICMP has said.  Raises ConnectionLost."""
        self._checked(lib.ve_datagrams_probe(self._open(), on))

    def stats(self) -> DatagramStats:
        out = ffi.new("struct ve_datagram_stats *")
        lib.ve_datagrams_stats(self._open(), out)
        return DatagramStats.from_struct(out)

    def close(self) -> None:
        native, self._native = self._native, None
        if native is not None:
            ffi.release(native)

    def _given_out(self) -> Iterator[bytes]:
        at, length = ffi.new("uint8_t **"), ffi.new("size_t *")
        while lib.ve_datagrams_next(self._open(), at, length) == lib.VE_OK:
            yield bytes(ffi.buffer(at[0], length[0]))

    def _checked(self, rc: int) -> int:
        if rc != lib.VE_ERROR:
            return rc
        error = OSError(lib.ve_datagrams_errno(self._open()), "")
        raise ConnectionLost(f"{self._udp!r}: {reason_of(error)}") from error

    def _open(self) -> CData:
        if self._native is None:
            raise ConnectionLost(f"{self._udp!r}: the batch was closed on this side")
        return self._native
