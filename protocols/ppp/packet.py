"""Control packets of LCP, IPCP and IP6CP, and their options (section 5).

code  id  length16  data        length counts from code; what is longer is padding (Q11)
data of Configure-*:  type  length  value ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

HEADER = 4  # bytes
MAX_CONTROL = 2048  # bytes of a control packet; RFC 1661 wants them to fit 1500
MIN_OPTION = 2  # bytes: type and length
MAX_VALUE = 253  # bytes of one option


class Proto(IntEnum):
    """PPP protocol numbers of control packets."""

    IPCP = 0x8021
    IP6CP = 0x8057
    LCP = 0xC021


class Code(IntEnum):
    CONFIGURE_REQUEST = 1
    CONFIGURE_ACK = 2
    CONFIGURE_NAK = 3
    CONFIGURE_REJECT = 4
    TERMINATE_REQUEST = 5
    TERMINATE_ACK = 6
    CODE_REJECT = 7
    PROTOCOL_REJECT = 8
    ECHO_REQUEST = 9
    ECHO_REPLY = 10
    DISCARD_REQUEST = 11


class Unusable(Exception):
    """A packet that is dropped.  counter: what it is counted as."""

    def __init__(self, counter: str) -> None:
        super().__init__(counter)
        self.counter = counter


@dataclass(frozen=True, slots=True)
class Packet:
    code: int
    identifier: int
    data: bytes = b""

    def encode(self) -> bytes:
        return bytes([self.code, self.identifier]) + (len(self.data) + HEADER).to_bytes(2, "big") + self.data


@dataclass(frozen=True, slots=True)
class Option:
    kind: int
    value: bytes = b""

    def encode(self) -> bytes:
        return bytes([self.kind, len(self.value) + MIN_OPTION]) + self.value


def parse(information: bytes) -> Packet:
    """Raises Unusable."""
    length = int.from_bytes(information[2:4], "big")
    if len(information) < HEADER or not HEADER <= length <= min(len(information), MAX_CONTROL):
        raise Unusable("ppp_ctl_bad_length")
    return Packet(information[0], information[1], information[HEADER:length])


def parse_options(data: bytes) -> tuple[Option, ...]:
    """Raises Unusable: the whole packet is dropped."""
    options: list[Option] = []
    at = 0
    while at < len(data):
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < MIN_OPTION or length > len(data) - at:
            raise Unusable("ppp_ctl_bad_option")
        options.append(Option(data[at], data[at + MIN_OPTION : at + length]))
        at += length
    return tuple(options)


def encode_options(options: Iterable[Option]) -> bytes:
    return b"".join(option.encode() for option in options)
