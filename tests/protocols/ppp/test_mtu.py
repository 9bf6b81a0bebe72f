"""How large a packet may be (section 11)."""

from __future__ import annotations

import pytest

from protocols.ppp.mtu import over_tls


@pytest.mark.parametrize(
    ("framing", "path", "tls", "size"),
    [
        ("ppp-f5", 1500, "TLSv1.3", 1448 - 22 - 5),
        ("ppp-f5", 1500, "TLSv1.2", 1448 - 29 - 5),
        ("ppp-fortinet", 1500, "TLSv1.3", 1448 - 22 - 8),
        ("ppp-f5-hdlc", 1500, "TLSv1.3", 1421 - 1421 // 32),
        ("ppp-f5", 0, "TLSv1.3", 1406 - 52 - 27),  # unknown
        ("ppp-f5", 1000, "TLSv1.3", 1280 - 52 - 27),  # never below what IPv6 needs outside
        ("ppp-f5", 65536, "TLSv1.3", 1500),  # the loopback
    ],
)
def test_one_packet_fits_one_segment(framing: str, path: int, tls: str, size: int) -> None:
    assert over_tls(framing, path=path, outer_ipv6=False, tls=tls) == size


def test_over_ipv6_it_is_twenty_less() -> None:
    four, six = (over_tls("ppp-f5", path=1500, outer_ipv6=outer, tls="TLSv1.3") for outer in (False, True))
    assert four - six == 20


def test_the_users_wish_lowers_it_and_lifts_the_cap_only() -> None:
    assert over_tls("ppp-f5", path=1500, outer_ipv6=False, tls="TLSv1.3", wanted=1300) == 1300
    assert over_tls("ppp-f5", path=1500, outer_ipv6=False, tls="TLSv1.3", wanted=9000) == 1421
    assert over_tls("ppp-f5", path=65536, outer_ipv6=False, tls="TLSv1.3", wanted=9000) == 9000
    assert over_tls("ppp-f5", path=1500, outer_ipv6=False, tls="TLSv1.3", wanted=100) == 576
