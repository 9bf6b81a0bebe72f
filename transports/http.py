"""The HTTP client of a sign-in, and the request that turns a connection into a tunnel.

HttpClient keeps one connection to one gateway, its cookies and the current URL.  The connection:

    none --dial--> in use --reusable answer--> idle --request--> in use
                       \\--anything else--> closed (none)

Trust, client certificates, SNI and proxies are the dialer's, so that they are decided in one place.  Parts: bytes and
framing in http_exchange.py, heads in http_head.py, URLs in http_url.py, cookies in cookies.py, dumps in redact.py.

Times: seconds.  Source: anyconnect.md section 1, Q4, Q5, Q8, Q16, Q29, Q30.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transports import redact
from transports.cookies import Cookies
from transports.errors import ConnectionLost, HttpError, TimedOut, TlsError, Truncated
from transports.http_exchange import Exchange, GaveNoAnswer, Headers, Request
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.tls import TlsInfo, TlsStream

MAX_REDIRECTS = 10  # per request
REQUEST_TIMEOUT = 120.0  # seconds for one answer: gateways wait for a push to a phone meanwhile
READ_SIZE = 65536  # bytes
STREAM_TRIES = 2  # connections for a request whose answer is a tunnel (anyconnect.md 3.2)

_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding"})
_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie"})

OnTraffic = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.  url: what was asked, after redirects.  Its repr shows no header and no body."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    http_version: str = "1.1"

    def header(self, name: str) -> str | None:
        """The first value of a header, by name in any case."""
        return next(iter(self.values(name)), None)

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    @property
    def redirect(self) -> str | None:
        """Where the answer sends us: the Location of any status but 200."""
        return None if self.status == 200 else self.header("Location")


class HttpClient:
    """One gateway at a time; asking another host or port closes the connection and drops all cookies."""

    def __init__(
        self,
        dialer: Dialer,
        *,
        user_agent: str,
        timeout: float = REQUEST_TIMEOUT,
        keep_alive: bool = True,
        on_traffic: OnTraffic | None = None,
    ) -> None:
        """keep_alive False: a new connection for every request.  on_traffic: gets redacted lines."""
        self.dialer, self.user_agent = dialer, user_agent
        self.timeout, self.keep_alive, self.on_traffic = timeout, keep_alive, on_traffic
        self.cookies = Cookies()
        self.stream_info: TlsInfo | None = None  # of the newest connection
        self.peer_host = ""  # its numeric address
        self._url: Url | None = None
        self._stream: TlsStream | None = None

    @property
    def url(self) -> str:
        """The current URL: of the last request, after redirects; empty before the first."""
        return str(self._url) if self._url else ""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        follow_redirects: bool = True,
        fresh: bool = False,
        cookies: bool = True,
        timeout: float | None = None,
    ) -> Response:
        """Ask, follow redirects, return the final answer, whatever its status.

        url: absolute, or relative to the current one.  fresh: on a new connection.  cookies: send the store's (they
        are always taken).  timeout: for each answer.  Raises HttpError, TimedOut, or what dialing raises.
        """
        target = self._url.join(url) if self._url else Url.parse(url)
        if fresh:
            await self.close()
        for _hop in range(MAX_REDIRECTS + 1):
            response = await self._ask(method, target, list(headers), body, cookies, timeout or self.timeout)
            location = response.redirect
            if location is None or not follow_redirects:
                return response
            onward = target.join(location)
            method, headers, body = _redirected(response.status, method, headers, body, target, onward)
            target = onward
        raise HttpError(f"more than {MAX_REDIRECTS} redirects, the last to {target.authority}")

    async def close(self) -> None:
        """Close the connection; cookies and URL stay."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _ask(
        self, method: str, url: Url, headers: Headers, body: bytes | None, cookies: bool, timeout: float
    ) -> Response:
        """One request, one answer; a kept connection that turns out dead is replaced once, silently (Q8)."""
        if self._url is not None and not self._url.same_server(url):
            await self.close()
            self.cookies.clear()
        self._url = url
        request = Request(method, url.target, self._headers(method, url, headers, body, cookies), body or b"")
        if self._stream is not None:
            try:
                return await self._on_stream(self._stream, request, url, timeout, reused=True)
            except GaveNoAnswer:
                self._say("* the kept connection was dead: once more on a new one")
        stream = await self.dialer.dial(url.host, url.port)
        self._stream, self.stream_info, self.peer_host = stream, stream.info, stream.peer_host
        return await self._on_stream(stream, request, url, timeout)

    async def _on_stream(
        self, stream: TlsStream, request: Request, url: Url, timeout: float, *, reused: bool = False
    ) -> Response:
        exchange = Exchange(request, url.authority)
        try:
            _log_request(self._say, request)
            async with _deadline(url.authority, timeout):
                await run(exchange, stream, reused=reused)
            response = _response(exchange, url)
            _log_answer(self._say, response)
            self.cookies.take(response.values("Set-Cookie"), url.authority)
        except BaseException:
            await self.close()
            raise
        if not (exchange.reusable and self.keep_alive):
            await self.close()
        return response

    def _headers(
        self, method: str, url: Url, headers: Headers, body: bytes | None, cookies: bool
    ) -> tuple[tuple[str, str], ...]:
        """The protocol's headers as given, and the few that every request needs."""
        given = {name.lower() for name, _value in headers}
        ours = [("Host", url.authority), ("User-Agent", self.user_agent)]
        if cookies and len(self.cookies):
            ours.append(("Cookie", self.cookies.header()))
        theirs = list(headers)
        if body is not None or method in ("POST", "PUT"):
            theirs.append(("Content-Length", str(len(body or b""))))
        if "content-length" in given or "transfer-encoding" in given:
            theirs = list(headers)
        return tuple([pair for pair in ours if pair[0].lower() not in given] + theirs)

    def _say(self, line: str) -> None:
        if self.on_traffic is not None:
            self.on_traffic(line)


async def open_stream(
    dialer: Dialer,
    method: str,
    url: str,
    headers: Headers,
    *,
    timeout: float = REQUEST_TIMEOUT,
    on_traffic: OnTraffic | None = None,
    keep_alive: int = 0,
) -> tuple[Response, TlsStream, bytes]:
    """One request on a new connection, where HTTP ends with the head of the answer: for a tunnel.

    Returns the answer (its body empty), the stream, and the bytes that came after the head (Q29).  The caller owns
    the stream whatever the status.  If the connection is lost before the status line, it is tried once more.
    keep_alive: idle seconds before TCP probes.
    """
    target = Url.parse(url)
    given = {name.lower() for name, _value in headers}
    host = [] if "host" in given else [("Host", target.authority)]
    request = Request(method, target.target, (*host, *headers))
    for attempt in range(1, STREAM_TRIES + 1):
        stream = await dialer.dial(target.host, target.port, keep_alive=keep_alive)
        try:
            _log_request(on_traffic, request)
            exchange = Exchange(request, target.authority, head_only=True)
            async with _deadline(target.authority, timeout):
                await run(exchange, stream)
        except BaseException as exc:
            await stream.close()
            if isinstance(exc, GaveNoAnswer) and attempt < STREAM_TRIES:
                continue
            raise
        response = _response(exchange, target)
        _log_answer(on_traffic, response)
        return response, stream, exchange.unread
    raise AssertionError("unreachable: the last attempt returns or raises")


async def run(exchange: Exchange, stream: TlsStream, *, reused: bool = False) -> None:
    """Send the request and read the answer.

    Raises GaveNoAnswer (and on a reused connection nothing else before a status line), ConnectionLost, HttpError,
    TlsError.  A request that cannot be sent is no error yet: an alert or an early answer may wait to be read.
    """
    try:
        with suppress(ConnectionLost):
            await stream.write(exchange.to_send())
        while not exchange.done:
            try:
                data = await stream.read(READ_SIZE)
            except Truncated:
                data = b""  # no close_notify: the same to us (Q30)
            except ConnectionLost as exc:
                if exchange.started:
                    raise
                raise GaveNoAnswer(f"the connection was lost before the answer: {exc}") from exc
            if data:
                exchange.feed(data)
                await asyncio.sleep(0)  # a flood that never blocks must not outrun the deadline
            else:
                exchange.feed_eof()
    except TlsError as exc:
        if exchange.started or not reused:
            raise
        raise GaveNoAnswer(f"the connection failed before the answer: {exc}") from exc


@asynccontextmanager
async def _deadline(where: str, seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise TimedOut(where, seconds) from exc


def _redirected(
    status: int, method: str, headers: Headers, body: bytes | None, old: Url, new: Url
) -> tuple[str, Headers, bytes | None]:
    """What is asked at the new place.  A body is repeated for 307 and 308 only, and never to another server."""
    if not old.same_server(new):
        headers = [pair for pair in headers if pair[0].lower() not in _CREDENTIAL_HEADERS | {"host"}]
    if status in (307, 308) or method in ("GET", "HEAD"):
        if body is not None and not old.same_server(new):
            raise HttpError(f"redirect {status} wants the form sent to another server, {new.authority}: refused")
        return method, headers, body
    return "GET", [pair for pair in headers if pair[0].lower() not in _BODY_HEADERS], None


def _response(exchange: Exchange, url: Url) -> Response:
    head = exchange.head
    return Response(head.status, head.reason, head.headers, exchange.body, str(url), head.version)


def _log_request(say: OnTraffic | None, request: Request) -> None:
    if say is not None:
        for line in redact.request_lines(request.method, request.target, request.headers, len(request.body)):
            say(line)


def _log_answer(say: OnTraffic | None, answer: Response) -> None:
    if say is not None:
        for line in redact.answer_lines(
            answer.http_version, answer.status, answer.reason, answer.headers, len(answer.body)
        ):
            say(line)
