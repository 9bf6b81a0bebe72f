"""WindowsHost: addresses, routes and DNS of a Wintun adapter.

    apply:   journal -> interface, MTU, metric -> addresses -> gateway routes -> excludes -> includes -> DNS, rules
    update:  new addresses -> new routes -> changed routes -> old routes -> old addresses -> DNS
    undo:    the journal backwards

The plan is Linux' (routes.py), and so is what must work and what only warns.  The adapter takes everything with it
when it goes; routes on other interfaces (to the gateway, excludes) and rules for DNS are what the journal is for.
Source: Wintun notes, section 12; host-config specification, sections 2.4, 2.5, 3.5.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from protocols.base import Address, Network
from vpnclient.errors import HostError
from vpnclient.host import Applied, HostPlan
from vpnclient.host.dns import DnsSettings, dns_settings
from vpnclient.host.journal import NrptEntry, WindowsAddressEntry, WindowsDnsEntry, WindowsRouteEntry
from vpnclient.host.journalled import JournalledHost, applied
from vpnclient.host.routes import Changes, Kind, Layout, PresentRoute, Route, Snapshot, changes, plan_host
from vpnclient.host.undo import undo_entries
from vpnclient.host.warn import Warnings
from vpnclient.host.windows.api import Windows, open_windows
from vpnclient.host.windows.dns import WindowsDns, remove_rules_of
from vpnclient.host.windows.rows import PROTOCOL_NETMGMT
from vpnclient.host.windows.stack import ACCESS_DENIED, IpFailure, IpStack, Tunnel

_BEST = -1  # a metric before all others: of Windows' own choice
_IPV6_SETTINGS = r"SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters"
_IPV6_OFF = 0x10  # bit of DisabledComponents: on all interfaces that are no tunnels of Windows'


class WindowsHost(JournalledHost):
    """HostConfig for one tunnel of one profile.  run_dir: for the journals, default ProgramData\\vpnclient."""

    failure = IpFailure

    def __init__(
        self, profile: str = "default", *, run_dir: Path | None = None, windows: Windows | None = None
    ) -> None:
        super().__init__(profile, run_dir, windows)
        self._luids: dict[int, int] = {}  # of interfaces, by index, also of those that went
        self._owned: dict[Network, Route] = {}
        self._addresses: set[Address] = set()
        self._settings: DnsSettings | None = None

    def warm_up(self) -> None:
        """Nothing here is slow to load."""

    def prepare(self, plan: HostPlan | None = None) -> tuple[str, ...]:
        """Also: rules of this profile that no journal tells of.  Raises FunctionMissing before anything is changed."""
        with self._lock:
            if self._journal is not None:
                return ()
            windows = self._open()
            windows.ip.require()
            warnings = super().prepare(plan)
            try:
                gone = remove_rules_of(windows, self._profile)
            except OSError as exc:
                return (*warnings, f"old DNS rules not removed: {exc.strerror or exc}")
            return (*warnings, f"{len(gone)} old DNS rules removed") if gone else warnings

    def before_reconnect(self, gateways: tuple[Address, ...] = ()) -> tuple[str, ...]:
        """Routes past the tunnel follow the host's present routes (another Wi-Fi, another next hop)."""
        with self._lock:
            if self._plan is None:
                return ()
            warnings = Warnings()
            plan = replace(self._plan, gateways=(*self._plan.gateways, *gateways))
            try:
                stack = IpStack(self._open())
                snapshot = self._look(stack, stack.find(plan.interface), plan)
                wanted = [route for route in plan_host(plan, snapshot).routes if route.kind is not Kind.INCLUDE]
                owned = {dst: route for dst, route in self._owned.items() if route.kind is not Kind.INCLUDE}
                self._converge(stack, changes(wanted, owned, snapshot.own), snapshot, warnings)
            except (IpFailure, HostError) as exc:
                warnings.add(str(exc))  # offline, most likely: the next attempt looks again
            return warnings.texts()

    def _forget(self) -> None:
        self._settings = None
        self._owned.clear()
        self._addresses.clear()

    def _hint(self, error: Exception) -> str:
        denied = isinstance(error, IpFailure) and error.code == ACCESS_DENIED
        return "run it in a terminal that was started as administrator" if denied else ""

    def _open(self) -> Windows:
        if self._windows is None:
            self._windows = open_windows()
        return self._windows

    # one pass: used for the first time and for every change

    def _configure(self, plan: HostPlan, warnings: Warnings) -> Applied:
        stack = IpStack(self._open())
        tunnel = stack.find(plan.interface)
        snapshot = self._look(stack, tunnel, plan)
        layout = plan_host(plan, snapshot)
        warnings.extend(layout.warnings)
        for version in sorted({address.version for address in layout.addresses}):
            stack.set_up(tunnel.luid, version, layout.mtu)
        self._add_addresses(stack, tunnel, layout, warnings)
        refused = self._converge(stack, changes(layout.routes, self._owned, snapshot.own), snapshot, warnings)
        self._drop_addresses(stack, tunnel, {address.ip for address in layout.addresses})
        self._plan = plan
        settings = self._set_dns(plan, tunnel, layout, warnings)
        return applied(layout, refused, settings, WindowsDns.name, warnings)

    def _look(self, stack: IpStack, tunnel: Tunnel, plan: HostPlan) -> Snapshot:
        present = stack.routes()
        self._luids |= present.luids | {tunnel.index: tunnel.luid}
        own: list[PresentRoute] = []
        foreign: list[PresentRoute] = []
        for route in present.routes:
            mine = self._owned.get(route.dst)
            ours = route.oif == tunnel.index or (
                route.proto == PROTOCOL_NETMGMT and mine is not None and mine.leads_like(route)
            )
            (own if ours else foreign).append(route)
        for gateway in plan.gateways:
            path = None if ip_network(gateway) in self._owned else stack.path_to(gateway)
            if path is not None and path.oif != tunnel.index:
                foreign.append(replace(path, metric=_BEST))  # of several with its prefix, the one Windows takes
        ipv6 = self._has_ipv6(stack, tunnel, plan)
        return Snapshot(tunnel.index, tuple(foreign), tuple(own), {}, present.loopback, ipv6)

    def _has_ipv6(self, stack: IpStack, tunnel: Tunnel, plan: HostPlan) -> bool:
        """Waits for it only if it is wanted, and may come."""
        if not plan.ipv6 or all(address.version == 4 for address in plan.config.addresses):
            return False
        try:
            off = self._open().registry.read(_IPV6_SETTINGS, "DisabledComponents")
        except OSError:
            off = 0
        if isinstance(off, int) and off & _IPV6_OFF:
            return False
        return stack.wait(tunnel.luid, 6) is not None

    def _add_addresses(self, stack: IpStack, tunnel: Tunnel, layout: Layout, warnings: Warnings) -> None:
        """Addresses of an earlier life of the adapter go first."""
        wanted = {interface.ip for interface in layout.addresses}
        if not self._addresses:
            present = {row.address for row in stack.addresses() if row.luid == tunnel.luid}
            stale = {address for address in present - wanted if address is not None and not address.is_link_local}
            self._remove_addresses(stack, tunnel, stale)
        new = [interface.ip for interface in layout.addresses if interface.ip not in self._addresses]
        self._record(*(WindowsAddressEntry(tunnel.luid, str(address)) for address in new))
        for address in new:
            warning = stack.add_address(tunnel.luid, address)
            if warning:
                warnings.add(warning)
            self._addresses.add(address)

    def _drop_addresses(self, stack: IpStack, tunnel: Tunnel, wanted: set[Address]) -> None:
        gone = self._addresses - wanted
        self._addresses &= wanted
        self._remove_addresses(stack, tunnel, gone)

    @staticmethod
    def _remove_addresses(stack: IpStack, tunnel: Tunnel, addresses: set[Address]) -> None:
        for address in addresses:
            try:
                stack.remove_address(tunnel.luid, address)
            except IpFailure as exc:
                if not exc.missing:
                    raise

    def _converge(self, stack: IpStack, step: Changes, snapshot: Snapshot, warnings: Warnings) -> set[Network]:
        """Carry out the changes; returns the destinations that could not be had."""
        taken = {route.dst for route in snapshot.foreign if not route.dead}
        refused = {route.dst for route in step.add if route.dst in taken}
        for dst in refused:
            warnings.add(f"route {dst} not set: this host has one of its own")
        add = [route for route in step.add if route.dst not in refused]
        self._record(*(self._entry(route) for route in (*add, *(new for _old, new in step.replace))))
        for route in add:
            self._put(stack, route, refused, warnings)
        for old, route in step.replace:
            self._put(stack, route, refused, warnings)
            if route.dst not in refused:
                self._take(stack, old, warnings)
        for route in step.remove:
            self._take(stack, route, warnings)
            del self._owned[route.dst]
        return refused

    def _put(self, stack: IpStack, route: Route, refused: set[Network], warnings: Warnings) -> None:
        try:
            stack.add_route(self._luids[route.oif], route.dst, route.gateway)
        except IpFailure as exc:
            if exc.exists:  # the very same: another client of the same gateway was faster, its route serves us too
                self._disown(route)
                return
            if exc.code == ACCESS_DENIED or route.kind is Kind.GATEWAY:
                raise
            refused.add(route.dst)
            warnings.add(str(exc))
        else:
            self._owned[route.dst] = route

    def _disown(self, route: Route) -> None:
        """Somebody else's route is not ours to delete; those of the tunnel go with it."""
        entry = self._entry(route)
        if self._journal is not None and entry in self._journal.entries:
            self._journal.entries.remove(entry)
        self._owned.pop(route.dst, None)

    def _take(self, stack: IpStack, route: Route, warnings: Warnings) -> None:
        try:
            stack.remove_route(self._luids[route.oif], route.dst, route.gateway)
        except IpFailure as exc:
            if not exc.missing:
                warnings.add(str(exc))

    def _entry(self, route: Route) -> WindowsRouteEntry:
        return WindowsRouteEntry(self._luids[route.oif], str(route.dst), str(route.gateway) if route.gateway else "")

    # DNS: never fatal

    def _set_dns(self, plan: HostPlan, tunnel: Tunnel, layout: Layout, warnings: Warnings) -> DnsSettings | None:
        """Returns what is in force; None: nothing."""
        main_version = min(address.version for address in layout.addresses)
        full = main_version in layout.everything
        settings, texts = dns_settings(replace(plan, profile=self._profile), tunnel.index, full_tunnel=full)
        warnings.extend(texts)
        if settings is None or plan.dns == "off":
            self._unset_dns(warnings)
            return None
        if plan.dns != "auto":
            warnings.add(f"DNS by {plan.dns} is not for Windows: set as Windows does it")
        if settings != self._settings:
            worked, texts = WindowsDns(self._open(), tunnel).apply(settings, self._record)
            warnings.extend(texts)
            self._settings = settings if worked else None
        return self._settings

    def _unset_dns(self, warnings: Warnings) -> None:
        """The gateway no longer names servers: give name resolution back."""
        if self._journal is None:
            return
        entries = [entry for entry in self._journal.entries if isinstance(entry, WindowsDnsEntry | NrptEntry)]
        if entries:
            warnings.extend(undo_entries(entries, windows=self._windows).warnings)
        self._settings = None
