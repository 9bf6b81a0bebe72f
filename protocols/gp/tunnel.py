"""From a ticket to packets: getconfig, host report, then the GET that opens GPST (sections 9 to 11).

Opening GPST kills the ESP keys (Q1) and a new getconfig kills them too (Q2), so there is one order: configuration,
report, ESP while its probe is not given up, GPST.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from protocols.base import Ticket, Tunnel, TunnelConfig, TunnelOptions
from protocols.errors import ConnectRefused, CookieRejected, GatewayUnavailable, MalformedAnswer, ProtocolError
from protocols.framing.esp_mtu import DEFAULT_PATH, LEAST_PATH, tunnel_mtu
from protocols.framing.gpst import HEADER, MAX_SENT
from protocols.gp import answers, config, formdata, hip
from protocols.gp.config import GatewayConfig
from protocols.gp.controller import DPD, GpstController, Schedule
from protocols.gp.cookie import SessionCookie
from protocols.gp.exchange import TIMEOUT, Exchange
from protocols.gp.identity import APP_VERSION, MAX_VERSION, Identity
from protocols.text import one_line, printable
from transports import program
from transports.errors import ConnectionLost, TimedOut
from transports.http import HttpClient
from transports.http_url import Url
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.tls import TlsStream

FRAMING = "gpst"
CONFIG = "/ssl-vpn/getconfig.esp"
START = b"START_TUNNEL"
MAX_STATUS_LINE = 1024  # bytes
TCP_HEADER = 20  # bytes
TLS_RECORD = 29  # bytes around a record, at most with the usual ciphers
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?$")
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}-[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class _Session:
    """What every request of one connection needs.  version: of the portal, to parrot, or empty."""

    url: Url
    cookie: SessionCookie
    identity: Identity
    version: str
    interval: int  # seconds between two host reports, as the portal told; 0: it did not


def session_of(ticket: Ticket, wishes: TunnelOptions) -> _Session:
    """Raises MalformedAnswer for a cookie that cannot be."""
    interval, version = ticket.notes.get("hip-interval", ""), ticket.notes.get("version", "")
    if _VERSION.fullmatch(wishes.version):  # the user's, in the shape of a GlobalProtect version
        version = wishes.version
    return _Session(
        url=Url.parse(ticket.connect_url),
        cookie=SessionCookie.parse(ticket.cookie),
        identity=Identity.of(wishes),
        version=version[:MAX_VERSION],
        interval=int(interval) if interval.isascii() and interval.isdigit() else 0,
    )


async def open_tunnel(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float) -> Tunnel:
    """Open the tunnel.  now: monotonic seconds.  Raises ProtocolError or TransportError."""
    session = session_of(ticket, wishes)
    http = HttpClient(dialer, user_agent=session.identity.user_agent)
    try:
        exchange = Exchange(http, session.identity)
        found = await _configuration(exchange, session, wishes)
        warning = await _report(exchange, session, wishes).submit(found.config.addresses)
    finally:
        await http.close()
    tunnel_config = _completed(found, wishes, dialer.address_of(session.url.host) or "", session.url.port)
    if warning:
        tunnel_config = replace(tunnel_config, warnings=(*tunnel_config.warnings, warning))
    stream, unread = await open_gpst(dialer, session.url, session.cookie, found.path)
    schedule = Schedule(found.timers, wishes.force_dpd or DPD, wishes.csd_interval or hip.next_check(session.interval))
    return Tunnel(stream, unread, FRAMING, tunnel_config, GpstController(schedule, now))


def config_request(session: _Session, wishes: TunnelOptions) -> bytes:
    """The body of getconfig (section 9.1)."""
    fixed = formdata.form(
        (
            ("client-type", "1"),
            ("protocol-version", "p1"),
            ("internal", "no"),
            ("app-version", session.version or APP_VERSION),
            ("ipv6-support", session.identity.ipv6_support),
            ("clientos", session.identity.client_os),
            ("os-version", session.identity.os_version),
            ("hmac-algo", "sha1,md5,sha256"),
            ("enc-algo", "aes-128-cbc,aes-256-cbc"),
        )
    )
    held = tuple(one for one in wishes.held if wishes.ipv6 or one.version == 4)
    return f"{fixed}&{session.cookie.for_config(held)}".encode("ascii")


async def _configuration(exchange: Exchange, session: _Session, wishes: TunnelOptions) -> GatewayConfig:
    body = await exchange.ask(replace(session.url, target=CONFIG), config_request(session, wishes))
    root = answers.document(body, "response", secrets=session.cookie.secrets())
    return config.parse(root, ipv6=wishes.ipv6)


def _report(exchange: Exchange, session: _Session, wishes: TunnelOptions) -> hip.HostReport:
    return hip.HostReport(
        exchange=exchange,
        url=session.url,
        cookie=session.cookie,
        identity=session.identity,
        version=session.version,
        checker=_checker(wishes),
        built_in=wishes.minimal_report,
        today=wishes.local_time,
    )


def _checker(wishes: TunnelOptions) -> hip.HostChecker | None:
    """The user's own program; nothing that a gateway sends is ever run."""
    if not wishes.csd_wrapper:
        return None

    async def run(arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
        return await program.run(
            [wishes.csd_wrapper, *arguments],
            environment,
            user=wishes.csd_user,
            timeout=hip.PROGRAM_TIMEOUT,
            limit=hip.MAX_REPORT,
        )

    return run


def _completed(found: GatewayConfig, wishes: TunnelOptions, gateway: str, port: int) -> TunnelConfig:
    """With an MTU: the user's, the gateway's, or what the way to the gateway leaves room for (esp.md section 9)."""
    has_ipv6 = any(one.version == 6 for one in found.config.addresses)
    path = max(wishes.base_mtu or path_mtu(gateway, port) or DEFAULT_PATH, LEAST_PATH)
    mtu = found.config.mtu or fitting_mtu(path, found, outer_ipv6=_is_ipv6(gateway), inner_ipv6=has_ipv6)
    if wishes.mtu:
        mtu = min(wishes.mtu, found.config.mtu or wishes.mtu)
    least = config.LEAST_IPV6 if has_ipv6 else config.LEAST_MTU
    warnings = found.config.warnings
    if mtu < least:
        warnings = (*warnings, f"mtu: {mtu} bytes raised to {least}, the least that IPv{6 if has_ipv6 else 4} allows")
    return replace(found.config, mtu=min(max(mtu, least), MAX_SENT), warnings=warnings)


def fitting_mtu(path: int, found: GatewayConfig, *, outer_ipv6: bool, inner_ipv6: bool) -> int:
    """Bytes of inner packet over a path of so many bytes; with ESP keys, what fits both channels."""
    if found.esp is not None:
        return tunnel_mtu(path, found.esp.suite, outer_ipv6=outer_ipv6, inner_ipv6=inner_ipv6).mtu
    return path - (40 if outer_ipv6 else 20) - TCP_HEADER - HEADER.size - TLS_RECORD


def _is_ipv6(address: str) -> bool:
    try:
        return ip_address(address).version == 6
    except ValueError:
        return False


# --- GPST (section 11.1) ---


async def open_gpst(dialer: Dialer, url: Url, cookie: SessionCookie, path: str) -> tuple[TlsStream, bytes]:
    """The stream, and the framing that came with START_TUNNEL.  Raises CookieRejected, ConnectRefused, ..."""
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
