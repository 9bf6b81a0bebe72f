"""Which addresses and routes the host should get: a pure plan from the gateway's wishes and the present routes.

Order of the plan, which is the order of carrying it out: gateway routes, excludes, includes, half routes.  The way
to the gateway is thus never lost.  All routes go to the main table with protocol number 142, which nobody else uses.
Source: host-config specification, sections 1.2, 2.3 to 2.6, 11 and quirks Q6 to Q9, Q13.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from protocols.base import Address, Interface, Network
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.prefixes import PrefixTable
from vpnclient.host.warn import Warnings

PROTO = 142  # rtm_protocol of every route we add; not in iproute2's table of names
TABLE_MAIN = 254
UNICAST = 1  # RTN_UNICAST
MAX_ROUTES = 10_000  # includes and excludes of one gateway
DEFAULT_MTU = 1412  # bytes, where the gateway says nothing
LEAST_MTU, LARGEST_MTU = 576, 65535  # bytes
LEAST_MTU_IPV6 = 1280  # bytes; the kernel refuses IPv6 addresses below

_HALVES: dict[int, tuple[Network, Network]] = {
    4: (IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1")),
    6: (IPv6Network("::/1"), IPv6Network("8000::/1")),
}
_THIS_HOST = IPv4Network("0.0.0.0/8")
_LOCAL_LAN: tuple[Network, ...] = (IPv4Network("0.0.0.0/32"), IPv6Network("::/128"))  # Q8, as an exclude


class Kind(StrEnum):
    """Why a route is there; also the order of adding."""

    GATEWAY = "gateway"
    EXCLUDE = "exclude"
    INCLUDE = "include"


@dataclass(frozen=True, slots=True)
class PresentRoute:
    """A route the kernel has (main table).  type: RTN_*; mtu: its metric in bytes, 0 = none."""

    dst: Network
    oif: int
    gateway: Address | None = None
    prefsrc: Address | None = None
    metric: int = 0
    mtu: int = 0
    proto: int = 0
    type: int = UNICAST
    dead: bool = False
    onlink: bool = False  # the gateway is reached on the link although no route says so


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The host as it is.  tun, loopback: interface indexes.

    foreign: routes that neither lead into our tunnel nor are ours.  own: those that are.  paths: the kernel's own
    choice for gateways that no route of the main table reaches (policy routing), as a default route.
    ipv6: the device can have it.
    """

    tun: int
    foreign: tuple[PresentRoute, ...] = ()
    own: tuple[PresentRoute, ...] = ()
    paths: Mapping[Address, PresentRoute] = field(default_factory=dict)
    loopback: frozenset[int] = frozenset()
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """A route to have.  gateway None: on-link.  mtu: route metric in bytes, 0 = none."""

    dst: Network
    oif: int
    kind: Kind
    gateway: Address | None = None
    prefsrc: Address | None = None
    mtu: int = 0
    onlink: bool = False

    def leads_like(self, other: Route | PresentRoute) -> bool:
        """Same destination, same way; the reason may differ."""
        return (self.dst, self.oif, self.gateway) == (other.dst, other.oif, other.gateway)


@dataclass(frozen=True, slots=True)
class Layout:
    """The plan.  everything: IP versions whose default route is in the tunnel.  includes, excludes: for people."""

    mtu: int
    addresses: tuple[Interface, ...]
    routes: tuple[Route, ...]
    includes: tuple[Network, ...]
    excludes: tuple[Network, ...]
    everything: frozenset[int]
    warnings: tuple[str, ...]


def plan_host(plan: HostPlan, snapshot: Snapshot) -> Layout:
    """What to do to the host.  Raises HostError: no usable address, too many routes, gateway out of reach."""
    count = len(plan.config.split_include) + len(plan.config.split_exclude)
    if count > MAX_ROUTES:
        raise HostError(f"configuration too large: {count} routes, at most {MAX_ROUTES}")
    return _Planner(plan, snapshot).layout()


class _Planner:
    """One run of `plan_host`: the steps share the look-up tables and the warnings."""

    def __init__(self, plan: HostPlan, snapshot: Snapshot) -> None:
        self.plan, self.config, self.snapshot = plan, plan.config, snapshot
        self.warn = Warnings()
        self.local_lan = plan.config.exclude_local_lan
        self.gateways = _gateways(plan.gateways)
        self.foreign: PrefixTable[PresentRoute] = PrefixTable()
        self.attached: list[Network] = []
        for route in sorted(snapshot.foreign, key=lambda route: -route.metric):  # the best metric is added last
            if route.type != UNICAST or route.dead:
                continue
            self.foreign.add(route.dst, route)
            if _is_attached(route, snapshot.loopback):
                self.attached.append(route.dst)

    def layout(self) -> Layout:
        mtu = min(max(self.config.mtu or DEFAULT_MTU, LEAST_MTU), LARGEST_MTU)
        addresses = self._addresses(mtu)
        versions: set[int] = {address.version for address in addresses}
        excludes = self._excludes(versions)
        includes, everything = self._includes(versions, addresses, excludes)
        halves = tuple(half for version in sorted(everything) for half in _HALVES[version])
        tunnel: PrefixTable[Network] = PrefixTable()
        for network in (*includes, *halves):
            tunnel.add(network, network)
        exclude_routes, unreachable = self._exclude_routes(excludes, tunnel)
        routes = (
            *self._gateway_routes(tunnel),
            *exclude_routes,
            *(Route(network, self.snapshot.tun, Kind.INCLUDE) for network in (*includes, *halves)),
        )
        if not self.config.client_bypass and everything and 6 not in versions:
            self.warn.add("the gateway wants IPv6 blocked, which is not supported: IPv6 goes past the tunnel")
        defaults: list[Network] = [ip_network("0.0.0.0/0" if v == 4 else "::/0") for v in sorted(everything)]
        return Layout(
            mtu=mtu,
            addresses=addresses,
            routes=_once(routes),
            includes=(*defaults, *includes),
            excludes=tuple(network for network in excludes if network not in unreachable),
            everything=frozenset(everything),
            warnings=self.warn.texts(),
        )

    def _addresses(self, mtu: int) -> tuple[Interface, ...]:
        kept: list[Interface] = []
        for address in self.config.addresses:
            why = _unusable(ip_network(address.ip))
            if why:
                self.warn.add(f"tunnel address {address} dropped: {why}")
            elif address.version == 4:
                kept.append(address)
            elif not self.plan.ipv6:
                continue
            elif not self.snapshot.ipv6:
                self.warn.add(f"tunnel address {address} dropped: this host has IPv6 switched off")
            elif mtu < LEAST_MTU_IPV6:
                self.warn.add(f"no IPv6 in the tunnel: its MTU is {mtu}, IPv6 needs {LEAST_MTU_IPV6}")
            else:
                kept.append(address)
        if not kept:
            raise HostError(f"the gateway gave no usable address, only {_listed(self.config.addresses)}")
        return tuple(kept)

    def _excludes(self, versions: set[int]) -> tuple[Network, ...]:
        kept: set[Network] = set()
        for network in self.config.split_exclude:
            if network in _LOCAL_LAN:
                self.local_lan = True
                continue
            why = "it is the default route" if network.prefixlen == 0 else _unusable(network)
            if why:
                self.warn.add(f"exclude {network} dropped: {why}")
            elif network.version in versions:
                kept.add(network)
        if self.local_lan:
            kept.update(network for network in self.attached if network.version in versions)
        return _sorted(kept)

    def _includes(
        self, versions: set[int], addresses: Sequence[Interface], excludes: Sequence[Network]
    ) -> tuple[tuple[Network, ...], set[int]]:
        """The networks to route into the tunnel, and the IP versions that go there altogether."""
        kept = {network for address in addresses if (network := self._tunnel_network(address))}
        wanted = [network for network in self.config.split_include if network.version in versions]
        everything = versions - {network.version for network in self.config.split_include}
        everything |= {network.version for network in wanted if network.prefixlen == 0}
        for network in wanted:
            why = self._refusal(network)
            if why:
                self.warn.add(f"route {network} dropped: {why}")
            elif network.prefixlen:
                kept.add(network)
        if len(wanted) < len(self.config.split_include) and (self.plan.ipv6 or 4 not in versions):
            self.warn.add("routes dropped: the gateway gave no address of their IP version")
        kept.difference_update(excludes)
        self._tell_overlaps(kept)
        return _sorted(kept), everything if self.plan.default_route != "no" else set()

    def _tunnel_network(self, address: Interface) -> Network | None:
        network = address.network
        if network.prefixlen == 0:  # Q9
            self.warn.add(f"tunnel address {address} has an empty mask: taken as a single host")
            return None
        return None if network.prefixlen == network.max_prefixlen else network

    def _refusal(self, network: Network) -> str:
        if network.prefixlen == network.max_prefixlen and network.network_address in self.gateways:
            return "it is the gateway itself"
        if self.local_lan:
            for attached in self.attached:
                if network.version == attached.version and _inside(network, attached) and network.prefixlen:
                    return f"part of the local network {attached}, which stays outside"
        return "" if network.prefixlen == 0 else _unusable(network)

    def _tell_overlaps(self, includes: set[Network]) -> None:
        """Q13: networks attached to this host (containers, home networks) that the gateway also wants."""
        table: PrefixTable[Network] = PrefixTable()
        for network in includes:
            table.add(network, network)
        for attached in self.attached:
            covering = next(table.covering(attached), None)
            if covering is not None:
                self.warn.add(f"{attached} is attached to this host and stays outside the route {covering}")
        inner: PrefixTable[Network] = PrefixTable()
        for attached in self.attached:
            inner.add(attached, attached)
        for network in _sorted(includes):
            around = next(inner.covering(network), None)
            if around is not None and around != network:
                self.warn.add(f"route {network} takes part of the attached network {around} into the tunnel")

    def _gateway_routes(self, tunnel: PrefixTable[Network]) -> list[Route]:
        """A host route to each gateway that a tunnel route covers; Q7: also with split routes."""
        routes: list[Route] = []
        for gateway in self.gateways:
            host: Network = ip_network(gateway)
            if gateway.is_loopback or gateway.is_link_local or not tunnel.covers(host):
                continue
            best = next(self.foreign.covering(host), None) or self.snapshot.paths.get(gateway)
            if best is None or best.oif == self.snapshot.tun:
                raise HostError(
                    f"no route to the gateway {gateway} outside the tunnel",
                    hint="check this host's default route",
                )
            if best.dst != host:
                routes.append(_along(best, host, Kind.GATEWAY))
        return routes

    def _exclude_routes(
        self, excludes: Iterable[Network], tunnel: PrefixTable[Network]
    ) -> tuple[list[Route], set[Network]]:
        """A route past the tunnel for each exclude, along the way it would take without the tunnel.

        Also returns the excludes for which the host has no way at all.
        """
        routes: list[Route] = []
        unreachable: set[Network] = set()
        for network in excludes:
            if not tunnel.covers(network):
                continue
            best = next(self.foreign.covering(network), None)
            if best is None:
                self.warn.add(f"exclude {network} dropped: this host has no other route to it")
                unreachable.add(network)
            elif best.dst != network:
                routes.append(_along(best, network, Kind.EXCLUDE))
        return routes, unreachable


@dataclass(frozen=True, slots=True)
class Changes:
    """Steps from the present to the plan, each list in the order of doing it: add, then replace, then remove."""

    add: tuple[Route, ...]
    replace: tuple[tuple[Route, Route], ...]  # (old, new): same destination, another way
    remove: tuple[Route, ...]


def changes(wanted: Sequence[Route], owned: Mapping[Network, Route], present: Iterable[PresentRoute]) -> Changes:
    """What to do so that `wanted` is there, where `owned` was added by us and `present` are those found now."""
    there = {(route.dst, route.oif, route.gateway) for route in present}
    add: list[Route] = []
    replace: list[tuple[Route, Route]] = []
    for route in wanted:
        old = owned.get(route.dst)
        if old is None or (old.dst, old.oif, old.gateway) not in there:
            add.append(route)
        elif not route.leads_like(old):
            replace.append((old, route))
    keep = {route.dst for route in wanted}
    gone = [route for route in owned.values() if route.dst not in keep]
    order = list(Kind)
    gone.sort(key=lambda route: -order.index(route.kind))  # excludes and gateway routes go last
    return Changes(tuple(add), tuple(replace), tuple(gone))


def _gateways(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Each address once; IPv4 mapped into IPv6 is IPv4."""
    plain: dict[Address, None] = {}
    for address in addresses:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        plain[mapped or address] = None
    return tuple(plain)


def _is_attached(route: PresentRoute, loopback: frozenset[int]) -> bool:
    """A network of one of the host's links (no next hop), not a single host or a link-local one."""
    return (
        route.gateway is None
        and route.oif not in loopback
        and 0 < route.dst.prefixlen < route.dst.max_prefixlen
        and not _unusable(route.dst)
    )


def _unusable(network: Network) -> str:
    """Why a network cannot be a destination or hold an address; empty: it can."""
    if network.is_multicast:
        return "multicast"
    if network.is_loopback:
        return "loopback"
    if network.is_link_local:
        return "link-local"
    if isinstance(network, IPv4Network):
        if network.prefixlen >= 8 and network.subnet_of(_THIS_HOST):
            return "no real address"
        return "broadcast" if str(network) == "255.255.255.255/32" else ""
    return "no real address" if network.prefixlen == 128 and network.network_address.is_unspecified else ""


def _inside(inner: Network, outer: Network) -> bool:
    shift = outer.max_prefixlen - outer.prefixlen
    same = int(inner.network_address) >> shift == int(outer.network_address) >> shift
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and same


def _along(best: PresentRoute, dst: Network, kind: Kind) -> Route:
    return Route(dst, best.oif, kind, best.gateway, best.prefsrc, best.mtu, best.onlink)


def _once(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Each destination once; the first one wins (gateway before exclude before include)."""
    first: dict[Network, Route] = {}
    for route in routes:
        first.setdefault(route.dst, route)
    return tuple(first.values())


def _sorted(networks: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(sorted(networks, key=lambda n: (n.version, int(n.network_address), n.prefixlen)))


def _listed(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in things) or "none"
