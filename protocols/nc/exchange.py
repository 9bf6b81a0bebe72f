"""The HTTP side of a sign-in: headers, redirects, which host is the gateway, and the logout.

Source: juniper.md sections 2.1 and 9.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from protocols.base import SignInOptions, Ticket
from protocols.errors import ConnectRefused, MalformedAnswer
from protocols.nc import cookies
from protocols.nc.cookies import SessionCookie
from protocols.text import one_line
from transports.cookies import Cookies
from transports.errors import HttpError
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

MAX_REDIRECTS = 10  # per request
MAX_REQUESTS = 64  # per sign-in
PAD = 64  # bytes: X-Pad fills a body up to a multiple of this
FORM_TYPE = "application/x-www-form-urlencoded"
LOGOUT_PATH = "/dana-na/auth/logout.cgi"
GATEWAY_PATHS = "/dana"  # what paths of a gateway begin with
VERSION = ("NCP-Version", "3")
_DEFAULT_AGENT = "vpnclient/{version}"
MEANINGS = {
    "failed": "the gateway refused the sign-in: user name or password are wrong",
    "account-locked-out": "the account is locked",
    "more-cred": "the gateway wants a second password",
    "defender": "the gateway wants a code",
    "timed-out": "the session has timed out",
    "forced-off": "the session was ended by the administrator",
    "logout": "the session has ended",
}
REFUSALS = frozenset({"failed", "account-locked-out", "timed-out", "forced-off"})


def user_agent(wished: str, version: str) -> str:
    """The user's own, or a plain name: what looks like a browser starts host checks (Q21)."""
    return wished or _DEFAULT_AGENT.format(version=version)


class Gateway:
    """Requests of one sign-in.  url: where we are.  home: the server whose session cookies count."""

    def __init__(self, http: HttpClient, options: SignInOptions) -> None:
        self._http = http
        self._agent = user_agent(options.user_agent, options.version)
        self.url = self.home = Url.parse(options.url)
        self._jars: dict[str, Cookies] = {}  # by server: SAML goes to others and back
        self._requests = 0
        self.certificate_refused = False

    def cookie(self, name: str) -> str:
        """A cookie of the gateway's; empty: there is none, or another host is asked just now."""
        return (self._jar(self.url).get(name) or "") if self.url.same_server(self.home) else ""

    def set_cookie(self, name: str, value: str) -> None:
        """Raises HttpError: not the value of a cookie."""
        self._jar(self.home).set(name, value)

    def session(self) -> SessionCookie | None:
        """The session, once there is one."""
        dsid = self.cookie(cookies.NAME)
        if not dsid:
            return None
        sign_in_url = self.cookie("DSSignInURL") or self.cookie("DSSignInUrl")
        return cookies.make(dsid, self.cookie("DSFirstAccess"), self.cookie("DSLastAccess"), sign_in_url)

    @property
    def address(self) -> str:
        """Numeric address of the host asked; empty behind a proxy, which alone knows it."""
        return "" if self._http.dialer.through_proxy else self._http.peer_host

    @property
    def fingerprint(self) -> str:
        info = self._http.stream_info
        return info.pin if info is not None else ""

    @property
    def page_parameter(self) -> str:
        """The `p` of welcome.cgi?p=..., which tells what a page is about."""
        query = self.url.target.partition("?")[2]
        found = parse_qs(query, max_num_fields=50).get("p", [""]) if query.count("&") < 50 else [""]
        return found[0][:40]

    def target(self, action: str | None) -> Url:
        """Where a form or a link leads.  Raises MalformedAnswer."""
        return self.url if action is None else self._join(action)

    async def ask(self, url: Url, body: bytes | None = None) -> Response:
        """One request, redirects followed by GET until there is a session.  Raises MalformedAnswer."""
        for _hop in range(MAX_REDIRECTS + 1):
            response = await self._send(url, body)
            location = response.redirect
            if location is None or self.session() is not None:
                return response
            url, body = self._join(location), None
        raise MalformedAnswer("nc-too-many-redirects", f"more than {MAX_REDIRECTS} redirects at {self.url.authority}")

    def _join(self, location: str) -> Url:
        try:
            return self.url.join(location)
        except HttpError as exc:
            raise MalformedAnswer("nc-insecure-redirect", f"sent on by {self.url.authority}: {exc}") from exc

    def _jar(self, url: Url) -> Cookies:
        return self._jars.setdefault(url.authority.lower(), Cookies())

    def _move(self, url: Url) -> None:
        """Go on with another URL; a gateway may send us on to one of its kin."""
        if not url.same_server(self.url) and self.url.same_server(self.home) and url.target.startswith(GATEWAY_PATHS):
            self.home = url
        self.url = url

    async def _send(self, url: Url, body: bytes | None) -> Response:
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise MalformedAnswer("nc-too-many-requests", f"no session after {MAX_REQUESTS} requests")
        self._move(url)
        headers = [("User-Agent", self._agent), VERSION]
        jar = self._jar(url)
        if len(jar):
            headers.append(("Cookie", jar.header()))  # ours, as the client of HTTP forgets all at another host
        if body is not None:
            headers += [("Content-Type", FORM_TYPE), ("X-Pad", "0" * pad_length(len(body)))]
        method = "GET" if body is None else "POST"
        response = await self._http.request(
            method, str(url), headers=headers, body=body, follow_redirects=False, cookies=False
        )
        jar.take(response.values("Set-Cookie"), url.authority)
        if any(value.strip().startswith("ClientCertAuthFailed=") for value in response.values("Set-Cookie")):
            self.certificate_refused = True
        return response


def pad_length(body_length: int) -> int:
    """0 to 63 characters that hide the length of a password."""
    return -body_length % PAD


async def log_out(http: HttpClient, ticket: Ticket) -> None:
    """End the session: without it the cookie stays good.  Raises ConnectRefused: the gateway cannot."""
    cookie = cookies.parse(ticket.cookie)
    url = Url.parse(ticket.connect_url).join(LOGOUT_PATH)
    headers = [("Cookie", cookie.header().reveal()), VERSION]
    response = await http.request("GET", str(url), headers=headers, follow_redirects=False, cookies=False)
    if response.status >= 500:
        reason = one_line(response.reason)[:200]
        raise ConnectRefused(f"got HTTP status {response.status} {reason}".rstrip() + f" from {url.authority}")
