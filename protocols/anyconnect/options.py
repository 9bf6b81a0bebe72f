"""The gateway's answer to the CONNECT, header by header -> TunnelConfig and the controller's timers.

What is wrong is dropped with a warning where the tunnel can live without it, and refused where it cannot: no address,
no MTU, an encoding that was not offered.  What it says of DTLS is read in dtls_terms.py.
Source: anyconnect.md section 3.3, Q24 to Q28; host-config.md section 11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from protocols import networks
from protocols.anyconnect.dtls_terms import DtlsOffer, DtlsTerms, dtls_terms
from protocols.anyconnect.headers import Headers
from protocols.anyconnect.mtu import MAX_TUNNEL, MIN_IPV6, MIN_TUNNEL
from protocols.anyconnect.timers import RekeyMethod, Timers
from protocols.base import Address, Interface, Network, TunnelConfig
from protocols.errors import ConfigurationRefused
from protocols.networks import shown
from protocols.text import clean, one_line

T = TypeVar("T")

MAX_ROUTES = 10_000
MAX_DOMAINS = 1000
MAX_SERVERS = 3  # of DNS, and of NBNS
MAX_PAC = 2048  # characters
MIN_DPD = 2  # seconds
_SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the CONNECT asked for.  force_dpd: seconds, 0: as the gateway says.  mtu: 0: as the gateway says."""

    ipv6: bool = True
    mtu: int = 0
    force_dpd: int = 0
    encodings: tuple[str, ...] = ()
    dtls: DtlsOffer | None = None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """encoding: of CSTP packets, one of those asked for; empty: none.  dtls: None: none was agreed on."""

    config: TunnelConfig
    timers: Timers
    encoding: str = ""
    dtls: DtlsTerms | None = None


def negotiate(answer: Sequence[tuple[str, str]], asked: Asked) -> Negotiated:
    """Raises ConfigurationRefused, and nothing else, for any headers."""
    headers = Headers(answer)
    encoding = _encoding(headers, asked)
    mtu = _mtu(headers, asked)
    ipv6 = asked.ipv6 and _ipv6_fits(headers, mtu)
    addresses = _addresses(headers, ipv6)
    if not addresses:
        raise ConfigurationRefused("no-address", "the gateway gave no usable address, want X-CSTP-Address")
    timers = _timers(headers, asked)
    excludes, exclude_local_lan = _excludes(headers, ipv6)
    includes = _includes(headers, addresses, excludes, ipv6)
    dns: list[Address] = _distinct(headers, _server(ipv6), "X-CSTP-DNS", "X-CSTP-DNS-IP6")
    dtls = dtls_terms(headers, asked.dtls, timers.dpd if asked.force_dpd else 0) if asked.dtls else None
    split_dns = [part for _, value in headers.all("X-CSTP-Split-DNS") for part in _SEPARATORS.split(value)]
    config = TunnelConfig(
        addresses=addresses,
        mtu=mtu,
        dns=tuple(dns),
        nbns=tuple(found for found in _distinct(headers, _nbns, "X-CSTP-NBNS")),
        search_domains=_domains(
            headers, "X-CSTP-Default-Domain", _SEPARATORS.split(headers.one("X-CSTP-Default-Domain"))
        ),
        split_dns=_domains(headers, "X-CSTP-Split-DNS", (part for part in split_dns if not networks.is_address(part))),
        tunnel_all_dns=headers.flag("X-CSTP-Tunnel-All-DNS", False),
        split_include=includes,
        split_exclude=tuple(net for net in excludes if any(net.version == held.version for held in addresses)),
        exclude_local_lan=exclude_local_lan,
        client_bypass=headers.flag("X-CSTP-Client-Bypass-Protocol", True),
        banner=_banner(headers.one("X-CSTP-Banner")),
        proxy_pac=_pac(headers),
        idle_timeout=timers.idle,
        session_timeout=timers.session,
        disconnected_timeout=headers.number("X-CSTP-Disconnected-Timeout"),
        dynamic_dns=headers.flag("X-CSTP-DynDNS", False),
        raw=headers.raw(),
        warnings=headers.warnings,  # last: everything above may add to them
    )
    return Negotiated(config, timers, encoding, dtls)


def _encoding(headers: Headers, asked: Asked) -> str:
    encoding = headers.one("X-CSTP-Content-Encoding")
    if encoding.lower() in ("", "none", "identity"):
        return ""
    if encoding not in asked.encodings:
        offered = ", ".join(asked.encodings) or "none"
        raise ConfigurationRefused(
            "encoding-not-offered", f"got compression {shown(one_line(encoding))}, offered {offered}"
        )
    return encoding


# --- MTU and times ---


def _mtu(headers: Headers, asked: Asked) -> int:
    mtu = max(headers.number("X-CSTP-MTU"), headers.number("X-DTLS-MTU"))
    if not mtu:
        raise ConfigurationRefused("no-mtu", "the gateway gave no tunnel MTU, want X-CSTP-MTU")
    if mtu < MIN_TUNNEL:
        raise ConfigurationRefused("mtu-too-small", f"got a tunnel MTU of {mtu} bytes, want at least {MIN_TUNNEL}")
    if mtu > MAX_TUNNEL:
        headers.warn("X-CSTP-MTU", f"{mtu} lowered to {MAX_TUNNEL}, the most that a TLS record carries")
    return max(min(mtu, MAX_TUNNEL, asked.mtu or MAX_TUNNEL), MIN_TUNNEL)


def _ipv6_fits(headers: Headers, mtu: int) -> bool:
    if mtu >= MIN_IPV6:
        return True
    if headers.all("X-CSTP-Address-IP6") or any(":" in value for _, value in headers.all("X-CSTP-Address")):
        headers.warn("X-CSTP-MTU", f"a tunnel MTU of {mtu} bytes is below {MIN_IPV6}: IPv6 is not configured")
    return False


def _timers(headers: Headers, asked: Asked) -> Timers:
    ends = ("X-CSTP-Lease-Duration", "X-CSTP-Session-Timeout", "X-CSTP-Session-Timeout-Remaining")
    limits = [seconds for seconds in map(headers.number, ends) if seconds]  # Q28: smallest that is not zero
    method = headers.one("X-CSTP-Rekey-Method").lower()
    # A negative rekey time means off, like 0: no reason to warn.
    rekey = 0 if headers.one("X-CSTP-Rekey-Time").startswith("-") else headers.number("X-CSTP-Rekey-Time")
    known = method in {choice.value for choice in RekeyMethod}
    return Timers(
        dpd=max(asked.force_dpd, MIN_DPD) if asked.force_dpd else headers.number("X-CSTP-DPD"),
        keepalive=headers.number("X-CSTP-Keepalive"),
        rekey=rekey,
        rekey_method=RekeyMethod(method) if known and rekey else RekeyMethod.NONE,
        session=min(limits, default=0),
        alert=headers.number("X-CSTP-Session-Timeout-Alert-Interval"),
        idle=headers.number("X-CSTP-Idle-Timeout"),
    )


# --- addresses ---


def _addresses(headers: Headers, ipv6: bool) -> tuple[Interface, ...]:
    """One address of each family, IPv4 first.  An address that does not parse ends the connection."""
    four: Interface | None = None
    six: Interface | None = None
    for name, value in headers.all("X-CSTP-Address-IP6", "X-CSTP-Address"):
        if ":" in value and not ipv6:
            continue
        found = _interface(headers, name, value)
        if found.version == 4 and four in (None, found):
            four = found
        elif found.version == 6 and (six is None or six.ip == found.ip):
            six = six or found  # X-CSTP-Address-IP6 comes first: it carries the prefix
        else:
            headers.warn(name, f"{found.ip} ignored: one address of a family is used")
    return tuple(found for found in (four, six) if found is not None)


def _interface(headers: Headers, name: str, value: str) -> Interface:
    try:
        host = networks.own(value)
        _, slash, length = value.partition("/")
        if slash:
            return networks.interface(host, networks.prefix_length(length.strip(), host.max_prefixlen))
    except ValueError as exc:
        raise ConfigurationRefused("bad-address", f"{name}: {exc}") from exc
    return networks.interface(host, _netmask(headers, host))


def _netmask(headers: Headers, host: Address) -> int:
    """The prefix length from X-CSTP-Netmask; absent or unusable: a single host (Q26)."""
    for name, value in headers.all("X-CSTP-Netmask"):
        if (":" in value) != (host.version == 6):
            continue
        try:
            length = networks.prefix_length(value.rpartition("/")[2].strip(), host.max_prefixlen)
        except ValueError as exc:
            headers.warn(name, f"ignored: {exc}")
            continue
        if length:
            return length
        headers.warn(name, f"ignored {shown(value)}: it would make every address a neighbour")
    return host.max_prefixlen


# --- routes ---


def _routes(headers: Headers, name: str, ipv6: bool) -> list[Network]:
    """Routes of both spellings of a header.  A bad one is dropped with a warning, host bits are masked with one."""
    found: dict[Network, None] = {}
    for spelling, value in headers.all(name, f"{name}-IP6"):
        if ":" in value and not ipv6:
            continue
        try:
            net, masked = networks.network(value)
        except ValueError as exc:
            headers.warn(spelling, f"route dropped: {exc}")
            continue
        if masked:
            headers.warn(spelling, f"{shown(value)} has host bits set: taken as {net}")
        found[net] = None
        if len(found) > MAX_ROUTES:
            raise ConfigurationRefused("too-large", f"{name}: more than {MAX_ROUTES} routes")
    return list(found)


def _excludes(headers: Headers, ipv6: bool) -> tuple[tuple[Network, ...], bool]:
    """The excluded routes, and whether the local networks stay outside (Q24: 0.0.0.0/32 says so)."""
    name, local_lan = "X-CSTP-Split-Exclude", False
    kept: list[Network] = []
    for net in _routes(headers, name, ipv6):
        if int(net.network_address) == 0 and net.prefixlen == net.max_prefixlen:
            local_lan = True
        elif not net.prefixlen:
            headers.warn(name, f"route dropped: {net} would leave nothing in the tunnel")
        else:
            kept += _useful(headers, name, net)
    return tuple(kept), local_lan


def _includes(
    headers: Headers, addresses: tuple[Interface, ...], excludes: tuple[Network, ...], ipv6: bool
) -> tuple[Network, ...]:
    """The included routes of the families that have an address; what is excluded alike stays out (Q25).

    A family whose routes were all dropped must not become a default route by that: it keeps its own network.
    """
    name = "X-CSTP-Split-Include"
    routes = _routes(headers, name, ipv6)
    kept: list[Network] = []
    for held in addresses:
        if not any((":" in value) == (held.version == 6) for _, value in headers.all(name, f"{name}-IP6")):
            continue
        own = (net for net in routes if net.version == held.version)
        useful = [net for route in own for net in _useful(headers, name, route) if net not in excludes]
        if not useful:
            headers.warn(name, f"no usable IPv{held.version} route is left: nothing but {held.network} is routed")
        kept += useful or [held.network]
    return tuple(kept)


def _useful(headers: Headers, name: str, net: Network) -> list[Network]:
    try:
        return [networks.useful(net)]
    except ValueError as exc:
        headers.warn(name, f"route dropped: {exc}")
        return []


# --- names and texts ---


def _distinct(headers: Headers, read: Callable[[str], T | None], *names: str) -> list[T]:
    """The first MAX_SERVERS distinct values; None is passed over, ValueError dropped with a warning."""
    found: list[T] = []
    for name, value in headers.all(*names):
        try:
            one = read(value)
        except ValueError as exc:
            headers.warn(name, f"ignored: {exc}")
            continue
        if one is None or one in found:
            continue
        if len(found) == MAX_SERVERS:
            headers.warn(name, f"more than {MAX_SERVERS} servers: the first {MAX_SERVERS} are used")
            break
        found.append(one)
    return found


def _server(ipv6: bool) -> Callable[[str], Address | None]:
    return lambda value: None if ":" in value and not ipv6 else networks.own(value)


def _nbns(value: str) -> IPv4Address | None:
    if value == "0.0.0.0":
        return None
    found = networks.own(value)
    if not isinstance(found, IPv4Address):
        raise ValueError(f"got {shown(value)}, want an IPv4 address")
    return found


def _domains(headers: Headers, name: str, texts: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        if not text:
            continue
        try:
            found[networks.domain(text)] = None
        except ValueError as exc:
            headers.warn(name, f"ignored: {exc}")
        if len(found) > MAX_DOMAINS:
            raise ConfigurationRefused("too-large", f"{name}: more than {MAX_DOMAINS} domains")
    return tuple(found)


def _banner(value: str) -> str:
    """Percent-decoded, with its line breaks (Q27).  Bytes that were no UTF-8 arrive as lone surrogates."""
    data = unquote_to_bytes(value.encode("utf-8", "surrogateescape" if _escapable(value) else "replace"))
    return clean(data.decode("utf-8", "replace"))


def _escapable(value: str) -> bool:
    return not any("\ud800" <= char <= "\udc7f" or "\udd00" <= char <= "\udfff" for char in value)


def _pac(headers: Headers) -> str:
    name = "X-CSTP-MSIE-Proxy-PAC-URL"
    url = headers.one(name)
    if url and (len(url) > MAX_PAC or not re.fullmatch(r"(?i:https?|file)://[\x21-\x7e]+", url)):
        headers.warn(name, f"ignored {shown(url)}, want an http or https URL")
        return ""
    return url
