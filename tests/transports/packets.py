"""Smallest IP packets for tests: right lengths in the header, no checksums, recognisable payload."""

from __future__ import annotations

import struct


def ipv4(length: int = 84, *, mark: int = 0) -> bytes:
    """An IPv4 packet of `length` bytes (20..65535); mark: its identification field."""
    addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2])
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, mark & 0xFFFF, 0, 64, 253, 0) + addresses
    return header + bytes(i & 0xFF for i in range(length - len(header)))


def ipv6(length: int = 104) -> bytes:
    """An IPv6 packet of `length` bytes (40..)."""
    header = struct.pack("!IHBB", 0x60000000, length - 40, 59, 64) + bytes(range(32))
    return header + bytes(i & 0xFF for i in range(length - 40))
