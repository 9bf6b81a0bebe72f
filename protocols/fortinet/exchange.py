"""The HTTP side of a sign-in: requests, redirects, and the cookie that says when it is complete (sections 2 and 3.1).

After every answer, also of a redirect on the way, the cookie is looked at first: success may come with any status.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols.base import Secret
from protocols.errors import ClientCertificateRequired, MalformedAnswer, NotSupported
from protocols.fortinet import cookies
from transports.errors import ClientCertificateWanted
from transports.http_url import Url

if TYPE_CHECKING:
    from protocols.base import SignInOptions
    from transports.http import HttpClient, Response

AGENT = "Mozilla/5.0 SV1"  # with it the answers are short, and many gateways check no host
MAX_REDIRECTS = 10  # in a row, a script's too
MAX_REQUESTS = 64  # of one sign-in
MAX_BODY = 2**20  # bytes
MAX_REALM = 1024  # characters
FORM_TYPE = "application/x-www-form-urlencoded"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAML = "/remote/saml/start"
_SCRIPT = re.compile(rb"""top\.location\s*=\s*(["'])(\\?/(?!\\?/)[!-~]{0,2048}?)\1""")
_SSO = (
    "the sign-in goes on in a browser, at {where}; sign in there and give its cookie " + cookies.NAME + " with --cookie"
)


class Gateway:
    """Requests of one sign-in.  url: the current one."""

    def __init__(self, http: HttpClient, options: SignInOptions) -> None:
        self._http = http
        self._agent = options.user_agent or AGENT
        self._requests = 0
        self.url = Url.parse(options.url)

    @property
    def complete(self) -> bool:
        return bool(self._http.cookies.get(cookies.NAME))

    @property
    def cookie(self) -> Secret:
        """Raises MalformedAnswer."""
        return cookies.checked(self._http.cookies.get(cookies.NAME) or "")

    @property
    def address(self) -> str:
        """Numeric address of the gateway; empty behind a proxy, which alone knows it."""
        return "" if self._http.dialer.through_proxy else self._http.peer_host

    @property
    def fingerprint(self) -> str:
        info = self._http.stream_info
        return info.pin if info is not None else ""

    @property
    def realm(self) -> str:
        """As the URL has it: encoding it again would break the sign-in (Q7)."""
        pairs = (part.partition("=") for part in self.url.target.partition("?")[2].split("&"))
        found = next((value for name, _, value in pairs if name == "realm"), "")
        if len(found) > MAX_REALM:
            raise MalformedAnswer("auth-bad-realm", f"a realm of {len(found)} characters, want at most {MAX_REALM}")
        return found

    async def ask(self, url: Url, body: bytes | None = None, *, timeout: float | None = None) -> Response:
        """A GET, or a POST with a body, and where it leads; the last answer, or the first that completes it."""
        secret = body is not None
        for _hop in range(MAX_REDIRECTS + 1):
            self._must_not_be_saml(url)
            response = await self._send(url, body, timeout)
            self.url = url
            if self.complete:
                return response
            target = _onward(response)
            if target is None:
                return response
            url, body = url.join(target), None
            if secret and not url.same_server(self.url):
                raise MalformedAnswer("auth-cross-origin", f"{self.url.authority} leads to {url.authority}: refused")
        raise MalformedAnswer("auth-redirects", f"more than {MAX_REDIRECTS} redirects at {self.url.authority}")

    async def _send(self, url: Url, body: bytes | None, timeout: float | None) -> Response:
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise MalformedAnswer("auth-loop", f"more than {MAX_REQUESTS} requests in one sign-in")
        headers = [("User-Agent", self._agent), ("Accept-Encoding", "identity")]
        if body is not None:
            headers.append(("Content-Type", FORM_TYPE))
        method = "GET" if body is None else "POST"
        try:
            response = await self._http.request(
                method, str(url), headers=headers, body=body, follow_redirects=False, timeout=timeout
            )
        except ClientCertificateWanted as exc:
            raise ClientCertificateRequired(f"the gateway wants a client certificate: {exc}") from exc
        if len(response.body) > MAX_BODY:
            text = f"{url.authority}: an answer of {len(response.body)} bytes, want at most {MAX_BODY}"
            raise MalformedAnswer("http-too-large", text)
        return response

    def _must_not_be_saml(self, url: Url) -> None:
        if url.target.partition("?")[0].startswith(SAML):
            raise NotSupported("sso-required", _SSO.format(where=f"https://{url.authority}{url.target}"))


def _onward(response: Response) -> str | None:
    """Where an answer leads: by its head, or by a script (Q8)."""
    if response.status in REDIRECTS:
        return response.header("Location")
    found = _SCRIPT.search(response.body) if response.status == 200 else None
    return found[2].decode("ascii").replace("\\/", "/") if found else None
