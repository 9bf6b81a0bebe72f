"""The session cookies between two processes (section 2.9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.nc.cookies import MAX_COOKIE, SessionCookie, make, parse
from tests.protocols.refusals import refused

FULL = "DSID=abc; DSFirst=17; DSLast=18; DSSignInUrl=/staff"


@pytest.mark.parametrize(
    "given_text, text",
    [
        (FULL, FULL),
        ("DSID=abc", "DSID=abc"),
        ("abc", "DSID=abc"),
        (" DSID=a=b== ;DSLast=2", "DSID=a=b==; DSLast=2"),
        ("DSFirstAccess=17; DSID=abc; DSLastAccess=18; DSSignInURL=/staff; other=1", FULL),
        ("DSID=abc; DSID=def", "DSID=abc"),
    ],
)
def test_what_people_and_programs_bring(given_text: str, text: str) -> None:
    assert parse(Secret(given_text)).text().reveal() == text


def test_the_gateway_gets_its_own_names_back() -> None:
    header = parse(Secret(FULL)).header().reveal()
    assert header == "DSID=abc; DSFirstAccess=17; DSLastAccess=18; DSSignInURL=/staff"


@pytest.mark.parametrize("text", ["", ";", "other=1", "DSID=", "DSID=a\r\nX: y", "DSID=ä", "x" * (MAX_COOKIE + 1)])
def test_what_must_not_enter_a_header_is_refused(text: str) -> None:
    with refused(MalformedAnswer, match="^bad-cookie: [^=]*$"):
        parse(Secret(text))


def test_a_value_of_the_gateway_s_cannot_bring_others_along() -> None:
    with refused(MalformedAnswer, match="a ';' in the value"):
        make("abc; DSLast=1")


@given(st.text(max_size=60))
def test_any_text_is_a_cookie_or_refused(text: str) -> None:
    try:
        cookie = parse(Secret(text))
    except MalformedAnswer:
        return
    assert isinstance(cookie, SessionCookie) and parse(cookie.text()) == cookie
    assert cookie.header().reveal().isprintable()
