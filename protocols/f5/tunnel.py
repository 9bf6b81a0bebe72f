"""From a ticket to a tunnel: the configuration, DTLS or the request over TLS, PPP (sections 4 to 8).

    profiles -> options -> DTLS: request, answer -> PPP -> Tunnel            once in a session, where there is that way
                               | no answer, no PPP
                               +-> GET /myvpn over TLS -> PPP -> Tunnel      which looks for the way back: way.py
    what came back by DTLS ------------------> PPP -> Tunnel

A reconnect by TLS goes the whole way again, so what some gateways need (a profile fetched anew) is always done; it
proposes the addresses that were held.  So does what comes back by DTLS, with the options of the tunnel before.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from secrets import token_bytes
from typing import TYPE_CHECKING

from protocols.base import Ticket, Tunnel, TunnelConfig, TunnelOptions
from protocols.errors import ConfigurationRefused, ProtocolError
from protocols.f5 import config, request, udp
from protocols.f5.errors import SessionRejected
from protocols.f5.plan import Plan, prepare
from protocols.f5.way import Way, WayBack
from protocols.notes import Notes
from protocols.ppp import mtu
from protocols.ppp.automaton import Limits
from protocols.ppp.controller import PppController, Room, Timers
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import NONE, Ip6cpWishes
from protocols.ppp.ipcp import ANY, IpcpWishes
from protocols.ppp.lcp import LcpWishes
from protocols.ppp.link import negotiate, negotiate_records
from protocols.ppp.packet import Proto
from transports.errors import ConnectionLost, DtlsRefused, DtlsTimedOut, TransportError
from transports.http import open_stream
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response
    from transports.tls import TlsStream

HEAD_TIMEOUT = 30.0  # seconds for the head of the answer
REQUEST_TRIES = 5  # old gateways hang up before the answer now and then
REQUEST_PAUSE = 1.0  # seconds
DATAGRAM_DPD = 10  # seconds, if the user has no other wish: nothing else tells that DTLS is dead
LARGEST = 16384 + 256  # bytes of a datagram: the largest record, whatever the path takes
CHANGED = "address-changed"
OVER_TLS, BY_DATAGRAMS = Limits(), Limits(terminate_tries=3, whole_link=15.0)  # then there is TLS


async def open_tunnel(
    dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float, way: Way, *, again: bool = False
) -> Tunnel:
    """now: monotonic seconds.  again: this ticket had a tunnel before.  Raises ProtocolError or TransportError."""
    why = ""
    if (ready := way.take()) is not None:
        plan = replace(ready.plan, wishes=wishes, notes=Notes(), keep=again and bool(wishes.held))
        tunnel, why = await _by_datagrams(plan, ready.answered, way, now)
        if tunnel is not None:
            return tunnel
    plan = await prepare(dialer, ticket, wishes, now, keep=again)
    if not way.tried and udp.is_there(dialer, plan):
        tunnel, why = await _first_by_datagrams(dialer, plan, way, now)
        if tunnel is not None:
            return tunnel
    if why:
        plan.notes.warn(f"udp port {plan.options.port_dtls}", f"{why}, packets go by TLS")
    return await _over_tls(dialer, plan, way, now)


# --- by DTLS ---


async def _first_by_datagrams(dialer: Dialer, plan: Plan, way: Way, now: float) -> tuple[Tunnel | None, str]:
    """The tunnel, or why there is none.  Raises SessionRejected."""
    way.tried = True
    try:
        answered = await udp.knock(dialer, plan, udp.LIMIT)
    except (DtlsTimedOut, DtlsRefused) as exc:
        return None, f"no answer by DTLS ({exc})"
    except TransportError as exc:
        return None, f"no way by DTLS ({exc})"
    except SessionRejected:
        raise
    except ProtocolError as exc:
        way.off = True
        return None, f"no way by DTLS ({exc})"
    return await _by_datagrams(plan, answered, way, now)


async def _by_datagrams(plan: Plan, answered: udp.Answered, way: Way, now: float) -> tuple[Tunnel | None, str]:
    """The same, once it was answered.  If PPP fails then, there is no other try in this session.

    Raises ConfigurationRefused: another address than the one in use.
    """
    given = answered.given or _known(plan)
    if given is None:
        answered.records.close()
        return None, "no tunnel by DTLS (the answer was lost, and with it our IPv6 address)"  # TLS tells it
    try:
        return await _over_dtls(plan, answered, given, now), ""
    except (TransportError, ProtocolError) as exc:
        if isinstance(exc, ConfigurationRefused) and exc.code == CHANGED:
            raise
        way.off = True
        return None, f"no tunnel by DTLS ({exc})"
    finally:
        answered.records.close()  # what became a link is the pump's


async def _over_dtls(plan: Plan, answered: udp.Answered, given: request.Given, now: float) -> Tunnel:
    records = answered.records
    size_of = udp.size_of(plan, records)
    size = size_of(records.path_mtu())
    clock = asyncio.get_running_loop().time
    dpd = plan.wishes.force_dpd or DATAGRAM_DPD
    engine = Engine(_wishes(plan, given, size, dpd=dpd, limits=BY_DATAGRAMS), token_bytes, clock())
    opening = await negotiate_records(records, plan.framing, engine, answered.first)
    granted = engine.agreed().granted
    if not (granted.pfc and granted.acfc):
        size_of = udp.size_of(plan, records, compressed=False)
    size = size_of(records.path_mtu())
    configuration = _configured(plan, given, engine, size, now)
    least = mtu.MIN_IPV6 if any(one.version == 6 for one in configuration.addresses) else mtu.MIN_TUNNEL
    room = Room(configuration.mtu, least, size_of)
    timers = Timers(plan.left(now), plan.options.idle, speak=dpd)
    controller = PppController(engine, timers, now, room)
    link = records.link(plan.framing, largest=LARGEST, options=opening.options())
    return Tunnel(None, b"", plan.framing, configuration, controller, link=link)


def _known(plan: Plan) -> request.Given | None:
    """Our addresses where the answer was lost; None: they are not all known."""
    ipv4, ipv6 = (plan.held(version) if plan.keep else None for version in (4, 6))
    if plan.ipv6 and ipv6 is None:
        return None
    return request.Given(
        ipv4 if isinstance(ipv4, IPv4Address) else None, ipv6 if isinstance(ipv6, IPv6Address) else None
    )


# --- over TLS ---


async def _over_tls(dialer: Dialer, plan: Plan, way: Way, now: float) -> Tunnel:
    path = plan.wishes.base_mtu or path_mtu(dialer.address_of(plan.url.host) or plan.url.host, plan.url.port)
    response, stream, unread = await _request(dialer, plan)
    try:
        request.judge(response)
        given = request.addresses(response)
        size = mtu.over_tls(
            plan.framing,
            path=path,
            outer_ipv6=":" in stream.peer_host,
            tls=stream.info.version,
            wanted=plan.wishes.mtu,
            ipv6=plan.ipv6,
        )
        clock = asyncio.get_running_loop().time
        engine = Engine(_wishes(plan, given, size, dpd=plan.wishes.force_dpd), token_bytes, clock())
        opening = await negotiate(stream, plan.framing, engine, unread)
        configuration = _configured(plan, given, engine, size, now)
    except BaseException:
        await stream.close()
        raise
    life = PppController(engine, Timers(plan.session, plan.options.idle), now)
    seeks = not way.off and udp.is_there(dialer, plan)
    seek = partial(udp.knock, dialer, plan, udp.LIMIT_BESIDE)
    controller = WayBack(life, way, plan, seek, clock()) if seeks else life
    return Tunnel(stream, opening.unread, plan.framing, configuration, controller, opening.options())


async def _request(dialer: Dialer, plan: Plan) -> tuple[Response, TlsStream, bytes]:
    url, headers = str(plan.url.join(plan.target)), [("User-Agent", plan.agent)]
    for attempt in range(1, REQUEST_TRIES + 1):
        try:
            return await open_stream(dialer, "GET", url, headers, timeout=HEAD_TIMEOUT)
        except ConnectionLost:
            if attempt == REQUEST_TRIES:
                raise
            await asyncio.sleep(REQUEST_PAUSE)
    raise AssertionError("unreachable: the last attempt returns or raises")


# --- PPP ---


def _wishes(plan: Plan, given: request.Given, size: int, *, dpd: float, limits: Limits = OVER_TLS) -> Wishes:
    """What PPP is to ask for.  Raises ConfigurationRefused: another address than the one in use."""
    ipv6 = plan.ipv6
    if ipv6 and size < mtu.MIN_IPV6:
        _too_small(plan, size)
        ipv6 = False
    held4, held6 = plan.held(4), plan.held(6)
    for told, held in ((given.ipv4, held4), (given.ipv6, held6)):
        if plan.keep and told is not None and held is not None and told != held:
            raise ConfigurationRefused(CHANGED, f"the gateway gave the address {told}, want {held} as before")
    address = given.ipv4 or (held4 if isinstance(held4, IPv4Address) else None)
    told_servers = bool(plan.options.dns or plan.options.nbns)
    ipcp = IpcpWishes(address=address or ANY, keep=plan.keep and held4 is not None, servers=not told_servers)
    identifier = given.ipv6.packed[8:] if given.ipv6 is not None else NONE
    return Wishes(
        lcp=LcpWishes(mru=size, accm=0 if plan.options.hdlc else None, compression=True),
        ipcp=ipcp if plan.options.ipv4 else None,
        ip6cp=Ip6cpWishes(identifier) if ipv6 else None,
        limits=limits,
        dpd=dpd,
    )


def _configured(plan: Plan, given: request.Given, engine: Engine, size: int, now: float) -> TunnelConfig:
    """Once PPP is open.  size: bytes of the largest packet, as far as the way goes."""
    agreed = engine.agreed()
    for number, why in engine.failures.items():
        plan.notes.warn(Proto(number).name, str(why))
    size = min(size, agreed.granted.mru)
    has_ipv6 = bool(agreed.identifier) and size >= mtu.MIN_IPV6
    if agreed.identifier and not has_ipv6:
        _too_small(plan, size)
    elif has_ipv6 and given.ipv6 is None:
        plan.notes.warn("IP6CP", "the gateway told no IPv6 address: IPv6 is not configured")
    return config.build(
        plan.options,
        ipv4=agreed.address,
        ipv6=given.ipv6 if has_ipv6 else None,
        servers=dict(agreed.servers),
        mtu=size,
        session=plan.left(now),
        notes=plan.notes,
    )


def _too_small(plan: Plan, size: int) -> None:
    plan.notes.warn("ipv6-mtu-too-small", f"{size} bytes are below {mtu.MIN_IPV6}: IPv6 is not configured")
