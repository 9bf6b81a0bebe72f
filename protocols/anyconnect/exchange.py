"""The HTTP side of a sign-in: headers, current URL, redirects, and what a status means.

Source: anyconnect.md sections 1, 2.2, 2.7, 2.16.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocols.anyconnect.agent import user_agent
from protocols.errors import (
    ClientCertificateRequired,
    GatewayUnavailable,
    MalformedAnswer,
    NotSupported,
    SignInFailed,
)
from protocols.text import one_line
from transports.errors import ClientCertificateWanted, ConnectionLost, TimedOut
from transports.http_url import Url

if TYPE_CHECKING:
    from protocols.base import SignInOptions
    from transports.http import HttpClient, Response

MAX_REDIRECTS = 10  # per request
PAD = 64  # bytes: X-Pad fills a body up to a multiple of this
XML_TYPE = "application/xml; charset=utf-8"
FORM_TYPE = "application/x-www-form-urlencoded"
CERTIFICATE_WANTED = "the gateway wants a client certificate"


class Moved(Exception):
    """Another server is to be asked: an internal turn of the sign-in, never seen outside."""

    def __init__(self, url: Url) -> None:
        super().__init__(url.authority)
        self.url = url


class Gateway:
    """Requests of one sign-in.  xml: document mode, else the legacy mode.  url: what is posted to."""

    def __init__(self, http: HttpClient, options: SignInOptions) -> None:
        self._http = http
        self._agent = user_agent(options.user_agent, options.version)
        self.original = Url.parse(options.url)
        self.url = self.original
        self.xml = options.xml_post
        self.certificate_refused = False  # the gateway said so in a cookie (Q7)

    @property
    def token(self) -> str:
        return self._http.cookies.get("webvpn") or ""

    @token.setter
    def token(self, value: str) -> None:
        self._http.cookies.set("webvpn", value)

    @property
    def address(self) -> str:
        """Numeric address of the gateway; empty behind a proxy, which alone knows it."""
        return "" if self._http.dialer.through_proxy else self._http.peer_host

    @property
    def certificate_sent(self) -> bool:
        """On the newest connection."""
        info = self._http.stream_info
        return info is not None and bool(info.client_certificate_sent)

    @property
    def fingerprint(self) -> str:
        info = self._http.stream_info
        return info.pin if info is not None else ""

    def move(self, url: Url) -> None:
        """Go on with another URL; another server gets none of the cookies."""
        if not url.same_server(self.url):
            self._http.cookies.clear()
        self.url = url

    def aim(self, action: str | None) -> None:
        """Take over a form's action: absent means the current URL."""
        if action is not None:
            self.move(self._keep_query(self.url.join(action)))

    async def ask(self, body: bytes | None, *, fresh: bool = False) -> Response:
        """One request to the current URL, redirects not followed: POST with a body, else GET."""
        return await self._send("GET" if body is None else "POST", self.url, body, fresh)

    async def follow(self, body: bytes | None, *, fresh: bool = False) -> Response:
        """As `ask`, but go where the answer sends us on the same server.  Raises Moved for another.

        A body is repeated only where HTTP says so (307, 308), and never to another server: it may hold a password.
        """
        for _hop in range(MAX_REDIRECTS + 1):
            response = await self.ask(body, fresh=fresh)
            target = self.redirect(response)
            if target is None:
                return response
            if not target.same_server(self.url):
                raise Moved(target)
            if response.status not in (307, 308):
                body = None
            self.url, fresh = target, False
        raise MalformedAnswer("auth-redirects", f"more than {MAX_REDIRECTS} redirects at {self.url.authority}")

    def redirect(self, response: Response) -> Url | None:
        location = response.redirect
        return None if location is None else self._keep_query(self.url.join(location))

    async def forget_connection(self) -> None:
        await self._http.close()

    def _keep_query(self, url: Url) -> Url:
        """The query of the user's own URL goes with every request: ocserv's camouflage looks for it (section 10)."""
        query = self.original.target.partition("?")[2]
        if not query or "?" in url.target or not url.same_server(self.original):
            return url
        return replace(url, target=f"{url.target}?{query}")

    async def _send(self, method: str, url: Url, body: bytes | None, fresh: bool) -> Response:
        headers = self._headers(body)
        for attempt in (1, 2):
            try:
                response = await self._http.request(
                    method, str(url), headers=headers, body=body, follow_redirects=False, fresh=fresh
                )
                break
            except ClientCertificateWanted as exc:
                raise ClientCertificateRequired(f"{CERTIFICATE_WANTED}: {exc}") from exc
            except TimedOut:
                raise  # it only hangs
            except ConnectionLost as exc:
                self._judge_loss(exc, fresh, attempt)
        if any(value.strip().startswith("ClientCertAuthFailed=") for value in response.values("Set-Cookie")):
            self.certificate_refused = True
        return response

    def _judge_loss(self, error: ConnectionLost, fresh: bool, attempt: int) -> None:
        """A connection that asked for a certificate was lost; returns to try once more, or raises.

        ocserv just closes when it does not like the certificate, or has none; with TLS 1.3 that shows at the first
        read only (section 2.8).  A gateway that just went away does not get as far a second time.
        """
        if isinstance(error.__cause__, ClientCertificateWanted):
            raise ClientCertificateRequired(f"{CERTIFICATE_WANTED}: {error.__cause__}") from error
        info = self._http.stream_info
        if info is None or not info.client_certificate_asked or not fresh:
            raise error
        if attempt > 1:
            got = "did not take ours" if info.client_certificate_sent else "got none"
            text = f"{CERTIFICATE_WANTED} and {got}: it closed the connection before any answer, twice"
            raise ClientCertificateRequired(text) from error

    def _headers(self, body: bytes | None) -> list[tuple[str, str]]:
        """Headers of every request.  The place for the STRAP keys and the mobile device's identity, once there are any.

        Without `X-Support-HTTP-Auth` a gateway that could use HTTP authentication shows a form instead (2.16).
        """
        headers = [
            ("User-Agent", self._agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("X-Transcend-Version", "1"),
        ]
        if self.xml:
            headers.append(("X-Aggregate-Auth", "1"))  # never in legacy mode (Q9)
        if body is not None:
            headers.append(("X-Pad", "0" * pad_length(len(body))))
            headers.append(("Content-Type", XML_TYPE if self.xml else FORM_TYPE))
        return headers


def pad_length(body_length: int) -> int:
    """1 to 64 characters that hide the length of a password."""
    return PAD * (1 + body_length // PAD) - body_length


def refusal(response: Response) -> Exception | None:
    """The error that a status means in every mode; None: the status is for the caller to judge."""
    reason = one_line(response.reason)[:200]
    if response.status == 401:
        schemes = [value.split(" ")[0].strip(",") for value in response.values("WWW-Authenticate")]
        if schemes:
            names = ", ".join(dict.fromkeys(one_line(scheme)[:40] for scheme in schemes[:20]))
            return NotSupported(
                "http-auth", f"the gateway wants HTTP authentication ({names}), which this version cannot do"
            )
    if response.status in (401, 403) and "certificate" in reason.lower():
        return ClientCertificateRequired(f"{CERTIFICATE_WANTED}: {response.status} {reason}")  # ocserv, measured
    if response.status in (401, 403):
        return SignInFailed(f"the gateway refused the sign-in: {response.status} {reason}".rstrip())
    return None


def bad_status(response: Response, where: str) -> Exception:
    """The error for a status that no sign-in can go on with."""
    reason = one_line(response.header("X-Reason") or response.reason)[:200]
    said = f"{response.status} {reason}".rstrip()
    if response.status == 503:
        return GatewayUnavailable(f"{where} cannot serve now: {said}")
    return MalformedAnswer("auth-status", f"got HTTP status {said} from {where}, want 200")
