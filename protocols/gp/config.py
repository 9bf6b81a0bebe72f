"""The gateway's configuration: <response> of getconfig -> TunnelConfig, timers and ESP (sections 9.2 and 9.3).

What is wrong is dropped with a warning where the tunnel can live without it, and refused where it cannot: no address,
a bad one, a bad path of the tunnel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from protocols import markup, networks
from protocols.base import Address, Interface, Network, TunnelConfig
from protocols.errors import ConfigurationRefused
from protocols.gp import ipsec
from protocols.gp.answers import child, value
from protocols.gp.ipsec import EspParameters
from protocols.networks import shown
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_ROUTES = 10_000
MAX_DOMAINS = 1000
MAX_SERVERS = 6  # of DNS; most are repeated (Q20)
MAX_WINS = 3
MAX_WARNINGS = 50
MAX_SECONDS = 10 * 365 * 86400
LEAST_MTU, MOST_MTU = 576, 65535
LEAST_IPV6 = 1280  # RFC 8200, section 5
TUNNEL_PATH = "/ssl-tunnel-connect.sslvpn"
MAX_PATH = 1024  # characters
_NUMBER = re.compile(r"[0-9]{1,10}")
_PATH = re.compile(r"/[!-\"$-;=@-~]*")  # absolute, without query and fragment
_SEPARATORS = re.compile(r"[\s,;]+")
_SECRET = re.compile(r"key|opaque|cookie|ipsec|hs-|user|portal", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds; 0: none.  tunnel: life of tunnel and ESP keys; session: until the login expires; notify: warn before."""

    tunnel: int = 0
    session: int = 0
    notify: int = 0
    idle: int = 0
    message: str = ""  # the gateway's words for that warning


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """config.mtu is 0 where the gateway leaves it to us.  magic: where the ping of ESP goes (Q3)."""

    config: TunnelConfig
    timers: Timers
    path: str = TUNNEL_PATH
    esp: EspParameters | None = None


def parse(root: _Element, *, ipv6: bool) -> GatewayConfig:
    """Raises ConfigurationRefused."""
    if value(root, "need-tunnel").lower() == "no":
        raise ConfigurationRefused("gateway-without-tunnel", "this is an internal gateway, which only registers users")
    return _Reader(root, ipv6).read()


class _Reader:
    def __init__(self, root: _Element, ipv6: bool) -> None:
        self._root, self._ipv6 = root, ipv6
        self._warnings: list[str] = []

    def read(self) -> GatewayConfig:
        addresses = self._addresses()
        timers = self._timers()
        mtu = self._mtu(any(one.version == 6 for one in addresses))
        esp = self._esp(addresses)
        if value(self._root, "quarantine").lower() not in ("", "no"):
            self._warn("quarantine", "the gateway keeps this computer in quarantine: access may be limited")
        config = TunnelConfig(
            addresses=addresses,
            mtu=mtu,
            dns=tuple(self._servers()),
            nbns=tuple(self._wins()),
            search_domains=self._domains(),
            split_include=self._includes(addresses),
            split_exclude=tuple(self._excludes(addresses)),
            idle_timeout=timers.idle,
            session_timeout=timers.session,
            raw=tuple(self._raw()),
            warnings=tuple(self._warnings),  # last: everything above may add to them
        )
        return GatewayConfig(config, timers, self._path(), esp)

    def _warn(self, name: str, text: str) -> None:
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(f"{name}: {text}")

    def _number(self, name: str) -> int:
        text = value(self._root, name)
        if not text:
            return 0
        if not _NUMBER.fullmatch(text):
            self._warn(name, f"ignored {shown(one_line(text))}, want a number of seconds")
            return 0
        return min(int(text), MAX_SECONDS)

    def _members(self, *names: str) -> Iterator[tuple[str, str]]:
        for name in names:
            holder = child(self._root, name)
            for one in markup.children(holder) if holder is not None else ():
                if markup.local_name(one) == "member" and (text := markup.text(one).strip()):
                    yield name, text

    # --- addresses, MTU, times ---

    def _addresses(self) -> tuple[Interface, ...]:
        found: list[Interface] = []
        if four := value(self._root, "ip-address"):
            mask = value(self._root, "netmask") or "32"
            found.append(self._interface("ip-address", four, "netmask", mask, 4))
        if self._ipv6 and (six := value(self._root, "ip-address-v6")):
            host, _, length = six.partition("/")
            found.append(self._interface("ip-address-v6", host, "ip-address-v6", length or "128", 6))
        if not found:
            raise ConfigurationRefused("no-address", "the gateway gave no address, want ip-address or ip-address-v6")
        return tuple(found)

    @staticmethod
    def _interface(name: str, host: str, mask_name: str, mask: str, version: int) -> Interface:
        try:
            address = networks.own(host)
            if address.version != version:
                raise ValueError(f"got {shown(host)}, want an IPv{version} address")
        except ValueError as exc:
            raise ConfigurationRefused("config-invalid", f"{name}: {exc}") from exc
        try:
            return networks.interface(address, networks.prefix_length(mask, address.max_prefixlen))
        except ValueError as exc:
            raise ConfigurationRefused("config-invalid", f"{mask_name}: {exc}") from exc

    def _mtu(self, has_ipv6: bool) -> int:
        text = value(self._root, "mtu")
        least = LEAST_IPV6 if has_ipv6 else LEAST_MTU
        if text in ("", "0"):
            return 0  # nearly always (Q4)
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= MOST_MTU:
            self._warn("mtu", f"ignored {shown(one_line(text))}, want 0 or {least} to {MOST_MTU}")
            return 0
        return int(text)

    def _timers(self) -> Timers:
        return Timers(
            tunnel=self._number("timeout"),
            session=self._number("lifetime"),
            notify=self._number("lifetime-notify-prior"),
            idle=self._number("disconnect-on-idle"),
            message=clean(value(self._root, "lifetime-notify-message")),
        )

    # --- names ---

    def _servers(self) -> list[Address]:
        """Of either family in either list (Q20)."""
        found: dict[Address, None] = {}
        for name, text in self._members("dns", "dns-v6"):
            try:
                server = networks.own(text)
            except ValueError as exc:
                self._warn(name, f"ignored: {exc}")
                continue
            if server.version == 4 or self._ipv6:
                found[server] = None
        return list(found)[:MAX_SERVERS]

    def _wins(self) -> list[IPv4Address]:
        found: dict[IPv4Address, None] = {}
        for _name, text in self._members("wins"):
            try:
                server = networks.own(text)
            except ValueError:
                continue
            if isinstance(server, IPv4Address):
                found[server] = None
        return list(found)[:MAX_WINS]

    def _domains(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for name, text in self._members("dns-suffix"):
            for part in filter(None, _SEPARATORS.split(text)):
                try:
                    found[networks.domain(part)] = None
                except ValueError as exc:
                    self._warn(name, f"ignored: {exc}")
        return tuple(found)[:MAX_DOMAINS]

    # --- routes ---

    def _routes(self, *names: str) -> list[Network]:
        found: dict[Network, None] = {}
        for name, text in self._members(*names):
            try:
                net, _masked = networks.network(text)
                found[networks.useful(net) if net.prefixlen else net] = None
            except ValueError as exc:
                self._warn(name, f"route dropped: {exc}")
            if len(found) > MAX_ROUTES:
                raise ConfigurationRefused("too-large", f"{name}: more than {MAX_ROUTES} routes")
        return list(found)

    def _includes(self, addresses: tuple[Interface, ...]) -> tuple[Network, ...]:
        """Of a family that has an address.  A default route swallows what else its list holds (Q21).

        A list whose routes were all dropped must not become a default route by that: the address alone is left.
        """
        lists = {4: ("access-routes",), 6: ("access-routes", "access-routes-v6")}
        kept: list[Network] = []
        for held in addresses:
            routes = [net for net in self._routes(*lists[held.version]) if net.version == held.version]
            listed = any((":" in text) == (held.version == 6) for _, text in self._members(*lists[held.version]))
            if not listed or any(not net.prefixlen for net in routes):
                continue  # the default route
            if not routes:
                name = lists[held.version][-1]
                self._warn(name, f"no usable IPv{held.version} route is left: nothing but {held.network} is routed")
            kept += routes or [held.network]
        return tuple(dict.fromkeys(kept))

    def _excludes(self, addresses: tuple[Interface, ...]) -> Iterator[Network]:
        versions = {held.version for held in addresses}
        for net in self._routes("exclude-access-routes", "exclude-access-routes-v6"):
            if not net.prefixlen:
                self._warn("exclude-access-routes", f"route dropped: {net} would leave nothing in the tunnel")
            elif net.version in versions:
                yield net

    # --- the channels ---

    def _path(self) -> str:
        path = value(self._root, "ssl-tunnel-url") or TUNNEL_PATH
        if len(path) > MAX_PATH or not _PATH.fullmatch(path) or path.startswith("//"):
            got = shown(one_line(path))
            raise ConfigurationRefused("config-invalid", f"ssl-tunnel-url: got {got}, want an absolute path")
        return path

    def _esp(self, addresses: tuple[Interface, ...]) -> EspParameters | None:
        """Any fault: no ESP, and a warning; the session goes on over TLS (section 9.3)."""
        block = child(self._root, "ipsec")
        if block is None:
            return None
        try:
            return ipsec.parse(self._root, block, addresses)
        except ipsec.Unusable as exc:
            self._warn("ipsec", f"no ESP: {exc}")
            return None

    def _raw(self) -> Iterator[tuple[str, str]]:
        """Plain elements and members, for scripts; nothing that could be a secret."""
        for one in markup.children(self._root):
            name = markup.local_name(one)
            if _SECRET.search(name) or len(name) > 64:
                continue
            texts = [markup.text(member) for member in markup.children(one)] or [markup.text(one)]
            for text in texts[:MAX_DOMAINS]:
                if line := one_line(text):
                    yield name, line
