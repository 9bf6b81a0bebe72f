"""A Windows of dictionaries: IpHelper with rows as bytes and Windows' error codes, and a registry.

Every change is counted and logged; `fail_at` makes one of them fail, `dead` all calls (a crash).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from uuid import UUID

from protocols.base import Address
from vpnclient.host.windows.api import InterfaceDns, RegistryValue, Windows
from vpnclient.host.windows.library import FunctionMissing
from vpnclient.host.windows.rows import FAMILY, AddressRow, InterfaceRow, RouteRow, unpack_address

WIFI, TUNNEL = 0x0047008000000000, 0x0035008001000000
GUID = UUID("8e5f0b5c-9d0a-4c55-9c8b-1a2b3c4d5e6f")


class Crash(BaseException):
    """The process ends here."""


@dataclass
class FakeInterface:
    alias: str
    index: int
    connected: bool = True
    metric: int = 25
    mtu: int = 1500
    versions: tuple[int, ...] = (4, 6)
    late: int = 0  # looks until it is there
    row: dict[int, bytes] = field(default_factory=dict)  # as last set, by family


class Fake:
    """What both halves share: the log, faults, and the clock."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.changes = 0
        self.fail_at, self.code = -1, 87
        self.dead = False
        self.crash_at = -1
        self.now = 0.0

    def change(self, text: str) -> int:
        """Note a change; the error code it gets."""
        self.alive()
        number, self.changes = self.changes, self.changes + 1
        if number == self.crash_at:
            self.dead = True
            raise Crash
        if number == self.fail_at:
            return self.code
        self.log.append(text)
        return 0

    def alive(self) -> None:
        if self.dead:
            raise Crash

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeIp:
    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.interfaces = {WIFI: FakeInterface("Wi-Fi", 11), TUNNEL: FakeInterface("Lab", 23, metric=5, mtu=65535)}
        self.address_rows: list[bytes] = []
        self.route_rows: list[bytes] = []
        self.dns: dict[int, InterfaceDns] = {}
        self.missing: set[str] = set()
        self.codes: dict[str, int] = {}  # what a call or a route always answers
        self.flushed = self.refreshed = 0
        self.add(WIFI, "0.0.0.0/0", "192.0.2.1")
        self.add(WIFI, "192.0.2.0/24")
        self.add(WIFI, "::/0", "fe80::1")

    def add(self, luid: int, dst: str, gateway: str = "", metric: int = 0) -> None:
        row, network = RouteRow(), ip_network(dst)
        row.luid, row.index, row.metric, row.protocol = luid, self.interfaces[luid].index, metric, 3
        row.destination, row.prefix_length = network.network_address, network.prefixlen
        row.next_hop = ip_address(gateway or ("0.0.0.0" if network.version == 4 else "::"))
        self.route_rows.append(bytes(row.data))

    def add_address(self, luid: int, address: str, length: int) -> None:
        row = AddressRow()
        row.luid, row.address, row.prefix_length = luid, ip_address(address), length
        self.address_rows.append(bytes(row.data))

    def route_texts(self, luid: int | None = None) -> list[str]:
        rows = [RouteRow(data) for data in self.route_rows]
        return [route_text(row) for row in rows if luid in (None, row.luid)]

    # IpHelper

    def require(self) -> None:
        self.fake.alive()
        if "all" in self.missing:
            raise FunctionMissing("this Windows has no CreateIpForwardEntry2 in iphlpapi.dll")

    def luid_of_alias(self, alias: str) -> tuple[int, int]:
        self.fake.alive()
        found = [luid for luid, each in self.interfaces.items() if each.alias == alias]
        return (0, found[0]) if found else (87, 0)

    def guid_of_luid(self, luid: int) -> tuple[int, bytes]:
        return 0, GUID.bytes_le

    def get_interface(self, row: bytearray) -> int:
        self.fake.alive()
        wanted = InterfaceRow(row)
        interface = self.interfaces.get(wanted.luid)
        version = 4 if wanted.family == FAMILY[4] else 6
        if interface is None or version not in interface.versions:
            return 1168
        if interface.late:
            interface.late -= 1
            return 1168
        wanted.index, wanted.metric, wanted.nl_mtu = interface.index, interface.metric, interface.mtu
        wanted.connected, wanted.site_prefix_length, wanted.use_automatic_metric = interface.connected, 64, 1
        wanted.router_discovery, wanted.dad_transmits, wanted.managed_address = 2, 3, 1
        row[:] = wanted.data
        return 0

    def set_interface(self, row: bytearray) -> int:
        new = InterfaceRow(row)
        if (new.family == FAMILY[4] and new.site_prefix_length) or (new.family == FAMILY[6] and new.nl_mtu < 1280):
            return 87
        code = self.fake.change(f"interface {new.luid:#x} family {new.family} mtu {new.nl_mtu}")
        if not code:
            self.interfaces[new.luid].row[new.family] = bytes(row)
        return code

    def addresses(self) -> tuple[int, bytes]:
        self.fake.alive()
        return 0, table(self.address_rows)

    def initialize_address(self, row: bytearray) -> None:
        row[52:60] = b"\xff" * 8

    def create_address(self, row: bytearray) -> int:
        new = AddressRow(row)
        if any(AddressRow(each).address == new.address for each in self.address_rows):
            return 5010
        code = self.fake.change(f"+address {new.address}")
        if not code:
            self.address_rows.append(bytes(row))
        return code

    def delete_address(self, row: bytearray) -> int:
        gone = AddressRow(row)
        key = (gone.luid, gone.address)
        for each in self.address_rows:
            if (AddressRow(each).luid, AddressRow(each).address) == key:
                code = self.fake.change(f"-address {gone.address}")
                if not code:
                    self.address_rows.remove(each)
                return code
        self.fake.alive()
        return 1168

    def routes(self) -> tuple[int, bytes]:
        self.fake.alive()
        return 0, table(self.route_rows)

    def initialize_route(self, row: bytearray) -> None:
        row[76:84] = b"\xff" * 8

    def create_route(self, row: bytearray) -> int:
        new = RouteRow(row)
        text = route_text(new)
        if self._same(new):
            return 5010
        code = self.codes.get(text) or self.fake.change(f"+route {text}")
        if not code:
            new.index = self.interfaces[new.luid].index
            self.route_rows.append(bytes(new.data))
        return code

    def delete_route(self, row: bytearray) -> int:
        same = self._same(RouteRow(row))
        if not same:
            self.fake.alive()
            return 1168
        code = self.fake.change(f"-route {route_text(RouteRow(row))}")
        if not code:
            self.route_rows.remove(same[0])
        return code

    def best_route(self, destination: bytes, row: bytearray) -> int:
        self.fake.alive()
        address = unpack_address(destination)
        assert address is not None
        rows = [RouteRow(data) for data in self.route_rows]
        fitting = [each for each in rows if covers(each, address) and self.interfaces[each.luid].connected]
        if not fitting:
            return 1231
        best = max(fitting, key=lambda each: (each.prefix_length, -each.metric - self.interfaces[each.luid].metric))
        row[:] = best.data
        return 0

    def _same(self, new: RouteRow) -> list[bytes]:
        key = (new.luid, route_text(new))
        return [each for each in self.route_rows if (RouteRow(each).luid, route_text(RouteRow(each))) == key]

    def set_interface_dns(self, guid: bytes, settings: InterfaceDns) -> int:
        if "SetInterfaceDnsSettings" in self.missing:
            raise FunctionMissing("this Windows has no SetInterfaceDnsSettings in iphlpapi.dll")
        assert guid == GUID.bytes_le
        code = self.fake.change(f"dns {settings.version} {settings.servers or '-'}")
        if not code:
            self.dns[settings.version] = settings
        return code

    def flush_dns(self) -> None:
        self.fake.alive()
        self.flushed += 1

    def refresh_policy(self) -> bool:
        self.refreshed += 1
        return True


class FakeRegistry:
    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.keys: dict[str, dict[str, RegistryValue]] = {}
        self.refused = ""  # a part of the paths that may not be changed

    def subkeys(self, path: str) -> tuple[str, ...] | None:
        below = [key.removeprefix(path + "\\").partition("\\")[0] for key in self.keys if key.startswith(path + "\\")]
        return tuple(dict.fromkeys(below)) if below or path in self.keys else None

    def read(self, path: str, name: str) -> object:
        return self.keys.get(path, {}).get(name)

    def write(self, path: str, values: Mapping[str, RegistryValue]) -> None:
        self._change(f"+key {path.rpartition(chr(92))[2]}", path)
        parent = path.rpartition("\\")[0]
        self.keys.setdefault(parent, {})
        self.keys.setdefault(path, {}).update(values)

    def delete(self, path: str) -> bool:
        self.fake.alive()
        if path not in self.keys:
            return False
        assert not [key for key in self.keys if key.startswith(path + "\\")], f"{path} has subkeys"
        self._change(f"-key {path.rpartition(chr(92))[2]}", path)
        del self.keys[path]
        return True

    def _change(self, text: str, path: str) -> None:
        if (self.refused and self.refused in path) or self.fake.change(text):
            raise PermissionError(13, "Access is denied")


class FakeWindows:
    def __init__(self) -> None:
        self.fake = Fake()
        self.ip, self.registry = FakeIp(self.fake), FakeRegistry(self.fake)

    @property
    def windows(self) -> Windows:
        return Windows(self.ip, self.registry, lambda: self.fake.now, self.fake.sleep)


def table(rows: list[bytes]) -> bytes:
    return len(rows).to_bytes(8, "little") + b"".join(rows)


def route_text(row: RouteRow) -> str:
    hop = row.next_hop
    via = "" if hop is None or hop.is_unspecified else f" via {hop}"
    return f"{row.destination}/{row.prefix_length}{via}"


def covers(row: RouteRow, address: Address) -> bool:
    return address in ip_network(f"{row.destination}/{row.prefix_length}")
