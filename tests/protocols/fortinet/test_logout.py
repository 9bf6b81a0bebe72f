"""The end of a session at the gateway (section 8)."""

from __future__ import annotations

import asyncio

from protocols.base import LogsOut, Secret, Ticket
from protocols.fortinet import Fortinet
from tests.transports.http_doubles import FakeDialer, FakeStream, redirect
from transports.http import HttpClient

TICKET = Ticket("fortinet", "https://vpn.test/", Secret("SVPNCOOKIE=abc"))


def test_the_cookie_goes_with_it_and_no_redirect_is_followed() -> None:
    protocol = Fortinet()
    assert isinstance(protocol, LogsOut)
    stream = FakeStream(redirect("/remote/login"))
    http = HttpClient(FakeDialer(stream), user_agent="x")  # type: ignore[arg-type]
    asyncio.run(protocol.logout(http, TICKET))
    assert stream.requests == [b"GET /remote/logout HTTP/1.1"]
    assert b"Cookie: SVPNCOOKIE=abc\r\n" in stream.written and b"User-Agent: Mozilla/5.0 SV1\r\n" in stream.written
    assert len(http.cookies) == 0
