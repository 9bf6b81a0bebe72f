"""From a ticket to a tunnel: the configuration, DTLS or the request over TLS, PPP (sections 4 to 8).

    XML -> DTLS: hello -> PPP -> Tunnel                  the first tunnel of a session, and one that the user asks for
               | no way, no PPP
               +-> XML -> GET /remote/sslvpn-tunnel over TLS -> PPP -> Tunnel

The XML is fetched before every request for a tunnel, after a try by DTLS and on a reconnect too: without it gateways
answer with silence.  A session that comes back does so by TLS at once: it mostly gets one more tunnel only, and a host
that has just woken up should not lose it to a way that may be dead.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface
from secrets import token_bytes
from typing import TYPE_CHECKING

from protocols.base import Interface, Ticket, Tunnel, TunnelConfig, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    GatewayUnavailable,
    NegotiationFailed,
    NotSupported,
    ProtocolError,
)
from protocols.fortinet import config, cookies, document, hello, request, udp
from protocols.fortinet.errors import SessionRejected
from protocols.fortinet.exchange import AGENT, REDIRECTS
from protocols.fortinet.standing import Standing
from protocols.notes import Notes
from protocols.ppp import mtu
from protocols.ppp.automaton import Limits
from protocols.ppp.controller import PppController, Room, Timers
from protocols.ppp.engine import Agreed, Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import LcpWishes
from protocols.ppp.link import negotiate, negotiate_records
from protocols.ppp.packet import Proto
from protocols.text import one_line
from transports.errors import TransportError
from transports.http import HttpClient
from transports.http_url import Url
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response
    from transports.records import DtlsRecords
    from transports.tls import TlsStream

FRAMING = "ppp-fortinet"
CONFIGURATION = "/remote/fortisslvpn_xml"
BOTH_FAMILIES = "?dual_stack=1"
OLD_CONFIGURATION = "/remote/fortisslvpn"  # of FortiOS 4
LARGEST = 16384 + 256  # bytes of a datagram: the largest record, whatever the path takes
CHANGED = "address-changed"
PATIENCE = 20.0  # seconds for PPP by DTLS; some gateways need several to answer, and TLS is yet to be tried
DATAGRAM_DPD = 10  # seconds, where nobody told any: nothing else tells that DTLS is dead
COMES_BACK = "a session that comes back does so by TLS; DTLS is tried after the next sign-in, or on SIGUSR2"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known before the link."""

    url: Url
    settings: document.Settings
    wishes: TunnelOptions
    cookies: str = field(repr=False)  # as the header says them
    agent: str
    again: bool  # the addresses held must stay
    notes: Notes


async def open_tunnel(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float, standing: Standing) -> Tunnel:
    """now: monotonic seconds.  Raises ProtocolError or TransportError."""
    standing.must_be_worth_it(now)
    try:
        plan = await _prepare(dialer, ticket, wishes, standing)
        tunnel, why = await _first_by_datagrams(dialer, plan, standing)
        if tunnel is None:
            if why:
                plan = await _prepare_again(dialer, ticket, wishes, standing)
                plan.notes.warn(f"udp port {plan.url.port}", f"{why}, packets go by TLS")
            elif standing.by_datagrams:
                plan.notes.warn("dtls", COMES_BACK)
            tunnel = await _over_tls(dialer, plan, now)
    except ProtocolError as exc:
        judged = standing.judge(exc)
        if judged is exc:
            raise
        raise judged from exc
    standing.opened(plan.settings, now, by_datagrams=tunnel.stream is None)
    return tunnel


# --- the configuration ---


async def _prepare(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, standing: Standing) -> _Plan:
    url = Url.parse(ticket.connect_url)
    agent = wishes.user_agent or AGENT
    http = HttpClient(dialer, user_agent=agent)
    http.cookies.set(cookies.NAME, standing.newest.reveal())
    notes = Notes()
    try:
        body = await _fetch(http, url, ipv6=wishes.ipv6)
        header, renewed = http.cookies.header(), http.cookies.get(cookies.NAME)
        if not renewed:
            raise SessionRejected("the gateway took the session's cookie back")
        standing.newest = cookies.checked(renewed)
        settings = document.parse(body, notes)
    finally:
        await http.close()
    standing.reached()
    if standing.again:
        _must_stay(settings.addresses, wishes.held)
    return _Plan(url, settings, wishes, header, agent, standing.again and bool(wishes.held), notes)


async def _prepare_again(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, standing: Standing) -> _Plan:
    """After a try by DTLS, for which some gateways spend the cookie."""
    try:
        return await _prepare(dialer, ticket, wishes, standing)
    except SessionRejected as exc:
        raise SessionRejected(f"{exc}, after a try by DTLS: sign in again with --no-dtls") from exc


async def _fetch(http: HttpClient, url: Url, *, ipv6: bool) -> bytes:
    """Without the query some gateways tell one family only."""
    response = await _get(http, url, CONFIGURATION + (BOTH_FAMILIES if ipv6 else ""))
    if response.status == 200:
        return response.body
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if response.status == 403:
        old = await _get(http, url, OLD_CONFIGURATION)
        if old.status == 200 and old.body.strip():
            raise NotSupported("unsupported-fortios4", "FortiOS 4 tells its configuration in a way that is not known")
        text = f"the gateway no longer accepts this session, or allows this user no tunnel mode ({said})"
        raise SessionRejected(text)
    to_login = response.status in REDIRECTS and "/remote/login" in (response.header("Location") or "")
    if to_login or response.status == 401:
        raise SessionRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot tell its configuration now ({said})")
    hint = "; FortiOS 7.6 and later may have no SSL VPN" if response.status == 404 else ""
    raise ConfigurationRefused("config-refused", f"got HTTP status {said} for {CONFIGURATION}, want 200{hint}")


async def _get(http: HttpClient, url: Url, target: str) -> Response:
    headers = [("Accept-Encoding", "identity")]
    return await http.request("GET", str(url.join(target)), headers=headers, follow_redirects=False)


def _must_stay(told: tuple[Interface, ...], held: tuple[Interface, ...]) -> None:
    for before in held:
        now = next((one for one in told if one.version == before.version), None)
        if now is not None and now.ip != before.ip:
            text = f"the gateway gave the address {now.ip}, want {before.ip} as before"
            raise ConfigurationRefused(CHANGED, text)


# --- the link ---


async def _first_by_datagrams(dialer: Dialer, plan: _Plan, standing: Standing) -> tuple[Tunnel | None, str]:
    """The tunnel, or why there is none; neither: it was not tried."""
    wanted = plan.wishes.datagrams and (plan.wishes.asked or not standing.again)
    if not wanted or not standing.datagrams or not plan.settings.dtls:
        return None, ""
    address = dialer.address_of(plan.url.host)
    if dialer.through_proxy or not address:
        return None, ""
    if not hello.fits(standing.newest):
        plan.notes.warn("dtls", f"the session's cookie has more than {hello.MAX_COOKIE} bytes, packets go by TLS")
        return None, ""
    place = udp.Place(plan.url.host, address, plan.url.port, plan.wishes.local_port)
    way = await udp.open_way(dialer, place, standing.newest)
    if isinstance(way, udp.NoWay):
        standing.datagrams = not way.refused
        return None, way.why
    try:
        return await _by_datagrams(plan, way), ""
    except (TransportError, NegotiationFailed, ConfigurationRefused) as exc:
        if isinstance(exc, ConfigurationRefused) and exc.code == CHANGED:
            raise  # it is another session
        return None, f"no tunnel by DTLS ({exc})"
    finally:
        way.records.close()  # what became a link is the pump's


async def _by_datagrams(plan: _Plan, way: udp.Way) -> Tunnel:
    records, room = way.records, _room(plan, way.records)
    if room.size < mtu.MIN_TUNNEL:
        text = f"the way to the gateway leaves {room.size} bytes for a packet, want {mtu.MIN_TUNNEL}"
        raise NegotiationFailed("path-too-small", text)
    dpd = plan.wishes.force_dpd or plan.settings.heartbeat or DATAGRAM_DPD
    wishes = replace(_wishes(plan, room.size, dpd), limits=Limits(whole_link=PATIENCE, terminate_tries=3))
    engine = Engine(wishes, token_bytes, asyncio.get_running_loop().time())
    opening = await negotiate_records(records, FRAMING, engine, way.first)
    configuration = _configuration(plan, engine, room.size)
    least = mtu.MIN_IPV6 if any(one.version == 6 for one in configuration.addresses) else mtu.MIN_TUNNEL
    room = replace(room, size=configuration.mtu, least=min(least, configuration.mtu))
    timers = Timers(plan.settings.lifetime, plan.settings.idle, speak=dpd)
    controller = PppController(engine, timers, asyncio.get_running_loop().time(), room)
    link = records.link(FRAMING, largest=LARGEST, options=opening.options())
    return Tunnel(None, b"", FRAMING, configuration, controller, link=link)


def _room(plan: _Plan, records: DtlsRecords) -> Room:
    base = plan.wishes.base_mtu

    def packet(path: int) -> int:
        return mtu.over_dtls(
            FRAMING,
            path=min(path or base, base or path),
            outer_ipv6=":" in records.peer[0],
            cipher=records.info.cipher,
            wanted=plan.wishes.mtu,
        )

    return Room(packet(records.path_mtu()), mtu.MIN_TUNNEL, packet)


async def _over_tls(dialer: Dialer, plan: _Plan, now: float) -> Tunnel:
    path = plan.wishes.base_mtu or path_mtu(dialer.address_of(plan.url.host) or plan.url.host, plan.url.port)
    asked = request.encode(plan.url, plan.agent, plan.cookies)
    stream = await dialer.dial(plan.url.host, plan.url.port)
    try:
        await stream.write(asked)
        size = mtu.over_tls(
            FRAMING,
            path=path,
            outer_ipv6=":" in stream.peer_host,
            tls=stream.info.version,
            wanted=plan.wishes.mtu,
            ipv6=plan.wishes.ipv6 and _own(plan, 6) is not None,
        )
        return await _by_stream(plan, stream, size, now)
    except BaseException:
        await stream.close()
        raise


async def _by_stream(plan: _Plan, stream: TlsStream, size: int, now: float) -> Tunnel:
    carrier = request.Carrier(stream)
    first = await carrier.listen()
    dpd = plan.wishes.force_dpd or plan.settings.heartbeat or 0
    engine = Engine(_wishes(plan, size, dpd), token_bytes, asyncio.get_running_loop().time())
    opening = await negotiate(carrier, FRAMING, engine, first)
    configuration = _configuration(plan, engine, size)
    controller = PppController(engine, Timers(plan.settings.lifetime, plan.settings.idle), now)
    return Tunnel(stream, opening.unread, FRAMING, configuration, controller, opening.options())


def _configuration(plan: _Plan, engine: Engine, size: int) -> TunnelConfig:
    """With what PPP agreed on.  size: bytes of the largest packet, if the gateway takes it."""
    agreed = engine.agreed()
    for number, why in engine.failures.items():
        plan.notes.warn(Proto(number).name, str(why))
    size = min(size, agreed.granted.mru)
    held = _held(plan, agreed, size)
    return config.build(plan.settings, held, servers=dict(agreed.servers), mtu=size, notes=plan.notes)


def _wishes(plan: _Plan, size: int, dpd: int) -> Wishes:
    """What PPP is to ask for (section 7): of the options of LCP, MRU and magic alone (Q3 of the PPP notes)."""
    four, six = _own(plan, 4), _own(plan, 6)
    if six is not None and (not plan.wishes.ipv6 or size < mtu.MIN_IPV6):
        if plan.wishes.ipv6:
            plan.notes.warn("ipv6-mtu-too-small", f"{size} bytes are below {mtu.MIN_IPV6}: IPv6 is not configured")
        six = None
    servers = not (plan.settings.dns or plan.settings.split_servers)
    ipcp = None
    if four is not None:
        ipcp = IpcpWishes(address=IPv4Address(int(four.ip)), keep=plan.again, servers=servers)
    return Wishes(
        lcp=LcpWishes(mru=size),
        ipcp=ipcp,
        ip6cp=Ip6cpWishes(six.ip.packed[8:]) if six is not None else None,
        dpd=dpd,
    )


def _own(plan: _Plan, version: int) -> Interface | None:
    return next((one for one in plan.settings.addresses if one.version == version), None)


def _held(plan: _Plan, agreed: Agreed, size: int) -> tuple[Interface, ...]:
    """The addresses of the families that PPP let through; IPv4's is PPP's last word."""
    held: list[Interface] = []
    if agreed.address is not None:
        held.append(IPv4Interface((int(agreed.address), 32)))
    six = _own(plan, 6)
    if agreed.identifier and six is not None:
        if size >= mtu.MIN_IPV6:
            held.append(six)
        else:
            plan.notes.warn("ipv6-mtu-too-small", f"{size} bytes are below {mtu.MIN_IPV6}: IPv6 is not configured")
    if not held:
        raise ConfigurationRefused("no-address", "no address of the gateway can be used")
    return tuple(held)
