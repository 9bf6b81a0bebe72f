"""Palo Alto GlobalProtect: portal and gateway, XML and JavaScript answers, the tunnel over TLS (GPST) and ESP.

    signin.py      from an URL to a ticket: answers.py challenge.py portal.py login.py saml.py, sent by exchange.py
    tunnel.py      getconfig (config.py, ipsec.py), host report (hip.py, report.py), then ESP (udp.py) or GPST (gpst.py)
    esp.py         the probing and life of ESP, controller.py that of the TLS tunnel, life.py what they share; sans-IO
    cookie.py formdata.py identity.py ping.py logout.py

Section numbers and Q numbers in this package are those of the project's GlobalProtect specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.base import Interface, Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

if TYPE_CHECKING:
    from protocols.gp.tunnel import Attempt
    from transports.dialer import Dialer
    from transports.http import HttpClient

__all__ = ["GlobalProtect"]


class GlobalProtect:
    """The protocol, as the registry hands it out.  Parts are imported when they are needed: start-up counts."""

    name = "gp"
    title = "Palo Alto GlobalProtect"

    def __init__(self) -> None:
        self._held: tuple[Interface, ...] = ()  # a new sign-in of the same session asks for them again
        self._last: Attempt | None = None  # what made the last tunnel

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from protocols.gp.signin import sign_in

        return await sign_in(http, user, options, self._held)

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from protocols.gp.tunnel import Attempt, Session

        last, self._last = self._last, None
        attempt = Attempt(dialer, Session.of(ticket, options), options, now)
        tunnel = await attempt.run(last)
        self._held, self._last = tunnel.config.addresses, attempt
        return tunnel

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from protocols.gp.cookie import SessionCookie
        from transports.http_url import Url

        return Ticket(self.name, f"https://{Url.parse(url).authority}/", SessionCookie.parse(cookie).text())

    async def logout(self, http: HttpClient, ticket: Ticket) -> None:
        from protocols.gp.logout import log_out

        await log_out(http, ticket)
