"""The HTTP side of a sign-in: requests, redirects, and the cookies that say when it is complete (sections 2, 3.1, 3.6).

After every answer, also of a redirect on the way, the cookies are looked at first: success may come with a page that
fails (Q2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols.base import Secret
from protocols.errors import (
    ClientCertificateRequired,
    GatewayUnavailable,
    MalformedAnswer,
)
from protocols.f5.cookies import SESSION, TIMES, SessionCookies
from protocols.f5.errors import AccessDenied, SignInRefused
from protocols.text import one_line
from transports.errors import ClientCertificateWanted
from transports.http_url import Url

if TYPE_CHECKING:
    from protocols.base import SignInOptions
    from transports.http import HttpClient, Response

MAX_REDIRECTS = 10  # in a row
MAX_REQUESTS = 64  # of one sign-in
FORM_TYPE = "application/x-www-form-urlencoded"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OVER = re.compile(r"/(?:my\.logout\.php3|vdesk/hangup\.php3)(?=[?#]|$)")
_ERROR_CODE = re.compile(r"[?&]errorcode=([0-9A-Za-z]{1,16})")


class Gateway:
    """Requests of one sign-in.  url: the current one."""

    def __init__(self, http: HttpClient, options: SignInOptions) -> None:
        self._http = http
        self._agent = options.user_agent or f"vpnclient {options.version}"
        self._requests = 0
        self.original = self.url = Url.parse(options.url)

    @property
    def complete(self) -> bool:
        cookies = self._http.cookies
        return bool(cookies.get(SESSION) and cookies.get(TIMES))

    @property
    def address(self) -> str:
        """Numeric address of the gateway; empty behind a proxy, which alone knows it."""
        return "" if self._http.dialer.through_proxy else self._http.peer_host

    @property
    def fingerprint(self) -> str:
        info = self._http.stream_info
        return info.pin if info is not None else ""

    def cookies(self) -> SessionCookies:
        store = self._http.cookies
        return SessionCookies(Secret(store.get(SESSION) or ""), store.get(TIMES) or "")

    def forget(self) -> None:
        """Begin anew: nothing that the gateway knows us by is kept."""
        self._http.cookies.clear()
        self.url = self.original

    async def ask(self, url: Url, body: bytes | None = None) -> Response:
        """A GET, or a POST with a body, and where it leads; the last answer, or the first that completes it."""
        for _hop in range(MAX_REDIRECTS + 1):
            self.url = url
            response = await self._send(url, body)
            if self.complete:
                return response
            location = response.header("Location") if response.status in REDIRECTS else None
            if location is None:
                self._judge(response)
                return response
            url, body = url.join(location), None  # also 307 and 308, as other clients do
            self._must_go_on(url)
        raise MalformedAnswer("auth-redirects", f"more than {MAX_REDIRECTS} redirects at {self.url.authority}")

    async def _send(self, url: Url, body: bytes | None) -> Response:
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise MalformedAnswer("auth-loop", f"more than {MAX_REQUESTS} requests in one sign-in")
        headers = [("User-Agent", self._agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
        if body is not None:
            headers.append(("Content-Type", FORM_TYPE))
        method = "GET" if body is None else "POST"
        try:
            return await self._http.request(method, str(url), headers=headers, body=body, follow_redirects=False)
        except ClientCertificateWanted as exc:
            raise ClientCertificateRequired(f"the gateway wants a client certificate: {exc}") from exc

    def _must_go_on(self, url: Url) -> None:
        """Pages that mean that the session is dead."""
        if not _OVER.match(url.target):
            return
        self._http.cookies.clear()
        code = _ERROR_CODE.search(url.target)
        raise AccessDenied(f"the gateway refuses the access{f' (error code {code[1]})' if code else ''}")

    def _judge(self, response: Response) -> None:
        """Statuses that no form can come with."""
        if response.status < 400:
            return
        said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
        if response.status in (401, 403):
            raise SignInRefused(f"the gateway refused the sign-in: {said}")
        if response.status == 503:
            raise GatewayUnavailable(f"{self.url.authority} cannot serve now: {said}")
        raise MalformedAnswer("auth-failed", f"got HTTP status {said} from {self.url.authority}, want a sign-in form")
