"""Capsules of CONNECT-IP, as they follow one another in the DATA frames of an HTTP/2 stream: the reference; the twin is
capsule.c.

    type (varint)   length (varint)   value
    0   DATAGRAM              context ID (varint), then one whole IP packet if the ID is 0
    1   ADDRESS_ASSIGN        up as a control frame, its kind the type; a value beyond PIECE bytes comes in pieces, the
    2   ADDRESS_REQUEST       kind of all but the last with MORE
    3   ROUTE_ADVERTISEMENT
    others                    skipped, whatever their length

A varint is 1, 2, 4 or 8 bytes by its two highest bits, big-endian; the longer forms of a value are as good.
Source: CONNECT-IP notes, sections 5 to 7 and 12; RFC 9297, RFC 9484.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

PIECE = 16384  # bytes of value in one control frame
MORE = 0x100  # in the kind of a piece after which another follows
MAX_PACKET = 16384  # bytes that are taken in
MAX_DATAGRAM = 65543  # bytes of value: context ID and packet
MAX_CONTROL = 65536  # bytes of value
MAX_SENT = 16384  # bytes of packet or value
MAX_KIND = (1 << 30) - 1  # of a control frame to be sent
COUNTERS = (
    "capsule_oversize",
    "capsule_unknown",
    "capsule_other_context",
    "capsule_no_context",
    "capsule_empty",
    "capsule_not_ip",
    "capsule_sink_full",
    "capsule_control_overflow",
)


class Kind(IntEnum):
    """Types of capsules; DATAGRAM never comes as a control frame."""

    DATAGRAM = 0
    ADDRESS_ASSIGN = 1
    ADDRESS_REQUEST = 2
    ROUTE_ADVERTISEMENT = 3


CONTROLS = frozenset({Kind.ADDRESS_ASSIGN, Kind.ADDRESS_REQUEST, Kind.ROUTE_ADVERTISEMENT})


class State(Enum):
    """What the next byte belongs to."""

    HEAD = "type and length"
    CONTEXT = "context ID"
    PACKET = "packet"
    VALUE = "value of a control capsule"
    SKIPPING = "value that nobody wants"


def varint_size(first: int) -> int:
    """Bytes of the varint that begins with this byte."""
    return 1 << (first >> 6)


def varint(data: bytes | bytearray) -> int:
    """Of exactly this many bytes."""
    return int.from_bytes(data, "big") & ((1 << (8 * len(data) - 2)) - 1)


def encode_varint(value: int) -> bytes:
    """The shortest form.  Raises ValueError: 2^62 or more."""
    for exponent in range(4):
        bits = 8 << exponent
        if 0 <= value < 1 << (bits - 2):
            return (value | exponent << (bits - 2)).to_bytes(bits // 8, "big")
    raise ValueError(f"varint: got {value}, want 0..2^62-1")


class Decoder:
    """Wire bytes in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink, *, context: bool = True) -> None:
        """context: False: a DATAGRAM is the bare packet (WARP); the native twin's option is capsule.context."""
        self._sink, self._context = sink, context
        self._state = State.HEAD
        self._head = bytearray()  # type and length, or the context ID
        self._value = bytearray()  # packet, or piece of a value
        self._type = 0
        self._left = 0  # bytes of value to come
        self._pieces = False  # of this value were handed up before
        self._packet: Reservation | None = None  # open, in PACKET
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None
        self._take = {
            State.HEAD: self._take_head,
            State.CONTEXT: self._take_context,
            State.PACKET: self._take_packet,
            State.VALUE: self._take_value,
            State.SKIPPING: self._take_skipped,
        }

    def feed(self, data: bytes) -> None:
        """Take any number of bytes.  Raises MalformedFrame: a control capsule is too large; and then always."""
        view = memoryview(data)
        while view and not self._error:
            try:
                view = view[self._take[self._state](view) :]
            except MalformedFrame as exc:
                self._error = exc
        if self._error:
            raise self._error

    def end(self) -> None:
        """The stream ended in order.  Raises MalformedFrame: within a capsule."""
        if self._error is None and (self._state is not State.HEAD or self._head):
            self._error = MalformedFrame("capsule stream", got="its end", want="the rest of a capsule", at=0)
        if self._error:
            raise self._error

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _begin(self, state: State = State.HEAD) -> None:
        self._state = state
        self._head.clear()
        self._value.clear()

    def _skip(self, counter: str) -> None:
        self._counters[counter] += 1
        self._begin(State.SKIPPING if self._left else State.HEAD)

    def _take_head(self, view: memoryview) -> int:
        """One byte: what a byte means depends on those before it."""
        self._head.append(view[0])
        size = varint_size(self._head[0])
        if len(self._head) > size and len(self._head) == size + varint_size(self._head[size]):
            self._type, self._left = varint(self._head[:size]), varint(self._head[size:])
            self._on_head(size)
        return 1

    def _on_head(self, size: int) -> None:
        self._begin()
        if self._type in CONTROLS:
            if self._left > MAX_CONTROL:
                what = f"capsule length of type {self._type}"
                raise MalformedFrame(what, got=self._left, want=f"<= {MAX_CONTROL}", at=size)
            self._pieces = False
            self._state = State.VALUE
            if not self._left:
                self._on_value()
        elif self._type != Kind.DATAGRAM:
            self._skip("capsule_unknown")
        elif self._left > MAX_DATAGRAM:
            self._skip("capsule_oversize")
        elif not self._context:
            self._on_context()
        elif not self._left:
            self._skip("capsule_no_context")
        else:
            self._state = State.CONTEXT

    def _take_context(self, view: memoryview) -> int:
        self._head.append(view[0])
        self._left -= 1
        missing = varint_size(self._head[0]) - len(self._head)
        if missing > self._left:
            self._skip("capsule_no_context")
        elif not missing:
            if varint(self._head):
                self._skip("capsule_other_context")
            else:
                self._on_context()
        return 1

    def _on_context(self) -> None:
        """What is left of the value is a packet."""
        if not self._left:
            self._skip("capsule_empty")
        elif self._left > MAX_PACKET:
            self._skip("capsule_oversize")
        else:
            self._packet = self._sink.reserve(self._left)
            if self._packet is None:
                self._skip("capsule_sink_full")
            else:
                self._begin(State.PACKET)

    def _take_packet(self, view: memoryview) -> int:
        n = min(self._left, len(view))
        self._value += view[:n]
        self._left -= n
        if not self._left and self._packet is not None:
            if is_packet(self._value):
                self._packet.data[:] = self._value
                self._packet.commit(len(self._value))
            else:
                self._counters["capsule_not_ip"] += 1
                self._packet.abort()
            self._packet = None
            self._begin()
        return n

    def _take_value(self, view: memoryview) -> int:
        n = min(self._left, len(view), PIECE - len(self._value))
        self._value += view[:n]
        self._left -= n
        if not self._left or len(self._value) == PIECE:
            self._on_value()
        return n

    def _on_value(self) -> None:
        """A piece is full, or the value is whole."""
        kind = self._type | MORE if self._left else self._type
        if not self._controls.push(Control(kind, bytes(self._value))):
            if self._left or self._pieces:  # half a capsule is worse than none
                raise MalformedFrame("capsule pieces waiting", got="too many", want="them taken between reads", at=0)
            self._counters["capsule_control_overflow"] += 1
        self._pieces = self._left > 0
        self._begin(State.VALUE if self._left else State.HEAD)

    def _take_skipped(self, view: memoryview) -> int:
        n = min(self._left, len(view))
        self._left -= n
        if not self._left:
            self._begin()
        return n


def is_packet(data: bytes | bytearray) -> bool:
    """Whether this is exactly one IP packet by its own header (section 6.5)."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        header = 4 * (data[0] & 15)
        return 20 <= header <= len(data) == int.from_bytes(data[2:4], "big")
    return len(data) >= 40 and data[0] >> 4 == 6 and len(data) == 40 + int.from_bytes(data[4:6], "big")


class Encoder:
    """Packets and control frames to wire bytes."""

    def __init__(self, *, context: bool = True) -> None:
        self._prefix = b"\0" if context else b""

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: empty, or larger than MAX_SENT."""
        if not 0 < len(packet) <= MAX_SENT:
            raise ValueError(f"capsule of a packet of {len(packet)} bytes: want 1..{MAX_SENT}")
        return b"\0" + encode_varint(len(self._prefix) + len(packet)) + self._prefix + packet

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: payload larger than MAX_SENT, or kind not in 1..MAX_KIND."""
        if len(payload) > MAX_SENT or not 0 < kind <= MAX_KIND:
            raise ValueError(f"capsule of kind {kind}, {len(payload)} bytes: want 1..{MAX_KIND}, <= {MAX_SENT}")
        return encode_varint(kind) + encode_varint(len(payload)) + payload
