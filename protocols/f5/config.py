"""What the options, the answer's head and PPP told together -> TunnelConfig (sections 5 and 6)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from protocols.base import Address, Interface, Network, TunnelConfig
from protocols.errors import ConfigurationRefused
from protocols.f5.options import Options
from protocols.notes import Notes
from protocols.ppp.ipcp import Kind

IDLE, SESSION = "idle_session_timeout", "F5_ST"


def build(
    options: Options,
    *,
    ipv4: IPv4Address | None,
    ipv6: IPv6Address | None,
    servers: dict[int, IPv4Address],
    mtu: int,
    session: int,
    notes: Notes,
) -> TunnelConfig:
    """ipv4, ipv6: our addresses.  servers: from IPCP.  mtu: bytes.  session: seconds left, 0: unknown."""
    held: list[Interface] = []
    if ipv4 is not None:
        held.append(IPv4Interface((int(ipv4), 32)))
    if ipv6 is not None:
        held.append(IPv6Interface(f"{ipv6}/128"))
    if not held:
        raise ConfigurationRefused("no-address", "the gateway gave no usable address")
    versions: set[int] = {one.version for one in held}
    named = [servers[kind] for kind in (Kind.DNS, Kind.DNS_2) if kind in servers]
    dns: tuple[Address, ...] = options.dns or tuple(named)
    nbns = options.nbns or tuple(servers[kind] for kind in (Kind.NBNS, Kind.NBNS_2) if kind in servers)
    include = _includes(options, held, notes)
    return TunnelConfig(
        addresses=tuple(held),
        mtu=mtu,
        dns=tuple(server for server in dns if server.version in versions),
        nbns=nbns,
        search_domains=options.search_domains,
        split_dns=options.split_dns,
        split_include=include,
        split_exclude=_excludes(options, versions, notes),
        exclude_local_lan=options.local_lan and not include,
        idle_timeout=options.idle,
        session_timeout=session,
        raw=options.raw,
        warnings=notes.texts(),  # last: everything above may add to them
    )


def _includes(options: Options, held: list[Interface], notes: Notes) -> tuple[Network, ...]:
    """Nothing of a family: its default route."""
    kept: list[Network] = []
    for own in held:
        lan = [net for net in options.include if net.version == own.version]
        if options.default_route or any(net.prefixlen == 0 for net in lan):
            continue
        if not lan:
            notes.warn("LAN", f"no IPv{own.version} network is told: nothing but {own.ip} is routed")
        kept += lan or [own.network]
    return tuple(kept)


def _excludes(options: Options, versions: set[int], notes: Notes) -> tuple[Network, ...]:
    kept = [net for net in options.exclude if net.version in versions and net.prefixlen]
    if any(not net.prefixlen for net in options.exclude):
        notes.warn("ExcludeSubnets", "a default route is dropped: it would leave nothing in the tunnel")
    return tuple(kept)
