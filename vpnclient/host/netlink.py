"""The kernel's links, addresses and routes, over netlink: typed wrappers of the few pyroute2 calls we need.

pyroute2 is loaded when a `Netlink` is first opened, as rtnetlink.py says.  The synchronous IPRoute runs an event loop
of its own and must be used in the thread that opened it: open one for each job.
Source: host-config specification, section 2.2; rtnetlink(7).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from types import TracebackType
from typing import Protocol, TypeVar

from protocols.base import Address, Interface
from vpnclient.host import rtnetlink
from vpnclient.host.routes import PROTO, TABLE_MAIN, UNICAST, PresentRoute, Route

_FAMILY = {4: 2, 6: 10}  # AF_INET, AF_INET6
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_IFA_F_NODAD, _IFA_F_NOPREFIXROUTE = 0x02, 0x200
_RTNH_F_DEAD, _RTNH_F_ONLINK, _RTNH_F_LINKDOWN = 0x1, 0x4, 0x10
_SCOPE_LINK = 253
ADDR_GEN_MODE_NONE = 1  # IN6_ADDR_GEN_MODE_NONE: no link-local address of the kernel's making

T = TypeVar("T")


class NetlinkFailure(Exception):
    """The kernel refused; `code` is the errno."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {os.strerror(code)}")
        self.code = code

    @property
    def exists(self) -> bool:
        return self.code == errno.EEXIST

    @property
    def missing(self) -> bool:
        """There is no such route, address or link (any more)."""
        return self.code in (errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Link:
    """mtu: bytes.  addr_gen_mode: IN6_ADDR_GEN_MODE_*, -1 without IPv6."""

    index: int
    name: str
    mtu: int
    up: bool
    loopback: bool
    addr_gen_mode: int


class _Message(Protocol):
    def __getitem__(self, key: str) -> object: ...

    def get_attr(self, name: str) -> object: ...

    def get_nested(self, *names: str) -> object: ...


class _Handle(Protocol):
    """What we use of pyroute2.IPRoute."""

    def link(self, command: str, **fields: object) -> Sequence[_Message]: ...

    def addr(self, command: str, **fields: object) -> object: ...

    def route(self, command: str, **fields: object) -> Sequence[_Message]: ...

    def get_links(self) -> Iterable[_Message]: ...

    def get_addr(self, **fields: object) -> Iterable[_Message]: ...

    def get_routes(self, **fields: object) -> Iterable[_Message]: ...

    def close(self) -> None: ...


class Netlink:
    """One netlink connection in the calling thread's network namespace; a context manager."""

    def __init__(self) -> None:
        part = rtnetlink.load()
        self._error = part.error
        try:
            self._handle: _Handle = part.connection()
        except OSError as exc:
            raise NetlinkFailure("cannot open netlink", exc.errno or errno.EIO) from exc

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    # links

    def links(self) -> dict[int, Link]:
        return self._try("cannot list the links", lambda: {link.index: link for link in self._links()})

    def set_link(
        self, index: int, *, mtu: int | None = None, up: bool | None = None, addr_gen_mode: int | None = None
    ) -> None:
        """Change what is given.  Raises NetlinkFailure."""
        fields: dict[str, object] = {}
        if mtu is not None:
            fields["mtu"] = mtu
        if up is not None:
            fields["state"] = "up" if up else "down"
        if addr_gen_mode is not None:
            inner = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", addr_gen_mode)]}
            fields["IFLA_AF_SPEC"] = {"attrs": [("AF_INET6", inner)]}
        self._try(f"cannot set up link {index}", lambda: self._handle.link("set", index=index, **fields))

    def _links(self) -> Iterable[Link]:
        for message in self._handle.get_links():
            mode = message.get_nested("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_ADDR_GEN_MODE")
            flags = _number(message["flags"])
            yield Link(
                index=_number(message["index"]),
                name=str(message.get_attr("IFLA_IFNAME")),
                mtu=_number(message.get_attr("IFLA_MTU")),
                up=bool(flags & _IFF_UP),
                loopback=bool(flags & _IFF_LOOPBACK),
                addr_gen_mode=mode if isinstance(mode, int) else -1,
            )

    # addresses

    def addresses(self, index: int) -> list[Interface]:
        def dump() -> list[Interface]:
            return [
                ip_interface(f"{message.get_attr('IFA_LOCAL') or message.get_attr('IFA_ADDRESS')}/{length}")
                for message in self._handle.get_addr(index=index)
                if isinstance(length := message["prefixlen"], int)
            ]

        return self._try("cannot list the addresses", dump)

    def add_address(self, index: int, address: Address) -> None:
        """Add a single host address, without any route.  Raises NetlinkFailure."""
        flags = {} if address.version == 4 else {"flags": _IFA_F_NODAD | _IFA_F_NOPREFIXROUTE}
        self._address("add", index, address, **flags)

    def remove_address(self, index: int, address: Address) -> None:
        self._address("del", index, address)

    def _address(self, command: str, index: int, address: Address, **flags: int) -> None:
        self._try(
            f"cannot {command} address {address}",
            lambda: self._handle.addr(
                command,
                index=index,
                family=_FAMILY[address.version],
                address=str(address),
                prefixlen=address.max_prefixlen,
                **flags,
            ),
        )

    # routes

    def routes(self) -> list[PresentRoute]:
        """The main table, both families."""

        def dump() -> list[PresentRoute]:
            messages = [
                message
                for family in _FAMILY.values()
                for message in self._handle.get_routes(family=family, table=TABLE_MAIN)
            ]
            return [route for message in messages if (route := _present(message)) is not None]

        return self._try("cannot list the routes", dump)

    def path_to(self, address: Address) -> PresentRoute | None:
        """The way the kernel would send to the address, all rules considered, as a default route."""
        try:
            found = self._handle.route("get", dst=str(address))
        except self._error:
            return None
        route = _present(found[0]) if found else None
        if route is None or route.type != UNICAST:
            return None
        default = ip_network("0.0.0.0/0" if address.version == 4 else "::/0")
        return PresentRoute(default, route.oif, route.gateway, route.prefsrc, mtu=route.mtu)

    def add_route(self, route: Route) -> None:
        """Raises NetlinkFailure; `exists` if the destination is taken, whoever owns it."""
        self._route("add", route)

    def replace_route(self, route: Route) -> None:
        """Put the route in place of the one with the same destination, in one step."""
        self._route("replace", route)

    def remove_route(self, route: Route, table: int = TABLE_MAIN, proto: int = PROTO) -> None:
        """Delete exactly this route; NetlinkFailure `missing` if it is not there or not of `proto`."""
        self._route("del", route, table, proto)

    def _route(self, command: str, route: Route, table: int = TABLE_MAIN, proto: int = PROTO) -> None:
        family = _FAMILY[route.dst.version]
        fields: dict[str, object] = {"oif": route.oif, "proto": proto, "table": table, "family": family}
        if route.gateway is None:
            fields["scope"] = _SCOPE_LINK if route.dst.version == 4 else 0
        elif route.gateway.version == route.dst.version:
            fields["gateway"] = str(route.gateway)
        else:
            fields["via"] = {"family": _FAMILY[route.gateway.version], "addr": str(route.gateway)}
        if command != "del":
            if route.prefsrc is not None:
                fields["prefsrc"] = str(route.prefsrc)
            if route.mtu:
                fields["metrics"] = {"mtu": route.mtu}
            if route.onlink:
                fields["flags"] = _RTNH_F_ONLINK
        what = f"cannot {command} route {route.dst}"
        self._try(what, lambda: self._handle.route(command, dst=str(route.dst), **fields))

    def _try(self, what: str, job: Callable[[], T]) -> T:
        try:
            return job()
        except self._error as exc:
            code = getattr(exc, "code", None)
            raise NetlinkFailure(what, code if isinstance(code, int) else errno.EIO) from exc
        except OSError as exc:
            raise NetlinkFailure(what, exc.errno or errno.EIO) from exc


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _address(value: object) -> Address | None:
    return ip_address(value) if isinstance(value, str) else None


def _present(message: _Message) -> PresentRoute | None:
    """A route message as a value; of several next hops the first live one.  None: it leads to no device."""
    family, length = _number(message["family"]), _number(message["dst_len"])
    address = message.get_attr("RTA_DST") or ("0.0.0.0" if family == 2 else "::")
    hop, flags, oif = message, _number(message["flags"]), message.get_attr("RTA_OIF")
    hops = message.get_attr("RTA_MULTIPATH")
    if isinstance(hops, list) and hops:
        hop = next((each for each in hops if not _is_dead(each["flags"])), hops[0])
        flags, oif = _number(hop["flags"]), hop["oif"]
    if not isinstance(oif, int):
        return None
    via, metrics = hop.get_attr("RTA_VIA"), message.get_attr("RTA_METRICS")
    gateway = hop.get_attr("RTA_GATEWAY") or (via.get("addr") if isinstance(via, dict) else None)
    mtu = metrics.get_attr("RTAX_MTU") if hasattr(metrics, "get_attr") else 0
    return PresentRoute(
        dst=ip_network(f"{address}/{length}", strict=False),
        oif=oif,
        gateway=_address(gateway),
        prefsrc=_address(message.get_attr("RTA_PREFSRC")),
        metric=_number(message.get_attr("RTA_PRIORITY")),
        mtu=_number(mtu),
        proto=_number(message["proto"]),
        type=_number(message["type"]),
        dead=_is_dead(flags),
        onlink=bool(flags & _RTNH_F_ONLINK),
    )


def _is_dead(flags: object) -> bool:
    return bool(_number(flags) & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN))
