"""Cisco AnyConnect and ocserv: XML sign-in, the CSTP channel over TLS.

    signin.py      from an URL to a ticket: documents.py page.py forms.py replies.py exchange.py, values in model.py
    tunnel.py      the CONNECT: options.py (headers -> TunnelConfig) headers.py mtu.py
    controller.py  the life of the channel, sans-IO
    cookies.py agent.py

Section numbers and Q numbers in this package are those of the project's AnyConnect specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.base import Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import HttpClient

__all__ = ["AnyConnect"]


class AnyConnect:
    """The protocol, as the registry hands it out.  Parts are imported when they are needed: start-up counts."""

    name = "anyconnect"
    title = "Cisco AnyConnect or ocserv"

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from protocols.anyconnect.signin import sign_in

        return await sign_in(http, user, options)

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from protocols.anyconnect.tunnel import open_tunnel

        return await open_tunnel(dialer, ticket, options, now)

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from protocols.anyconnect.cookies import parse
        from transports.http_url import Url

        connect_url = f"https://{Url.parse(url).authority}/"
        return Ticket(self.name, connect_url, parse(cookie).text())
