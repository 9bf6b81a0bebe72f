"""The stream of an Array Networks tunnel, IP packets with nothing between them: the reference; the twin is array.c.

    version 4   length = BE16 at 2, at least 20 and the header's own; control if byte 0 is 45 and byte 9 ff
    version 6   length = 40 + BE16 at 4
    other       out of step: dropped to the end of this read of the link; three in a row end the stream

Control packet, offset, size in bytes:
    0 12  45 00, BE16 length, 0 but for ff at 9
   12  2  BE16 type, see Kind
   14  2  0; in the answer to a client id LE16 core id
   16  n  argument; 4 zero bytes if there is none
The payload of a control frame is all from 14 on.  Each packet must leave as one TLS record.  Over DTLS a record is one
such packet; one that begins with "200 OK" is the control frame ACCEPTED.

More than 10 times out of step a minute is the controller's to judge, by the counter.
Source: Array notes, sections 7, 8 and 9.
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

HEAD = 20  # bytes that every packet has; they tell all that is to be known
IPV6_HEADER = 40
CONTROL = struct.Struct("!HH5sB2sH")  # 45 00, length, zero, ff, zero, type
MAX_PACKET = 16384  # bytes that are taken in
MAX_CONTROL = 2048  # bytes of a control packet; the largest known has 52
MAX_DESYNC = 3  # in a row
MAX_SENT = 16384  # bytes that fit one TLS record
ACCEPTED = b"200 OK"
COUNTERS = (
    "array_desync",
    "array_oversize",
    "array_control_oversize",
    "array_sink_full",
    "array_control_overflow",
    "array_bad_record",
)


class Kind(IntEnum):
    """Types of control packets, and ACCEPTED."""

    KEEPALIVE = 1
    KILLED = 2
    CLIENT_ID = 4
    DTLS_OFF = 5
    ACCEPTED = 0x10000  # no type of the wire


class State(Enum):
    """What the next byte belongs to."""

    HEAD = "first bytes of a packet"
    PACKET = "packet"
    CONTROL = "control packet"
    SKIPPING = "packet that nobody wants"
    LOST = "read that is out of step"


class Decoder:
    """Wire bytes in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink) -> None:
        self._sink = sink
        self._state = State.HEAD
        self._head = bytearray()
        self._rest = bytearray()  # of the packet, after its head
        self._left = 0  # bytes of it to come
        self._packet: Reservation | None = None  # open, in PACKET
        self._desyncs = 0  # since the last whole packet
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None

    def feed(self, data: bytes) -> None:
        """Take one read of the link, of any size.  Raises MalformedFrame when out of step for good, and then always."""
        view = memoryview(data)
        while view and not self._error:
            view = view[self._take_head(view) if self._state is State.HEAD else self._take_rest(view) :]
        if self._error:
            raise self._error
        if self._state is State.LOST:
            self._begin()

    def feed_datagram(self, data: bytes) -> None:
        """Take one record of DTLS."""
        if data.startswith(ACCEPTED) and len(data) <= MAX_CONTROL:
            self._push(Control(Kind.ACCEPTED, data))
        elif len(data) < HEAD or length_of(data) != len(data):
            self._counters["array_bad_record"] += 1
        elif is_control(data):
            self._on_control(data)
        elif len(data) > MAX_PACKET:
            self._counters["array_oversize"] += 1
        elif (packet := self._sink.reserve(len(data))) is None:
            self._counters["array_sink_full"] += 1
        else:
            packet.data[:] = data
            packet.commit(len(data))

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _begin(self) -> None:
        self._state = State.HEAD
        self._head.clear()
        self._rest.clear()

    def _take_head(self, view: memoryview) -> int:
        n = min(HEAD - len(self._head), len(view))
        self._head += view[:n]
        length = length_of(self._head)
        if length is None:
            self._on_desync()
        elif len(self._head) == HEAD:
            self._left = length - HEAD
            self._on_head(length)
            if not self._left:
                self._on_whole()
        return n

    def _on_desync(self) -> None:
        self._counters["array_desync"] += 1
        self._state = State.LOST
        self._desyncs += 1
        if self._desyncs >= MAX_DESYNC:
            what, want = "array packets out of step in a row", f"at most {MAX_DESYNC - 1}"
            self._error = MalformedFrame(what, got=self._desyncs, want=want, at=0)

    def _on_head(self, length: int) -> None:
        self._state = State.SKIPPING
        if is_control(self._head):
            if length <= MAX_CONTROL:
                self._state = State.CONTROL
            else:
                self._counters["array_control_oversize"] += 1
        elif length > MAX_PACKET:
            self._counters["array_oversize"] += 1
        elif (packet := self._sink.reserve(length)) is None:
            self._counters["array_sink_full"] += 1
        else:
            self._packet, self._state = packet, State.PACKET

    def _take_rest(self, view: memoryview) -> int:
        if self._state is State.LOST:
            return len(view)
        n = min(self._left, len(view))
        if self._state is not State.SKIPPING:
            self._rest += view[:n]
        self._left -= n
        if not self._left:
            self._on_whole()
        return n

    def _on_whole(self) -> None:
        whole = bytes(self._head + self._rest)
        if self._packet is not None:
            self._packet.data[:] = whole
            self._packet.commit(len(whole))
            self._packet = None
        elif self._state is State.CONTROL:
            self._on_control(whole)
        self._desyncs = 0
        self._begin()

    def _on_control(self, packet: bytes) -> None:
        if len(packet) > MAX_CONTROL:
            self._counters["array_control_oversize"] += 1
            return
        kind: int = CONTROL.unpack_from(packet)[-1]
        self._push(Control(kind, packet[CONTROL.size :]))

    def _push(self, control: Control) -> None:
        self._counters["array_control_overflow"] += not self._controls.push(control)


def length_of(head: bytes | bytearray) -> int | None:
    """Of the packet that begins so; 0: more bytes are needed; None: none begins so."""
    if not head:
        return 0
    if head[0] >> 4 == 4:
        if len(head) < 4:
            return 0
        header, length = 4 * (head[0] & 15), int.from_bytes(head[2:4], "big")
        return length if HEAD <= header <= length else None
    if head[0] >> 4 == 6:
        return IPV6_HEADER + int.from_bytes(head[4:6], "big") if len(head) >= 6 else 0
    return None


def is_control(head: bytes | bytearray) -> bool:
    return head[0] == 0x45 and head[9] == 0xFF


class Encoder:
    """Packets and control frames to wire bytes; each must then leave as one TLS record."""

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: not exactly one packet, or one of protocol 255, which would be taken as control."""
        if not HEAD <= len(packet) <= MAX_SENT or length_of(packet) != len(packet):
            raise ValueError(f"array packet of {len(packet)} bytes: want one whole IP packet, <= {MAX_SENT}")
        if packet[0] >> 4 == 4 and packet[9] == 0xFF:
            raise ValueError("array packet of protocol 255: want none, it would be taken as control")
        return packet

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """payload: all from offset 14 on, filled up with zeros.  Raises ValueError: too long, or no 16-bit kind."""
        payload = payload.ljust(HEAD - CONTROL.size, b"\0")
        length = CONTROL.size + len(payload)
        if length > MAX_CONTROL or not 0 <= kind <= 0xFFFF:
            raise ValueError(f"array control packet of kind {kind}, {length} bytes: want <= {MAX_CONTROL}")
        return CONTROL.pack(0x4500, length, bytes(5), 0xFF, bytes(2), kind) + payload
