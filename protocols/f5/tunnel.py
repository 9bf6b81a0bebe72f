"""From a ticket to a tunnel: the configuration, the request, PPP (sections 4 to 8).

    profiles -> options -> (here: DTLS first, once there is a datagram link) -> GET /myvpn over TLS -> PPP -> Tunnel

A reconnect goes the whole way again, so what some gateways need (a profile fetched anew) is always done; it proposes
the addresses that were held.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address
from secrets import token_bytes
from typing import TYPE_CHECKING

from protocols.base import Ticket, Tunnel, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    GatewayUnavailable,
)
from protocols.f5 import config, cookies, options, profiles, request
from protocols.f5.errors import SessionRejected
from protocols.f5.handover import RESOURCE
from protocols.notes import Notes
from protocols.ppp import mtu
from protocols.ppp.controller import PppController, Timers
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import NONE, Ip6cpWishes
from protocols.ppp.ipcp import ANY, IpcpWishes
from protocols.ppp.lcp import LcpWishes
from protocols.ppp.link import negotiate
from protocols.ppp.packet import Proto
from protocols.text import one_line
from transports.errors import ConnectionLost
from transports.http import HttpClient, open_stream
from transports.http_url import Url
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response
    from transports.tls import TlsStream

HEAD_TIMEOUT = 30.0  # seconds for the head of the answer
REQUEST_TRIES = 5  # old gateways hang up before the answer now and then
REQUEST_PAUSE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known before the link: the gateway's options and our wishes.  tls: the version it speaks."""

    url: Url
    options: options.Options
    wishes: TunnelOptions
    session: int  # seconds left, 0: unknown
    keep: bool  # the addresses held must stay
    agent: str
    notes: Notes

    @property
    def framing(self) -> str:
        return "ppp-f5-hdlc" if self.options.hdlc else "ppp-f5"

    def held(self, version: int) -> IPv4Address | IPv6Address | None:
        return next((one.ip for one in self.wishes.held if one.version == version), None)


async def open_tunnel(
    dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float, *, again: bool = False
) -> Tunnel:
    """now: monotonic seconds.  again: this ticket had a tunnel before.  Raises ProtocolError or TransportError."""
    plan = await _prepare(dialer, ticket, wishes, again)
    # The place for DTLS, which is tried first where the gateway offers it and `plan.options.hdlc` is off (section 7).
    return await _over_tls(dialer, plan, now)


# --- the configuration ---


async def _prepare(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, again: bool) -> _Plan:
    url = Url.parse(ticket.connect_url)
    agent = wishes.user_agent or f"vpnclient {wishes.version}"
    held = cookies.parse(ticket.cookie)
    http = HttpClient(dialer, user_agent=agent)
    for name, value in held.pairs():
        http.cookies.set(name, value)
    notes = Notes()
    try:
        profile = profiles.choose(await _profiles(http, url), ticket.notes.get(RESOURCE, "") or wishes.authgroup)
        answer = await _get(http, url, profile.target)
        found = options.parse(answer.body, notes)
    finally:
        await http.close()
    return _Plan(url, found, wishes, _left(held.times, answer, notes), again and bool(wishes.held), agent, notes)


async def _profiles(http: HttpClient, url: Url) -> tuple[profiles.Profile, ...]:
    found = profiles.parse((await _get(http, url, profiles.LIST)).body)
    if found:
        return found
    try:
        query = profiles.resource_query((await _get(http, url, profiles.RESOURCES)).body)
        return profiles.parse_resources((await _get(http, url, query)).body) if query else ()
    except ConfigurationRefused:
        return ()  # a gateway that does not know this list


async def _get(http: HttpClient, url: Url, target: str) -> Response:
    response = await http.request("GET", str(url.join(target)), follow_redirects=False)
    if response.status == 200:
        return response
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if response.status in (301, 302, 303, 307, 308, 401, 403):
        raise SessionRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot tell its configuration now ({said})")
    raise ConfigurationRefused("config-refused", f"got HTTP status {said} for {target.partition('?')[0]}, want 200")


def _left(times: str, answer: Response, notes: Notes) -> int:
    """Seconds until the session ends, by the gateway's own clock; 0: unknown."""
    ends = cookies.expiry(times)
    try:
        told = parsedate_to_datetime(answer.header("Date") or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0
    if ends is None:
        return 0
    if ends <= told:
        notes.warn("F5_ST", "the session should be over already; trying all the same")
        return 0
    return int(ends - told)


# --- the link ---


async def _over_tls(dialer: Dialer, plan: _Plan, now: float) -> Tunnel:
    path = plan.wishes.base_mtu or path_mtu(dialer.address_of(plan.url.host) or plan.url.host, plan.url.port)
    ipv6 = plan.options.ipv6 and plan.wishes.ipv6
    response, stream, unread = await _request(dialer, plan, ipv6=ipv6)
    try:
        request.judge(response)
        given = request.addresses(response)
        size = mtu.over_tls(
            plan.framing, path=path, outer_ipv6=":" in stream.peer_host, tls=stream.info.version, wanted=plan.wishes.mtu
        )
        return await _negotiate(plan, stream, unread, given, size, ipv6=ipv6, now=now)
    except BaseException:
        await stream.close()
        raise


async def _request(dialer: Dialer, plan: _Plan, *, ipv6: bool) -> tuple[Response, TlsStream, bytes]:
    target = request.target(plan.options, plan.wishes.local_hostname, ipv6=ipv6)
    url, headers = str(plan.url.join(target)), [("User-Agent", plan.agent)]
    for attempt in range(1, REQUEST_TRIES + 1):
        try:
            return await open_stream(dialer, "GET", url, headers, timeout=HEAD_TIMEOUT)
        except ConnectionLost:
            if attempt == REQUEST_TRIES:
                raise
            await asyncio.sleep(REQUEST_PAUSE)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _negotiate(
    plan: _Plan, stream: TlsStream, unread: bytes, given: request.Given, size: int, *, ipv6: bool, now: float
) -> Tunnel:
    clock = asyncio.get_running_loop().time
    if ipv6 and size < mtu.MIN_IPV6:
        plan.notes.warn("ipv6-mtu-too-small", f"{size} bytes are below {mtu.MIN_IPV6}: IPv6 is not configured")
        ipv6 = False
    engine = Engine(_wishes(plan, given, size, ipv6=ipv6), token_bytes, clock())
    opening = await negotiate(stream, plan.framing, engine, unread)
    agreed = engine.agreed()
    for number, why in engine.failures.items():
        plan.notes.warn(Proto(number).name, str(why))
    size = min(size, agreed.granted.mru)
    has_ipv6 = bool(agreed.identifier) and size >= mtu.MIN_IPV6
    if agreed.identifier and not has_ipv6:
        plan.notes.warn("ipv6-mtu-too-small", f"{size} bytes are below {mtu.MIN_IPV6}: IPv6 is not configured")
    elif has_ipv6 and given.ipv6 is None:
        plan.notes.warn("IP6CP", "the gateway told no IPv6 address: IPv6 is not configured")
    configuration = config.build(
        plan.options,
        ipv4=agreed.address,
        ipv6=given.ipv6 if has_ipv6 else None,
        servers=dict(agreed.servers),
        mtu=size,
        session=plan.session,
        notes=plan.notes,
    )
    controller = PppController(engine, Timers(plan.session, plan.options.idle), now)
    return Tunnel(stream, opening.unread, plan.framing, configuration, controller, opening.options())


def _wishes(plan: _Plan, given: request.Given, size: int, *, ipv6: bool) -> Wishes:
    """What PPP is to ask for.  Raises ConfigurationRefused: another address than the one in use."""
    held4, held6 = plan.held(4), plan.held(6)
    for told, held in ((given.ipv4, held4), (given.ipv6, held6)):
        if plan.keep and told is not None and held is not None and told != held:
            raise ConfigurationRefused("address-changed", f"the gateway gave the address {told}, want {held} as before")
    address = given.ipv4 or (held4 if isinstance(held4, IPv4Address) else None)
    told_servers = bool(plan.options.dns or plan.options.nbns)
    ipcp = IpcpWishes(address=address or ANY, keep=plan.keep and held4 is not None, servers=not told_servers)
    identifier = given.ipv6.packed[8:] if given.ipv6 is not None else NONE
    return Wishes(
        lcp=LcpWishes(mru=size, accm=0 if plan.options.hdlc else None, compression=True),
        ipcp=ipcp if plan.options.ipv4 else None,
        ip6cp=Ip6cpWishes(identifier) if ipv6 else None,
        dpd=plan.wishes.force_dpd,
    )
