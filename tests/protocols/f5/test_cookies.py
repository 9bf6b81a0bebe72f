"""The cookies that are a session (sections 3.1, 3.2, 12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.f5 import F5
from protocols.f5.cookies import SessionCookies, expiry, parse
from tests.protocols.refusals import refused


@pytest.mark.parametrize(
    ("times", "ends"),
    [
        ("1z1z1z1700000000z604800", 1700604800),
        ("1z1z1z4294967296z3600z9", 4294970896),  # Q16
        ("1z1z1z1700000000", None),
        ("1z1z1z1700000000z0", None),
        ("1z1z1z1700000000z-5", None),
        ("1z1z1zxz5", None),
        ("1z1z1z" + "9" * 30 + "z5", None),
        ("", None),
    ],
)
def test_when_a_session_ends(times: str, ends: int | None) -> None:
    assert expiry(times) == ends


@given(st.text(max_size=60))
def test_any_text_has_an_end_or_none(text: str) -> None:
    assert expiry(text) is None or isinstance(expiry(text), int)


@pytest.mark.parametrize(
    ("text", "session", "times"),
    [
        ("MRHSession=abc; F5_ST=1z1z1z1z1", "abc", "1z1z1z1z1"),
        ("F5_ST=1z1; MRHSession=a=b=", "a=b=", "1z1"),
        (" MRHSession=abc ", "abc", ""),
        ("abc", "abc", ""),
        ("LastMRH_Session=1;MRHSession=abc", "abc", ""),
    ],
)
def test_what_another_process_printed(text: str, session: str, times: str) -> None:
    assert parse(Secret(text)) == SessionCookies(Secret(session), times)


@pytest.mark.parametrize(
    "text", ["", "F5_ST=1", "MRHSession=", "MRHSession=a\r\nX: y", "MRHSession=\u20ac", "a" * 16385]
)
def test_what_cannot_be_a_cookie(text: str) -> None:
    with refused(MalformedAnswer, "bad-cookie") as caught:
        parse(Secret(text))
    assert "X: y" not in str(caught.value)


def test_tickets_from_cookies() -> None:
    ticket = F5().ticket_from_cookie("https://vpn.test:8443/some/path", Secret("abc"))
    assert (ticket.protocol, ticket.connect_url) == ("f5", "https://vpn.test:8443/")
    assert ticket.cookie == Secret("MRHSession=abc")
    assert "abc" not in repr(ticket)
