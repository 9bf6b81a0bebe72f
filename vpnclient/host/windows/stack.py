"""Interfaces, addresses and routes of Windows as values, and what its error codes mean for us.

    1168, 2   no such thing: an interface that still comes up, something already gone
    5010      it exists: fine if it is what we wanted
    5         administrator rights needed
    87        a row that Windows does not take: IPv4 wants SitePrefixLength 0, IPv6 an MTU of 1280 at least

Source: Wintun notes, section 12, steps 1 to 4; host-config specification, section 3.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from uuid import UUID

from protocols.base import Address, Network
from vpnclient.errors import HostError
from vpnclient.host.routes import UNICAST, PresentRoute
from vpnclient.host.windows.api import Windows
from vpnclient.host.windows.rows import (
    DAD_PREFERRED,
    FAMILY,
    INFINITE,
    PROTOCOL_NETMGMT,
    AddressRow,
    InterfaceRow,
    RouteRow,
    Table,
    pack_address,
)

INTERFACE_PATIENCE = 15.0  # seconds until a new adapter has its IP interface
INTERFACE_INTERVAL = 0.05  # seconds
TUNNEL_METRIC = 1  # of the interface: before all others, for routes and for name servers
LOCAL = 2  # the type of a route to an address of this host, as routes.py knows it
_ANY: dict[int, Address] = {4: ip_address("0.0.0.0"), 6: ip_address("::")}
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

ACCESS_DENIED = 5
_MISSING = (2, 1168)
_EXISTS = 5010
_TEXTS = {
    2: "there is no such interface",
    ACCESS_DENIED: "administrator rights needed",
    50: "this Windows does not support it",
    87: "Windows refused a value of it",
    1168: "there is no such entry",
    _EXISTS: "it exists already",
}


class IpFailure(Exception):
    """Windows refused; `code` is its error."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {_TEXTS.get(code, 'Windows refused')} (error {code})")
        self.code = code

    @property
    def missing(self) -> bool:
        return self.code in _MISSING

    @property
    def exists(self) -> bool:
        return self.code == _EXISTS


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The tunnel's adapter.  guid: as in memory."""

    luid: int
    index: int
    guid: bytes

    @property
    def name(self) -> str:
        return braces(UUID(bytes_le=self.guid))


@dataclass(frozen=True, slots=True)
class Present:
    """All routes of the host.  luids: of interfaces by index.  loopback: indexes."""

    routes: tuple[PresentRoute, ...]
    luids: dict[int, int]
    loopback: frozenset[int]


def braces(guid: UUID) -> str:
    return f"{{{str(guid).upper()}}}"


class IpStack:
    """All calls raise IpFailure and FunctionMissing."""

    def __init__(self, windows: Windows) -> None:
        self._windows, self._ip = windows, windows.ip

    # interfaces

    def find(self, name: str) -> Tunnel:
        """The adapter of that name, once it has an IPv4 interface.  Raises HostError if it does not get one."""
        deadline = self._windows.now() + INTERFACE_PATIENCE
        code, luid = self._ip.luid_of_alias(name)
        while code and self._windows.now() < deadline:
            self._windows.sleep(INTERFACE_INTERVAL)
            code, luid = self._ip.luid_of_alias(name)
        if code:
            raise HostError(f"there is no interface {name} (error {code})")
        row = self.wait(luid, 4)
        if row is None:
            raise HostError(f"the interface {name} has got no IPv4 within {INTERFACE_PATIENCE:g} s")
        code, guid = self._ip.guid_of_luid(luid)
        _check(f"cannot tell the GUID of the interface {name}", code)
        return Tunnel(luid, row.index, guid)

    def wait(self, luid: int, version: int) -> InterfaceRow | None:
        """The IP interface, once it is there; None: it did not come (IPv6: it is switched off)."""
        deadline = self._windows.now() + INTERFACE_PATIENCE
        while True:
            row = InterfaceRow()
            row.family, row.luid = FAMILY[version], luid
            code = self._ip.get_interface(row.data)
            if code not in _MISSING:
                _check(f"cannot read the IPv{version} interface", code)
                return row
            if self._windows.now() >= deadline:
                return None
            self._windows.sleep(INTERFACE_INTERVAL)

    def set_up(self, luid: int, version: int, mtu: int) -> None:
        """MTU (bytes) and metric; no router discovery and no waiting for duplicates of our addresses."""
        row = InterfaceRow()
        row.family, row.luid = FAMILY[version], luid
        what = f"cannot set the MTU {mtu} of the tunnel's IPv{version} interface"
        _check(what, self._ip.get_interface(row.data))
        if version == 4:
            row.site_prefix_length = 0  # what Windows gave for it, it does not take
        row.nl_mtu = mtu
        row.use_automatic_metric, row.metric = 0, TUNNEL_METRIC
        row.router_discovery = row.dad_transmits = 0
        row.managed_address = row.other_stateful = 0
        _check(what, self._ip.set_interface(row.data))

    # addresses

    def addresses(self) -> list[AddressRow]:
        code, data = self._ip.addresses()
        _check("cannot list the addresses", code)
        return list(Table(AddressRow, data))

    def add_address(self, luid: int, address: Address) -> str:
        """Add a single host address.  Returns a warning or nothing.

        One that is there as we want it counts as added.  One that an adapter without a link holds is taken over.
        """
        warning = ""
        code = self._ip.create_address(self._address_row(luid, address).data)
        if code == _EXISTS:
            for held in [row for row in self.addresses() if row.address == address]:
                if held.luid == luid and held.prefix_length == address.max_prefixlen:
                    return ""
                if held.luid != luid:
                    if self._is_connected(held.luid, address.version):
                        raise HostError(f"the tunnel's address {address} is in use on another interface of this host")
                    warning = f"address {address} was taken from an interface that is not connected"
                self._ip.delete_address(held.data)
            code = self._ip.create_address(self._address_row(luid, address).data)
        _check(f"cannot add address {address}", code)
        return warning

    def remove_address(self, luid: int, address: Address) -> None:
        row = self._address_row(luid, address)
        _check(f"cannot remove address {address}", self._ip.delete_address(row.data))

    def _address_row(self, luid: int, address: Address) -> AddressRow:
        row = AddressRow()
        self._ip.initialize_address(row.data)
        row.luid, row.address, row.prefix_length = luid, address, address.max_prefixlen
        row.valid_lifetime = row.preferred_lifetime = INFINITE
        row.dad_state = DAD_PREFERRED
        return row

    def _is_connected(self, luid: int, version: int) -> bool:
        row = InterfaceRow()
        row.family, row.luid = FAMILY[version], luid
        return not self._ip.get_interface(row.data) and bool(row.connected)

    # routes

    def routes(self) -> Present:
        """Metrics are Windows': the route's and its interface's together."""
        code, data = self._ip.routes()
        _check("cannot list the routes", code)
        found: list[PresentRoute] = []
        luids: dict[int, int] = {}
        loopback: set[int] = set()
        interfaces: dict[tuple[int, int], InterfaceRow | None] = {}
        for row in Table(RouteRow, data):
            dst = _destination(row)
            if dst is None:
                continue
            luids[row.index] = row.luid
            if dst in _LOOPBACK:
                loopback.add(row.index)
            key = (dst.version, row.luid)
            if key not in interfaces:
                interfaces[key] = self._interface(row.luid, dst.version)
            interface = interfaces[key]
            if interface is not None:
                found.append(_present(row, dst, interface))
        return Present(tuple(found), luids, frozenset(loopback))

    def path_to(self, address: Address) -> PresentRoute | None:
        """Windows' choice for an address; None: it has no way there, or does not say."""
        row = RouteRow()
        if self._ip.best_route(pack_address(address), row.data):
            return None
        dst = _destination(row)
        interface = self._interface(row.luid, address.version)
        return _present(row, dst, interface) if dst is not None and interface is not None else None

    def add_route(self, luid: int, dst: Network, gateway: Address | None) -> None:
        """One that is there already raises IpFailure `exists`."""
        _check(f"cannot add route {dst}", self._ip.create_route(self._route_row(luid, dst, gateway).data))

    def remove_route(self, luid: int, dst: Network, gateway: Address | None) -> None:
        """Exactly this route; IpFailure `missing` if it is not there."""
        _check(f"cannot remove route {dst}", self._ip.delete_route(self._route_row(luid, dst, gateway).data))

    def _route_row(self, luid: int, dst: Network, gateway: Address | None) -> RouteRow:
        row = RouteRow()
        self._ip.initialize_route(row.data)
        row.luid, row.destination, row.prefix_length = luid, dst.network_address, dst.prefixlen
        row.next_hop = gateway or _ANY[dst.version]
        row.valid_lifetime = row.preferred_lifetime = INFINITE
        row.metric, row.protocol = 0, PROTOCOL_NETMGMT  # the metric is added to the interface's
        return row

    def _interface(self, luid: int, version: int) -> InterfaceRow | None:
        row = InterfaceRow()
        row.family, row.luid = FAMILY[version], luid
        return None if self._ip.get_interface(row.data) else row


def _destination(row: RouteRow) -> Network | None:
    address = row.destination
    if address is None or row.prefix_length > address.max_prefixlen:
        return None
    return ip_network(f"{address}/{row.prefix_length}", strict=False)


def _present(row: RouteRow, dst: Network, interface: InterfaceRow) -> PresentRoute:
    gateway = row.next_hop
    return PresentRoute(
        dst=dst,
        oif=row.index,
        gateway=None if gateway is None or gateway.is_unspecified else gateway,
        metric=row.metric + interface.metric,
        proto=row.protocol,
        type=LOCAL if row.loopback else UNICAST,
        dead=not interface.connected,
    )


def _check(what: str, code: int) -> None:
    if code:
        raise IpFailure(what, code)
