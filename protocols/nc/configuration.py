"""The gateway's KMP 301 -> TunnelConfig and its offer of ESP.

What is wrong is dropped with a warning where the tunnel can live without it, and refused where it cannot.  Of an
attribute that may come once the first counts.  IPv6 is never configured.
Source: juniper.md section 5.2, Q26 to Q28.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from protocols import networks
from protocols.base import Address, Interface, Network, TunnelConfig
from protocols.errors import ConfigurationRefused
from protocols.framing.oncp import MAX_SENT
from protocols.nc import esp, kmp
from protocols.nc.kmp import Attribute
from protocols.text import one_line

DEFAULT_MTU = 1400  # bytes
MIN_MTU, MAX_MTU = 576, 65535  # bytes
MAX_ROUTES = 1024
MAX_SERVERS = 3  # of DNS, and of NBNS
MAX_DOMAINS = 1000
MAX_WARNINGS = 20
MAX_RAW = 64  # bytes of an attribute that a script is shown
ADDRESS, NETMASK, INTERNAL_GATEWAY = (1, 1), (1, 2), (1, 3)
DNS, DOMAINS = (2, 1), (2, 2)
INCLUDE, EXCLUDE = (3, 3), (3, 4)
NBNS = (4, 1)
MTU = (6, 2)
_SECRETS = {(esp.Group.KEYS, esp.SECRETS)}
_SEPARATORS = re.compile(r"[\s,;\0]+")  # Q27


@dataclass(frozen=True, slots=True)
class Negotiated:
    """esp: None: TLS carries everything."""

    config: TunnelConfig
    esp: esp.Offer | None = None


def negotiate(payload: bytes, *, mtu: int = 0, held: Sequence[Interface] = ()) -> Negotiated:
    """mtu: the user's wish, 0: as the gateway says.  held: what a gateway may leave out on a reconnect (Q14).

    Raises ConfigurationRefused, and nothing else, for any payload.
    """
    return _Reader(kmp.read(payload)).negotiated(mtu, held)


class _Reader:
    def __init__(self, attributes: list[Attribute]) -> None:
        self._attributes = attributes
        self._warnings: list[str] = []
        self._more = 0

    def negotiated(self, mtu: int, held: Sequence[Interface]) -> Negotiated:
        interface = self._interface(held)
        excludes = self._routes(EXCLUDE)
        offer, why_not = esp.offer(self._attributes, esp.Parameters())
        if why_not:
            self._warn("ESP", f"{why_not}: everything goes over TLS")
        config = TunnelConfig(
            addresses=(interface,),
            mtu=self._mtu(mtu),
            dns=tuple(self._servers(DNS)),
            nbns=tuple(server for server in self._servers(NBNS) if isinstance(server, IPv4Address)),
            search_domains=self._domains(),
            split_include=self._includes(interface, excludes),
            split_exclude=tuple(self._without_default(excludes)),
            raw=tuple((one.name, _shown(one)) for one in self._attributes if _key(one) not in _SECRETS),
            warnings=(*self._warnings, *([f"and {self._more} more like these"] if self._more else ())),
        )
        return Negotiated(config, offer)

    # --- reading ---

    def _warn(self, name: str, text: str) -> None:
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(f"{name}: {one_line(text)}")
        else:
            self._more += 1

    def _all(self, wanted: tuple[int, int]) -> list[Attribute]:
        return [one for one in self._attributes if _key(one) == wanted]

    def _one(self, wanted: tuple[int, int]) -> int | None:
        """A number of four bytes; None: it is not told."""
        numbers = [kmp.number(one, 4) for one in self._all(wanted)]
        if len(set(numbers)) > 1:
            self._warn(f"{wanted[0]}/{wanted[1]}", f"told {len(numbers)} times: the first counts")
        return numbers[0] if numbers else None

    # --- address and MTU ---

    def _interface(self, held: Sequence[Interface]) -> IPv4Interface:
        kept = next((one for one in held if isinstance(one, IPv4Interface)), None)
        told, mask = self._one(ADDRESS), self._one(NETMASK)
        self._one(INTERNAL_GATEWAY)  # of no use, but its size counts
        length = self._length(mask) if mask is not None else kept.network.prefixlen if kept and told is None else 32
        if told is None:
            if kept is None:
                raise ConfigurationRefused("no-address", "the gateway gave no address, want attribute 1/1")
            return IPv4Interface((kept.ip, length))
        try:
            return IPv4Interface((int(networks.own(str(IPv4Address(told)))), length))
        except ValueError as exc:
            raise kmp.bad(f"attribute 1/1: {exc}") from exc

    def _length(self, mask: int) -> int:
        try:
            length = networks.prefix_length(str(IPv4Address(mask)), 32)
        except ValueError as exc:
            raise kmp.bad(f"attribute 1/2: {exc}") from exc
        if not length:
            self._warn("1/2", "ignored 0.0.0.0: it would make every address a neighbour")
        return length or 32

    def _mtu(self, wish: int) -> int:
        told = self._one(MTU) or DEFAULT_MTU
        if not MIN_MTU <= told <= MAX_MTU:
            raise kmp.bad(f"attribute 6/2: got an MTU of {told} bytes, want {MIN_MTU} to {MAX_MTU}")
        if told > MAX_SENT:
            self._warn("6/2", f"{told} lowered to {MAX_SENT}, the most that a TLS record carries")
        return max(min(told, MAX_SENT, wish or MAX_SENT), MIN_MTU)

    # --- routes ---

    def _routes(self, wanted: tuple[int, int]) -> dict[IPv4Network, None]:
        """Distinct routes in order.  A bad one is dropped with a warning, host bits are masked."""
        found: dict[IPv4Network, None] = {}
        name = f"{wanted[0]}/{wanted[1]}"
        for one in self._all(wanted):
            both = kmp.number(one, 8)
            text = f"{IPv4Address(both >> 32)}/{IPv4Address(both & 0xFFFFFFFF)}"
            try:
                net = networks.useful(networks.network(text)[0])
            except ValueError as exc:
                self._warn(name, f"route dropped: {exc}")
                continue
            assert isinstance(net, IPv4Network)  # made of four bytes
            found[net] = None
            if len(found) > MAX_ROUTES:
                raise kmp.bad(f"attribute {name}: more than {MAX_ROUTES} routes")
        return found

    def _without_default(self, excludes: dict[IPv4Network, None]) -> list[IPv4Network]:
        if any(not net.prefixlen for net in excludes):
            self._warn("3/4", "route dropped: 0.0.0.0/0 would leave nothing in the tunnel")
        return [net for net in excludes if net.prefixlen]

    def _includes(self, interface: IPv4Interface, excludes: dict[IPv4Network, None]) -> tuple[Network, ...]:
        """Nothing, and 0.0.0.0/0, mean everything (Q26).  If all were dropped, that must not become everything."""
        told = self._routes(INCLUDE)
        if not self._all(INCLUDE) or any(not net.prefixlen for net in told):
            return ()
        kept = tuple(net for net in told if net not in excludes)
        if not kept:
            self._warn("3/3", f"no usable route is left: nothing but {interface.network} is routed")
        return kept or (interface.network,)

    # --- names ---

    def _servers(self, wanted: tuple[int, int]) -> list[Address]:
        found: dict[Address, None] = {}
        name = f"{wanted[0]}/{wanted[1]}"
        for one in self._all(wanted):
            text = str(IPv4Address(kmp.number(one, 4)))
            if text == "0.0.0.0" and wanted == NBNS:  # Q28
                continue
            try:
                found[networks.own(text)] = None
            except ValueError as exc:
                self._warn(name, f"ignored: {exc}")
        if len(found) > MAX_SERVERS:
            self._warn(name, f"more than {MAX_SERVERS} servers: the first {MAX_SERVERS} are used")
        return list(found)[:MAX_SERVERS]

    def _domains(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for one in self._all(DOMAINS):
            for text in _SEPARATORS.split(one.value.decode("utf-8", "replace")):
                if not text:
                    continue
                try:
                    found[networks.domain(text)] = None
                except ValueError as exc:
                    self._warn("2/2", f"ignored: {exc}")
                if len(found) > MAX_DOMAINS:
                    raise kmp.bad(f"attribute 2/2: more than {MAX_DOMAINS} domains")
        return tuple(found)


def _key(attribute: Attribute) -> tuple[int, int]:
    return attribute.group, attribute.number


def _shown(attribute: Attribute) -> str:
    """For scripts and for the log: addresses and numbers as people write them, the rest in hex."""
    value = attribute.value
    if _key(attribute) == DOMAINS:
        return one_line(value[:MAX_RAW].decode("utf-8", "replace"))
    if attribute.group in (1, 2, 3, 4) and len(value) in (4, 8):
        return "/".join(str(IPv4Address(value[at : at + 4])) for at in range(0, len(value), 4))
    if attribute.group in (6, 8) and len(value) in (1, 2, 4):
        return str(int.from_bytes(value, "big"))
    return value[:MAX_RAW].hex() + ("..." if len(value) > MAX_RAW else "")
