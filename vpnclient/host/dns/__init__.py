"""Which names the tunnel's DNS servers should answer, as one value for every back-end; pure.

    detect.py       who owns name resolution on this host
    resolved.py     systemd-resolved      \\
    resolvconf.py   openresolv, Debian's   } apply(settings) and how to undo it
    file.py         plain /etc/resolv.conf /

Source: host-config specification, section 3 (table of cases in 3.1), section 11, quirks Q2, Q11, Q12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from protocols.base import Address
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.journal import Entry
from vpnclient.host.warn import Warnings

MAX_DOMAINS = 1000  # search and split domains of one gateway
MAX_SERVERS = 16  # more are of no use to any resolver
MAX_DOMAIN = 253  # bytes
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """servers: at least one.  search: also tried as suffixes.  split: only these (and search) go to the servers.

    everything: all names go to the servers, whatever the domains.
    """

    interface: str
    index: int
    profile: str
    servers: tuple[Address, ...]
    search: tuple[str, ...]
    split: tuple[str, ...]
    everything: bool


class Recorder(Protocol):
    """Takes journal entries before the change they describe (Journal.record)."""

    def __call__(self, *entries: Entry) -> None: ...


class Backend(Protocol):
    name: str

    def apply(self, settings: DnsSettings, record: Recorder) -> tuple[str, ...]:
        """Set, or set anew.  Returns warnings.  Raises CommandFailed, OSError, HostError."""


def dns_settings(plan: HostPlan, index: int, *, full_tunnel: bool) -> tuple[DnsSettings | None, tuple[str, ...]]:
    """What to set, and warnings; None: the gateway names no server.  Raises HostError: too many domains."""
    config, warn = plan.config, Warnings()
    count = len(config.search_domains) + len(config.split_dns)
    if count > MAX_DOMAINS:
        raise HostError(f"configuration too large: {count} domains, at most {MAX_DOMAINS}")
    servers: list[Address] = []
    for server in dict.fromkeys(config.dns):
        if server.is_unspecified:
            continue  # Q11
        if server.is_loopback or server.is_multicast:
            warn.add(f"DNS server {server} dropped: no address of a server")
        elif plan.ipv6 or server.version == 4:
            servers.append(server)
    search = clean_domains(config.search_domains, warn)
    split = clean_domains(config.split_dns, warn)
    everything = config.tunnel_all_dns or "." in split or (full_tunnel and not split)
    if not servers:
        return None, warn.texts()
    named = tuple(name for name in split if name != "." and name not in search)
    settings = DnsSettings(
        interface=plan.interface,
        index=index,
        profile=plan.profile,
        servers=tuple(servers[:MAX_SERVERS]),
        search=tuple(name for name in search if name != "."),
        split=() if everything else named,
        everything=everything,
    )
    return settings, warn.texts()


def clean_domains(names: Iterable[str], warn: Warnings) -> tuple[str, ...]:
    """Domains in plain form, each once; a name that could break out of a file or a command is dropped (Q12)."""
    clean: dict[str, None] = {}
    for text in names:
        for name in re.split(r"[ ,;]+", text) if text.isprintable() else [text]:
            plain = name.lower().removeprefix("*.").strip(".") or name[:1]
            if not plain:
                continue
            if plain == "." or _is_domain(plain):
                clean[plain] = None
            else:
                warn.add(f"domain {name[:80]!r} dropped: letters, digits, - and _ wanted, {MAX_DOMAIN} bytes at most")
    return tuple(clean)


def _is_domain(name: str) -> bool:
    return len(name) <= MAX_DOMAIN and all(_LABEL.fullmatch(label) for label in name.split("."))
