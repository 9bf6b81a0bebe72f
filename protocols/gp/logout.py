"""The logout: the session string, to the gateway that gave it (section 13.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocols.base import SignInOptions, Ticket
from protocols.errors import MalformedAnswer, ProtocolError
from protocols.gp import answers
from protocols.gp.cookie import SessionCookie
from protocols.gp.exchange import Exchange
from protocols.gp.identity import Identity
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient

PATH = "/ssl-vpn/logout.esp"


async def log_out(http: HttpClient, ticket: Ticket) -> None:
    """Raises ProtocolError or TransportError: the session string may still be good (it matters for security)."""
    cookie = SessionCookie.parse(ticket.cookie)
    url = replace(Url.parse(ticket.connect_url), target=PATH)
    agent = Identity.of(SignInOptions(ticket.connect_url, user_agent=http.user_agent))
    try:
        answer = await Exchange(http, agent).ask(url, cookie.text().reveal().encode("ascii"))
        answers.document(answer, "response", secrets=cookie.secrets())
    except ProtocolError as exc:
        raise MalformedAnswer("logout-failed", str(exc)) from exc
