"""The path MTU that the kernel knows for an address; nothing is sent.

Linux: a connected UDP socket has the MTU of its route, lowered by what ICMP has taught (ip(7), ipv6(7)).
"""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_address

_IP_MTU = 14  # linux/in.h; the socket module does not name them
_IPV6_MTU = 24  # linux/in6.h


def path_mtu(address: str, port: int = 443) -> int:
    """Bytes of the outer IP packet; 0: unknown (no route, not a numeric address, not Linux)."""
    try:
        six = ip_address(address).version == 6
    except ValueError:
        return 0
    if sys.platform != "linux":
        return 0
    try:
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
            return mtu_of(probe)
    except (OSError, OverflowError):
        return 0


def mtu_of(sock: socket.socket) -> int:
    """The same for the peer of a connected socket."""
    six = sock.family == socket.AF_INET6
    try:
        return sock.getsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, _IPV6_MTU if six else _IP_MTU)
    except OSError:
        return 0
