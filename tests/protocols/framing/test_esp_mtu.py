"""MTU of ESP: the tables of the ESP notes, section 9, and that what is promised fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.esp_mtu import MOST, TunnelMtu, largest_inner, tunnel_mtu, wire_size
from protocols.framing.esp_sa import Cipher, Mac, suite_of
from tests.protocols.framing.esp_twins import PAIRS, Peer

T12, T16 = suite_of(Cipher.AES_128_CBC, Mac.SHA1_96), suite_of(Cipher.AES_256_CBC, Mac.SHA256_128)
COLUMNS = [(T12, False), (T16, False), (T12, True), (T16, True)]


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        (1500, [1422, 1422, 1406, 1406]),
        (1492, [1422, 1422, 1406, 1390]),
        (1420, [1342, 1342, 1326, 1326]),
        (1406, [1326, 1326, 1310, 1310]),
        (1280, [1214, 1198, 1182, 1182]),
    ],
)
def test_the_largest_inner_packet(path: int, inner: list[int]) -> None:
    assert [largest_inner(path, suite, outer_ipv6=six) for suite, six in COLUMNS] == inner


@pytest.mark.parametrize(
    ("inner", "wire"),
    [
        (1422, [1488, 1492, 1508, 1512]),
        (1400, [1472, 1476, 1492, 1496]),
        (1280, [1360, 1364, 1380, 1384]),
    ],
)
def test_the_size_on_the_wire(inner: int, wire: list[int]) -> None:
    assert [wire_size(inner, suite, outer_ipv6=six) for suite, six in COLUMNS] == wire


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_sizes_are_those_of_real_packets(cipher: Cipher, mac: Mac) -> None:
    for length in range(1, 70):
        datagram = Peer(cipher, mac).send(bytes(length), 1)
        assert wire_size(length, suite_of(cipher, mac), outer_ipv6=False) == 28 + len(datagram)


@given(st.integers(200, 70000), st.sampled_from(PAIRS), st.booleans())
def test_the_largest_fits_and_one_more_does_not(path: int, pair: tuple[Cipher, Mac], six: bool) -> None:
    suite = suite_of(*pair)
    inner = largest_inner(path, suite, outer_ipv6=six)
    assert wire_size(inner, suite, outer_ipv6=six) <= path < wire_size(inner + 1, suite, outer_ipv6=six)


def test_the_tunnel() -> None:
    gcm = suite_of(Cipher.AES_256_GCM)
    assert tunnel_mtu(1500, T12, outer_ipv6=False, inner_ipv6=True) == TunnelMtu(1422, False)
    assert tunnel_mtu(1500, gcm, outer_ipv6=False, inner_ipv6=True) == TunnelMtu(1438, False)
    assert tunnel_mtu(0, T12, outer_ipv6=False, inner_ipv6=False) == TunnelMtu(1326, False)  # 1406: nothing is known
    assert tunnel_mtu(600, T12, outer_ipv6=False, inner_ipv6=False) == TunnelMtu(1214, False)  # never below 1280
    assert tunnel_mtu(1280, T12, outer_ipv6=False, inner_ipv6=True) == TunnelMtu(1280, True)  # for IPv6 inside
    assert tunnel_mtu(65535, T12, outer_ipv6=False, inner_ipv6=True) == TunnelMtu(MOST, False)  # loopback


def test_a_pair_that_cannot_be() -> None:
    for cipher, mac in ((Cipher.AES_128_GCM, Mac.SHA1_96), (Cipher.AES_128_CBC, Mac.NONE)):
        with pytest.raises(ValueError, match="esp has no pair"):
            suite_of(cipher, mac)
