"""The GET that opens GPST, and what comes in place of START_TUNNEL (section 11.1)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from protocols.errors import ConnectRefused, CookieRejected, GatewayUnavailable, MalformedAnswer, ProtocolError
from protocols.gp.cookie import SessionCookie
from protocols.gp.exchange import TIMEOUT
from protocols.text import one_line, printable
from transports.errors import ConnectionLost, TimedOut
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.tls import TlsStream

FRAMING = "gpst"
START = b"START_TUNNEL"
MAX_STATUS_LINE = 1024  # bytes
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?$")


async def open_gpst(dialer: Dialer, url: Url, cookie: SessionCookie, path: str) -> tuple[TlsStream, bytes]:
    """The stream, and the framing that came with START_TUNNEL.  From here on the ESP keys are void (Q1).

    Raises CookieRejected, GatewayUnavailable, ConnectRefused, MalformedAnswer, TransportError.
    """
    stream = await dialer.dial(url.host, url.port)
    try:
        async with asyncio.timeout(TIMEOUT):
            await stream.write(f"GET {path}?{cookie.for_tunnel()} HTTP/1.1\r\n\r\n".encode("ascii"))
            return stream, await _started(stream, url.authority)
    except TimeoutError as exc:
        await stream.close()
        raise TimedOut(url.authority, TIMEOUT) from exc
    except BaseException:
        await stream.close()
        raise


async def _started(stream: TlsStream, where: str) -> bytes:
    """Read START_TUNNEL; the bytes that followed it."""
    received = b""
    while (answer := started(received)) is None:
        data = await stream.read()
        if not data:
            if received:
                raise MalformedAnswer("tunnel-refused", f"got {printable(received)[:80]!r}, want START_TUNNEL")
            raise ConnectionLost(f"{where} closed the connection before START_TUNNEL")
        received += data
    return answer


def started(received: bytes) -> bytes | None:
    """What follows START_TUNNEL; None: more is to come.  Raises what another answer means."""
    if received[: len(START)] == START[: len(received)]:
        return received[len(START) :] if len(received) >= len(START) else None
    line, newline, _rest = received.partition(b"\n")
    if not newline and len(received) <= MAX_STATUS_LINE and received.startswith(b"HTTP/"[: len(received)]):
        return None
    raise refusal(line)


def refusal(line: bytes) -> ProtocolError:
    """What a status line in place of START_TUNNEL means."""
    match = _STATUS.match(line)
    status = int(match[1]) if match else 0
    if match is None or status == 200:
        return MalformedAnswer("tunnel-refused", f"got {printable(line)[:80]!r}, want START_TUNNEL")
    said = f"{status} {one_line(printable(match[2] or b''))[:200]}".rstrip()
    if status in (401, 403, 502, 512):
        return CookieRejected(f"the gateway does not open a tunnel for this session ({said})")
    if status >= 500 or status in (408, 429):
        return GatewayUnavailable(f"the gateway cannot open the tunnel now ({said})")
    return ConnectRefused(f"got HTTP status {said} to the tunnel's GET, want START_TUNNEL")
