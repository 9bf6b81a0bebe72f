"""What the gateway says of DTLS, header by header (anyconnect.md sections 3.3 and 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.anyconnect.dtls_ciphers import MODES, Header, Version, header_value, offered
from protocols.anyconnect.dtls_terms import DtlsOffer, DtlsTerms, dtls_terms
from protocols.anyconnect.headers import Headers
from protocols.anyconnect.timers import DtlsTimers

APP_ID = "5A" * 32
PSK = (
    ("X-DTLS-CipherSuite", "PSK-NEGOTIATE"),
    ("X-DTLS-App-ID", APP_ID),
    ("X-DTLS-Port", "4443"),
    ("X-CSTP-Base-MTU", "1400"),
)
OFFER = DtlsOffer(offered(), ("oc-lz4", "lzs"), bytes(48))


def terms(*headers: tuple[str, str], offer: DtlsOffer = OFFER, force_dpd: int = 0) -> tuple[DtlsTerms | None, str]:
    """What was agreed on, and the warnings."""
    read = Headers(headers)
    found = dtls_terms(read, offer, force_dpd)
    return found, "\n".join(read.warnings)


def without(*names: str, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in PSK if pair[0] not in names)


def test_a_shared_key() -> None:
    found, warnings = terms(*PSK, ("X-DTLS-DPD", "7"), ("X-DTLS-Keepalive", "20"), ("X-DTLS-Content-Encoding", "lzs"))
    assert found is not None and warnings == ""
    assert found.mode.name == "PSK-NEGOTIATE" and not found.mode.resumes
    assert (found.port, found.session_id, found.base_mtu, found.encoding) == (4443, b"\x5a" * 32, 1400, "lzs")
    assert found.timers == DtlsTimers(dpd=7, keepalive=20)
    assert "5a" not in repr(found).lower().replace("x-", "")  # the id finds the session: not for logs


@pytest.mark.parametrize(
    ("header", "name", "version", "suite"),
    [
        ("X-DTLS-CipherSuite", "OC-DTLS1_2-AES128-GCM", Version.DTLS12, "AES128-GCM-SHA256"),
        ("X-DTLS-CipherSuite", "OC2-DTLS1_2-CHACHA20-POLY1305", Version.DTLS12, "PSK-CHACHA20-POLY1305"),
        ("X-DTLS-CipherSuite", "AES256-SHA", Version.CISCO, "AES256-SHA"),
        ("X-DTLS12-CipherSuite", "AES256-SHA", Version.DTLS12, "AES256-SHA"),
        ("X-DTLS12-CipherSuite", "ECDHE-RSA-AES128-GCM-SHA256", Version.DTLS12, "ECDHE-RSA-AES128-GCM-SHA256"),
    ],
)
def test_the_header_of_the_answer_decides_the_version(header: str, name: str, version: Version, suite: str) -> None:
    found, _ = terms((header, name), ("X-DTLS-Session-ID", "ab" * 32), ("X-DTLS-Port", "443"))
    assert found is not None and found.mode.resumes
    assert (found.mode.version, found.mode.suites) == (version, (suite,))


def test_of_two_answers_the_shared_key_goes_first() -> None:  # section 3.3
    both = (*PSK, ("X-DTLS12-CipherSuite", "AES128-GCM-SHA256"), ("X-DTLS-Session-ID", "ab" * 32))
    found, _ = terms(*both)
    assert found is not None and found.mode.name == "PSK-NEGOTIATE"
    found, _ = terms(("X-DTLS-CipherSuite", "AES128-SHA"), *both[4:], ("X-DTLS-Port", "1"))
    assert found is not None and found.mode.header is Header.DTLS12


@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        ((), ""),
        (without("X-DTLS-CipherSuite"), ""),  # ocserv without DTLS still names the port (M)
        (without("X-DTLS-Port"), ""),
        ((*without("X-DTLS-Port"), ("X-DTLS-Port", "70000")), "X-DTLS-Port: got 70000, want 1 to 65535"),
        ((*without("X-DTLS-App-ID"), ("X-DTLS-App-ID", "xyz")), "X-DTLS-App-ID: got 3 characters, want 2 to 64"),
        ((*without("X-DTLS-App-ID"), ("X-DTLS-App-ID", "ab" * 33)), "got 66 characters"),
        (without("X-DTLS-App-ID"), "got 0 characters"),
        ((("X-DTLS-CipherSuite", "ROT13"), ("X-DTLS-Port", "1")), "got 'ROT13', which was not offered"),
        ((("X-DTLS-CipherSuite", "DES-CBC-SHA"), ("X-DTLS-Port", "1")), "which was not offered"),
        ((*PSK, ("X-DTLS-Content-Encoding", "deflate")), "X-DTLS-Content-Encoding: got 'deflate'"),
        (
            (("X-DTLS-CipherSuite", "AES128-SHA"), ("X-DTLS-Port", "1"), ("X-DTLS-Session-ID", "ab" * 31)),
            "X-DTLS-Session-ID: got 62 characters, want 64 hexadecimal digits",
        ),
    ],
)
def test_what_is_wrong_costs_dtls_and_nothing_more(headers: tuple[tuple[str, str], ...], warning: str) -> None:
    found, warnings = terms(*headers)
    assert found is None and (warning in warnings if warning else not warnings)


@pytest.mark.parametrize(
    ("method", "seconds", "rekey"),
    [("ssl", "100", 100), ("new-tunnel", "100", 100), ("none", "100", 0), ("ssl", "-1", 0), ("", "100", 0)],
)
def test_the_rekey_of_its_own(method: str, seconds: str, rekey: int) -> None:
    found, warnings = terms(*PSK, ("X-DTLS-Rekey-Method", method), ("X-DTLS-Rekey-Time", seconds))
    assert found is not None and found.timers.rekey == rekey and warnings == ""


def test_a_forced_dpd_wins() -> None:
    found, _ = terms(*PSK, ("X-DTLS-DPD", "30"), force_dpd=5)
    assert found is not None and found.timers.dpd == 5


def test_the_offer_hides_its_secret_and_names_no_weak_cipher() -> None:
    offer = DtlsOffer(offered(), (), b"\xab" * 48)
    assert dict(offer.headers())["X-DTLS-Master-Secret"] == "AB" * 48 and "\\xab" not in repr(offer)
    assert "X-DTLS-Accept-Encoding" not in dict(offer.headers())
    assert "DES" not in header_value(Header.DTLS, offer.modes)


def test_a_list_of_the_users_own() -> None:
    assert [mode.name for mode in offered("DES-CBC3-SHA:PSK-NEGOTIATE")] == ["DES-CBC3-SHA", "PSK-NEGOTIATE"]
    assert {mode.header for mode in offered("AES128-SHA")} == {Header.DTLS, Header.DTLS12}
    assert len({(mode.header, mode.name) for mode in MODES}) == len(MODES)
    with pytest.raises(ValueError, match="no DTLS cipher is named 'X'"):
        offered("X")


names = st.sampled_from(
    ["X-DTLS-CipherSuite", "X-DTLS12-CipherSuite", "X-DTLS-App-ID", "X-DTLS-Session-ID", "X-DTLS-Port", "X-DTLS-DPD"]
)
texts = st.one_of(st.text(max_size=70), st.sampled_from(["PSK-NEGOTIATE", "AES128-SHA", APP_ID, "443", "-1", "9" * 30]))


@given(st.lists(st.tuples(names, texts), max_size=12))
def test_no_headers_raise_anything(headers: list[tuple[str, str]]) -> None:
    found, _ = terms(*headers)
    assert found is None or (0 < found.port < 65536 and 1 <= len(found.session_id) <= 32)
