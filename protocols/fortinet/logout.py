"""The end of a session at the gateway (section 8): one that is left keeps its address, and may block the next (Q19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.fortinet import cookies
from transports.http_url import Url

if TYPE_CHECKING:
    from protocols.base import Secret, Ticket
    from transports.http import HttpClient

TARGET = "/remote/logout"


async def log_out(http: HttpClient, ticket: Ticket, cookie: Secret, agent: str) -> None:
    """Any answer will do.  Raises ProtocolError or TransportError."""
    url = Url.parse(ticket.connect_url).join(TARGET)
    http.cookies.set(cookies.NAME, cookie.reveal())
    headers = [("User-Agent", agent)]
    await http.request("GET", str(url), headers=headers, follow_redirects=False, fresh=True)
    http.cookies.clear()
