"""What the document and PPP told together -> TunnelConfig (section 4)."""

from __future__ import annotations

from ipaddress import IPv4Address

from protocols.base import Address, Interface, Network, TunnelConfig
from protocols.fortinet.document import Settings
from protocols.notes import Notes
from protocols.ppp.ipcp import Kind


def build(
    settings: Settings, held: tuple[Interface, ...], *, servers: dict[int, IPv4Address], mtu: int, notes: Notes
) -> TunnelConfig:
    """held: the addresses that PPP let us have.  servers: from IPCP.  mtu: bytes."""
    versions: set[int] = {one.version for one in held}
    named = [servers[kind] for kind in (Kind.DNS, Kind.DNS_2) if kind in servers]
    dns: tuple[Address, ...] = tuple(dict.fromkeys((*settings.split_servers, *settings.dns))) or tuple(named)
    return TunnelConfig(
        addresses=held,
        mtu=mtu,
        dns=tuple(server for server in dns if server.version in versions),
        nbns=tuple(servers[kind] for kind in (Kind.NBNS, Kind.NBNS_2) if kind in servers),
        search_domains=settings.search_domains,
        split_dns=settings.split_dns,
        split_include=_includes(settings, versions),
        split_exclude=_excludes(settings, versions, notes),
        idle_timeout=settings.idle,
        session_timeout=settings.lifetime,
        raw=settings.raw,
        warnings=notes.texts(),  # last: everything above may add to them
    )


def _includes(settings: Settings, versions: set[int]) -> tuple[Network, ...]:
    """Nothing of a family: its default route, decided for each by itself (Q16)."""
    split = versions - settings.everything
    split -= {net.version for net in settings.include if not net.prefixlen}
    return tuple(net for net in settings.include if net.version in split)


def _excludes(settings: Settings, versions: set[int], notes: Notes) -> tuple[Network, ...]:
    if any(not net.prefixlen for net in settings.exclude):
        notes.warn("split-tunnel-info", "a default route outside is dropped: it would leave nothing in the tunnel")
    return tuple(net for net in settings.exclude if net.version in versions and net.prefixlen)
