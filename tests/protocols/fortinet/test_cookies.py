"""The cookie that is a session (sections 2, 3.7 and 11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.fortinet import Fortinet, cookies
from tests.protocols.refusals import refused


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SVPNCOOKIE=ab%0acd==", "ab%0acd=="),  # Q12
        (" SVPNCOOKIE=a+b/c ", "a+b/c"),
        ("a%0ab==", "a%0ab=="),
        ("SVPNTMPCOOKIE=1; SVPNCOOKIE=abc", "abc"),
        ("SVPNCOOKIE=abc; other=1", "abc"),
        ("a" * 4096, "a" * 4096),
    ],
)
def test_what_another_process_printed(text: str, value: str) -> None:
    assert cookies.parse(Secret(text)) == Secret(value)
    assert cookies.text(Secret(value)) == Secret(f"SVPNCOOKIE={value}")


@pytest.mark.parametrize(
    "text", ["", "SVPNCOOKIE=", "SVPNCOOKIE=a\r\nX: y", "SVPNCOOKIE=\u20ac", "a" * 4097, "a b", "a=1; b=2", "a\x7f"]
)
def test_what_cannot_be_a_cookie(text: str) -> None:
    with refused(MalformedAnswer, "bad-cookie") as caught:
        cookies.parse(Secret(text))
    assert "X: y" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_a_named_error(text: str) -> None:
    try:
        value = cookies.parse(Secret(text)).reveal()
    except MalformedAnswer as exc:
        assert exc.code == "bad-cookie"
    else:
        assert value.isascii() and value.isprintable() and not {" ", ";"} & set(value)


def test_tickets_from_cookies() -> None:
    ticket = Fortinet().ticket_from_cookie("https://vpn.test:10443/realm", Secret("abc"))
    assert (ticket.protocol, ticket.connect_url) == ("fortinet", "https://vpn.test:10443/")
    assert ticket.cookie == Secret("SVPNCOOKIE=abc")
    assert "abc" not in repr(ticket)
