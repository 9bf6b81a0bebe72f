"""The magic ping that activates ESP: an ICMP echo with a fixed payload, sent through ESP (section 12).

    IPv4  45 00, length 44, ID 4747, DF, TTL 64, ICMP type 8, id 4747, seq n, payload
    IPv6  60 00 00 00, length 24, next header 58, hop limit 128, ICMPv6 type 128, id 4747, seq n, payload

A reply is known by its family, its type (0 or 129), its source and its first 16 bytes of payload; id and seq do not
count.  The framing finds it by its option esp.echo and hands it up as a control frame.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from protocols.base import Address

PATTERN = b"monitor\0\0pan ha "
IDENTIFIER = 0x4747
_ECHO = struct.Struct("!BBH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_DONT_FRAGMENT = 0x4000


def request(source: Address, target: Address, sequence: int) -> bytes:
    """The IP packet.  Both addresses of one family; sequence: counts from 0 or 1, and wraps."""
    kind = 8 if isinstance(source, IPv4Address) else 128
    return _echo(source, target, kind, struct.pack("!HH", IDENTIFIER, sequence & 0xFFFF) + PATTERN)


def reply(source: Address, target: Address, rest: bytes) -> bytes:
    """What a gateway answers.  rest: of the request, from its id on."""
    return _echo(source, target, 0 if isinstance(source, IPv4Address) else 129, rest)


def _echo(source: Address, target: Address, kind: int, rest: bytes) -> bytes:
    echo = _ECHO.pack(kind, 0, 0) + rest
    if isinstance(source, IPv4Address):
        echo = _with_checksum(echo, 2)
        length = _IPV4.size + len(echo)
        fields = (0x45, 0, length, IDENTIFIER, _DONT_FRAGMENT, 64, 1, 0, source.packed, target.packed)
        return _with_checksum(_IPV4.pack(*fields), 10) + echo
    pseudo = source.packed + target.packed + struct.pack("!II", len(echo), 58)
    echo = _with_checksum(echo, 2, pseudo)
    return _IPV6.pack(6 << 28, len(echo), 58, 128, source.packed, target.packed) + echo


def _with_checksum(data: bytes, at: int, pseudo: bytes = b"") -> bytes:
    """RFC 1071, over `pseudo` too; the field at `at` is zero in data."""
    summed = pseudo + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return data[:at] + struct.pack("!H", total ^ 0xFFFF) + data[at + 2 :]
