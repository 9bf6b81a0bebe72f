"""The CONNECT, and the first two frames on it: HELLO from us, CONFIG from the gateway."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from lantern import config
from lantern.controller import LanternController
from lantern.framing import LANTERN, Encoder, Kind, first_frame
from vpnclient.api import (
    ConnectRefused,
    Control,
    CookieRejected,
    Dialer,
    GatewayUnavailable,
    Response,
    Ticket,
    TlsStream,
    Tunnel,
    TunnelOptions,
    UnexpectedFrame,
    open_stream,
)

PATH = "/lantern/tunnel"
PATIENCE = 30.0  # seconds for CONFIG to come
MAX_EARLY = 64  # frames before CONFIG; packets for a client that was there before


async def open_tunnel(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float) -> Tunnel:
    """now: monotonic seconds.  Raises ProtocolError or TransportError; then the stream is closed."""
    url = f"https://{urlsplit(ticket.connect_url).netloc}{PATH}"
    headers = [("Authorization", f"Lantern {ticket.cookie.reveal()}")]
    response, stream, unread = await open_stream(dialer, "CONNECT", url, headers)
    try:
        check_status(response)
        hello = json.dumps({"ipv6": wishes.ipv6}).encode()
        await stream.write(Encoder().encode_control(Kind.HELLO, hello))
        frame, unread = await read_config(stream, unread)
        settings = config.parse(frame.payload, mtu=wishes.mtu)
    except BaseException:
        await stream.close()
        raise
    dpd = wishes.force_dpd or settings.dpd
    # The name of its entry point would do as well; a Framing made here can hold keys and the like.
    return Tunnel(stream, unread, LANTERN, settings.tunnel, LanternController(dpd, now))


def check_status(response: Response) -> None:
    if response.status == 200:
        return
    if response.status == 401:
        raise CookieRejected("the gateway no longer accepts this session")
    if response.status == 503:
        raise GatewayUnavailable("the gateway cannot open the tunnel now")
    raise ConnectRefused(f"got HTTP status {response.status} to the CONNECT, want 200")


async def read_config(stream: TlsStream, data: bytes) -> tuple[Control, bytes]:
    """CONFIG, and the bytes behind it.  data: what came with the answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            for _frame in range(MAX_EARLY):
                while (found := first_frame(data)) is None:
                    more = await stream.read()
                    if not more:
                        raise GatewayUnavailable("the gateway closed the connection instead of sending CONFIG")
                    data += more
                frame, data = found
                if frame.kind == Kind.CONFIG:
                    return frame, data
                if frame.kind != Kind.PACKET:
                    break
    except TimeoutError as exc:
        raise GatewayUnavailable(f"no CONFIG came within {PATIENCE:.0f} s") from exc
    raise UnexpectedFrame(f"frame of kind {frame.kind}", state="waiting for CONFIG")
