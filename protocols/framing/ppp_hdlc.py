"""PPP in HDLC-like framing ("ppp-f5-hdlc"), a stream: the reference of ppp_hdlc.c.

A bad frame never ends the stream.  The packet is written into the sink's memory once the PPP header before it is known.
Options besides those of ppp.py (value):
    ppp.accm  4 bytes, big-endian: the sending map; LCP is always sent with ffffffff   (encoder)
Source: PPP notes, sections 3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.errors import MalformedFrame
from protocols.framing.hdlc import ACCM_ALL, FCS_SIZE, FLAG, End, Unstuffer, encode
from protocols.framing.ppp import (
    FAMILIES,
    MAX_HEADER,
    MAX_INFORMATION,
    MAX_RECORD,
    Header,
    Protocol,
    Receiver,
    Sender,
    Verdict,
    parse,
)

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

FRAMING = "ppp-f5-hdlc"
MAX_FRAME = MAX_HEADER + MAX_INFORMATION + FCS_SIZE  # bytes un-stuffed
COUNTERS = {
    End.ABORTED: "hdlc_aborted",
    End.SHORT: "hdlc_short",
    End.BAD_FCS: "hdlc_bad_fcs",
    End.TOO_LONG: "hdlc_too_long",
}


class HdlcDecoder(Receiver):
    """Wire bytes in; packets into the sink, control frames out."""

    framing = FRAMING

    def __init__(self, sink: PacketSink) -> None:
        super().__init__(sink, tuple(COUNTERS.values()))
        self._unstuffer = Unstuffer(MAX_FRAME)
        self._header: Header | None = None  # of the frame under way
        self._passes = False  # data that was allowed when its header came
        self._packet: Reservation | None = None

    def feed(self, data: bytes) -> None:
        """Any number of bytes of the stream."""
        pieces = data.split(bytes([FLAG]))
        for piece in pieces[:-1]:
            self._take(piece)
            self._on_flag()
        self._take(pieces[-1])

    def _take(self, piece: bytes) -> None:
        if self._unstuffer.overflown:
            return
        self._unstuffer.push(piece)
        if self._header is None:
            self._on_head()
        if self._unstuffer.overflown:
            self._counters[COUNTERS[End.TOO_LONG]] += 1
            self._give_back()

    def _on_head(self) -> None:
        self._header = parse(self._unstuffer.frame)
        if self._header and self._header.protocol in FAMILIES:
            self._passes = self._may_pass(self._header)
            if self._passes:
                self._packet = self._sink.reserve(MAX_INFORMATION)

    def _on_flag(self) -> None:
        end = self._unstuffer.end()
        if end is End.GOOD:
            self._deliver(bytes(self._unstuffer.frame[:-FCS_SIZE]))
        elif end is not End.TOO_LONG and end in COUNTERS:
            self._counters[COUNTERS[end]] += 1
        self._give_back()
        self._unstuffer.clear()
        self._header, self._passes = None, False

    def _deliver(self, packet: bytes) -> None:
        header = self._header
        if header and header.length > len(packet):
            header = None  # it had reached into the FCS
        information = packet[header.length :] if header else b""
        verdict = self._judge(header, len(information))
        if header and verdict is Verdict.CONTROL:
            self._push(header.protocol, information)
        elif verdict is Verdict.PACKET and self._packet is not None:
            self._packet.data[: len(information)] = information
            self._packet.commit(len(information))  # the sink judges what is no IP packet
            self._packet = None
        elif verdict is Verdict.PACKET:
            self._counters["ppp_sink_full" if self._passes else "ppp_rx_early"] += 1

    def _give_back(self) -> None:
        if self._packet is not None:
            self._packet.abort()
            self._packet = None


class HdlcEncoder(Sender):
    """Packets and control frames to wire bytes; each must then leave as one record."""

    framing = FRAMING
    max_sent = (MAX_RECORD - 2) // 2 - FCS_SIZE - MAX_HEADER  # every byte may be escaped

    def __init__(self) -> None:
        super().__init__()
        self._accm = ACCM_ALL

    def set(self, option: str, value: bytes) -> None:
        if option != "ppp.accm":
            super().set(option, value)
        elif len(value) != 4:
            raise MalformedFrame("ppp.accm length", got=len(value), want=4, at=0)
        else:
            self._accm = int.from_bytes(value, "big")

    def _framed(self, protocol: int, packet: bytes) -> bytes:
        return encode(packet, ACCM_ALL if protocol == Protocol.LCP else self._accm)
