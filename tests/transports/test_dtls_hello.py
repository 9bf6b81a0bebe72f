"""Whose a ClientHello is, told from a datagram that anybody can send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.dtls_hello import client_hello_session_id

# From openconnect 9.01 (AnyConnect notes, V5 and V6).
CISCO = bytes.fromhex(
    "160100000000000000000000670100005b000000000000005b01006bdeecece9b6342e614830116e9b35cedb583bc336817a1c600198b0a8ca"
    "12e9208f9aeb3c4a4a286ec394bc69d01cc311f22452e857b46ea12e590d25ec690524000002002f0100000f00230000ff01000100001c0002"
    "4000"
)
TWELVE = bytes.fromhex(
    "16fefd0000000000000000008d010000810000000000000081fefd987dc59bac17ab3e0b1a9cbeeb882f689ed06bb495fa9850ddfb2f027d96d0"
    "eb206fbc22335e045a58ac5bbf3f2ff73083a298ecc6a21bab95a875aa672aea35bc000002009c01000035000d002200200401080908040403"
    "08070501080a0805050308080601080b080606030201020300230000ff01000100001c00024000"
)
CISCO_ID = bytes.fromhex("8f9aeb3c4a4a286ec394bc69d01cc311f22452e857b46ea12e590d25ec690524")
TWELVE_ID = bytes.fromhex("6fbc22335e045a58ac5bbf3f2ff73083a298ecc6a21bab95a875aa672aea35bc")


def test_hellos_of_openconnect() -> None:
    assert client_hello_session_id(CISCO) == CISCO_ID
    assert client_hello_session_id(TWELVE) == TWELVE_ID


def test_every_prefix() -> None:
    """Enough is there with the last byte of the session id, but the record says that it is longer."""
    for length in range(len(TWELVE)):
        found = client_hello_session_id(TWELVE[:length])
        assert found == (TWELVE_ID if length >= 92 else b"")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\x17"),
        (1, b"\x03\x03"),
        (4, b"\x01"),
        (11, b"\x00\x4e"),  # the record ends within the session id
        (13, b"\x02"),
        (21, b"\x01"),  # a later fragment
        (22, b"\x00\x00\x42"),  # the fragment ends within the session id
        (59, b"\x21"),
        (59, b"\x00"),
    ],
)
def test_what_is_no_hello_with_a_session(at: int, value: bytes) -> None:
    assert client_hello_session_id(TWELVE[:at] + value + TWELVE[at + len(value) :]) == b""


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    assert len(client_hello_session_id(data)) <= 32


@given(st.integers(0, len(TWELVE) - 1), st.integers(0, 255))
def test_damage(at: int, value: int) -> None:
    damaged = TWELVE[:at] + bytes([value]) + TWELVE[at + 1 :]
    found = client_hello_session_id(damaged)
    assert found == b"" or found in damaged
