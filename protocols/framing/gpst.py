"""GPST framing, the TLS tunnel of GlobalProtect after START_TUNNEL: the reference; the twin is gpst.c.

Offset, size in bytes:
    0  4  magic      1a 2b 3c 4d
    4  2  EtherType  big-endian; see Kind
    6  2  length     big-endian, of the payload
    8  4  one        01 00 00 00 with a packet, 0 in a keepalive; others are taken and counted
   12  4  zero       likewise
   16  n  one IP packet
Each frame must leave as one TLS record.  Source: GlobalProtect notes, section 11.2.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

HEADER = struct.Struct("!4sHH8s")
MAGIC = bytes.fromhex("1a2b3c4d")
MAX_PAYLOAD = 16384  # bytes that are taken in
MAX_SENT = 16384 - HEADER.size  # bytes that fit one TLS record with the header


class Kind(IntEnum):
    """EtherTypes, and the kinds of frames.  Only a keepalive comes as a control frame."""

    KEEPALIVE = 0
    IPV4 = 0x0800
    IPV6 = 0x86DD


MARKS = {Kind.KEEPALIVE: bytes(8), Kind.IPV4: b"\1" + bytes(7), Kind.IPV6: b"\1" + bytes(7)}  # bytes 8 to 15
KIND_OF = {4: Kind.IPV4, 6: Kind.IPV6}  # by the packet's version
COUNTERS = ("gpst_odd_header", "gpst_empty", "gpst_version", "gpst_sink_full", "gpst_control_overflow")


class Decoder:
    """Wire bytes in; packets into the sink, keepalives out."""

    def __init__(self, sink: PacketSink) -> None:
        self._sink = sink
        self._header = bytearray()
        self._kind = Kind.KEEPALIVE
        self._payload = bytearray()
        self._left = 0  # bytes of payload to come
        self._packet: Reservation | None = None  # open, of the packet under way
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
        magic, kind, length, mark = HEADER.unpack(self._header)
        if magic != MAGIC:
            raise MalformedFrame("gpst magic", got=magic.hex(), want=MAGIC.hex(), at=0)
        if kind not in MARKS:
            raise MalformedFrame("gpst ethertype", got=f"{kind:04x}", want="0000, 0800 or 86dd", at=4)
        if length > MAX_PAYLOAD:
            raise MalformedFrame("gpst length", got=length, want=f"0..{MAX_PAYLOAD}", at=6)
        self._kind, self._left = Kind(kind), length
        self._payload.clear()
        self._counters["gpst_odd_header"] += mark != MARKS[self._kind]
        if self._kind is Kind.KEEPALIVE:
            return
        if not length:
            self._counters["gpst_empty"] += 1
            return
        self._packet = self._sink.reserve(length)
        self._counters["gpst_sink_full"] += self._packet is None

    def _take_payload(self, view: memoryview) -> int:
        n = min(self._left, len(view))
        self._payload += view[:n]
        self._left -= n
        if not self._left:
            self._on_payload()
        return n

    def _on_payload(self) -> None:
        self._header.clear()
        if self._kind is Kind.KEEPALIVE:
            taken = self._controls.push(Control(self._kind, bytes(self._payload)))
            self._counters["gpst_control_overflow"] += not taken
        elif self._packet is not None:
            self._on_packet(self._packet)
            self._packet = None

    def _on_packet(self, packet: Reservation) -> None:
        if KIND_OF.get(self._payload[0] >> 4) is not self._kind:
            self._counters["gpst_version"] += 1
            packet.abort()
            return
        packet.data[:] = self._payload
        packet.commit(len(self._payload))  # the sink judges what is no IP packet


class Encoder:
    """Packets and keepalives to wire bytes; each must then leave as one TLS record."""

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: larger than MAX_SENT, or neither IPv4 nor IPv6."""
        kind = KIND_OF.get(packet[0] >> 4) if packet else None
        if kind is None:
            raise ValueError("gpst packet: want one of IPv4 or IPv6")
        return self.encode_control(kind, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: no such kind, or payload larger than MAX_SENT."""
        if len(payload) > MAX_SENT or kind not in MARKS:
            raise ValueError(f"gpst frame of kind {kind:#06x}, {len(payload)} bytes: want a Kind, <= {MAX_SENT}")
        return HEADER.pack(MAGIC, kind, len(payload), MARKS[Kind(kind)]) + payload
