"""The end of a session at the gateway (section 8)."""

from __future__ import annotations

import asyncio

from protocols.base import LogsOut, Secret, Ticket
from protocols.f5 import F5
from tests.transports.http_doubles import FakeDialer, FakeStream, redirect
from transports.http import HttpClient

TICKET = Ticket("f5", "https://vpn.test/", Secret("MRHSession=abc; F5_ST=1z1"))


def test_all_cookies_go_with_it_and_no_redirect_is_followed() -> None:
    protocol = F5()
    assert isinstance(protocol, LogsOut)
    stream = FakeStream(redirect("/vdesk/hangup"))
    http = HttpClient(FakeDialer(stream), user_agent="x")  # type: ignore[arg-type]
    asyncio.run(protocol.logout(http, TICKET))
    assert stream.requests == [b"GET /vdesk/hangup.php3?hangup_error=1 HTTP/1.1"]
    assert b"Cookie: MRHSession=abc; F5_ST=1z1\r\n" in stream.written
    assert len(http.cookies) == 0
