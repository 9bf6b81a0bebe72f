"""How large a packet may be (anyconnect.md section 7; vectors V11).  All sizes are bytes."""

from __future__ import annotations

MIN_BASE = 1280  # path MTU told to the gateway
DEFAULT_BASE = 1406  # when nothing is known of the path
MAX_BASE = 65535  # loopback
MAX_TUNNEL = 16376  # a packet and its header of 8 must fit one TLS record
MIN_TUNNEL = 576
MIN_IPV6 = 1280  # RFC 8200 section 5
_WORST_RECORD = 82  # 1 type byte, 13 header, 20 MAC, 32 IV, 16 padding
_UDP = 8


def requested(*, base: int = 0, mtu: int = 0, path: int = 0, outer_ipv6: bool = False) -> tuple[int, int]:
    """What to ask for: the path MTU, and the tunnel MTU.

    base, mtu: the user's wishes; path: measured; 0: none.
    """
    told = min(max(base or path or DEFAULT_BASE, MIN_BASE), MAX_BASE)
    wanted = mtu or told - _WORST_RECORD - _UDP - _ip_header(outer_ipv6)
    return told, min(max(wanted, MIN_TUNNEL), MAX_TUNNEL)


def _ip_header(ipv6: bool) -> int:
    return 40 if ipv6 else 20
