"""From a ticket to packets: getconfig, host report, then ESP or GPST (sections 9 to 13).

    getconfig -> host report -> PROBING --reply--> ESP                    UDP wanted, keys good, no proxy
                                        --5 s----> GPST
    ESP that went silent -> GPST with the same configuration, once; then from the beginning

Opening GPST kills the ESP keys (Q1), and a new getconfig kills them too (Q2): hence this order.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from protocols.base import Action, Ticket, Tunnel, TunnelConfig, TunnelOptions
from protocols.framing.esp_mtu import DEFAULT_PATH, LEAST_PATH, tunnel_mtu
from protocols.framing.gpst import HEADER, MAX_SENT
from protocols.gp import answers, config, formdata, hip
from protocols.gp.config import GatewayConfig
from protocols.gp.controller import GpstController
from protocols.gp.cookie import SessionCookie
from protocols.gp.esp import EspController, Size, State
from protocols.gp.exchange import Exchange
from protocols.gp.gpst import FRAMING, open_gpst
from protocols.gp.identity import APP_VERSION, MAX_VERSION, Identity
from protocols.gp.life import DPD, Schedule
from protocols.gp.udp import open_esp
from transports import program
from transports.http import HttpClient
from transports.http_url import Url
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer

CONFIG = "/ssl-vpn/getconfig.esp"
TCP_HEADER = 20  # bytes
TLS_RECORD = 29  # bytes around a record, at most with the usual ciphers
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}-[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Session:
    """What every request of one tunnel needs.  version: of the portal, to parrot, or empty.  interval: seconds between
    two host reports, as the portal told; 0: it did not.
    """

    url: Url
    cookie: SessionCookie
    identity: Identity
    version: str
    interval: int

    @classmethod
    def of(cls, ticket: Ticket, wishes: TunnelOptions) -> Session:
        """Raises MalformedAnswer for a cookie that cannot be."""
        interval, version = ticket.notes.get("hip-interval", ""), ticket.notes.get("version", "")
        if _VERSION.fullmatch(wishes.version):  # the user's, in the shape of a GlobalProtect version
            version = wishes.version
        return cls(
            url=Url.parse(ticket.connect_url),
            cookie=SessionCookie.parse(ticket.cookie),
            identity=Identity.of(wishes),
            version=version[:MAX_VERSION],
            interval=int(interval) if interval.isascii() and interval.isdigit() else 0,
        )


@dataclass(slots=True)
class Attempt:
    """One tunnel in the making, and what the next one may take from it."""

    dialer: Dialer
    session: Session
    wishes: TunnelOptions
    now: float
    found: GatewayConfig | None = None
    schedule: Schedule | None = None
    config: TunnelConfig | None = None
    controller: EspController | None = field(default=None, repr=False)

    async def run(self, before: Attempt | None) -> Tunnel:
        """before: the attempt that made the last tunnel.  Raises ProtocolError or TransportError."""
        if before is not None and self._falls_back(before):
            self.found, self.schedule, self.config = before.found, before.schedule, before.config
            return await self._over_tls()
        http = HttpClient(self.dialer, user_agent=self.session.identity.user_agent)
        try:
            gateway = await self._prepare(http)
            tunnel = await self._over_esp(gateway) if self._wants_esp() else None
        finally:
            await http.close()
        return tunnel or await self._over_tls()

    def _falls_back(self, before: Attempt) -> bool:
        """ESP went silent: GPST takes the same session on, without a new configuration (section 13.1)."""
        silent = before.controller is not None and before.controller.state is State.DEAD
        return silent and before.session.cookie == self.session.cookie

    async def _prepare(self, http: HttpClient) -> str:
        """Configuration and report; the gateway's numeric address."""
        exchange = Exchange(http, self.session.identity)
        url = replace(self.session.url, target=CONFIG)
        body = await exchange.ask(url, config_request(self.session, self.wishes))
        root = answers.document(body, "response", secrets=self.session.cookie.secrets())
        found = self.found = config.parse(root, ipv6=self.wishes.ipv6)
        gateway = http.peer_host
        warning = await _report(exchange, self.session, self.wishes).submit(found.config.addresses)
        every = self.wishes.csd_interval or hip.next_check(self.session.interval)
        self.schedule = Schedule(found.timers, self.now, self.wishes.force_dpd or DPD, every)
        known = "" if self.dialer.through_proxy else gateway
        self.config = completed(found, self.wishes, known, self.session.url.port)
        if warning:
            self.config = replace(self.config, warnings=(*self.config.warnings, warning))
        return gateway

    def _wants_esp(self) -> bool:
        assert self.found is not None  # prepared
        return self.wishes.datagrams and self.found.esp is not None and not self.dialer.through_proxy

    async def _over_esp(self, gateway: str) -> Tunnel | None:
        """None: no probe was answered."""
        assert self.found is not None and self.schedule is not None and self.config is not None  # prepared
        parameters = self.found.esp
        assert parameters is not None  # wanted
        opened = await open_esp(self.dialer, gateway, parameters, self.wishes.local_port)
        if opened is None:
            said = f"udp port {parameters.port}: no answer by ESP, packets go by TLS"
            self.config = replace(self.config, warnings=(*self.config.warnings, said))
            return None
        link, sent = opened
        least = config.LEAST_IPV6 if _has_ipv6(self.config) else config.LEAST_MTU
        size = Size(self.config.mtu, least, _is_ipv6(gateway))
        self.controller = EspController(self.schedule, parameters, self._report_again, size, now=_clock(), sent=sent)
        return Tunnel(None, b"", "esp", self.config, self.controller, link=link)

    async def _over_tls(self) -> Tunnel:
        assert self.found is not None and self.schedule is not None and self.config is not None  # prepared
        stream, unread = await open_gpst(self.dialer, self.session.url, self.session.cookie, self.found.path)
        return Tunnel(stream, unread, FRAMING, self.config, GpstController(self.schedule, _clock()))

    async def _report_again(self) -> list[Action]:
        """While ESP goes on undisturbed, on a connection of its own (section 10)."""
        assert self.config is not None  # prepared
        http = HttpClient(self.dialer, user_agent=self.session.identity.user_agent)
        try:
            exchange = Exchange(http, self.session.identity)
            await _report(exchange, self.session, self.wishes).submit(self.config.addresses)
        finally:
            await http.close()
        return []  # a missing report was warned of when the tunnel was opened


def _clock() -> float:
    """The beginning took its time: a report, a probe."""
    return asyncio.get_running_loop().time()


def config_request(session: Session, wishes: TunnelOptions) -> bytes:
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


def _report(exchange: Exchange, session: Session, wishes: TunnelOptions) -> hip.HostReport:
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


def completed(found: GatewayConfig, wishes: TunnelOptions, gateway: str, port: int) -> TunnelConfig:
    """With an MTU: the user's, the gateway's, or what the way to the gateway leaves room for (esp.md section 9)."""
    has_ipv6 = _has_ipv6(found.config)
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


def _has_ipv6(held: TunnelConfig) -> bool:
    return any(one.version == 6 for one in held.addresses)


def _is_ipv6(address: str) -> bool:
    try:
        return ip_address(address).version == 6
    except ValueError:
        return False
