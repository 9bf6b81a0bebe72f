"""The logout (section 13.4)."""

from __future__ import annotations

import asyncio

import pytest

from protocols.base import LogsOut, Secret, Ticket
from protocols.errors import MalformedAnswer
from protocols.gp import GlobalProtect
from tests.protocols.doubles import FakeHttp, answer, coded
from transports.http import Response

COOKIE = "authcookie=deadbeef&portal=GW-N&user=u&domain=%28empty_domain%29&computer=vm"
TICKET = Ticket("gp", "https://gw.example:8443/", Secret(COOKIE))


def log_out(response: Response) -> FakeHttp:
    http = FakeHttp([response])
    http.user_agent = ""  # type: ignore[attr-defined]
    protocol = GlobalProtect()
    assert isinstance(protocol, LogsOut)
    asyncio.run(protocol.logout(http, TICKET))  # type: ignore[arg-type]
    return http


def test_the_session_string_as_it_is() -> None:
    (request,) = log_out(answer('<response status="success"/>')).requests
    assert request.url == "https://gw.example:8443/ssl-vpn/logout.esp" and request.text == COOKIE


@pytest.mark.parametrize(
    "response",
    [
        answer('<response status="error"><error>Invalid authentication cookie deadbeef</error></response>'),
        answer("gone"),
        answer("", status=512),
        answer("<html/>"),
    ],
)
def test_a_no_in_any_format_is_a_failure(response: Response) -> None:
    with coded(MalformedAnswer, "logout-failed") as caught:
        log_out(response)
    assert "deadbeef" not in str(caught.value)
