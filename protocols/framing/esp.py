"""ESP in UDP, the datagram path of GlobalProtect, Network Connect and Pulse: the reference; the twin is esp.c.

Offset, size in bytes (big-endian); t: 12 or 16:
     0  4  SPI
     4  4  sequence number
     8  i  IV           16; GCM: 8
   8+i  c  ciphertext   payload, padding 1 2 3 ... p, p, next header; a multiple of 16; GCM: of 4
 8+i+c  t  ICV

Options of the decoder:
    esp.in            a new inbound SA, see esp_sa.py; the one before is taken too, until the next or esp.expire-old
    esp.expire-old    empty: the old inbound SA is over (5 s after NEW_SA, or 60 s after esp.in)
    esp.echo          4 or 6, an address of that version, 1..64 bytes: an ICMP echo reply from there whose data begins
                      with these is the answer to a probe; empty: there is none
    esp.lzo           2 bytes: LZO1X packets are expanded to at most this; empty, as at first: they are dropped
Options of the encoder:
    esp.out           a new outbound SA: used from the next packet on
    esp.out-sequence  4 bytes: the next number sent is at least this; never goes back
Options of both:
    esp.close         empty: forget every SA

Nothing that comes ends the stream; it is dropped and counted by cause.
Source: ESP notes, sections 1 to 12.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing import lzo
from protocols.framing.controls import ControlQueue
from protocols.framing.esp_sa import FIXED, SecurityAssociation, parse_sa
from protocols.framing.seqwin import Sequence
from transports.sink import MAX_PACKET, ip_length

if TYPE_CHECKING:
    from transports.sink import PacketSink, Reservation

KEEPALIVE = b"\xff"
MAX_DATAGRAM = 24 + MAX_PACKET + 16  # bytes that are looked at
MAX_SENT = MAX_PACKET - 2  # bytes of payload
LEAST_PACKET = 20  # bytes: what is shorter never goes to the sink
ICMP_REPLY = (1, b"\x00")  # protocol, type
ICMPV6_REPLY = (58, b"\x81")
ICMP_HEADER = 8  # bytes
MAX_PATTERN = 64  # bytes of data that tell an echo reply
LAST_NUMBER = 0xFFFFFFFF
LOW_NUMBER = 0xF0000000  # from here on new keys are due


class Kind(IntEnum):
    """Next headers; and control frames, where up to 59 tells what the packet was."""

    IPV4 = 4  # the answer to a probe: `00`, or the whole echo reply
    LZO = 5  # never a control frame
    IPV6 = 41  # as IPV4
    DUMMY = 59  # no payload
    NEW_SA = 256  # the first packet of the present inbound SA, while an old one is held


SENDABLE = frozenset({Kind.IPV4, Kind.LZO, Kind.IPV6, Kind.DUMMY})
COUNTERS = (
    "esp_short",
    "esp_align",
    "esp_trunc",  # longer than MAX_DATAGRAM; none of it is read, so a link may tell the length that was cut
    "esp_spi",
    "esp_icv",
    "esp_replay",
    "esp_old",
    "esp_pad",
    "esp_nexthdr",
    "esp_inner",
    "esp_lzo",
    "esp_dummy",
    "esp_keepalive",
    "esp_sink_full",
    "esp_control_overflow",
    "esp_authentic",  # signs of life: genuine, and not replayed
    "esp_seq_low",  # sent with a number of LOW_NUMBER or more
    "esp_seq_exhausted",  # not sent: no number is left
)


class Decoder:
    """Datagrams in; packets into the sink, control frames out."""

    def __init__(self, sink: PacketSink) -> None:
        self._sink = sink
        self._in: SecurityAssociation | None = None
        self._old: SecurityAssociation | None = None
        self._echo: tuple[int, bytes, bytes] | None = None  # version, address, pattern
        self._lzo_room = 0  # bytes of an expanded packet, at most; 0: none is expected
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS, 0)

    def set(self, option: str, value: bytes) -> None:
        """Raises MalformedFrame: a bad value, ValueError: no such option; all goes on as it was."""
        if option == "esp.in":
            self._in, self._old = parse_sa(option, value), self._in
        elif option == "esp.echo":
            self._set_echo(value)
        elif option == "esp.lzo":
            self._set_lzo(value)
        elif option in ("esp.expire-old", "esp.close"):
            must_be_empty(option, value)
            self._old = None
            self._in = self._in if option == "esp.expire-old" else None
        else:
            raise ValueError(f"framing esp has no option '{option}'")

    def feed_datagram(self, data: bytes) -> None:
        """One whole datagram."""
        sa = self._classify(data)
        if sa is None:
            return
        if not sa.aead:
            if not sa.genuine(data):
                self._count("esp_icv")
                return
            if not self._admit(sa, data):
                return
        self._open(sa, data)

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _count(self, counter: str) -> None:
        self._counters[counter] += 1

    def _classify(self, data: bytes) -> SecurityAssociation | None:
        """The SA that takes this datagram, if its length can be."""
        if data == KEEPALIVE:
            self._count("esp_keepalive")
            return None
        if not FIXED.size <= len(data) <= MAX_DATAGRAM:
            self._count("esp_short" if len(data) < FIXED.size else "esp_trunc")
            return None
        spi = FIXED.unpack_from(data)[0]
        sa = next((sa for sa in (self._in, self._old) if sa and sa.spi == spi), None)
        if sa is None:
            self._count("esp_spi")
            return None
        c = len(data) - sa.suite.overhead
        if c < sa.suite.align:
            self._count("esp_short")
        elif c > MAX_PACKET:
            self._count("esp_trunc")
        elif c % sa.suite.align:
            self._count("esp_align")
        else:
            return sa
        return None

    def _admit(self, sa: SecurityAssociation, data: bytes) -> bool:
        """The packet is genuine: is it a new one?"""
        verdict = sa.window.take(FIXED.unpack_from(data)[1])
        if verdict is not Sequence.FRESH:
            self._count("esp_old" if verdict is Sequence.OLD else "esp_replay")
            if not sa.lenient:
                return False
        self._count("esp_authentic")
        if not sa.used and sa is self._in and self._old:
            self._tell(Kind.NEW_SA)
        sa.used = True
        return True

    def _open(self, sa: SecurityAssociation, data: bytes) -> None:
        """GCM finds out here whether a packet is genuine: its reservation is given back then."""
        c = len(data) - sa.suite.overhead
        reservation = self._sink.reserve(c) if c >= LEAST_PACKET + 2 else None
        plain, packet, stream = sa.decrypt(data), b"", b""
        if plain is None:
            self._count("esp_icv")
        elif not sa.aead or self._admit(sa, data):
            packet, stream = self._on_plaintext(plain)
        if stream:
            self._expand(reservation, stream)
        elif packet and reservation:
            reservation.data[: len(packet)] = packet
            reservation.commit(len(packet))
        elif reservation:
            reservation.abort()
        elif packet:
            self._count("esp_sink_full")

    def _expand(self, reservation: Reservation | None, stream: bytes) -> None:
        """The one packet that grows: into the reservation that held the stream, or a new one.  Section 11."""
        if reservation is None:
            reservation = self._sink.reserve(self._lzo_room)
        elif not reservation.expand(0, self._lzo_room):
            reservation = None
        if reservation is None:
            self._count("esp_sink_full")
            return
        try:
            packet = lzo.expand(stream, self._lzo_room)
        except MalformedFrame:
            self._count("esp_lzo")
            reservation.abort()
            return
        length = ip_length(packet) if packet[:1] and packet[0] >> 4 == 4 else 0
        if length:
            reservation.data[:length] = packet[:length]
            reservation.commit(length)
        else:
            self._count("esp_inner")
            reservation.abort()

    def _on_plaintext(self, plain: bytes) -> tuple[bytes, bytes]:
        """The packet that is to be delivered, or an LZO1X stream that is to be expanded, or nothing."""
        padding, next_header = plain[-2:]
        payload = plain[: max(len(plain) - 2 - padding, 0)]
        if not payload or plain[len(payload) : -2] != bytes(range(1, padding + 1)):
            self._count("esp_pad")
        elif next_header in (Kind.IPV4, Kind.IPV6):
            return self._on_ip(next_header, payload), b""
        elif next_header == Kind.LZO and self._lzo_room:
            return b"", payload
        elif next_header == Kind.LZO:
            self._count("esp_lzo")
        elif next_header == Kind.DUMMY:
            self._count("esp_dummy")
            self._tell(Kind.DUMMY)
        else:
            self._count("esp_nexthdr")
        return b"", b""

    def _on_ip(self, next_header: int, payload: bytes) -> bytes:
        if payload == b"\0":
            self._tell(next_header, payload)
            return b""
        fits = payload[0] >> 4 == (4 if next_header == Kind.IPV4 else 6)
        packet = payload[: ip_length(payload)] if fits else b""
        if not packet:
            self._count("esp_inner")
        elif self._is_echo(packet):
            self._tell(next_header, packet)
            return b""
        return packet

    def _is_echo(self, packet: bytes) -> bool:
        """Is this whole IP packet the echo reply that answers a probe?"""
        if not self._echo or packet[0] >> 4 != self._echo[0]:
            return False
        version, address, pattern = self._echo
        if version == 4:
            protocol, source, icmp = packet[9], packet[12:16], packet[(packet[0] & 15) * 4 :]
        else:
            protocol, source, icmp = packet[6], packet[8:24], packet[40:]
        reply = ICMP_REPLY if version == 4 else ICMPV6_REPLY
        return (protocol, icmp[:1]) == reply and source == address and icmp[ICMP_HEADER:].startswith(pattern)

    def _set_echo(self, value: bytes) -> None:
        if not value:
            self._echo = None
            return
        if value[0] not in (4, 6):
            raise MalformedFrame("esp.echo version", got=value[0], want="4 or 6", at=0)
        address = 1 + (4 if value[0] == 4 else 16)
        if not address < len(value) <= address + MAX_PATTERN:
            want = f"{address + 1}..{address + MAX_PATTERN}"
            raise MalformedFrame("esp.echo length", got=len(value), want=want, at=0)
        self._echo = value[0], value[1:address], value[address:]

    def _set_lzo(self, value: bytes) -> None:
        if len(value) not in (0, 2):
            raise MalformedFrame("esp.lzo length", got=len(value), want="0 or 2", at=0)
        room = int.from_bytes(value, "big")
        if value and not 0 < room <= MAX_PACKET:
            raise MalformedFrame("esp.lzo room", got=room, want=f"1..{MAX_PACKET}", at=0)
        self._lzo_room = room

    def _tell(self, kind: int, payload: bytes = b"") -> None:
        if not self._controls.push(Control(kind, payload)):
            self._count("esp_control_overflow")


class Encoder:
    """Packets and probes to datagrams.  The IV of each comes from the caller, who must never give one twice."""

    def __init__(self) -> None:
        self._out: SecurityAssociation | None = None
        self._counters = dict.fromkeys(COUNTERS, 0)

    def set(self, option: str, value: bytes) -> None:
        """Raises MalformedFrame: a bad value, ValueError: no such option; all goes on as it was."""
        if option == "esp.out":
            self._out = parse_sa(option, value)
        elif option == "esp.out-sequence":
            if len(value) != 4:
                raise MalformedFrame("esp.out-sequence length", got=len(value), want=4, at=0)
            if not self._out:
                raise ValueError("esp.out-sequence: no outbound sa")
            self._out.sequence = max(self._out.sequence, int.from_bytes(value, "big"))
        elif option == "esp.close":
            must_be_empty(option, value)
            self._out = None
        else:
            raise ValueError(f"framing esp has no option '{option}'")

    def encode(self, packet: bytes, iv: bytes) -> bytes:
        """iv: 16 bytes that nobody can foretell; GCM: 8 that never came before.  Raises ValueError: not sent."""
        version = packet[0] >> 4 if packet else 0
        return self.encode_control({4: Kind.IPV4, 6: Kind.IPV6}.get(version, -1), packet, iv)

    def encode_control(self, kind: int, payload: bytes, iv: bytes) -> bytes:
        """kind: the next header, of SENDABLE.  Raises ValueError: not sent."""
        if len(payload) > MAX_SENT or not payload or kind not in SENDABLE:
            raise ValueError(f"esp packet of {len(payload)} bytes: want IPv4 or IPv6, 1..{MAX_SENT}")
        if not self._out:
            raise ValueError("esp packet: no outbound sa")
        if len(iv) != self._out.suite.iv:
            raise ValueError(f"esp iv: got {len(iv)} bytes, want {self._out.suite.iv}")
        if self._out.sequence > LAST_NUMBER:
            self._counters["esp_seq_exhausted"] += 1
            raise ValueError("esp-seq-exhausted: all 2^32 sequence numbers of the sa are used")
        if self._out.sequence >= LOW_NUMBER:
            self._counters["esp_seq_low"] += 1
        return self._out.seal(kind, payload, iv)

    def counters(self) -> dict[str, int]:
        return dict(self._counters)


def must_be_empty(option: str, value: bytes) -> None:
    if value:
        raise MalformedFrame(f"{option} length", got=len(value), want=0, at=0)
