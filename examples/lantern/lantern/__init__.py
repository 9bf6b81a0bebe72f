"""Lantern, an invented VPN protocol: sign-in over HTTPS, a CONNECT, then frames of four bytes of header.

    signin.py      user and password -> a Ticket
    tunnel.py      the CONNECT, HELLO and CONFIG -> a Tunnel
    framing.py     bytes <-> packets and control frames, no I/O
    controller.py  the life of the tunnel, no I/O
    lab.py         the gateway's side, for `vpnclient lab serve lantern`

The protocol itself is told in README.md.
"""

from __future__ import annotations

from vpnclient.api import Dialer, HttpClient, Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

__all__ = ["Lantern"]


class Lantern:
    """What the entry point names."""

    name = "lantern"
    title = "Lantern (an example)"

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from lantern.signin import sign_in

        return await sign_in(http, user, options)

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from lantern.tunnel import open_tunnel

        return await open_tunnel(dialer, ticket, options, now)

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from lantern.signin import make_ticket

        return make_ticket(url, cookie.reveal())
