"""The cookie between two processes (section 2.15)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.anyconnect.cookies import MAX_COOKIE, from_token, parse
from protocols.base import Secret
from protocols.errors import MalformedAnswer


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("webvpn=abc", "abc"),
        ("abc", "abc"),
        ("AQeEM8lBIZFk/6CIt58=", "AQeEM8lBIZFk/6CIt58="),  # ocserv: ends in '='
        ("webvpn=AQeEM8lBIZFk/6CIt58=", "AQeEM8lBIZFk/6CIt58="),
        ("openconnect_strapkey=MHcCAQE=; webvpn=tok=en=", "tok=en="),
        ("webvpn=tok;openconnect_strapkey=MHcCAQE=", "tok"),
        ("webvpncontext=x; webvpn=y", "y"),
        ("webvpncontext=x", "webvpncontext=x"),  # no part is webvpn: the bare value
    ],
)
def test_every_printed_form_is_read(text: str, token: str) -> None:
    cookie = parse(Secret(text))
    assert cookie.webvpn.reveal() == token
    assert "strapkey" not in cookie.text().reveal()


@pytest.mark.parametrize(
    "text", ["", "  ", "webvpn=", "a\rb", "a\nX-Evil: 1", "a\0", "a\x7f", "ä", "x" * (MAX_COOKIE + 1)]
)
def test_what_must_not_enter_a_header_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        parse(Secret(text))
    assert caught.value.code == "bad-cookie"
    assert "Evil" not in str(caught.value)


def test_a_token_of_the_gateway_holds_one_value() -> None:
    assert from_token("a=b=").text() == Secret("webvpn=a=b=")
    with pytest.raises(MalformedAnswer, match="';'"):
        from_token("a; other=1")


@given(st.text())
def test_any_text_is_a_cookie_or_refused(text: str) -> None:
    try:
        token = parse(Secret(text)).webvpn.reveal()
    except MalformedAnswer:
        return
    assert token.isascii() and token.isprintable()


def test_a_cookie_does_not_show_itself() -> None:
    assert "hunter2" not in repr(parse(Secret("webvpn=hunter2")))
