"""The request for the tunnel, whose success is silence: what comes is PPP, or HTTP that refuses (section 5)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from protocols.errors import ProtocolError
from protocols.fortinet.errors import SessionRejected, TunnelRefused, TunnelTimeout
from protocols.text import one_line, printable
from transports.errors import Truncated
from transports.http_exchange import Exchange, Request

if TYPE_CHECKING:
    from transports.http_url import Url
    from transports.tls import TlsStream

TARGET = "/remote/sslvpn-tunnel"
HTTP = b"HTTP/"  # PPP differs at the third byte
LISTEN = 0.25  # seconds: a refusal must not be lost to the reset that our first packet would cause
SILENCE = 30.0  # seconds until a gateway that says nothing is given up
MAX_STATUS_LINE = 8192  # bytes
_STATUS = re.compile(rb"HTTP/[0-9.]{1,8} +([0-9]{3})(?: ([^\r\n]*))?")


def encode(url: Url, agent: str, cookies: str) -> bytes:
    """Raises HttpError."""
    headers = (("Host", url.authority), ("User-Agent", agent), ("Cookie", cookies))
    return Exchange(Request("GET", TARGET, headers), url.authority, head_only=True).to_send()


class Carrier:
    """The stream behind the request: PPP, unless its first bytes are a refusal."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._first = b""
        self._is_ppp = False
        self._due = asyncio.get_running_loop().time() + SILENCE

    async def listen(self) -> bytes:
        """What the gateway says at once; nothing: it waits for us.  Raises as `read`."""
        try:
            async with asyncio.timeout(LISTEN):
                return await self.read()
        except TimeoutError:
            return b""

    async def read(self) -> bytes:
        """PPP.  Raises SessionRejected, TunnelRefused, TunnelTimeout, TransportError."""
        while not self._is_ppp:
            if not self._first and asyncio.get_running_loop().time() >= self._due:
                raise TunnelTimeout(f"the gateway said nothing for {SILENCE:.0f} s after the request for a tunnel")
            data = await self._some()
            self._first += data
            if self._first.startswith(HTTP):
                raise await self._refusal()
            if not data or not HTTP.startswith(self._first):
                self._is_ppp = True
                return self._first
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def _some(self) -> bytes:
        try:
            data = await self._stream.read()
        except Truncated:
            data = b""
        if not data and not self._first:
            text = "the gateway closed the connection without an answer: no address is free, or the session is in use"
            raise TunnelRefused(text)
        return data

    async def _refusal(self) -> ProtocolError:
        while b"\n" not in self._first and len(self._first) < MAX_STATUS_LINE:
            if not (data := await self._some()):
                break
            self._first += data
        return refusal(self._first.partition(b"\n")[0])


def refusal(line: bytes) -> ProtocolError:
    """What a status line in place of PPP means."""
    found = _STATUS.match(line)
    if found is None:
        return TunnelRefused(f"got {printable(line)[:80]!r}, want PPP")
    status, said = int(found[1]), one_line(printable(found[2] or b""))[:200]
    said = f"{status} {said}".rstrip()
    if status == 403:
        return SessionRejected(
            f"the gateway no longer accepts this session, or allows this user no tunnel mode ({said})"
        )
    if 400 <= status < 500:
        return SessionRejected(f"the gateway no longer accepts this session ({said})")
    return TunnelRefused(f"got HTTP status {said}, want PPP")
