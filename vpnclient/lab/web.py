"""HTTP/1.1 from the server's side, on any byte stream: one request at a time, every size capped.

h11 parses; what breaks HTTP or a cap is answered with 4xx and ends the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import h11

from vpnclient.lab.site import Headers, Page, Request

MAX_HEAD = 64 * 1024  # bytes of request line and headers; what comes in one read on top is let through
MAX_BODY = 256 * 1024  # bytes; what ocserv takes (anyconnect.md section 10)
MAX_REQUESTS = 64  # per connection
IDLE_TIMEOUT = 60.0  # seconds for a whole request to arrive
SERVER = ("Server", "vpnclient-lab")
_HEAD_ENDS = re.compile(rb"\n\r?\n")
_BARE_HEAD = re.compile(rb"([A-Z]{1,16} [!-~]{1,8192} HTTP/1\.1\r\n)\r\n")


class ByteStream(Protocol):
    """What is needed of a TLS stream."""

    async def read(self, limit: int = 65536) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """A request that is answered with an error and ends the connection."""

    page: Page


def _is_connect(method: str, target: str) -> bool:
    return method == "CONNECT"


class HttpServer:
    """The server's side of one connection."""

    def __init__(
        self, stream: ByteStream, certificate: bytes = b"", opens_tunnel: Callable[[str, str], bool] = _is_connect
    ) -> None:
        """opens_tunnel(method, target): HTTP ends with the head of such a request."""
        self._stream, self._certificate, self._opens_tunnel = stream, certificate, opens_tunnel
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._served = 0

    async def next_request(self) -> Request | None:
        """The next request; None: the client has gone, or has had enough.  Raises Refused."""
        if self._served >= MAX_REQUESTS:
            return None
        if self._served:
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return None
            self._http.start_next_cycle()
        self._served += 1
        try:
            async with asyncio.timeout(IDLE_TIMEOUT):
                return await self._read_request()
        except TimeoutError:
            return None
        except h11.RemoteProtocolError as exc:
            status = exc.error_status_hint
            raise Refused(Page(status, "Bad Request", (("X-Reason", str(exc)),), close=True)) from exc

    async def _begin(self) -> None:
        """GlobalProtect's GET for its tunnel has no header at all, which h11 refuses: such a head gets a Host."""
        data = bytes(self._http.trailing_data[0])
        if data:
            return  # h11 has some of the next request already
        while len(data) <= MAX_HEAD and (not data or data > b" ") and not _HEAD_ENDS.search(data):
            if not (more := await self._stream.read()):
                break
            data += more
        if bare := _BARE_HEAD.match(data):
            data = bare[1] + b"Host: lab\r\n\r\n" + data[bare.end() :]
        self._http.receive_data(data)  # none: the end

    async def _read_request(self) -> Request | None:
        await self._begin()
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None  # the connection was closed between requests
        method, target = head.method.decode("ascii"), head.target.decode("latin-1")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        if self._opens_tunnel(method, target):
            return Request(method, target, headers, certificate=self._certificate)
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage | h11.ConnectionClosed | None):
            if isinstance(event, h11.Data):
                body += event.data
            if len(body) > MAX_BODY:
                raise Refused(Page(413, "Payload Too Large", close=True))
        return Request(method, target, headers, bytes(body), self._certificate)

    async def _next_event(self) -> h11.Event | None:
        """None: paused, a CONNECT waits for its answer."""
        while True:
            event = self._http.next_event()
            if event is h11.PAUSED:
                return None
            if isinstance(event, h11.Event):
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._stream.read())

    async def answer(self, page: Page) -> bool:
        """Send a page; False: the connection is to be closed."""
        ends = [("Connection", "close")] if page.close else []
        headers = [SERVER, *_clean(page.headers), *ends, ("Content-Length", str(len(page.body)))]
        response = h11.Response(status_code=page.status, reason=page.reason, headers=headers)
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events: list[h11.Event] = [response, h11.Data(data=page.body), h11.EndOfMessage()]
            await self._send(*events)
        return not page.close

    async def switch(self, reason: str, headers: Headers, head: bytes | None = None) -> bytes:
        """Answer the request for a tunnel with 200, the last of HTTP; the bytes that the client sent after its head.

        head: what is sent in place of that; empty: nothing.
        """
        lines = [f"HTTP/1.1 200 {reason}", *(f"{name}: {value}" for name, value in (SERVER, *_clean(headers)))]
        said = "\r\n".join([*lines, "", ""]).encode("ascii") if head is None else head
        if said:
            await self._stream.write(said)
        rest, _ = self._http.trailing_data
        return bytes(rest)

    async def _send(self, *events: h11.Event) -> None:
        await self._stream.write(b"".join(self._http.send(event) or b"" for event in events))


def _clean(headers: Headers) -> Headers:
    """Values may quote what a client sent: whatever it was, one line of ASCII goes out."""
    return tuple((name, "".join(c if " " <= c <= "~" else "." for c in value).strip()) for name, value in headers)
