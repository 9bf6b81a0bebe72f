"""The options of a resource, field by field (section 5): XML -> Options.

Unknown fields are ignored; of a field that comes twice the first counts.  What is wrong is dropped with a warning where
the tunnel can live without it, and refused where it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeVar

from protocols import markup, networks
from protocols.base import Address, Network, Secret
from protocols.errors import ConfigurationRefused
from protocols.f5.profiles import document
from protocols.networks import shown
from protocols.notes import Notes
from protocols.text import clean

T = TypeVar("T")

BAD = "config-bad-options"
MAX_IDENTIFIER = 4096  # characters of Session_ID and ur_Z
MAX_NETWORKS = 4096
MAX_SERVERS = 16
MAX_DOMAINS = 1000
MAX_RAW = 65536  # characters of all values kept for scripts
MAX_SECONDS = 2**31
_UNSAFE = re.compile(r"[^\x21-\x7e]|[&#]")
_INDEXED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*?)([0-9]{1,4})")
_SEPARATORS = re.compile(r"[\s,]+")
_BLANKS = re.compile(r"\s+")
_DOTTED = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}")
_TRUE, _FALSE = frozenset({"yes", "on", "true"}), frozenset({"", "no", "off", "false"})
_KEPT_BACK = frozenset({"session_id", "ur_z"})  # secrets: they open the tunnel


@dataclass(frozen=True, slots=True)
class Options:
    """port_dtls: 0: DTLS is not offered.  idle: seconds.  default_route: for each wanted family."""

    session: Secret
    z: Secret
    ipv4: bool
    ipv6: bool
    hdlc: bool = False
    idle: int = 0
    port_dtls: int = 0
    dtls_12: bool = False
    default_route: bool = False
    local_lan: bool = False
    dns: tuple[Address, ...] = ()
    nbns: tuple[IPv4Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    include: tuple[Network, ...] = ()
    exclude: tuple[Network, ...] = ()
    raw: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def parse(body: bytes, notes: Notes) -> Options:
    """Raises ConfigurationRefused, SessionRejected."""
    fields = _Fields(body, notes)
    z, session = fields.identifier("ur_Z"), fields.identifier("Session_ID")
    ipv4, ipv6 = fields.flag("IPV4_0"), fields.flag("IPV6_0")
    if not ipv4 and not ipv6:
        raise ConfigurationRefused("no-address", "the gateway wants neither IPv4 nor IPv6 (IPV4_0, IPV6_0)")
    return Options(
        session=session,
        z=z,
        ipv4=ipv4,
        ipv6=ipv6,
        hdlc=fields.flag("hdlc_framing"),
        idle=fields.number("idle_session_timeout", MAX_SECONDS),
        port_dtls=fields.number("tunnel_port_dtls", 65535) if fields.flag("tunnel_dtls") else 0,
        dtls_12=fields.flag("dtls_v1_2_supported"),
        default_route=fields.flag("UseDefaultGateway0"),
        local_lan=fields.flag("AllowLocalSubnetAccess0"),
        dns=fields.each(("DNS", "DNS6_"), _SEPARATORS, networks.own, MAX_SERVERS),
        nbns=fields.each(("WINS",), _SEPARATORS, _nbns, MAX_SERVERS),
        search_domains=fields.each(("DNSSuffix",), _SEPARATORS, networks.domain, MAX_DOMAINS),
        split_dns=fields.split_dns(),
        include=fields.networks("LAN", "LAN6_"),
        exclude=fields.networks("ExcludeSubnets", "ExcludeSubnets6_"),
        raw=fields.raw(),
    )


class _Fields:
    """The children of `object`, by name and by index."""

    def __init__(self, body: bytes, notes: Notes) -> None:
        self._notes = notes
        root = document(body, BAD)
        holder = next((child for child in markup.children(root) if markup.local_name(child) == "object"), None)
        if markup.local_name(root) != "favorite" or holder is None:
            name = markup.local_name(root)[:40]
            raise ConfigurationRefused(
                BAD, f"root element {name!r} without what is wanted, 'favorite' with an 'object'"
            )
        self._values: dict[str, str] = {}
        for child in markup.children(holder):
            name, value = markup.local_name(child), markup.text(child).strip()
            if self._values.setdefault(name, value) != value:
                notes.warn(name[:80], f"given twice: {shown(value)} ignored")

    def identifier(self, name: str) -> Secret:
        """A text that becomes part of the tunnel's URL.  Never shown."""
        value = self._values.get(name, "")
        if not value or len(value) > MAX_IDENTIFIER or _UNSAFE.search(value):
            wanted = f"1 to {MAX_IDENTIFIER} printable characters without '&' and '#'"
            raise ConfigurationRefused(BAD, f"{name}: got {len(value)} characters, want {wanted}")
        return Secret(value)

    def flag(self, name: str) -> bool:
        value = self._values.get(name, "").lower()
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        if re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            return int(value) != 0
        self._notes.warn(name, f"got {shown(value)}, want yes or no: taken as no")
        return False

    def number(self, name: str, most: int) -> int:
        """Absent, empty or unusable (with a warning): 0."""
        value = self._values.get(name, "")
        if not value:
            return 0
        if not re.fullmatch(r"[0-9]{1,20}", value) or int(value) > most:
            self._notes.warn(name, f"ignored {shown(value)}, want 0 to {most}")
            return 0
        return int(value)

    def each(
        self, names: Iterable[str], separators: re.Pattern[str], read: Callable[[str], T], most: int
    ) -> tuple[T, ...]:
        """Every distinct item of a family of fields, name by name, by index, as Notes.distinct has it."""
        return self._notes.distinct(self._items(names, separators), read, most)

    def networks(self, *names: str) -> tuple[Network, ...]:
        return self.each(names, _BLANKS, self._network, MAX_NETWORKS)

    def split_dns(self) -> tuple[str, ...]:
        """Names for the tunnel's DNS; none: all."""
        items = [item for _, item in self._items(("DNS_SPLIT",), _SEPARATORS)]
        if "*" in items:
            return ()
        return self.each(
            ("DNS_SPLIT",), _SEPARATORS, lambda item: networks.domain(item.removeprefix("*.")), MAX_DOMAINS
        )

    def raw(self) -> tuple[tuple[str, str], ...]:
        kept: list[tuple[str, str]] = []
        room = MAX_RAW
        for name, value in self._values.items():
            if name.lower() in _KEPT_BACK:
                continue
            text = clean(value)
            room -= len(name) + len(text)
            if room < 0:
                break
            kept.append((name, text))
        return tuple(kept)

    def _items(self, names: Iterable[str], separators: re.Pattern[str]) -> Iterable[tuple[str, str]]:
        for wanted in names:
            numbered = []
            for name in self._values:
                match = _INDEXED.fullmatch(name)
                if match is not None and match[1] == wanted:
                    numbered.append((int(match[2]), name))
            for _, name in sorted(numbered):
                yield from ((name, item) for item in separators.split(self._values[name]) if item)

    def _network(self, text: str) -> Network:
        """Fewer than four octets are padded: an early kind of gateway writes them so."""
        host, slash, mask = text.partition("/")
        if _DOTTED.fullmatch(host):
            octets = host.split(".")
            padded = ".".join(octets + ["0"] * (4 - len(octets)))
            text = f"{padded}/{mask if slash else 8 * len(octets)}"
            self._notes.warn("networks", f"{shown(host)} taken as {text}")
        net, masked = networks.network(text)
        if masked:
            self._notes.warn("networks", f"{shown(text)} has host bits set: taken as {net}")
        return networks.useful(net)


def _nbns(text: str) -> IPv4Address:
    found = networks.own(text)
    if not isinstance(found, IPv4Address):
        raise ValueError(f"got {shown(text)}, want an IPv4 address")
    return found
