"""The POST that turns a TLS connection into the oNCP stream, and what is said until packets flow.

    POST, 200 -> host name -> status, configuration -> our MTU, our ESP keys

Source: juniper.md sections 4 and 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from protocols.base import Ticket, Tunnel, TunnelConfig, TunnelOptions
from protocols.errors import (
    CookieRejected,
    GatewayUnavailable,
    MalformedAnswer,
    MalformedFrame,
)
from protocols.framing.oncp import Encoder, Kind
from protocols.framing.oncp_opening import MAX_HOSTNAME, Opening, hostname_record
from protocols.nc import configuration, cookies, esp
from protocols.nc.controller import NcController
from protocols.nc.errors import OncpDisabled, OncpRefused
from protocols.nc.exchange import VERSION, user_agent
from protocols.text import one_line
from transports.errors import TimedOut
from transports.http import open_stream
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response
    from transports.tls import TlsStream

FRAMING = "oncp"
PATH = "/dana/js?prot=1&svc=4"
KEEP_ALIVE = 60  # idle seconds; the stream has no probes of its own, and ESP leaves it idle (9.1, Q24)
ANSWER_LIMIT = 30.0  # seconds for status and configuration
ONCP_OFF = 8  # the status of gateways that talk Pulse only (Q5)


async def open_tunnel(
    dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float, random: Callable[[int], bytes]
) -> Tunnel:
    """Open the tunnel.  now: monotonic seconds.  Raises ProtocolError or TransportError."""
    url = Url.parse(ticket.connect_url)
    headers = request_headers(cookies.parse(ticket.cookie), wishes)
    where = f"https://{url.authority}{PATH}"
    response, stream, unread = await open_stream(dialer, "POST", where, headers, keep_alive=KEEP_ALIVE)
    try:
        check_status(response)
        await stream.write(hostname_record(host_name(wishes.local_hostname)))
        opening = await _read_opening(stream, unread, url.authority)
        negotiated = configuration.negotiate(opening.configuration or b"", mtu=wishes.mtu, held=wishes.held)
        config = _with_texts(negotiated.config, ticket, wishes)
        offer = negotiated.esp if wishes.datagrams and not dialer.through_proxy and outer_ipv4(stream) else None
        keys = esp.make_keys(random, offer.parameters.suite()) if offer is not None else None
        await stream.write(answer(config.mtu, keys))
    except BaseException:
        await stream.close()
        raise
    tunnel = Tunnel(stream, opening.rest, FRAMING, config, NcController())
    if offer is not None and keys is not None:
        from protocols.nc.esp_link import channel
        from protocols.nc.esp_path import EspPath

        path = EspPath(offer, keys, random, now=now, mtu=config.mtu, force_dpd=wishes.force_dpd)
        tunnel.controller = NcController(path)
        peer = stream.peer_host
        tunnel.datagrams = channel(dialer, peer, path, offer, mtu=config.mtu, local_port=wishes.local_port)
    return tunnel


def request_headers(cookie: cookies.SessionCookie, wishes: TunnelOptions) -> list[tuple[str, str]]:
    """The length is told, and no body is sent: some gateways refuse it otherwise (Q2)."""
    return [
        ("Connection", "close"),  # what makes the gateway turn to oNCP (Q1)
        ("User-Agent", user_agent(wishes.user_agent, wishes.version)),
        ("Cookie", cookie.header().reveal()),
        VERSION,
        ("Content-Length", "256"),
    ]


def check_status(response: Response) -> None:
    """Raises what a status other than 200 means."""
    if response.status == 200:
        return
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if response.status == 302 or 400 <= response.status < 500:
        raise CookieRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot open the tunnel now ({said})")
    raise MalformedAnswer("oncp-http-status", f"got HTTP status {said} for the tunnel, want 200")


def host_name(local: str) -> str:
    """As much of it as fits, without half a character."""
    return (local or "localhost").encode("utf-8", "replace")[:MAX_HOSTNAME].decode("utf-8", "ignore")


async def _read_opening(stream: TlsStream, unread: bytes, where: str) -> Opening:
    opening = Opening()
    try:
        async with asyncio.timeout(ANSWER_LIMIT):
            decided = opening.feed(unread)
            while not decided:
                if not (data := await stream.read()):
                    raise MalformedFrame("oncp-eof", got="the end of the stream", want="the configuration", at=0)
                decided = opening.feed(data)
    except TimeoutError as exc:
        raise TimedOut(where, ANSWER_LIMIT) from exc
    judge(opening)
    return opening


def judge(opening: Opening) -> None:
    """Raises what a gateway that does not want us means."""
    if opening.reason == 1:  # Q4
        raise CookieRejected("the gateway no longer accepts this session (termination, reason 1)")
    if opening.reason is not None:
        raise CookieRejected(f"the gateway ended the session (reason {opening.reason})")
    if opening.status == ONCP_OFF:
        text = "the gateway has Network Connect turned off (status 8); protocol pulse may work"
        raise OncpDisabled(text)
    if opening.status:
        raise OncpRefused(f"the gateway refused the tunnel (status {opening.status})")


def answer(mtu: int, keys: esp.Keys | None = None) -> bytes:
    """The one record that answers the configuration.  keys: for what we want to receive by ESP; None: no ESP."""
    messages: list[tuple[int, bytes]] = [(Kind.CONTROL, esp.mtu_payload(mtu))]
    if keys is not None:
        messages.append((Kind.ESP_KEYS, keys.payload()))
    return Encoder().encode_record(messages)


def _with_texts(config: TunnelConfig, ticket: Ticket, wishes: TunnelOptions) -> TunnelConfig:
    """The banner of the sign-in; and a word about an address that is another than before."""
    held = next((one for one in wishes.held if one.version == 4), None)
    if held is not None and held.ip != config.addresses[0].ip:
        text = f"the gateway gave another address, {config.addresses[0].ip} after {held.ip}"
        config = replace(config, warnings=(*config.warnings, text))
    return config if config.banner else replace(config, banner=ticket.banner)


def outer_ipv4(stream: TlsStream) -> bool:
    """ESP is there for sessions over IPv4 only (Q30)."""
    try:
        return isinstance(ip_address(stream.peer_host.partition("%")[0]), IPv4Address)
    except ValueError:
        return False
