"""The header of a PPP packet, and what may pass: the reference of ppp.c, for ppp_prefixed.py and ppp_hdlc.py.

    [ff 03]  protocol of 1 (odd) or 2 bytes (even, odd)  information

IPv4 and IPv6 are packets; every other protocol is a control frame whose kind is the protocol number.
Options (value):
    ppp.data  1 byte: families that may pass, 1 IPv4, 2 IPv6; none at first
    ppp.pfc   1 byte: 1 if the peer granted protocol field compression   (encoder; not Fortinet)
    ppp.acfc  1 byte: 1 if the peer granted address/control compression  (encoder; not Fortinet)
Source: PPP notes, sections 2 and 10.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

from protocols.base import Control
from protocols.errors import MalformedFrame
from protocols.framing.controls import ControlQueue

if TYPE_CHECKING:
    from transports.sink import PacketSink

ADDRESS_CONTROL = bytes.fromhex("ff03")
MAX_HEADER = 4  # bytes
MAX_INFORMATION = 16384  # bytes that are taken in
MAX_RECORD = 16384  # bytes; a frame sent must fit one TLS record
COUNTERS = (
    "ppp_rx_early",
    "ppp_rx_short",
    "ppp_rx_bad_protocol",
    "ppp_rx_too_long",
    "ppp_sink_full",
    "ppp_control_overflow",
)


class Protocol(IntEnum):
    """Protocol numbers that framing knows; others are for the controller."""

    IPV4 = 0x0021
    IPV6 = 0x0057
    LCP = 0xC021


FAMILIES: dict[int, int] = {Protocol.IPV4: 1, Protocol.IPV6: 2}  # bits of ppp.data
FAMILY_OF = {4: Protocol.IPV4, 6: Protocol.IPV6}  # by the packet's version


@dataclass(frozen=True, slots=True)
class Header:
    """length: bytes.  valid: the protocol number can be."""

    length: int
    protocol: int
    valid: bool


def parse(packet: bytes | bytearray) -> Header | None:
    """The header at the beginning; None: more bytes are needed (never of MAX_HEADER)."""
    if packet[:1] == ADDRESS_CONTROL[:1] and len(packet) == 1:
        return None
    at = len(ADDRESS_CONTROL) if packet[:2] == ADDRESS_CONTROL else 0
    if len(packet) > at and packet[at] & 1:
        return Header(at + 1, packet[at], True)
    if len(packet) < at + 2:
        return None
    protocol = int.from_bytes(packet[at : at + 2], "big")
    return Header(at + 2, protocol, bool(protocol & 1))


def byte_option(option: str, value: bytes, most: int) -> int:
    """Raises MalformedFrame."""
    if len(value) != 1:
        raise MalformedFrame(f"{option} length", got=len(value), want=1, at=0)
    if value[0] > most:
        raise MalformedFrame(option, got=value[0], want=f"0..{most}", at=0)
    return value[0]


class Verdict(Enum):
    DROP = auto()  # counted
    CONTROL = auto()
    PACKET = auto()


class Receiver:
    """What the decoders of all carriers share."""

    framing = ""

    def __init__(self, sink: PacketSink, counters: tuple[str, ...]) -> None:
        self._sink = sink
        self._data = 0  # families that may pass
        self._controls = ControlQueue()
        self._counters = dict.fromkeys(COUNTERS + counters, 0)

    def set(self, option: str, value: bytes) -> None:
        """Raises MalformedFrame: a bad value, ValueError: no such option; all goes on as it was."""
        if option != "ppp.data":
            raise ValueError(f"framing {self.framing} has no option '{option}'")
        self._data = byte_option(option, value, 3)

    def next_control(self) -> Control | None:
        return self._controls.pop()

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def _may_pass(self, header: Header) -> bool:
        return bool(self._data & FAMILIES.get(header.protocol, 0))

    def _judge(self, header: Header | None, information: int) -> Verdict:
        """What becomes of a packet with so many bytes of information; header None: it ends in its header."""
        data = header is not None and header.protocol in FAMILIES
        if header is None or (header.valid and data and not information):
            return self._drop("ppp_rx_short")
        if not header.valid:
            return self._drop("ppp_rx_bad_protocol")
        if data and not self._may_pass(header):
            return self._drop("ppp_rx_early")
        if information > MAX_INFORMATION:
            return self._drop("ppp_rx_too_long")
        return Verdict.PACKET if data else Verdict.CONTROL

    def _drop(self, counter: str) -> Verdict:
        self._counters[counter] += 1
        return Verdict.DROP

    def _push(self, protocol: int, information: bytes) -> None:
        taken = self._controls.push(Control(protocol, information))
        self._counters["ppp_control_overflow"] += not taken


class Sender(ABC):
    """What the encoders of all carriers share."""

    framing = ""
    max_sent = 0  # bytes of information
    bare = False  # Fortinet: nothing is compressed, ff 03 is never sent

    def __init__(self) -> None:
        self._data = self._pfc = self._acfc = 0
        self._early = 0

    def set(self, option: str, value: bytes) -> None:
        """Raises MalformedFrame: a bad value, ValueError: no such option; all goes on as it was."""
        if option == "ppp.data":
            self._data = byte_option(option, value, 3)
        elif option == "ppp.pfc" and not self.bare:
            self._pfc = byte_option(option, value, 1)
        elif option == "ppp.acfc" and not self.bare:
            self._acfc = byte_option(option, value, 1)
        else:
            raise ValueError(f"framing {self.framing} has no option '{option}'")

    def counters(self) -> dict[str, int]:
        return {"ppp_tx_early": self._early}

    def encode(self, packet: bytes) -> bytes:
        """Raises ValueError: larger than max_sent, neither IPv4 nor IPv6, or of a family that may not pass yet."""
        family = FAMILY_OF.get(packet[0] >> 4) if packet else None
        if family is None:
            raise ValueError("ppp packet: neither IPv4 nor IPv6")
        return self.encode_control(family, packet)

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """kind: a protocol number.  Raises ValueError."""
        if len(payload) > self.max_sent or not 0 <= kind <= 0xFFFF or kind & 0x101 != 1:
            raise ValueError(f"ppp packet of protocol {kind:#06x}, {len(payload)} bytes: want <= {self.max_sent}")
        if kind in FAMILIES:
            self._must_pass(Protocol(kind), payload)
        return self._framed(kind, self._header(kind) + payload)

    def _must_pass(self, family: Protocol, packet: bytes) -> None:
        if not packet or FAMILY_OF.get(packet[0] >> 4) is not family:
            raise ValueError(f"ppp packet: not {family.name}")
        if not self._data & FAMILIES[family]:
            self._early += 1
            raise ValueError(f"ppp packet: {family.name} may not pass yet")

    def _header(self, protocol: int) -> bytes:
        number = protocol.to_bytes(2, "big")
        if self.bare:
            return number
        if self._pfc and protocol in FAMILIES:
            number = number[1:]
        return number if self._acfc and protocol != Protocol.LCP else ADDRESS_CONTROL + number

    @abstractmethod
    def _framed(self, protocol: int, packet: bytes) -> bytes:
        """The carrier's frame around a PPP packet."""
