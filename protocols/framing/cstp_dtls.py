"""What a DTLS record of a Cisco AnyConnect tunnel holds: the reference; the twin is cstp_dtls.c.

Offset, size in bytes:
    0  1  type      see protocols.framing.cstp.Kind; DISCONNECT and TERMINATE mean nothing here
    1  n  payload   to the end of the record
A record that is wrong is dropped and counted.  Source: AnyConnect notes, sections 6.7 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue
from protocols.framing.cstp import MAX_PACKET, MIN_SHRUNK, Kind

if TYPE_CHECKING:
    from protocols.framing.compression import Compression
    from transports.sink import PacketSink

HEADER = 1  # byte
MAX_SENT = 16384 - HEADER  # bytes that fit one record with the header
CONTROLS = frozenset({Kind.DPD_REQUEST, Kind.DPD_RESPONSE, Kind.KEEPALIVE})
COUNTERS = (
    "cstp_dtls_empty",
    "cstp_dtls_unknown_type",
    "cstp_dtls_meaningless",
    "cstp_dtls_not_negotiated",
    "cstp_dtls_sink_full",
    "cstp_dtls_control_overflow",
    "cstp_dtls_expanded",
    "cstp_dtls_bad_compressed",
)


class Decoder:
    """Plaintext of records in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink, compression: Compression | None = None) -> None:
        """compression: as negotiated, a method without state; the native twin's option is cstp.compression."""
        self._sink = sink
        self._compression = compression
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS, 0)

    def feed_datagram(self, data: bytes) -> None:
        """One record, whole."""
        if not data:
            self._count("cstp_dtls_empty")
            return
        kind, payload = data[0], data[HEADER:]
        if kind == Kind.DATA:
            self._on_data(payload)
        elif kind in CONTROLS:
            if not self._controls.push(Control(kind, payload)):
                self._count("cstp_dtls_control_overflow")
        elif kind == Kind.COMPRESSED:
            self._on_compressed(payload)
        elif kind in (Kind.DISCONNECT, Kind.TERMINATE):
            self._count("cstp_dtls_meaningless")
        else:
            self._count("cstp_dtls_unknown_type")

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _count(self, name: str) -> None:
        self._counters[name] += 1

    def _on_data(self, packet: bytes) -> None:
        if not packet:
            self._count("cstp_dtls_empty")
            return
        room = self._sink.reserve(len(packet))
        if room is None:
            self._count("cstp_dtls_sink_full")
            return
        room.data[:] = packet
        room.commit(len(packet))  # the sink judges what is no IP packet

    def _on_compressed(self, data: bytes) -> None:
        if self._compression is None:
            self._count("cstp_dtls_not_negotiated")
            return
        room = self._sink.reserve(MAX_PACKET)
        if room is None:
            self._count("cstp_dtls_sink_full")
            return
        packet = b""
        try:
            packet = self._compression.expand(data, MAX_PACKET)
        except MalformedFrame:
            pass  # costs this packet alone
        self._count("cstp_dtls_expanded" if packet else "cstp_dtls_bad_compressed")
        if packet:
            room.data[: len(packet)] = packet
            room.commit(len(packet))
        else:
            room.abort()


class Encoder:
    """Packets and control frames to the plaintext of records."""

    def __init__(self, compression: Compression | None = None) -> None:
        """compression: as negotiated, another object than the decoder's."""
        self._compression = compression

    def encode(self, packet: bytes) -> bytes:
        """Compressed where it pays.  Raises ValueError: larger than MAX_SENT."""
        if self._compression and MIN_SHRUNK <= len(packet) <= MAX_SENT:
            packed = self._compression.shrink(packet, len(packet))
            if packed is not None:
                return self.encode_control(Kind.COMPRESSED, packed)
        return self.encode_control(Kind.DATA, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: payload larger than MAX_SENT, or kind beyond a byte."""
        if len(payload) > MAX_SENT or not 0 <= kind <= 255:
            raise ValueError(f"cstp record of kind {kind}, {len(payload)} bytes: want <= {MAX_SENT}")
        return bytes([kind]) + payload
