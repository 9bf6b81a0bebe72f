"""Addresses, masks, routes and domains as gateways write them (first of all: anyconnect.md section 3.3).

Each reader returns a value, or raises ValueError with a text that says what came and what was wanted.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface

from protocols.base import Address, Interface, Network

MAX_DOMAIN = 253  # characters
SHOWN = 80  # characters of a bad value that a text shows
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PREFIX = re.compile(r"[0-9]{1,3}")


def shown(value: str) -> str:
    return repr(value[:SHOWN])


def address(text: str) -> Address:
    """One numeric address, without prefix or zone."""
    if "%" in text:
        raise ValueError(f"got {shown(text)}, want an address without a zone")
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"got {shown(text)}, want an IPv4 or IPv6 address") from None


def own(text: str) -> Address:
    """An address that a host can have as its own."""
    found = address(text.partition("/")[0])
    if found.is_unspecified or found.is_multicast or found.is_loopback:
        raise ValueError(f"got {shown(text)}, want an address that a host can have")
    return found


def prefix_length(text: str, bits: int) -> int:
    """A mask as length, dotted IPv4 mask or IPv6 mask.  bits: 32 or 128."""
    if _PREFIX.fullmatch(text):
        if int(text) > bits:
            raise ValueError(f"got prefix length {text}, want 0 to {bits}")
        return int(text)
    try:
        mask: Address = IPv4Address(text) if bits == 32 else IPv6Address(text)
    except ValueError:
        raise ValueError(f"got mask {shown(text)}, want a length or an IPv{4 if bits == 32 else 6} mask") from None
    length = bits - _zeros(int(mask), bits)
    if int(mask) != _mask(length, bits):
        raise ValueError(f"got mask {shown(text)}, want one without gaps")
    return length


def network(text: str) -> tuple[Network, bool]:
    """A route, and whether host bits were set in it (they are masked).  Without a mask: one host."""
    host, slash, mask = text.strip().partition("/")
    start = address(host)
    bits = start.max_prefixlen
    length = prefix_length(mask.strip(), bits) if slash else bits
    masked = int(start) & _mask(length, bits)
    net: Network = IPv4Network((masked, length)) if bits == 32 else IPv6Network((masked, length))
    return net, masked != int(start)


def useful(net: Network) -> Network:
    """The route, if a host can have it.  Raises ValueError for what no tunnel carries."""
    first = net.network_address
    if net.prefixlen and (first.is_multicast or first.is_loopback):
        raise ValueError(f"got {net}, want neither multicast nor loopback")
    if net.version == 6 and net.prefixlen and first.is_link_local:
        raise ValueError(f"got {net}, want no link-local addresses")
    if net.prefixlen == net.max_prefixlen and first.is_unspecified:
        raise ValueError(f"got {net}, want the address of a host")
    return net


def interface(host: Address, length: int) -> Interface:
    return ip_interface((int(host), length)) if host.version == 4 else ip_interface(f"{host}/{length}")


def domain(text: str) -> str:
    """A domain name: letters, digits, - and _ only, since it ends up in files and commands."""
    name = text.strip().rstrip(".")
    if not name or len(name) > MAX_DOMAIN or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"got {shown(text)}, want a domain name")
    return name


def is_address(text: str) -> bool:
    try:
        ip_address(text.strip())
    except ValueError:
        return False
    return True


def _zeros(mask: int, bits: int) -> int:
    """Trailing zero bits."""
    return bits if mask == 0 else (mask & -mask).bit_length() - 1


def _mask(length: int, bits: int) -> int:
    return ((1 << length) - 1) << (bits - length)
