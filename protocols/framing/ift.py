"""IF-T/TLS framing, the stream of Pulse Connect Secure after its HTTP upgrade: the reference; the twin is ift.c.

Offset, size in bytes (big-endian):
    0  4  vendor    00005597 TCG (the top byte is not looked at), 00000a4c Juniper
    4  4  type
    8  4  length    of the whole frame; more than MAX_FRAME: out of step
   12  4  sequence  of the sender's frames on this connection, from 0; the receiver does not look at it
   16  n  payload

Juniper's type 4 carries one IP packet.  All other frames of the two vendors with a type that fits 16 bits are control
frames, whose kind is the vendor's low 16 bits and the type: see Kind, and `kind_of` for those that it does not name.
Source: Pulse notes, sections 1, 3 and 8.
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import CONTROL_OVERHEAD, MAX_CONTROL_BYTES, ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

HEADER = struct.Struct("!IIII")
MAX_FRAME = 1 << 20  # bytes, header included
MAX_PACKET = 16384  # bytes
MAX_CONTROL = 16384  # bytes of payload of a control frame, unless told
MAX_SENT = 16384 - HEADER.size  # bytes of payload, so that a frame fits one TLS record
TCG = 0x5597
TCG_MASK = 0x00FFFFFF
JUNIPER = 0x0A4C


class Kind(IntEnum):
    """Kinds of frames: vendor << 16 | type."""

    VERSION_REQUEST = TCG << 16 | 1
    VERSION_RESPONSE = TCG << 16 | 2
    AUTH_CHALLENGE = TCG << 16 | 5
    AUTH_RESPONSE = TCG << 16 | 6
    AUTH_SUCCESS = TCG << 16 | 7
    CONFIGURATION = JUNIPER << 16 | 1
    DATA = JUNIPER << 16 | 4
    ESP_CONTROL = JUNIPER << 16 | 5
    CLIENT_INFORMATION = JUNIPER << 16 | 0x88
    GOODBYE = JUNIPER << 16 | 0x89
    LICENCE_ANSWER = JUNIPER << 16 | 0x8A
    CONFIGURATION_END = JUNIPER << 16 | 0x8F
    FATAL_ERROR = JUNIPER << 16 | 0x93
    LICENCE = JUNIPER << 16 | 0x96


COUNTERS = ("ift_oversize", "ift_unknown", "ift_empty", "ift_sink_full", "ift_control_overflow")


def kind_of(vendor: int, frame_type: int) -> int | None:
    """The kind of such a frame; None: of a vendor or with a type that nobody knows."""
    if frame_type > 0xFFFF:
        return None
    if vendor & TCG_MASK == TCG:
        return TCG << 16 | frame_type
    return JUNIPER << 16 | frame_type if vendor == JUNIPER else None


class State(Enum):
    HEADER = "header"
    PACKET = "packet"
    CONTROL = "payload of a control frame"
    SKIPPING = "payload that nobody wants"


class Decoder:
    """Wire bytes in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink, *, max_control: int = MAX_CONTROL) -> None:
        """max_control: bytes of payload, which a configuration may exceed; the native twin's is fixed."""
        self._sink = sink
        self._max_control = max_control
        self._state = State.HEADER
        self._header = bytearray()
        self._kind = 0
        self._payload = bytearray()
        self._left = 0  # bytes of payload to come
        self._packet: Reservation | None = None  # open, PACKET
        self._controls = ControlQueue(max(MAX_CONTROL_BYTES, CONTROL_OVERHEAD + max_control))
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None

    def feed(self, data: bytes) -> None:
        """Take any number of bytes.  Raises MalformedFrame on a length that cannot be, and then always."""
        if self._error:
            raise self._error
        view = memoryview(data)
        try:
            while view:
                in_header = self._state is State.HEADER
                view = view[self._take_header(view) if in_header else self._take_payload(view) :]
        except MalformedFrame as exc:
            self._error = exc
            raise

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _take_header(self, view: memoryview) -> int:
        n = min(HEADER.size - len(self._header), len(view))
        self._header += view[:n]
        if len(self._header) == HEADER.size:
            self._on_header()
            if not self._left:
                self._on_payload()
        return n

    def _on_header(self) -> None:
        vendor, frame_type, length, _ = HEADER.unpack(self._header)
        if not HEADER.size <= length <= MAX_FRAME:
            raise MalformedFrame("ift frame length", got=length, want=f"{HEADER.size}..{MAX_FRAME}", at=8)
        self._header.clear()
        self._payload.clear()
        self._left = length - HEADER.size
        kind = kind_of(vendor, frame_type)
        if kind is None:
            self._skip("ift_unknown")
        elif self._left > (MAX_PACKET if kind == Kind.DATA else self._max_control):
            self._skip("ift_oversize")
        elif kind == Kind.DATA:
            self._on_data()
        else:
            self._kind, self._state = kind, State.CONTROL

    def _skip(self, counter: str) -> None:
        self._counters[counter] += 1
        self._state = State.SKIPPING

    def _on_data(self) -> None:
        if not self._left:
            self._skip("ift_empty")
            return
        self._packet = self._sink.reserve(self._left)
        if self._packet is None:
            self._skip("ift_sink_full")
        else:
            self._state = State.PACKET

    def _take_payload(self, view: memoryview) -> int:
        n = min(self._left, len(view))
        if self._state is not State.SKIPPING:
            self._payload += view[:n]
        self._left -= n
        if not self._left:
            self._on_payload()
        return n

    def _on_payload(self) -> None:
        if self._packet is not None:
            self._packet.data[:] = self._payload
            self._packet.commit(len(self._payload))  # the sink judges what is no IP packet
            self._packet = None
        elif self._state is State.CONTROL and not self._controls.push(Control(self._kind, bytes(self._payload))):
            self._counters["ift_control_overflow"] += 1
        self._state = State.HEADER


class Encoder:
    """Packets and control frames to wire bytes, numbered."""

    def __init__(self, sequence: int = 0) -> None:
        """sequence: of the next frame, when others were sent before on this connection."""
        self.sequence = sequence

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: larger than MAX_SENT."""
        return self.encode_control(Kind.DATA, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError, and numbers nothing: payload larger than MAX_SENT, or the kind of no vendor."""
        if len(payload) > MAX_SENT or kind >> 16 not in (TCG, JUNIPER):
            raise ValueError(f"ift frame of kind {kind:#x}, {len(payload)} bytes: want a Kind, <= {MAX_SENT}")
        head = HEADER.pack(kind >> 16, kind & 0xFFFF, HEADER.size + len(payload), self.sequence)
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return head + payload
