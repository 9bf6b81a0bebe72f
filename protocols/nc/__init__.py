"""Juniper Network Connect, of Juniper, Pulse and Ivanti gateways: HTML sign-in, oNCP over TLS, ESP over UDP.

    signin.py         from an URL to a ticket: exchange.py pages.py forms.py hostcheck.py cookies.py
    tunnel.py         the POST that becomes a tunnel: kmp.py configuration.py
    controller.py     the life of the tunnel, sans-IO; of ESP: esp_path.py (its life) esp.py (keys) esp_link.py (socket)

Section numbers and Q numbers in this package are those of the project's Juniper specification.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocols.base import Secret, SignInOptions, Ticket, Tunnel, TunnelOptions, User

if TYPE_CHECKING:
    from protocols.nc.hostcheck import HostChecker
    from transports.dialer import Dialer
    from transports.http import HttpClient

__all__ = ["NetworkConnect"]


class NetworkConnect:
    """The protocol, as the registry hands it out.  Parts are imported when they are needed: start-up counts.

    It holds the user's host checker, which a gateway may want to hear from as long as the session lives.
    """

    name = "nc"
    title = "Juniper Network Connect, Pulse or Ivanti Connect Secure"

    def __init__(self, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """random: so many bytes that nobody can foretell."""
        self._random = random
        self._checker: HostChecker | None = None

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        from protocols.nc.signin import SignIn

        self._stop_checker()
        signing_in = SignIn(http, user, options)
        try:
            ticket = await signing_in.run()
        except BaseException:
            if signing_in.checker is not None:
                signing_in.checker.stop()
            raise
        self._checker = signing_in.checker
        if self._checker is not None:
            self._checker.keep_going()
        return ticket

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        from protocols.nc.tunnel import open_tunnel

        return await open_tunnel(dialer, ticket, options, now, self._random)

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        from protocols.nc.cookies import parse
        from transports.http_url import Url

        return Ticket(self.name, f"https://{Url.parse(url).authority}/", parse(cookie).text())

    async def logout(self, http: HttpClient, ticket: Ticket) -> None:
        from protocols.nc.exchange import log_out

        self._stop_checker()
        await log_out(http, ticket)

    def _stop_checker(self) -> None:
        checker, self._checker = self._checker, None
        if checker is not None:
            checker.stop()
