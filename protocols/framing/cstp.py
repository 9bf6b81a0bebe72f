"""CSTP framing, the stream of a Cisco AnyConnect tunnel: the reference; the twin is cstp.c.

Offset, size in bytes (big-endian):
    0  4  magic     53 54 46 01
    4  2  length    of the payload; more than MAX_PAYLOAD is skipped
    6  1  type      see Kind
    7  1  reserved  0
    8  n  payload
Source: AnyConnect notes, sections 4 and 8.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue

if TYPE_CHECKING:
    from protocols.framing.compression import Compression
    from transports.sink import PacketSink, Reservation

HEADER = struct.Struct("!4sHBB")
MAGIC = bytes.fromhex("53544601")
MAX_PAYLOAD = 16384  # bytes that are taken in
MAX_SENT = 16384 - HEADER.size  # bytes that fit one TLS record with the header
MAX_COMPRESSED = 10  # compressed frames without a plain packet between them, if none was negotiated
MIN_SHRUNK = 40  # bytes; smaller packets are not worth it, but for a stream
MAX_PACKET = 16384  # bytes that a compressed packet may become


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0
    DPD_REQUEST = 3
    DPD_RESPONSE = 4
    DISCONNECT = 5
    KEEPALIVE = 7
    COMPRESSED = 8
    TERMINATE = 9


CONTROLS = frozenset({Kind.DPD_REQUEST, Kind.DPD_RESPONSE, Kind.DISCONNECT, Kind.KEEPALIVE, Kind.TERMINATE})
COUNTERS = (
    "cstp_oversize",
    "cstp_unknown_type",
    "cstp_compressed",
    "cstp_empty",
    "cstp_sink_full",
    "cstp_control_overflow",
    "cstp_expanded",
    "cstp_bad_compressed",
)


class Decoder:
    """Wire bytes in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink, compression: Compression | None = None) -> None:
        """compression: as negotiated; the native twin's option is cstp.compression."""
        self._sink = sink
        self._compression = compression
        self._header = bytearray()
        self._kind = 0
        self._payload = bytearray()
        self._left = 0  # bytes of payload to come
        self._packet: Reservation | None = None  # open, of the packet under way
        self._kept = False  # the payload is wanted
        self._compressed = 0  # frames since the last plain packet
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None

    def feed(self, data: bytes) -> None:
        """Take any number of bytes.  Raises MalformedFrame on a header that cannot be, and then always."""
        view = memoryview(data)
        while view and not self._error:
            view = view[self._take_payload(view) if self._in_payload() else self._take_header(view) :]
        if self._error:
            raise self._error

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _in_payload(self) -> bool:
        return len(self._header) == HEADER.size

    def _take_header(self, view: memoryview) -> int:
        n = min(HEADER.size - len(self._header), len(view))
        self._header += view[:n]
        if self._in_payload():
            try:
                self._on_header()
            except MalformedFrame as exc:
                self._error = exc
                return n
            if not self._left:
                self._on_payload()
        return n

    def _on_header(self) -> None:
        magic, length, self._kind, reserved = HEADER.unpack(self._header)
        if magic != MAGIC:
            raise MalformedFrame("cstp magic", got=magic.hex(), want=MAGIC.hex(), at=0)
        if reserved:
            raise MalformedFrame("cstp reserved byte", got=reserved, want=0, at=7)
        self._left, self._kept = length, False
        self._payload.clear()
        if length > MAX_PAYLOAD:
            self._counters["cstp_oversize"] += 1
        elif self._kind == Kind.DATA:
            self._on_data(length)
        elif self._kind == Kind.COMPRESSED and self._compression:
            self._kept = True
        elif self._kind == Kind.COMPRESSED:
            self._on_compressed()
        elif self._kind in CONTROLS:
            self._kept = True
        else:
            self._counters["cstp_unknown_type"] += 1

    def _on_data(self, length: int) -> None:
        self._compressed = 0
        if not length:
            self._counters["cstp_empty"] += 1
            return
        self._packet = self._sink.reserve(length)
        self._kept = self._packet is not None
        if not self._kept:
            self._counters["cstp_sink_full"] += 1

    def _on_compressed(self) -> None:
        """Nothing was negotiated that could undo it.  Control frames between do not excuse it."""
        self._counters["cstp_compressed"] += 1
        self._compressed += 1
        if self._compressed >= MAX_COMPRESSED:
            want = "none, as none was negotiated"
            raise MalformedFrame("cstp compressed frames in a row", got=self._compressed, want=want, at=6)

    def _take_payload(self, view: memoryview) -> int:
        n = min(self._left, len(view))
        if self._kept:
            self._payload += view[:n]
        self._left -= n
        if not self._left:
            self._on_payload()
        return n

    def _on_payload(self) -> None:
        self._header.clear()
        if self._packet is not None:
            self._packet.data[:] = self._payload
            self._packet.commit(len(self._payload))  # the sink judges what is no IP packet
            self._packet = None
        elif self._kept and self._kind == Kind.COMPRESSED and self._compression:
            self._expand(self._compression)
        elif self._kept:
            taken = self._controls.push(Control(self._kind, bytes(self._payload)))
            self._counters["cstp_control_overflow"] += not taken

    def _expand(self, compression: Compression) -> None:
        """A stream has to be expanded even where there is no room for the packet."""
        room = self._sink.reserve(MAX_PACKET)
        self._counters["cstp_sink_full"] += room is None
        if room is None and not compression.stateful:
            return
        packet = b""
        try:
            packet = compression.expand(bytes(self._payload), MAX_PACKET)
        except MalformedFrame as exc:
            self._error = exc if compression.stateful else None
        self._counters["cstp_expanded" if packet else "cstp_bad_compressed"] += 1
        if room is None:
            return
        if packet:
            room.data[: len(packet)] = packet
            room.commit(len(packet))
        else:
            room.abort()


class Encoder:
    """Packets and control frames to wire bytes; each must then leave as one TLS record."""

    def __init__(self, compression: Compression | None = None) -> None:
        """compression: as negotiated, another object than the decoder's."""
        self._compression = compression

    def encode(self, packet: bytes) -> bytes:
        """Compressed where it pays.  Raises ValueError: larger than MAX_SENT."""
        if self._compression and len(packet) <= MAX_SENT:
            packed = self._shrink(self._compression, packet)
            if packed is not None:
                return self.encode_control(Kind.COMPRESSED, packed)
        return self.encode_control(Kind.DATA, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: payload larger than MAX_SENT, or kind beyond a byte."""
        if len(payload) > MAX_SENT or not 0 <= kind <= 255:
            raise ValueError(f"cstp frame of kind {kind}, {len(payload)} bytes: want <= {MAX_SENT}")
        return HEADER.pack(MAGIC, len(payload), kind, 0) + payload

    @staticmethod
    def _shrink(compression: Compression, packet: bytes) -> bytes | None:
        if compression.stateful:
            return compression.shrink(packet, MAX_SENT)
        return compression.shrink(packet, len(packet)) if len(packet) >= MIN_SHRUNK else None
