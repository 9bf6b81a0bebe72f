"""A browser's link in place of a cookie (section 3.7)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret, Ticket
from protocols.errors import MalformedAnswer, NotSupported, ProtocolError, SignInFailed
from protocols.f5 import F5
from protocols.f5.handover import parse
from tests.protocols.f5.gateway import Dialer, PppStream
from tests.protocols.f5.test_tunnel import BASE, GATEWAY, HEAD, told
from tests.protocols.refusals import refused
from tests.transports.http_doubles import FakeDialer, FakeStream, answer, redirect
from transports.errors import HttpError
from transports.http import HttpClient

BASIC = "f5-vpn://vpn.test/?server=vpn.test&port=4443&protocol=https&cmd=launch"
LIST = "&resourcename=%2FCommon%2Fx&resourcetype=webtop&resourcename=%2FCommon%2Ftwo&resourcetype=network_access"
URL = "https://vpn.test:4443/"


def ticket(link: str, url: str = URL) -> Ticket:
    return F5().ticket_from_cookie(url, Secret(link))


def test_a_session_in_the_link() -> None:
    held = ticket(f"{BASIC}{LIST}&sid=abc%2D1")
    assert (held.connect_url, held.cookie, dict(held.notes)) == (
        URL, Secret("MRHSession=abc-1"), {"resource": "/Common/two"},
    )  # fmt: skip
    assert ticket("F5-VPN://?server=vpn.test&sid=abc", "https://vpn.test").cookie == Secret("MRHSession=abc")
    assert ticket("f5-vpn://vpn.test/?sid=abc", "https://vpn.test").notes == {}


def test_the_last_of_several_codes_counts() -> None:
    link = parse(Secret(f"{BASIC}&otc=one&otc=two"))
    assert (link.code, link.session) == (Secret("two"), Secret(""))
    assert "two" not in repr(link)


@pytest.mark.parametrize(
    ("link", "error", "text"),
    [
        ("f5-vpn:", MalformedAnswer, "bad-cookie: .*no server"),
        ("f5-vpn://?sid=abc", MalformedAnswer, "bad-cookie: .*no server"),
        (BASIC, MalformedAnswer, "bad-cookie: .*neither sid nor otc"),
        (f"{BASIC}&token=abc", NotSupported, "f5-token"),
        (BASIC.replace("https", "http") + "&sid=abc", MalformedAnswer, "bad-cookie: .*https"),
        (f"{BASIC}&sid=abc" + "&x=1" * 100, MalformedAnswer, "bad-cookie: .*64 parameters"),
        (f"{BASIC}&sid=" + "a" * 20000, MalformedAnswer, "bad-cookie: .*characters"),
        (f"{BASIC}&sid=a%0d%0aX", MalformedAnswer, "bad-cookie"),
        (
            BASIC.replace("4443", "443") + "&sid=abc",
            MalformedAnswer,
            "auth-cross-origin: .*for vpn.test, not",
        ),
        (BASIC.replace("server=vpn", "server=evil") + "&sid=abc", MalformedAnswer, r"auth-cross-origin: .*evil\.test"),
    ],
)
def test_links_that_cannot_be_used(link: str, error: type[ProtocolError], text: str) -> None:
    with refused(error, text) as caught:
        ticket(link)
    assert "abc" not in str(caught.value)


@given(st.text(max_size=80), st.integers(0, 120))
def test_anything_is_a_link_or_a_named_error(noise: str, cut: int) -> None:
    for link in (f"f5-vpn:{noise}", f"{BASIC}&sid=abc{LIST}"[:cut] + noise):
        try:
            parse(Secret(link))
        except (MalformedAnswer, NotSupported, HttpError) as exc:
            assert str(exc)


EXCHANGED = answer(b"ok", "X-ACCESS-Session-ID: fresh")


def test_a_code_is_exchanged_once_and_the_session_used_from_then_on() -> None:
    protocol = F5()
    held = protocol.ticket_from_cookie(URL, Secret(f"{BASIC}{LIST}&otc=code7"))
    assert "code7" not in repr(held)
    exchange, first, second = FakeStream(EXCHANGED), told(), told()
    streams = (exchange, first, PppStream(HEAD, GATEWAY), second, PppStream(HEAD, GATEWAY))
    dialer = Dialer(*streams)
    for _ in range(2):
        asyncio.run(protocol.connect(dialer, held, BASE, now=0.0))  # type: ignore[arg-type]
    assert exchange.requests == [b"GET /vdesk/get_sessid_for_token.php3 HTTP/1.1"]
    assert b"X-ACCESS-Session-Token: code7\r\n" in exchange.written
    assert b"Cookie: MRHSession=fresh\r\n" in first.written and b"Cookie: MRHSession=fresh\r\n" in second.written
    assert b"connect.php3?resourcename=/Common/two" in first.written  # the one that was clicked on
    bye = FakeStream(answer(b"bye"))
    asyncio.run(protocol.logout(HttpClient(FakeDialer(bye), user_agent="x"), held))  # type: ignore[arg-type]
    assert b"Cookie: MRHSession=fresh\r\n" in bye.written


@pytest.mark.parametrize("said", [answer(b"no"), answer(b"", status="404 No"), redirect("/my.policy")])
def test_a_code_that_was_used_before(said: bytes) -> None:
    held = ticket(f"{BASIC}&otc=code7")
    stream = FakeStream(said)
    with refused(SignInFailed, "auth-failed: .*good once") as caught:
        asyncio.run(F5().connect(Dialer(stream), held, BASE, now=0.0))  # type: ignore[arg-type]
    assert stream.closed and "code7" not in str(caught.value)
