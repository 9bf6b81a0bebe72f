"""Configures a Linux host natively: netlink for links, addresses and routes; whoever owns DNS for DNS.

    apply:   journal -> link, MTU -> addresses -> gateway routes -> excludes -> includes -> DNS
    update:  new addresses -> new routes -> changed routes -> old routes -> old addresses -> DNS
    undo:    the journal backwards

What must work: the link, one address, the way to the gateway; else all is undone and HostError raised.  Anything
else that fails is a warning and the tunnel goes on with less.
Source: host-config specification, sections 2.2 to 2.6 and 11.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from protocols.base import Address, Network
from vpnclient.errors import HostError
from vpnclient.host import Applied, HostPlan, rtnetlink
from vpnclient.host.commands import CommandFailed
from vpnclient.host.dns import Backend, DnsSettings, dns_settings
from vpnclient.host.dns.detect import RESOLV_CONF, choose, gather
from vpnclient.host.dns.file import ResolvConfFile
from vpnclient.host.dns.resolvconf import Resolvconf
from vpnclient.host.dns.resolved import Resolved
from vpnclient.host.journal import (
    AddressEntry,
    DnsFileEntry,
    DnsResolvconfEntry,
    DnsResolvedEntry,
    LinkEntry,
    RouteEntry,
)
from vpnclient.host.journalled import JournalledHost, applied
from vpnclient.host.netlink import ADDR_GEN_MODE_NONE, Link, Netlink, NetlinkFailure
from vpnclient.host.routes import (
    PROTO,
    TABLE_MAIN,
    Changes,
    Kind,
    Layout,
    PresentRoute,
    Route,
    Snapshot,
    changes,
    plan_host,
)
from vpnclient.host.undo import undo_entries
from vpnclient.host.warn import Warnings

_METRIC = {4: 0, 6: 1024}  # what the kernel gives a route that names none; the same twice is refused
_IPV6_OFF = Path("/proc/sys/net/ipv6/conf")


class NativeHost(JournalledHost):
    """HostConfig for one tunnel of one profile.  run_dir: for the journals, default /run/vpnclient."""

    failure = NetlinkFailure

    def __init__(
        self, profile: str = "default", *, run_dir: Path | None = None, resolv_conf: Path = RESOLV_CONF
    ) -> None:
        super().__init__(profile, run_dir)
        self._resolv_conf = resolv_conf
        self._link_noted = False
        self._names: dict[int, str] = {}  # of links, by index, as last seen
        self._owned: dict[Network, Route] = {}
        self._addresses: dict[Address, AddressEntry] = {}
        self._backend: Backend | None = None
        self._settings: DnsSettings | None = None

    def warm_up(self) -> None:
        rtnetlink.load()

    def before_reconnect(self, gateways: tuple[Address, ...] = ()) -> tuple[str, ...]:
        """Routes past the tunnel follow the host's present routes (another Wi-Fi, another next hop)."""
        with self._lock:
            if self._plan is None:
                return ()
            warnings = Warnings()
            plan = replace(self._plan, gateways=(*self._plan.gateways, *gateways))
            try:
                with Netlink() as netlink:
                    links = netlink.links()
                    snapshot = self._look(netlink, links, self._link(links, plan.interface), plan)
                    layout = plan_host(plan, snapshot)
                    wanted = [route for route in layout.routes if route.kind is not Kind.INCLUDE]
                    owned = {dst: route for dst, route in self._owned.items() if route.kind is not Kind.INCLUDE}
                    self._converge(netlink, changes(wanted, owned, snapshot.own), snapshot, warnings)
            except (NetlinkFailure, HostError) as exc:
                warnings.add(str(exc))  # offline, most likely: the next attempt looks again
            return warnings.texts()

    def _forget(self) -> None:
        self._backend = self._settings = None
        self._link_noted = False
        self._owned.clear()
        self._addresses.clear()

    def _hint(self, error: Exception) -> str:
        denied = isinstance(error, NetlinkFailure) and error.code == errno.EPERM
        return "run it as root, or with CAP_NET_ADMIN" if denied else ""

    # one pass: used for the first time and for every change

    def _configure(self, plan: HostPlan, warnings: Warnings) -> Applied:
        with Netlink() as netlink:
            links = netlink.links()
            link = self._link(links, plan.interface)
            snapshot = self._look(netlink, links, link, plan)
            layout = plan_host(plan, snapshot)
            warnings.extend(layout.warnings)
            self._set_up(netlink, link, layout)
            self._add_addresses(netlink, link, layout)
            step = changes(layout.routes, self._owned, snapshot.own)
            refused = self._converge(netlink, step, snapshot, warnings)
            self._drop_addresses(netlink, layout)
        self._plan = plan
        settings = self._set_dns(plan, link.index, layout, warnings)
        return applied(layout, refused, settings, self._backend.name if self._backend else "off", warnings)

    @staticmethod
    def _link(links: Mapping[int, Link], name: str) -> Link:
        link = next((link for link in links.values() if link.name == name), None)
        if link is None:
            raise HostError(f"there is no interface {name}")
        return link

    def _look(self, netlink: Netlink, links: Mapping[int, Link], link: Link, plan: HostPlan) -> Snapshot:
        own: list[PresentRoute] = []
        foreign: list[PresentRoute] = []
        for route in netlink.routes():
            mine = self._owned.get(route.dst)
            ours = route.oif == link.index or (route.proto == PROTO and mine is not None and mine.leads_like(route))
            (own if ours else foreign).append(route)
        self._names = {index: each.name for index, each in links.items()}
        loopback = frozenset(index for index, each in links.items() if each.loopback)
        paths = {
            gateway: path
            for gateway in plan.gateways
            if ip_network(gateway) not in self._owned  # the kernel would answer with our own route
            and (path := netlink.path_to(gateway)) is not None
        }
        return Snapshot(link.index, tuple(foreign), tuple(own), paths, loopback, _has_ipv6(link.name))

    def _set_up(self, netlink: Netlink, link: Link, layout: Layout) -> None:
        if link.up and link.mtu == layout.mtu:
            return
        if not self._link_noted:
            self._record(LinkEntry(link.index, link.name, link.mtu, link.up, link.addr_gen_mode))
            self._link_noted = True
        if not link.up and link.addr_gen_mode >= 0:
            netlink.set_link(link.index, addr_gen_mode=ADDR_GEN_MODE_NONE)
        netlink.set_link(link.index, mtu=layout.mtu, up=True)

    def _add_addresses(self, netlink: Netlink, link: Link, layout: Layout) -> None:
        present = {address.ip for address in netlink.addresses(link.index)}
        for interface in layout.addresses:
            address = interface.ip
            if address in present:
                continue
            entry = AddressEntry(link.index, link.name, f"{address}/{address.max_prefixlen}")
            self._record(entry)
            netlink.add_address(link.index, address)
            self._addresses[address] = entry

    def _drop_addresses(self, netlink: Netlink, layout: Layout) -> None:
        wanted = {interface.ip for interface in layout.addresses}
        for address in [address for address in self._addresses if address not in wanted]:
            entry = self._addresses.pop(address)
            try:
                netlink.remove_address(entry.index, address)
            except NetlinkFailure as exc:
                if not exc.missing:
                    raise

    def _converge(self, netlink: Netlink, step: Changes, snapshot: Snapshot, warnings: Warnings) -> set[Network]:
        """Carry out the changes; returns the destinations that could not be had."""
        taken = {route.dst: route for route in snapshot.foreign if route.metric == _METRIC[route.dst.version]}
        refused: set[Network] = set()
        add = [route for route in step.add if not self._is_taken(route, taken, refused, warnings)]
        self._record(*(self._entry(route) for route in (*add, *(new for _old, new in step.replace))))
        for route in add:
            self._put(netlink.add_route, route, refused, warnings)
        for _old, route in step.replace:
            self._put(netlink.replace_route, route, refused, warnings)
        for route in step.remove:
            try:
                netlink.remove_route(route)
            except NetlinkFailure as exc:
                if not exc.missing:
                    warnings.add(str(exc))
            del self._owned[route.dst]
        return refused

    @staticmethod
    def _is_taken(route: Route, taken: dict[Network, PresentRoute], refused: set[Network], warnings: Warnings) -> bool:
        """Somebody else's route has this destination: it stays, and it is never ours to delete."""
        other = taken.get(route.dst)
        if other is None:
            return False
        if not route.leads_like(other):
            refused.add(route.dst)
            warnings.add(f"route {route.dst} not set: this host has one of its own")
        return True

    def _put(self, job: Callable[[Route], None], route: Route, refused: set[Network], warnings: Warnings) -> None:
        try:
            job(route)
        except NetlinkFailure as exc:
            if exc.code == errno.EPERM or (route.kind is Kind.GATEWAY and not exc.exists):
                raise  # exists: another client of the same gateway was faster, its route serves us too
            refused.add(route.dst)
            warnings.add(str(exc))
        else:
            self._owned[route.dst] = route

    def _entry(self, route: Route) -> RouteEntry:
        gateway = str(route.gateway) if route.gateway else ""
        return RouteEntry(str(route.dst), gateway, route.oif, self._names[route.oif], TABLE_MAIN, PROTO)

    # DNS: never fatal

    def _set_dns(self, plan: HostPlan, index: int, layout: Layout, warnings: Warnings) -> DnsSettings | None:
        """Returns what is in force; None: nothing."""
        main_version = min(address.version for address in layout.addresses)
        settings, texts = dns_settings(plan, index, full_tunnel=main_version in layout.everything)
        warnings.extend(texts)
        if settings is None or plan.dns == "off":
            self._unset_dns(warnings)
            return None
        if settings == self._settings:
            return settings
        if self._backend is None:
            self._backend = self._choose(plan, warnings)
        if self._backend is None:
            return None
        try:
            warnings.extend(self._backend.apply(settings, self._record))
        except (CommandFailed, OSError) as exc:
            warnings.add(f"DNS not configured: {exc}")
            return None
        self._settings = settings
        return settings

    def _unset_dns(self, warnings: Warnings) -> None:
        """The gateway no longer names servers: give name resolution back."""
        if self._settings is None or self._journal is None:
            return
        kinds = (DnsFileEntry, DnsResolvedEntry, DnsResolvconfEntry)
        warnings.extend(undo_entries([e for e in self._journal.entries if isinstance(e, kinds)]).warnings)
        self._settings = self._backend = None

    def _choose(self, plan: HostPlan, warnings: Warnings) -> Backend | None:
        facts = gather(plan.dns, self._resolv_conf)
        choice = choose(plan.dns, facts)
        if choice.why:
            warnings.add(choice.why)
        if choice.backend == "resolved":
            return Resolved()
        if choice.backend == "resolvconf":
            return Resolvconf(facts.resolvconf, openresolv=facts.openresolv)
        return ResolvConfFile(self._resolv_conf) if choice.backend == "file" else None


def _has_ipv6(name: str) -> bool:
    """The kernel has IPv6, and it is not switched off for this link."""
    try:
        return (_IPV6_OFF / name / "disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False
