"""Octet stuffing and the FCS-16: the reference against the notes, and against the standard library's CRC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.hdlc import ACCM_ALL, FCS_GOOD, TABLE, End, Unstuffer, encode, fcs16
from tests.protocols.framing import ppp_twins

H5 = "21450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20"
# PPP notes, section 16: packet, map, wire.
VECTORS = [
    pytest.param(packet, accm, wire, id=name)
    for name, packet, accm, wire in [
        (
            "H1",
            "ff03c021010100180104057802060000000005061122334407020802",
            ACCM_ALL,
            "7eff7d23c0217d217d217d207d387d217d247d25787d227d267d207d207d207d207d257d267d312233447d277d227d287d2288b07e",
        ),
        (
            "H2",
            "80210101001603060a0b0102810600000000830600000000",
            0,
            "7e80210101001603060a0b010281060000000083060000000047f37e",
        ),
        (
            "H2b",
            "ff0380210101001603060a0b0102810600000000830600000000",
            ACCM_ALL,
            "7eff7d2380217d217d217d207d367d237d267d2a7d2b7d217d22817d267d207d207d207d20837d267d207d207d207d2027637e",
        ),
        ("H3", "ff03c0210905000811223344", ACCM_ALL, "7eff7d23c0217d297d257d207d287d312233446b6f7e"),
        ("H4", "ff03c02105020004", ACCM_ALL, "7eff7d23c0217d257d227d207d2459287e"),
        (
            "H5",
            H5,
            0,
            "7e21450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f207b687e",
        ),
        (
            "H5 000a0000",
            H5,
            0x000A0000,
            "7e21450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce007d31007d337d5e7d5d7d317d335e5d001f207b687e",
        ),
        (
            "H5 ffffffff",
            H5,
            ACCM_ALL,
            "7e21457d207d20257d5d7d5e7d207d20407d21e7417d2a7d2b7d217d227d2a7d2b7d217d217d287d20e9ce7d207d317d207d337d5e"
            "7d5d7d317d335e5d7d207d3f207b687e",
        ),
        (
            "H5 with ff03",
            "ff0300" + H5,
            0,
            "7eff030021450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f2004447e",
        ),
        ("H6a", "21451e20", 0, "7e21451e207d5e7d5e7e"),
        ("H6b", "21452d38", 0, "7e21452d387d5d7d5e7e"),
        ("H6c", "214586d2", 0, "7e214586d27d5e7d5d7e"),
        ("H6d", "2145b5ca", 0, "7e2145b5ca7d5d7d5d7e"),
        ("H7", "217e7e7e7e", 0, "7e217d5e7d5e7d5e7d5e4b307e"),
        ("openconnect 9.01 IPCP", "80210101000a03060a0b0102", 0, "7e80210101000a03060a0b0102af097e"),
        ("openconnect 9.01 IP6CP", "80570101000e010a0000000000000002", 0, "7e80570101000e010a0000000000000002b29b7e"),
    ]
]


@pytest.mark.parametrize(("packet", "accm", "wire"), VECTORS)
def test_the_vectors(packet: str, accm: int, wire: str) -> None:
    assert encode(bytes.fromhex(packet), accm).hex() == wire
    unstuffer = Unstuffer(100)
    unstuffer.push(bytes.fromhex(wire)[1:-1])
    assert unstuffer.end() is End.GOOD
    assert unstuffer.frame[:-2].hex() == packet


@pytest.mark.parametrize(
    ("data", "register"),
    [
        (b"", 0xFFFF),
        (b"\0", 0x0F87),
        (b"\xff\3", 0x3DE3),
        (b"123456789", 0x6F91),
        (bytes(range(256)), 0xCFC3),
        (b"\x7e" * 8, 0x4F94),
    ],
)
def test_the_fcs(data: bytes, register: int) -> None:
    assert fcs16(data) == register and ppp_twins.fcs(data) == register ^ 0xFFFF


def test_the_table() -> None:
    assert (TABLE[1], TABLE[2], TABLE[0x80], TABLE[255]) == (0x1189, 0x2312, 0x8408, 0x0F78)
    together = 0
    for value in TABLE:
        together ^= value
    assert sum(TABLE) == 0x7FFF80 and together == 0


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_fcs_of_anything(first: bytes, second: bytes) -> None:
    whole = first + second
    assert fcs16(second, fcs16(first)) == fcs16(whole) == ppp_twins.fcs(whole) ^ 0xFFFF
    assert fcs16(whole + ppp_twins.fcs(whole).to_bytes(2, "little")) == FCS_GOOD


@given(st.binary(min_size=2, max_size=300), st.integers(0, ACCM_ALL))
def test_what_is_stuffed_is_bounded_and_comes_back(packet: bytes, accm: int) -> None:
    wire = encode(packet, accm)
    assert wire == ppp_twins.framed(ppp_twins.HDLC, packet, accm)
    assert len(packet) + 4 <= len(wire) <= 2 * len(packet) + 6
    unstuffer = Unstuffer(len(packet) + 2)
    unstuffer.push(wire[1:-1])
    assert unstuffer.end() is End.GOOD and unstuffer.frame[:-2] == packet
