"""Windows' structures for addresses, routes and interfaces, as packed bytes with named fields.

Offsets are those of 64-bit processes.  A row is what a function gets and fills: `row.data`.
Source: Wintun notes, section 12 (from the SDK's layout).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar, overload

from protocols.base import Address

AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 23
FAMILY = {4: AF_INET, 6: AF_INET6}
SOCKADDR_INET = 28  # bytes
TABLE_HEAD = 8  # bytes: the number of rows, and padding to their alignment
MAX_ROWS = 100_000  # of a table that Windows gives

INFINITE = 0xFFFFFFFF  # a lifetime
PROTOCOL_NETMGMT = 3  # MIB_IPPROTO_NETMGMT: set by a program
DAD_PREFERRED = 4  # IpDadStatePreferred: the address is used at once

DNS_VERSION = 1  # DNS_INTERFACE_SETTINGS_VERSION1
DNS_IPV6, DNS_NAMESERVER, DNS_SEARCHLIST, DNS_REGISTRATION, DNS_DOMAIN = 0x1, 0x2, 0x4, 0x8, 0x20

R = TypeVar("R", bound="Row")


class Row:
    """A structure of SIZE bytes; `data` is empty at first, or what Windows gave."""

    SIZE = 0

    def __init__(self, data: bytes | bytearray | None = None) -> None:
        self.data = bytearray(self.SIZE) if data is None else bytearray(data)
        if len(self.data) != self.SIZE:
            raise ValueError(f"{type(self).__name__}: got {len(self.data)} bytes, want {self.SIZE}")


class Number:
    """A little-endian unsigned integer of a row."""

    def __init__(self, offset: int, size: int) -> None:
        self._at, self._size = slice(offset, offset + size), size

    @overload
    def __get__(self, row: None, owner: type[Row]) -> Number: ...

    @overload
    def __get__(self, row: Row, owner: type[Row]) -> int: ...

    def __get__(self, row: Row | None, owner: type[Row]) -> Number | int:
        return self if row is None else int.from_bytes(row.data[self._at], "little")

    def __set__(self, row: Row, value: int) -> None:
        row.data[self._at] = value.to_bytes(self._size, "little")


class SocketAddress:
    """A SOCKADDR_INET of a row; None: of no family that we know."""

    def __init__(self, offset: int) -> None:
        self._at = slice(offset, offset + SOCKADDR_INET)

    @overload
    def __get__(self, row: None, owner: type[Row]) -> SocketAddress: ...

    @overload
    def __get__(self, row: Row, owner: type[Row]) -> Address | None: ...

    def __get__(self, row: Row | None, owner: type[Row]) -> SocketAddress | Address | None:
        return self if row is None else unpack_address(bytes(row.data[self._at]))

    def __set__(self, row: Row, value: Address) -> None:
        row.data[self._at] = pack_address(value)


class InterfaceRow(Row):
    """MIB_IPINTERFACE_ROW.  nl_mtu: bytes."""

    SIZE = 168
    family = Number(0, 2)
    luid = Number(8, 8)
    index = Number(16, 4)
    use_automatic_metric = Number(44, 1)
    managed_address = Number(46, 1)
    other_stateful = Number(47, 1)
    router_discovery = Number(52, 4)
    dad_transmits = Number(56, 4)
    site_prefix_length = Number(144, 4)
    metric = Number(148, 4)
    nl_mtu = Number(152, 4)
    connected = Number(156, 1)


class AddressRow(Row):
    """MIB_UNICASTIPADDRESS_ROW.  Lifetimes: seconds."""

    SIZE = 80
    address = SocketAddress(0)
    luid = Number(32, 8)
    index = Number(40, 4)
    valid_lifetime = Number(52, 4)
    preferred_lifetime = Number(56, 4)
    prefix_length = Number(60, 1)
    skip_as_source = Number(61, 1)
    dad_state = Number(64, 4)


class RouteRow(Row):
    """MIB_IPFORWARD_ROW2.  loopback: to an address of this host."""

    SIZE = 104
    luid = Number(0, 8)
    index = Number(8, 4)
    destination = SocketAddress(12)
    prefix_length = Number(40, 1)
    next_hop = SocketAddress(44)
    site_prefix_length = Number(72, 1)
    valid_lifetime = Number(76, 4)
    preferred_lifetime = Number(80, 4)
    metric = Number(84, 4)
    protocol = Number(88, 4)
    loopback = Number(92, 1)


def pack_address(address: Address) -> bytes:
    """A SOCKADDR_INET: family, port 0, then as sockaddr_in or sockaddr_in6 with scope 0."""
    at = 4 if address.version == 4 else 8
    head = struct.pack("<HH", FAMILY[address.version], 0)
    return (head.ljust(at, b"\0") + address.packed).ljust(SOCKADDR_INET, b"\0")


def unpack_address(data: bytes) -> Address | None:
    family = int.from_bytes(data[:2], "little")
    if family == AF_INET:
        return IPv4Address(data[4:8])
    return IPv6Address(data[8:24]) if family == AF_INET6 else None


class Table(Generic[R]):
    """MIB_IPFORWARD_TABLE2 or MIB_UNICASTIPADDRESS_TABLE, copied."""

    def __init__(self, kind: type[R], data: bytes) -> None:
        self._kind, self._data = kind, data

    def __iter__(self) -> Iterator[R]:
        count = int.from_bytes(self._data[:4], "little")
        size = self._kind.SIZE
        for at in range(TABLE_HEAD, TABLE_HEAD + min(count, MAX_ROWS) * size, size):
            yield self._kind(self._data[at : at + size])


def pack_dns_settings(flags: int, domain: int, servers: int, search: int) -> bytes:
    """DNS_INTERFACE_SETTINGS version 1, 64 bytes.  domain, servers, search: addresses of texts, 0 for none.

    What the flags name and is not given is off: registration of our addresses in the DNS.
    """
    return struct.pack("<IxxxxQQQQIIIIQ", DNS_VERSION, flags, domain, servers, search, 0, 0, 0, 0, 0)
