"""Fortinet SSL VPN (FortiGate): sign-in with second factors, XML configuration, PPP over DTLS or TLS.

    signin.py      from an URL to a ticket: exchange.py (HTTP) answers.py (what comes) bodies.py (what is sent)
    tunnel.py      document.py config.py (XML -> TunnelConfig), then protocols/ppp/ behind one of
                   udp.py (DTLS) hello.py (its first record each way), or request.py (TLS)
    standing.py    whether a session may come back
    logout.py cookies.py

Section numbers and Q numbers in this package are those of the project's Fortinet notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.base import Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

if TYPE_CHECKING:
    from protocols.fortinet.standing import Standing
    from transports.dialer import Dialer
    from transports.http import HttpClient

__all__ = ["Fortinet"]


class Fortinet:
    """The protocol, as the registry hands it out.  Parts are imported when they are needed: start-up counts."""

    name = "fortinet"
    title = "Fortinet SSL VPN"

    def __init__(self) -> None:
        self._standing: Standing | None = None  # of the newest ticket
        self._agent = ""  # what the user wants us to call ourselves; empty: the usual

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from protocols.fortinet.signin import sign_in

        self._agent = options.user_agent
        return await sign_in(http, user, options)

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from protocols.fortinet.tunnel import open_tunnel

        self._agent = options.user_agent
        return await open_tunnel(dialer, ticket, options, now, self._standing_of(ticket))

    async def logout(self, http: HttpClient, ticket: Ticket) -> None:
        from protocols.fortinet.exchange import AGENT
        from protocols.fortinet.logout import log_out

        standing = self._standing_of(ticket)
        if not standing.rejected:
            await log_out(http, ticket, standing.newest, self._agent or AGENT)

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from protocols.fortinet import cookies
        from transports.http_url import Url

        connect_url = f"https://{Url.parse(url).authority}/"
        return Ticket(self.name, connect_url, cookies.text(cookies.parse(cookie)))

    def _standing_of(self, ticket: Ticket) -> Standing:
        from protocols.fortinet import cookies
        from protocols.fortinet.standing import Standing

        if self._standing is None or self._standing.cookie != ticket.cookie:
            before = self._standing
            self._standing = Standing(ticket.cookie, cookies.parse(ticket.cookie))
            if before is not None:  # a gateway that refuses DTLS does so after a new sign-in, too
                self._standing.datagrams = before.datagrams
        return self._standing
