"""Control packets and options: bytes <-> values (section 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ppp.packet import (
    MAX_CONTROL,
    MAX_VALUE,
    Code,
    Option,
    Packet,
    Unusable,
    encode_options,
    parse,
    parse_options,
)

REQUEST = bytes.fromhex("010100180104057802060000000005061122334407020802")  # H1


def test_a_request_in_parts() -> None:
    packet = parse(REQUEST)
    assert (packet.code, packet.identifier) == (Code.CONFIGURE_REQUEST, 1)
    options = parse_options(packet.data)
    assert options == (
        Option(1, b"\x05\x78"),
        Option(2, bytes(4)),
        Option(5, bytes.fromhex("11223344")),
        Option(7),
        Option(8),
    )
    assert packet.encode() == REQUEST and encode_options(options) == packet.data


def test_padding_is_cut() -> None:  # Q11
    assert parse(REQUEST + b"\xff\xff") == parse(REQUEST)


@pytest.mark.parametrize("data", ["", "01", "0101", "010100", "01010003", "01010005", "0101ffff"])
def test_bad_lengths(data: str) -> None:
    with pytest.raises(Unusable, match="ppp_ctl_bad_length"):
        parse(bytes.fromhex(data))


def test_a_packet_beyond_the_cap() -> None:
    assert len(parse(Packet(1, 1, bytes(MAX_CONTROL - 4)).encode()).data) == MAX_CONTROL - 4
    with pytest.raises(Unusable, match="ppp_ctl_bad_length"):
        parse(Packet(1, 1, bytes(MAX_CONTROL - 3)).encode())


@pytest.mark.parametrize("data", ["01", "0100", "0101", "01ff", "010401020704", "0303aa0500"])
def test_bad_options(data: str) -> None:
    with pytest.raises(Unusable, match="ppp_ctl_bad_option"):
        parse_options(bytes.fromhex(data))


@given(st.binary(max_size=600))
def test_whatever_comes_is_read_or_unusable(data: bytes) -> None:
    try:
        packet = parse(data)
        options = parse_options(packet.data)
    except Unusable as exc:
        assert exc.counter in ("ppp_ctl_bad_length", "ppp_ctl_bad_option")
        return
    assert data.startswith(packet.encode()[:2]) and encode_options(options) == packet.data
    assert all(len(option.value) <= MAX_VALUE for option in options)
