"""The configuration, element by element (section 4): XML -> Settings.

Every element may be missing or repeated, and unknown ones are ignored; of what there can be one only, the first counts.
What is wrong is dropped with a warning where the tunnel can live without it, and refused where it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from protocols import markup, networks
from protocols.base import Address, Interface, Network
from protocols.errors import ConfigurationRefused, MalformedAnswer, NotSupported
from protocols.fortinet.errors import SessionRejected
from protocols.networks import shown
from protocols.notes import Notes
from protocols.text import clean

if TYPE_CHECKING:
    from lxml.etree import _Element

T = TypeVar("T")

BAD = "config-bad-xml"
MAX_DOCUMENT = 2**20  # bytes
MAX_ELEMENTS = 20_000
MAX_NETWORKS = 4096
MAX_SERVERS = 16
MAX_DOMAINS = 256
MAX_RAW = 65536  # characters of all values kept for scripts
_END = re.compile(rb"</sslvpn-tunnel\s*>|<sslvpn-tunnel\b[^<>]*/>")
_NUMBER = re.compile(r"[0-9]{1,9}")
_ESCAPE = re.compile(r"\\([0-9]{3})")
_SEPARATORS = re.compile(r"[,;\s]+")
_ON = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True, slots=True)
class Reauth:
    """What the gateway says of coming back (section 8).  without: None: nothing.  window: seconds, 0: unknown."""

    without: bool | None = None
    same_source: bool = False
    window: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """heartbeat: seconds, None: not told.  everything: versions whose default route the gateway insists on.

    lifetime, idle: seconds, 0: unlimited.
    """

    addresses: tuple[Interface, ...]
    dtls: bool = False
    heartbeat: int | None = None
    reauth: Reauth = Reauth()
    everything: frozenset[int] = frozenset()
    dns: tuple[Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    split_servers: tuple[Address, ...] = ()
    include: tuple[Network, ...] = ()
    exclude: tuple[Network, ...] = ()
    idle: int = 0
    lifetime: int = 0
    raw: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def parse(body: bytes, notes: Notes) -> Settings:
    """Raises ConfigurationRefused, NotSupported, SessionRejected."""
    document = _Document(_root(body), notes)
    document.must_carry_ppp()
    addresses = tuple(own for version in (4, 6) if (own := document.address(version)) is not None)
    if not addresses:
        raise ConfigurationRefused("no-address", "the gateway assigned no address (assigned-addr)")
    names = document.split_dns("domains")
    return Settings(
        addresses=addresses,
        dtls=document.root.get("dtls") == "1",
        heartbeat=document.number("dtls-config", "heartbeat-interval"),
        reauth=document.reauth(),
        everything=document.everything(),
        dns=document.dns(),
        search_domains=document.search_domains(),
        split_dns=names,
        split_servers=document.split_servers() if names else (),
        include=document.networks(excluded=False),
        exclude=document.networks(excluded=True),
        idle=document.number("idle-timeout", "val") or 0,
        lifetime=document.number("auth-timeout", "val") or 0,
        raw=document.raw(),
    )


def _root(body: bytes) -> _Element:
    try:
        root = markup.xml(body, code=BAD, limit=MAX_DOCUMENT)
    except MalformedAnswer as exc:
        if b"<html" in body[:1024].lower():
            raise _page_instead() from exc
        raise ConfigurationRefused(BAD, str(exc)) from exc
    name = markup.local_name(root)
    if name.lower() == "html":
        raise _page_instead()
    if name != "sslvpn-tunnel":
        raise ConfigurationRefused(BAD, f"root element {name[:40]!r}, want 'sslvpn-tunnel'")
    if not _END.search(body):  # routes that are missing would send more through the tunnel than was meant
        raise ConfigurationRefused(BAD, "the document is cut short: no end of 'sslvpn-tunnel'")
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise ConfigurationRefused(BAD, f"more than {MAX_ELEMENTS} elements")
    return root


def _page_instead() -> SessionRejected:
    return SessionRejected("the gateway sent a page instead of its configuration: it no longer knows this session")


class _Document:
    def __init__(self, root: _Element, notes: Notes) -> None:
        self.root, self._notes = root, notes

    def must_carry_ppp(self) -> None:
        methods = [str(one.get("value") or "").strip() for one in self._named(self.root, "tunnel-method")]
        if methods and "ppp" not in methods:
            told = ", ".join(shown(one) for one in methods[:8])
            raise NotSupported("unsupported-tunnel-method", f"the gateway offers the tunnel methods {told}, want 'ppp'")

    def address(self, version: int) -> Interface | None:
        """Ours; None: that version is not wanted.  One that cannot be used ends the session's use (section 8)."""
        for section in self._sections(version):
            for element in self._named(section, "assigned-addr"):
                text = str(element.get(f"ipv{version}") or "").strip()
                try:
                    found = networks.own(text)
                    if found.version != version or "/" in text:
                        raise ValueError(f"got {shown(text)}, want an IPv{version} address")
                except ValueError as exc:
                    raise ConfigurationRefused("no-address", f"ipv{version}/assigned-addr: {exc}") from exc
                return networks.interface(found, 32 if version == 4 else self._prefix(element))
        return None

    def number(self, name: str, attribute: str) -> int | None:
        """Of the first element that has a decimal one."""
        for element in self._named(self.root, name):
            value = str(element.get(attribute) or "").strip()
            if _NUMBER.fullmatch(value):
                return int(value)
        return None

    def reauth(self) -> Reauth:
        without = self.number("auth-ses", "tun-connect-without-reauth")
        return Reauth(
            None if without is None else without == 1,
            self.number("auth-ses", "check-src-ip") == 1,
            self.number("auth-ses", "tun-user-ses-timeout") or 0,
        )

    def everything(self) -> frozenset[int]:
        found = {4: "exclusive-routing", 6: "ipv6-exclusive-routing"}
        return frozenset(version for version, name in found.items() if self._is_on(name))

    def dns(self) -> tuple[Address, ...]:
        return self._distinct("dns", self._dns_items(), networks.address, MAX_SERVERS)

    def search_domains(self) -> tuple[str, ...]:
        items = (item for one in self._of_both("dns") for item in _domains(str(one.get("domain") or "")))
        return self._distinct("domain", items, networks.domain, MAX_DOMAINS)

    def split_dns(self, attribute: str) -> tuple[str, ...]:
        items = (item for one in self._of_both("split-dns") for item in _domains(str(one.get(attribute) or "")))
        return self._distinct("split-dns", items, lambda text: networks.domain(text.removeprefix("*.")), MAX_DOMAINS)

    def split_servers(self) -> tuple[Address, ...]:
        """Of all elements together: a host asks one list of servers for all names of the tunnel."""
        found: list[str] = []
        for version in (4, 6):
            elements = [one for section in self._sections(version) for one in self._named(section, "split-dns")]
            lists = [tuple(str(one.get(f"dnsserver{n}") or "").strip() for n in range(1, 10)) for one in elements]
            if len(set(lists)) > 1:
                self._notes.warn("split-dns", "different servers for different names: all are asked for all")
            found += (text for row in lists for text in row if text)
        return self._distinct("split-dns", iter(found), networks.address, MAX_SERVERS)

    def networks(self, *, excluded: bool) -> tuple[Network, ...]:
        def texts() -> Iterator[str]:
            for version in (4, 6):
                for section in self._sections(version):
                    for info in self._named(section, "split-tunnel-info"):
                        if (str(info.get("negate") or "").strip() == "1") is excluded:
                            yield from (_network(one, version) for one in self._named(info, "addr"))

        return self._distinct("split-tunnel-info", texts(), self._read_network, MAX_NETWORKS)

    def raw(self) -> tuple[tuple[str, str], ...]:
        """Every attribute, by the path of its element."""
        kept: list[tuple[str, str]] = []
        room = MAX_RAW
        for element in self.root.iter():
            if not isinstance(element.tag, str):
                continue
            names = [markup.local_name(one) for one in (element, *element.iterancestors())]
            path = "/".join(reversed(names))
            for key, value in element.attrib.items():
                name, text = f"{path}@{key!s}", clean(str(value))
                room -= len(name) + len(text)
                if room < 0:
                    return tuple(kept)
                kept.append((name, text))
        return tuple(kept)

    # --- parts ---

    @staticmethod
    def _named(element: _Element, name: str) -> list[_Element]:
        return [child for child in markup.children(element) if markup.local_name(child) == name]

    def _sections(self, version: int) -> list[_Element]:
        return self._named(self.root, f"ipv{version}")

    def _of_both(self, name: str) -> Iterator[_Element]:
        for version in (4, 6):
            for section in self._sections(version):
                yield from self._named(section, name)

    def _dns_items(self) -> Iterator[str]:
        for one in self._of_both("dns"):
            yield from (str(one.get(name) or "").strip() for name in ("ip", "ipv6") if one.get(name))

    def _prefix(self, element: _Element) -> int:
        value = str(element.get("prefix-len") or "128").strip()
        if _NUMBER.fullmatch(value) and int(value) <= 128:
            return int(value)
        self._notes.warn("prefix-len", f"ignored {shown(value)}, want 0 to 128")
        return 128

    def _is_on(self, name: str) -> bool:
        said = (str(one.get("value") or "").strip() or markup.text(one).strip() for one in self._named(self.root, name))
        return any(text.lower() in _ON for text in said)

    def _read_network(self, text: str) -> Network:
        net, masked = networks.network(text)
        if masked:
            self._notes.warn("split-tunnel-info", f"{shown(text)} has host bits set: taken as {net}")
        return networks.useful(net)

    def _distinct(self, name: str, items: Iterator[str], read: Callable[[str], T], most: int) -> tuple[T, ...]:
        return self._notes.distinct(((name, item) for item in items), read, most)


def _network(element: _Element, version: int) -> str:
    """address/mask; without a mask one that cannot be read."""
    start, length = ("ip", "mask") if version == 4 else ("ipv6", "prefix-len")
    return f"{str(element.get(start) or '').strip()}/{str(element.get(length) or '').strip()}"


def _domains(text: str) -> list[str]:
    """Names of a list that has several separators, one of them written as a decimal escape (Q15)."""

    def decoded(found: re.Match[str]) -> str:
        return chr(int(found[1])) if int(found[1]) <= 255 else found[0]

    return [name for name in _SEPARATORS.split(_ESCAPE.sub(decoded, text)) if name]
