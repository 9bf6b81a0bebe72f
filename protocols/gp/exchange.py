"""Requests to a portal or gateway, and what their statuses mean (sections 2.1 and 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.errors import (
    ClientCertificateRequired,
    CookieRejected,
    GatewayUnavailable,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
)
from protocols.gp.answers import InterfaceAbsent
from protocols.gp.identity import Identity
from protocols.text import one_line
from transports.errors import ClientCertificateWanted
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

MAX_REDIRECTS = 10  # of a prelogin
MAX_REQUESTS = 64  # of one sign-in
TIMEOUT = 30.0  # seconds for an answer
PATIENCE = 180.0  # seconds for the answer to a login: a push to a phone blocks it
PAD = 64  # bytes: X-Pad fills a body up to a multiple of this, to hide the length of a password
REASON = "x-private-pan-globalprotect"
NOT_ACCEPTED = 512
NO_CERTIFICATE = 513


class NotAccepted(ProtocolError):
    """Status 512: these credentials are refused; the text is the gateway's reason."""


class Exchange:
    """Requests of one sign-in, configuration or logout."""

    def __init__(self, http: HttpClient, identity: Identity) -> None:
        self._http, self._identity = http, identity
        self._left = MAX_REQUESTS

    async def prelogin(self, url: Url, body: bytes) -> bytes:
        """Redirects repeat the POST here, and nowhere else.  Raises InterfaceAbsent besides."""
        for _hop in range(MAX_REDIRECTS + 1):
            response = await self._post(url, body, TIMEOUT)
            location = response.header("Location")
            if response.status == 404:
                raise InterfaceAbsent(f"{url.authority} answers 404")
            if not 300 <= response.status < 400 or location is None:
                return self._judged(response, url, SignInFailed)
            url = url.join(location)
        raise MalformedAnswer("auth-redirects", f"more than {MAX_REDIRECTS} redirects, the last to {url.authority}")

    async def login(self, url: Url, body: bytes) -> bytes:
        """Raises NotAccepted, SignInFailed, ClientCertificateRequired."""
        return self._judged(await self._post(url, body, PATIENCE), url, SignInFailed)

    async def ask(self, url: Url, body: bytes) -> bytes:
        """A request of a session.  Raises CookieRejected when the session is not accepted."""
        try:
            return self._judged(await self._post(url, body, TIMEOUT), url, CookieRejected)
        except NotAccepted as exc:
            raise CookieRejected(str(exc)) from exc

    async def _post(self, url: Url, body: bytes, timeout: float) -> Response:
        if self._left <= 0:
            raise MalformedAnswer("auth-loop", f"more than {MAX_REQUESTS} requests")
        self._left -= 1
        headers = [*self._identity.headers(), ("X-Pad", "0" * (PAD - len(body) % PAD))]
        try:
            return await self._http.request(
                "POST", str(url), headers=headers, body=body, follow_redirects=False, timeout=timeout
            )
        except ClientCertificateWanted as exc:
            raise ClientCertificateRequired(f"the gateway wants a client certificate: {exc}") from exc

    @staticmethod
    def _judged(response: Response, url: Url, refused: type[SignInFailed | CookieRejected]) -> bytes:
        """The body of a 200; else raises what the status means."""
        status, where = response.status, url.authority
        if status == 200:
            return response.body
        reason = one_line(response.header(REASON) or response.reason)[:200]
        said = f"{status} {reason}".rstrip()
        if status == NOT_ACCEPTED:
            raise NotAccepted(f"{where} refused the sign-in: {said}")
        if status == NO_CERTIFICATE:
            raise ClientCertificateRequired(f"{where} wants a client certificate: {said}")
        if status in (401, 403):
            raise refused(f"{where} refused the request: {said}")
        if status == 405:
            raise NotSupported("unsupported", f"{where} does not take this kind of sign-in: {said}")
        if 500 <= status or status in (408, 429):
            raise GatewayUnavailable(f"{where} cannot serve now: {said}")
        raise MalformedAnswer("bad-status", f"got HTTP status {said} from {where}, want 200")
