"""Lantern's framing.

Offset, size in bytes (big-endian):
    0  1  mark     4C
    1  1  kind     see Kind; a frame of another kind is skipped and counted
    2  2  length   of the payload; at most MAX_PAYLOAD
    4  n  payload
"""

from __future__ import annotations

import struct
from collections import deque
from enum import IntEnum

from vpnclient.api import FEED_SIZE, MAX_FRAME, Control, Framing, MalformedFrame, PacketSink

HEADER = struct.Struct("!BBH")
MARK = 0x4C
MAX_PAYLOAD = MAX_FRAME - HEADER.size  # bytes; a frame fits one TLS record
MAX_CONTROLS = FEED_SIZE // HEADER.size  # control frames that wait: what one call of feed can bring


class Kind(IntEnum):
    PACKET = 0  # one IP packet
    HELLO = 1  # client: JSON, see tunnel.py
    CONFIG = 2  # gateway: JSON, see config.py
    PING = 3
    PONG = 4  # the payload of the PING
    BYE = 5  # either side: the session is over; UTF-8 text


CONTROLS = frozenset(Kind) - {Kind.PACKET}
COUNTERS = ("lantern_empty", "lantern_sink_full", "lantern_unknown_kind", "lantern_control_overflow")


def parse_header(header: bytes | bytearray) -> tuple[int, int]:
    """(kind, length).  Raises MalformedFrame: this is no stream of Lantern frames."""
    mark, kind, length = HEADER.unpack(header)
    if mark != MARK:
        raise MalformedFrame("lantern mark", got=f"{mark:02x}", want=f"{MARK:02x}", at=0)
    if length > MAX_PAYLOAD:
        raise MalformedFrame("lantern length", got=length, want=f"<= {MAX_PAYLOAD}", at=2)
    return kind, length


def first_frame(data: bytes) -> tuple[Control, bytes] | None:
    """The frame at the beginning and what follows it; None: it has not come in full.  Raises MalformedFrame."""
    if len(data) < HEADER.size:
        return None
    kind, length = parse_header(data[: HEADER.size])
    end = HEADER.size + length
    if len(data) < end:
        return None
    return Control(kind, data[HEADER.size : end]), data[end:]


class Decoder:
    """Wire bytes in, however they are cut; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink) -> None:
        self._sink = sink
        self._part = bytearray()  # of the header, then of the payload
        self._kind = -1  # -1: the header has not come in full
        self._want = HEADER.size  # bytes of that part
        self._controls: deque[Control] = deque()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._error: MalformedFrame | None = None

    def feed(self, data: bytes) -> None:
        """Raises MalformedFrame on a header that cannot be, and then always."""
        if self._error is not None:
            raise self._error
        view = memoryview(data)
        while view:
            n = min(self._want - len(self._part), len(view))
            self._part += view[:n]
            view = view[n:]
            if len(self._part) == self._want:
                self._on_part()

    def next_control(self) -> Control | None:
        return self._controls.popleft() if self._controls else None

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _on_part(self) -> None:
        if self._kind < 0:
            self._on_header()
        if self._kind >= 0 and len(self._part) == self._want:  # also at once, where there is no payload
            self._on_frame(bytes(self._part))
            self._part.clear()
            self._kind, self._want = -1, HEADER.size

    def _on_header(self) -> None:
        try:
            self._kind, self._want = parse_header(self._part)
        except MalformedFrame as exc:
            self._error = exc
            raise
        self._part.clear()

    def _on_frame(self, payload: bytes) -> None:
        if self._kind == Kind.PACKET:
            self._on_packet(payload)
        elif self._kind not in CONTROLS:
            self._counters["lantern_unknown_kind"] += 1
        elif len(self._controls) == MAX_CONTROLS:
            self._counters["lantern_control_overflow"] += 1
        else:
            self._controls.append(Control(self._kind, payload))

    def _on_packet(self, payload: bytes) -> None:
        """The sink judges what is no IP packet."""
        if not payload:
            self._counters["lantern_empty"] += 1
            return
        room = self._sink.reserve(len(payload))
        if room is None:
            self._counters["lantern_sink_full"] += 1
            return
        room.data[:] = payload
        room.commit(len(payload))


class Encoder:
    """Packets and control frames to wire bytes."""

    def encode(self, packet: bytes) -> bytes:
        return self.encode_control(Kind.PACKET, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: payload larger than MAX_PAYLOAD, or kind beyond a byte."""
        if len(payload) > MAX_PAYLOAD or not 0 <= kind <= 255:
            raise ValueError(f"lantern frame of kind {kind}, {len(payload)} bytes: want <= {MAX_PAYLOAD}")
        return HEADER.pack(MARK, kind, len(payload)) + payload


LANTERN = Framing("lantern", Decoder, Encoder, MAX_PAYLOAD)
