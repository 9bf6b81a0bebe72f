"""oNCP framing, the stream of Juniper Network Connect after its first KMP 301: the reference; the twin is oncp.c.

    record   LE16 length, then that many bytes of the stream of messages; a length of 0: one byte of reason, and the end
    message  20 bytes of KMP header, then the payload; its borders and those of records have nothing to do with another
    300      IPv4 packets back to back

KMP header, offset, size in bytes:
    0  6  zero
    6  2  type     big-endian; see Kind
    8  1  01       the gateway's may be 00; not compared, nor is the rest up to 17
    9  3  zero
   12  1  sender   01 client, 00 gateway
   13  5  zero
   18  2  length   big-endian, of the payload

Source: Juniper notes, sections 5.1, 6, 7 and 9.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import CONTROL_OVERHEAD, MAX_CONTROL_BYTES, ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

LENGTH = struct.Struct("<H")
HEADER = struct.Struct("!6sHB3sB5sH")
IP_HEADER = 20  # bytes that tell how long a packet is
IPV6_HEADER = 40
MAX_PACKET = 16384  # bytes
MAX_CONTROL = 16384  # bytes of payload of a control frame, unless told
MAX_SENT = 16384 - LENGTH.size - HEADER.size  # bytes of payload, so that a record fits one TLS record
MAX_UNKNOWN = 64  # messages of unknown types without a known one between them


class Kind(IntEnum):
    """KMP types, and the kinds of control frames."""

    TERMINATED = 0  # no message: a record of length 0; the payload is the reason, one byte
    DATA = 300
    CONFIGURATION = 301
    ESP_KEYS = 302
    CONTROL = 303


CONTROLS = frozenset({Kind.CONFIGURATION, Kind.ESP_KEYS, Kind.CONTROL})
COUNTERS = (
    "oncp_bad_ip",
    "oncp_ipv6",
    "oncp_empty",
    "oncp_unknown_kmp",
    "oncp_oversize",
    "oncp_sink_full",
    "oncp_control_overflow",
)


class State(Enum):
    """What the bytes of messages under way belong to."""

    HEADER = "KMP header"
    IP_HEADER = "first bytes of a packet"
    PACKET = "packet"
    CONTROL = "payload of a control frame"
    SKIPPING = "bytes that nobody wants"


class Decoder:
    """Wire bytes in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink, *, max_control: int = MAX_CONTROL) -> None:
        """max_control: bytes of payload; the native twin's is fixed."""
        self._sink = sink
        self._max_control = max_control
        self._length = bytearray()  # of the next record
        self._need = 0  # bytes of this record to come
        self._ended = False
        self._state = State.HEADER
        self._want = HEADER.size  # bytes of what the state names
        self._have = 0
        self._unit = bytearray()  # those bytes, unless SKIPPING
        self._type = 0  # of the message
        self._left = 0  # bytes of the message's payload behind it
        self._packet: Reservation | None = None  # open, PACKET
        self._unknown = 0  # messages since the last of a known type
        self._controls = ControlQueue(max(MAX_CONTROL_BYTES, CONTROL_OVERHEAD + max_control))
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None

    def feed(self, data: bytes) -> None:
        """Take any number of bytes.  Raises MalformedFrame when the stream is lost, and then always."""
        if self._error:
            raise self._error
        view = memoryview(data)
        try:
            while view:
                view = view[self._take(view) :]
        except MalformedFrame as exc:
            self._error = exc
            raise

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    # --- records

    def _take(self, view: memoryview) -> int:
        if self._ended:
            raise MalformedFrame("oncp byte behind the termination", got=view[0], want="the end of the stream", at=0)
        if not self._need:
            self._take_length(view[0])
            return 1
        n = min(self._need, self._want - self._have, len(view))
        if self._state is not State.SKIPPING:
            self._unit += view[:n]
        self._need -= n
        self._have += n
        while self._have == self._want:
            self._on_unit()
        return n

    def _take_length(self, byte: int) -> None:
        self._length.append(byte)
        if len(self._length) > LENGTH.size:
            self._on_termination(byte)
        elif len(self._length) == LENGTH.size:
            (self._need,) = LENGTH.unpack(self._length)
            if self._need:
                self._length.clear()

    def _on_termination(self, reason: int) -> None:
        self._ended = True
        if self._packet is not None:
            self._packet.abort()
            self._packet = None
        self._queue(Kind.TERMINATED, bytes([reason]))

    # --- messages

    def _on_unit(self) -> None:
        match self._state:
            case State.HEADER:
                self._on_header()
            case State.IP_HEADER:
                self._on_ip_header()
            case State.PACKET:
                self._on_packet()
            case State.CONTROL:
                self._queue(self._type, bytes(self._unit))
                self._go_on()
            case State.SKIPPING:
                self._go_on()

    def _expect(self, state: State, want: int) -> None:
        """The next bytes of the payload, or the next header."""
        self._state, self._want, self._have = state, want, 0
        self._unit.clear()
        if state is not State.HEADER:
            self._left -= want

    def _skip(self, counter: str, length: int) -> None:
        self._counters[counter] += 1
        self._expect(State.SKIPPING, length)

    def _go_on(self) -> None:
        if not self._left:
            self._expect(State.HEADER, HEADER.size)
        elif self._left < IP_HEADER:
            self._skip("oncp_bad_ip", self._left)
        else:
            self._expect(State.IP_HEADER, IP_HEADER)

    def _on_header(self) -> None:
        zero, self._type, _, _, _, _, self._left = HEADER.unpack(self._unit)
        if any(zero):
            raise MalformedFrame("oncp kmp header", got=zero.hex(), want="000000000000", at=0)
        if not self._left:
            self._counters["oncp_empty"] += 1
            self._expect(State.HEADER, HEADER.size)
            return
        self._unknown = 0 if self._type == Kind.DATA or self._type in CONTROLS else self._unknown + 1
        if self._type == Kind.DATA:
            self._go_on()
        elif self._unknown:
            self._skip("oncp_unknown_kmp", self._left)
        elif self._left > self._max_control:
            self._skip("oncp_oversize", self._left)
        else:
            self._expect(State.CONTROL, self._left)
        if self._unknown >= MAX_UNKNOWN:
            raise MalformedFrame("oncp unknown messages in a row", got=self._unknown, want="types 300 to 303", at=6)

    def _on_ip_header(self) -> None:
        head, room = bytes(self._unit), min(self._left + IP_HEADER, MAX_PACKET)
        version = head[0] >> 4
        if version == 4 and IP_HEADER <= (length := int.from_bytes(head[2:4], "big")) <= room:
            self._begin_packet(head, length)
        elif version == 6 and (length := int.from_bytes(head[4:6], "big") + IPV6_HEADER) <= room:
            self._skip("oncp_ipv6", length - IP_HEADER)
        else:
            self._skip("oncp_bad_ip", self._left)

    def _begin_packet(self, head: bytes, length: int) -> None:
        self._packet = self._sink.reserve(length)
        if self._packet is None:
            self._skip("oncp_sink_full", length - IP_HEADER)
            return
        self._expect(State.PACKET, length - IP_HEADER)
        self._packet.data[:IP_HEADER] = head

    def _on_packet(self) -> None:
        assert self._packet is not None
        self._packet.data[IP_HEADER:] = self._unit
        self._packet.commit(IP_HEADER + len(self._unit))  # the sink judges what is no IP packet
        self._packet = None
        self._go_on()

    def _queue(self, kind: int, payload: bytes) -> None:
        if not self._controls.push(Control(kind, payload)):
            self._counters["oncp_control_overflow"] += 1


class Encoder:
    """Packets and control frames to wire bytes: a record each."""

    def __init__(self, *, gateway: bool = False) -> None:
        """gateway: sign messages as the gateway does."""
        self._sender = 0 if gateway else 1

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: no IPv4 packet of just that length (it would confuse the gateway), or too large."""
        if len(packet) < IP_HEADER or packet[0] >> 4 != 4 or int.from_bytes(packet[2:4], "big") != len(packet):
            raise ValueError(f"oncp packet of {len(packet)} bytes: want IPv4 of just that length")
        return self.encode_control(Kind.DATA, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: payload larger than MAX_SENT, kind beyond 16 bits, or a reason that is not one byte."""
        if kind == Kind.TERMINATED:
            if len(payload) != 1:
                raise ValueError(f"oncp reason of {len(payload)} bytes: want 1")
            return LENGTH.pack(0) + payload
        return self.encode_record([(kind, payload)])

    def encode_record(self, messages: Iterable[tuple[int, bytes]]) -> bytes:
        """Several messages in one record, as the answer to the configuration is sent.  Raises ValueError."""
        record = b"".join(self._message(kind, payload) for kind, payload in messages)
        if len(record) > HEADER.size + MAX_SENT:
            raise ValueError(f"oncp record of {len(record)} bytes: want <= {HEADER.size + MAX_SENT}")
        return LENGTH.pack(len(record)) + record

    def _message(self, kind: int, payload: bytes) -> bytes:
        if not 0 < kind < 65536 or len(payload) > MAX_SENT:
            raise ValueError(f"oncp message of type {kind}, {len(payload)} bytes: want <= {MAX_SENT}")
        return HEADER.pack(bytes(6), kind, 1, bytes(3), self._sender, bytes(5), len(payload)) + payload
