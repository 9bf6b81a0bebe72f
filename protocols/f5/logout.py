"""The end of a session at the gateway (section 8): a tunnel that lives would block it, so it comes last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.f5 import cookies
from transports.http_url import Url

if TYPE_CHECKING:
    from protocols.base import Ticket
    from transports.http import HttpClient

TARGET = "/vdesk/hangup.php3?hangup_error=1"


async def log_out(http: HttpClient, ticket: Ticket) -> None:
    """Any answer will do.  Raises ProtocolError or TransportError."""
    url = Url.parse(ticket.connect_url).join(TARGET)
    for name, value in cookies.parse(ticket.cookie).pairs():
        http.cookies.set(name, value)
    await http.request("GET", str(url), follow_redirects=False, fresh=True)
    http.cookies.clear()
