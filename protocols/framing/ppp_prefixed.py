"""PPP behind a length, as F5 and Fortinet carry it, over TLS and DTLS: the reference of ppp_prefixed.c.

    ppp-f5         f5 00  len16                      PPP packet of len bytes
    ppp-fortinet   total16 = len + 6  50 50  len16   PPP packet of len bytes

As a stream: a prefix that cannot be has lost the stream for good.  As datagrams: one holds whole packets; what is wrong
drops the rest of that datagram.  Fortinet's datagrams are also control records, which are never PPP:

    length16 of the datagram   GFtype 00   text: heartbeat 00, svrhello 00 ... (one that comes late is dropped)

They are counted; a gateway sends them as control frames of the kind CONTROL_RECORD.  One of F5's datagrams may be the
answer to the request once more, which was read before: HTTP/1. ...

Source: PPP notes, sections 1 and 2; Fortinet notes, section 6; F5 notes, section 7.  Options: ppp.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from protocols.errors import MalformedFrame
from protocols.framing.ppp import MAX_HEADER, MAX_RECORD, Header, Receiver, Sender, Verdict, parse

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

F5_PREFIX = 4  # bytes
FORTINET_PREFIX = 6
CONTROL_MARK = b"GFtype\0"  # at offset 2 of a control record of Fortinet
CONTROL_RECORD = 0x10000  # a kind that is no PPP protocol: its payload, from the mark on, goes behind the length alone
RECORD_HEADER = 2
HEARTBEAT = CONTROL_MARK + b"heartbeat\0"
_LATE = CONTROL_MARK + b"svrhello\0"
_ANSWER = b"HTTP/1."  # of F5


def f5_length(prefix: bytes | bytearray) -> int | None:
    """Length of the PPP packet behind a whole prefix of F5's; None: it is none."""
    return int.from_bytes(prefix[2:4], "big") if prefix[:2] == b"\xf5\0" else None


def fortinet_length(prefix: bytes | bytearray) -> int | None:
    """The same of Fortinet's."""
    total, length = int.from_bytes(prefix[:2], "big"), int.from_bytes(prefix[4:6], "big")
    return length if prefix[2:4] == b"PP" and total == length + FORTINET_PREFIX else None


class PrefixedDecoder(Receiver, ABC):
    """Wire bytes in; packets into the sink, control frames out."""

    prefix = 0  # bytes
    wanted = ""
    more_counters: tuple[str, ...] = ()

    def __init__(self, sink: PacketSink) -> None:
        super().__init__(sink, ("ppp_rx_empty", "ppp_rx_bad_datagram", *self.more_counters))
        self._head = bytearray()  # of the packet under way, while it is being read
        self._protocol = 0
        self._information: bytearray | None = None  # of the packet under way, once its head is read
        self._left = 0  # bytes of information to come
        self._verdict = Verdict.DROP
        self._packet: Reservation | None = None
        self._error: MalformedFrame | None = None

    @abstractmethod
    def length_of(self, prefix: bytes | bytearray) -> int | None:
        """Length of the PPP packet behind a whole prefix; None: it is none."""

    def feed(self, data: bytes) -> None:
        """Any number of bytes of a stream.  Raises MalformedFrame on a prefix that cannot be, and then always."""
        view = memoryview(data)
        while view and not self._error:
            if self._information is None:
                self._head += view[:1]
                view = view[1:]
                self._on_head()
            else:
                n = min(self._left, len(view))
                self._on_information(bytes(view[:n]))
                view = view[n:]
        if self._error:
            raise self._error

    def feed_datagram(self, data: bytes) -> None:
        """One whole datagram; what is wrong with it is counted and dropped."""
        while data:
            length = self.length_of(data[: self.prefix]) if len(data) >= self.prefix else None
            if length is None or length > len(data) - self.prefix:
                self._counters["ppp_rx_bad_datagram"] += 1
                return
            end = self.prefix + length
            if length:
                self._on_whole(data[self.prefix : end])
            else:
                self._counters["ppp_rx_empty"] += 1
            data = data[end:]

    def _on_whole(self, packet: bytes) -> None:
        header = parse(packet)
        information = packet[header.length :] if header else b""
        verdict = self._judge(header, len(information))
        if header and verdict is Verdict.CONTROL:
            self._push(header.protocol, information)
        elif verdict is Verdict.PACKET:
            self._counters["ppp_sink_full"] += not self._sink.write(information)

    def _on_head(self) -> None:
        """One byte more of the prefix, or of the PPP header behind it."""
        if len(self._head) < self.prefix:
            return
        length = self.length_of(self._head)
        if length is None:
            got = self._head[: self.prefix].hex()
            self._error = MalformedFrame(f"{self.framing.replace('-', ' ')} prefix", got=got, want=self.wanted, at=0)
        elif length == 0:
            self._counters["ppp_rx_empty"] += 1
            self._head.clear()
        else:
            packet = self._head[self.prefix :]
            header = parse(packet)
            if header or len(packet) == length:
                end = header.length if header else length
                self._on_header(header, length - end)
                self._on_information(bytes(packet[end:]))  # at most the byte that told ff from ff 03

    def _on_header(self, header: Header | None, information: int) -> None:
        self._head.clear()
        self._verdict = self._judge(header, information)
        self._protocol = header.protocol if header else 0
        self._information, self._left = bytearray(), information
        if self._verdict is Verdict.PACKET:
            self._packet = self._sink.reserve(information)
            self._counters["ppp_sink_full"] += self._packet is None

    def _on_information(self, piece: bytes) -> None:
        assert self._information is not None
        self._information += piece
        self._left -= len(piece)
        if self._left:
            return
        if self._packet is not None:
            self._packet.data[:] = self._information
            self._packet.commit(len(self._information))  # the sink judges what is no IP packet
            self._packet = None
        elif self._verdict is Verdict.CONTROL:
            self._push(self._protocol, bytes(self._information))
        self._information = None


class F5Decoder(PrefixedDecoder):
    framing = "ppp-f5"
    prefix = F5_PREFIX
    wanted = "f500 and a length"
    more_counters = ("f5_late_answer",)

    def length_of(self, prefix: bytes | bytearray) -> int | None:
        return f5_length(prefix)

    def feed_datagram(self, data: bytes) -> None:
        if data.startswith(_ANSWER):
            self._counters["f5_late_answer"] += 1
        else:
            super().feed_datagram(data)


class FortinetDecoder(PrefixedDecoder):
    framing = "ppp-fortinet"
    prefix = FORTINET_PREFIX
    wanted = "length + 6, 5050 and a length"
    more_counters = ("forti_heartbeat", "forti_rx_control")

    def length_of(self, prefix: bytes | bytearray) -> int | None:
        return fortinet_length(prefix)

    def feed_datagram(self, data: bytes) -> None:
        text = data[RECORD_HEADER:]
        if not text.startswith(CONTROL_MARK):
            super().feed_datagram(data)
        elif int.from_bytes(data[:RECORD_HEADER], "big") != len(data):
            self._counters["forti_rx_control"] += 1
        elif text == HEARTBEAT:
            self._counters["forti_heartbeat"] += 1
        elif not text.startswith(_LATE):
            self._counters["forti_rx_control"] += 1


class F5Encoder(Sender):
    """Packets and control frames to wire bytes; each must then leave as one record."""

    framing = "ppp-f5"
    max_sent = MAX_RECORD - F5_PREFIX - MAX_HEADER

    def _framed(self, protocol: int, packet: bytes) -> bytes:
        return b"\xf5\0" + len(packet).to_bytes(2, "big") + packet


class FortinetEncoder(Sender):
    """Packets and control frames to wire bytes; each must then leave as one record."""

    framing = "ppp-fortinet"
    max_sent = MAX_RECORD - FORTINET_PREFIX - 2
    bare = True

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        if kind == CONTROL_RECORD and len(payload) <= self.max_sent:
            return (RECORD_HEADER + len(payload)).to_bytes(RECORD_HEADER, "big") + payload
        return super().encode_control(kind, payload)

    def _framed(self, protocol: int, packet: bytes) -> bytes:
        size = len(packet)
        return (size + FORTINET_PREFIX).to_bytes(2, "big") + b"PP" + size.to_bytes(2, "big") + packet
