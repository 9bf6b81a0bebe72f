"""Windows' structures, byte by byte.  Offsets: Wintun notes, section 12; the route table: as Wine 8 gave it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from vpnclient.host.windows.rows import (
    AddressRow,
    InterfaceRow,
    RouteRow,
    Table,
    pack_address,
    pack_dns_settings,
    unpack_address,
)

# GetIpForwardTable2 of Wine 8: a default route by 192.0.2.1; the bytes between the fields are what was on its stack
WINE_ROUTE = bytes.fromhex(
    "00 00 00 04 00 00 06 00 04 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 5c 00 77 00 69 00 6e 00 64 00 6f 00 00 00 73 00 02 00 00 00 c0 00 02 01 "
    "00 00 00 00 00 00 00 00 63 00 70 00 33 00 31 00 33 00 3b 00 00 00 3a 00 ff ff "
    "ff ff ff ff ff ff 00 00 00 00 03 00 00 00 00 01 00 01 00 00 00 00 00 00 00 00"
)


def only(length: int, **at: str) -> bytes:
    """Zeros with some bytes: o12="aa bb" from offset 12."""
    data = bytearray(length)
    for offset, text in at.items():
        piece = bytes.fromhex(text)
        data[int(offset[1:]) : int(offset[1:]) + len(piece)] = piece
    return bytes(data)


def test_socket_addresses() -> None:
    four = pack_address(ip_address("10.8.0.2"))
    assert four == only(28, o0="02 00 00 00 0a 08 00 02")
    six = pack_address(ip_address("fd00:8::2"))
    assert six == only(28, o0="17 00", o8="fd 00 00 08", o23="02")
    assert unpack_address(four) == ip_address("10.8.0.2") and unpack_address(six) == ip_address("fd00:8::2")
    assert unpack_address(bytes(28)) is None


def test_an_address_row() -> None:
    row = AddressRow()
    row.address, row.luid, row.index = ip_address("10.8.0.2"), 0x0035008001000000, 23
    row.valid_lifetime = row.preferred_lifetime = 0xFFFFFFFF
    row.prefix_length, row.dad_state = 32, 4
    assert row.data == only(
        80,
        o0="02 00 00 00 0a 08 00 02",
        o32="00 00 00 01 80 00 35 00",
        o40="17 00 00 00",
        o52="ff ff ff ff ff ff ff ff",
        o60="20",
        o64="04",
    )


def test_a_route_row() -> None:
    row = RouteRow()
    row.luid, row.destination, row.prefix_length = 0x0035008001000000, ip_address("128.0.0.0"), 1
    row.next_hop, row.metric, row.protocol = ip_address("0.0.0.0"), 5, 3
    row.valid_lifetime = row.preferred_lifetime = 0xFFFFFFFF
    assert row.data == only(
        104,
        o0="00 00 00 01 80 00 35 00",
        o12="02 00 00 00 80",
        o40="01",
        o44="02 00",
        o76="ff ff ff ff ff ff ff ff",
        o84="05",
        o88="03",
    )


def test_an_interface_row() -> None:
    row = InterfaceRow()
    row.family, row.luid, row.index = 23, 0x0035008001000000, 23
    row.use_automatic_metric = row.managed_address = row.other_stateful = row.connected = 1
    row.router_discovery, row.dad_transmits, row.site_prefix_length = 2, 3, 64
    row.metric, row.nl_mtu = 5, 1400
    assert row.data == only(
        168,
        o0="17 00",
        o8="00 00 00 01 80 00 35 00",
        o16="17",
        o44="01 00 01 01",
        o52="02 00 00 00 03",
        o144="40 00 00 00 05 00 00 00 78 05 00 00 01",
    )


def test_dns_settings() -> None:
    data = pack_dns_settings(0x2E, 0x1122334455667788, 0x99, 0xAA)
    assert data == only(64, o0="01", o8="2e", o16="88 77 66 55 44 33 22 11", o24="99", o32="aa")


def test_a_table() -> None:
    (row,) = Table(RouteRow, only(8, o0="01") + WINE_ROUTE)
    assert (row.destination, row.prefix_length, row.next_hop) == (ip_address("0.0.0.0"), 0, ip_address("192.0.2.1"))
    assert (row.luid, row.index, row.metric, row.protocol) == (0x0006000004000000, 4, 0, 3)


def test_a_table_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="RouteRow: got 103 bytes, want 104"):
        list(Table(RouteRow, only(8, o0="01") + WINE_ROUTE[:-1]))
