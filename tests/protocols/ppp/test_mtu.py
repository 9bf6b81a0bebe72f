"""How large a packet may be (section 11)."""

from __future__ import annotations

import pytest

from protocols.ppp.mtu import over_dtls, over_tls, plaintext_in


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


@pytest.mark.parametrize(
    ("path", "wanted", "size"), [(1280, 0, 1280), (1500, 0, 1421), (1500, 1300, 1300), (1500, 1000, 1000)]
)
def test_ipv6_passes_on_any_path_unless_the_user_wants_less(path: int, wanted: int, size: int) -> None:
    assert over_tls("ppp-f5", path=path, outer_ipv6=False, tls="TLSv1.3", wanted=wanted, ipv6=True) == size


# --- DTLS ---

GCM, CHACHA, CBC = "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-SHA"
P1500, P1500_6, P1280 = 1500 - 28, 1500 - 48, 1280 - 28  # bytes of UDP payload


@pytest.mark.parametrize(
    ("cipher", "datagram", "plaintext"),
    [
        *((GCM, datagram, size) for datagram, size in ((P1500, 1435), (P1500_6, 1415), (P1280, 1215))),
        *((CHACHA, datagram, size) for datagram, size in ((P1500, 1443), (P1500_6, 1423), (P1280, 1223))),
    ],
)
def test_the_table_of_section_11(cipher: str, datagram: int, plaintext: int) -> None:
    assert plaintext_in(datagram, cipher) == plaintext


@pytest.mark.parametrize(("datagram", "plaintext"), [(P1500, 1419), (P1500_6, 1387), (P1280, 1195)])
def test_the_table_for_cbc(datagram: int, plaintext: int) -> None:
    """MAC, then encryption: the engine offers no other order."""
    assert plaintext_in(datagram, CBC) == plaintext


@pytest.mark.parametrize(
    ("cipher", "plaintext"),
    [("AES128-SHA", 1419), ("AES128-SHA256", 1407), ("ECDHE-RSA-AES256-SHA384", 1391), ("AES128-CCM8", 1435)],
)
def test_other_suites(cipher: str, plaintext: int) -> None:
    assert plaintext_in(P1500, cipher) == plaintext


@pytest.mark.parametrize(
    ("framing", "path", "compressed", "size"),
    [
        ("ppp-f5", 1500, True, 1430),
        ("ppp-f5", 1500, False, 1427),
        ("ppp-fortinet", 1500, True, 1427),
        ("ppp-fortinet", 1500, False, 1427),
        ("ppp-f5", 1280, True, 1210),  # too small for IPv6
        ("ppp-f5", 0, True, 1406 - 28 - 37 - 5),  # unknown
        ("ppp-f5", 65536, True, 1500),  # the loopback
        ("ppp-f5", 600, True, 600 - 28 - 37 - 5),  # what does not fit is lost: the caller judges
    ],
)
def test_one_packet_fits_one_datagram(framing: str, path: int, compressed: bool, size: int) -> None:
    assert over_dtls(framing, path=path, outer_ipv6=False, cipher=GCM, compressed=compressed) == size


def test_the_users_wish_never_exceeds_the_path() -> None:
    assert over_dtls("ppp-f5", path=1500, outer_ipv6=True, cipher=GCM, wanted=1300) == 1300
    assert over_dtls("ppp-f5", path=1500, outer_ipv6=True, cipher=GCM, wanted=9000) == 1410
    assert over_dtls("ppp-f5", path=9000, outer_ipv6=True, cipher=GCM, wanted=9000) == 9000 - 48 - 37 - 5
    assert over_dtls("ppp-f5", path=1500, outer_ipv6=True, cipher=GCM, wanted=100) == 576
    assert over_dtls("ppp-f5", path=600, outer_ipv6=False, cipher=GCM, wanted=1300) == 530
