"""How large a packet fits into ESP, and how large ESP makes it.  Sizes in bytes.

    outer IP header 20 or 40 | UDP 8 | SPI, number 8 | IV | packet, padding, 2 | ICV
Source: ESP notes, section 9; RFC 4106 for GCM.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.framing.esp_sa import Suite

UDP_HEADER = 8
TRAILER = 2  # pad length and next header
LEAST_PATH = 1280  # of the outer path; the least that IPv6 allows (RFC 8200, section 5)
LEAST_IPV6 = 1280  # of the tunnel, if IPv6 is to pass through it
DEFAULT_PATH = 1406  # nothing is known
MOST = 65535 - 100  # loopback paths tell 65535


@dataclass(frozen=True, slots=True)
class TunnelMtu:
    """mtu: the largest inner packet.  fragments: the outer packets of that size do not fit the path."""

    mtu: int
    fragments: bool


def _around(suite: Suite, *, outer_ipv6: bool) -> int:
    return (40 if outer_ipv6 else 20) + UDP_HEADER + suite.overhead


def largest_inner(path: int, suite: Suite, *, outer_ipv6: bool) -> int:
    """The largest inner packet whose outer packet is at most `path`; below 1 if there is none."""
    room = path - _around(suite, outer_ipv6=outer_ipv6)
    return room - room % suite.align - TRAILER


def wire_size(inner: int, suite: Suite, *, outer_ipv6: bool) -> int:
    """The outer IP packet that carries an inner one."""
    return _around(suite, outer_ipv6=outer_ipv6) + inner + suite.padding(inner) + TRAILER


def tunnel_mtu(path: int, suite: Suite, *, outer_ipv6: bool, inner_ipv6: bool) -> TunnelMtu:
    """The MTU of a tunnel whose gateway names none.  path: MTU to the gateway; 0: unknown."""
    path = max(path or DEFAULT_PATH, LEAST_PATH)
    inner = min(largest_inner(path, suite, outer_ipv6=outer_ipv6), MOST)
    if inner_ipv6 and inner < LEAST_IPV6:
        return TunnelMtu(LEAST_IPV6, True)
    return TunnelMtu(inner, False)
