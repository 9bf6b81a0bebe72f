"""F5 BIG-IP APM: HTML sign-in, XML configuration, PPP over DTLS, or over TLS with and without HDLC-like framing.

    signin.py      from an URL to a ticket: exchange.py (HTTP) page.py (HTML) script.py (JSON) forms.py model.py
    tunnel.py      plan.py: profiles.py options.py; config.py (-> TunnelConfig), then protocols/ppp/ behind one of
                   udp.py answer.py (DTLS), request.py (TLS); way.py: from TLS back to DTLS
    logout.py cookies.py handover.py (a browser's link)

Section numbers and Q numbers in this package are those of the project's F5 notes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocols.base import Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

if TYPE_CHECKING:
    from protocols.f5.way import Way
    from transports.dialer import Dialer
    from transports.http import HttpClient

__all__ = ["F5"]


class F5:
    """The protocol, as the registry hands it out.  Parts are imported when they are needed: start-up counts."""

    name = "f5"
    title = "F5 BIG-IP APM"

    def __init__(self, dtls_every: float = 0) -> None:
        """dtls_every: seconds between two looks for the way back from TLS to DTLS; 0: the usual."""
        self._dtls_every = dtls_every
        self._way: tuple[Secret, Way] | None = None  # of the newest cookie
        self._opened: Secret | None = None  # the cookie of the newest tunnel: its addresses must stay (section 8)
        self._redeemed: dict[Secret, Secret] = {}  # codes of a browser's link -> cookies

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from protocols.f5.signin import sign_in

        return await sign_in(http, user, options)

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from protocols.f5.tunnel import open_tunnel

        ticket = await self._with_session(dialer, ticket, options)
        way = self._way_of(ticket.cookie)
        tunnel = await open_tunnel(dialer, ticket, options, now, way, again=ticket.cookie == self._opened)
        self._opened = ticket.cookie
        return tunnel

    async def logout(self, http: HttpClient, ticket: Ticket) -> None:
        from protocols.f5.logout import log_out

        if self._way is not None:
            self._way[1].close()
        await log_out(http, replace(ticket, cookie=self._redeemed.get(ticket.cookie, ticket.cookie)))

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from protocols.f5 import handover
        from protocols.f5.cookies import parse
        from transports.http_url import Url

        if handover.is_link(cookie):
            return handover.ticket(self.name, url, cookie)
        connect_url = f"https://{Url.parse(url).authority}/"
        return Ticket(self.name, connect_url, parse(cookie).text())

    def _way_of(self, cookie: Secret) -> Way:
        from protocols.f5.way import EVERY, Way

        if self._way is None or self._way[0] != cookie:
            if self._way is not None:
                self._way[1].close()
            self._way = cookie, Way(self._dtls_every or EVERY)
        return self._way[1]

    async def _with_session(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions) -> Ticket:
        """The ticket, its code exchanged for the session, once."""
        from protocols.f5 import handover

        if not handover.code_of(ticket):
            return ticket
        if ticket.cookie not in self._redeemed:
            from transports.http import HttpClient

            http = HttpClient(dialer, user_agent=options.user_agent or f"vpnclient {options.version}")
            try:
                self._redeemed[ticket.cookie] = await handover.redeem(http, ticket)
            finally:
                await http.close()
        return replace(ticket, cookie=self._redeemed[ticket.cookie])
