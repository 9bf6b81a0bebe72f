"""TCP and UDP packets with right checksums, and super-packets as a kernel hands them over."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from tests.transports.sinks import device_pair
from transports.offload import (
    ACK,
    CSUM_OFFSET,
    NEEDS_CSUM,
    TCP,
    UDP,
    VNET_SIZE,
    Gso,
    Offload,
    Vnet,
    join,
    ones_sum,
    pseudo_header,
)
from transports.sink import NativeSink


def packet(
    payload: bytes = b"",
    *,
    version: int = 4,
    protocol: int = TCP,
    host: int = 1,
    port: int = 1000,
    seq: int = 1000,
    ack: int = 7,
    flags: int = ACK,
    window: int = 500,
    urgent: int = 0,
    options: bytes = b"",
    ident: int = 0,
    fragment: int = 0x4000,
    tos: int = 0,
    ttl: int = 64,
    label: int = 0,
    checksum: int | None = None,
) -> bytes:
    """checksum: that of TCP or UDP, instead of the right one."""
    if protocol == TCP:
        header = struct.pack("!HHIIBBHHH", port, 80, seq, ack, (20 + len(options)) << 2, flags, window, 0, urgent)
    else:
        header = struct.pack("!HHHH", port, 53, 8 + len(payload), 0)
    body = bytearray(header + options + payload)
    ip = _ipv4 if version == 4 else _ipv6
    head = ip(len(body), protocol, host, ident, fragment, tos, ttl, label)
    if checksum is None:
        total = ones_sum(pseudo_header(head, protocol, len(body)) + bytes(body)) ^ 0xFFFF
        checksum = total or (0xFFFF if protocol == UDP else 0)
    struct.pack_into("!H", body, CSUM_OFFSET[protocol], checksum)
    return head + bytes(body)


def _ipv4(length: int, protocol: int, host: int, ident: int, fragment: int, tos: int, ttl: int, label: int) -> bytes:
    addresses = bytes([10, 0, 0, host, 10, 0, 0, 200])
    head = bytearray(struct.pack("!BBHHHBBH", 0x45, tos, 20 + length, ident, fragment, ttl, protocol, 0) + addresses)
    struct.pack_into("!H", head, 10, ones_sum(bytes(head)) ^ 0xFFFF)
    return bytes(head)


def _ipv6(length: int, protocol: int, host: int, ident: int, fragment: int, tos: int, ttl: int, label: int) -> bytes:
    addresses = bytes([0xFD, *[0] * 14, host, 0xFD, *[0] * 14, 200])
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | label, length, protocol, ttl) + addresses


def super_packet(whole: bytes, size: int, *, ecn: int = 0) -> tuple[Vnet, bytes]:
    """One large packet as the kernel leaves it: its checksum partial, to be cut every `size` bytes of payload."""
    start, protocol = (20, whole[9]) if whole[0] >> 4 == 4 else (40, whole[6])
    offset = CSUM_OFFSET[protocol]
    kind = Gso.UDP if protocol == UDP else Gso.TCPV4 if start == 20 else Gso.TCPV6
    header = start + (8 if protocol == UDP else (whole[start + 12] >> 4) * 4)
    data = bytearray(whole)
    struct.pack_into("!H", data, start + offset, ones_sum(pseudo_header(whole, protocol, len(whole) - start)))
    return Vnet(NEEDS_CSUM, kind | ecn, header, size, start, offset), bytes(data)


def is_right(one: bytes) -> bool:
    """Lengths and checksums of an IP packet are."""
    v4 = one[0] >> 4 == 4
    start, protocol = (20, one[9]) if v4 else (40, one[6])
    if v4 and (ones_sum(one[:20]) != 0xFFFF or int.from_bytes(one[2:4], "big") != len(one)):
        return False
    if not v4 and int.from_bytes(one[4:6], "big") + 40 != len(one):
        return False
    return ones_sum(pseudo_header(one, protocol, len(one) - start) + one[start:]) == 0xFFFF


Join = Callable[..., list[tuple[Vnet, bytes]]]


def native_join(packets: list[bytes], *, tcp: bool = True, udp: bool = True) -> list[tuple[Vnet, bytes]]:
    """The engine's: what its sink writes in one flush."""
    offload = Offload.VNET | (Offload.JOIN_TCP if tcp else 0) | (Offload.JOIN_UDP if udp else 0)
    with device_pair() as (ours, theirs):
        sink = NativeSink.tun(ours.fileno(), 1400, Offload(offload))
        assert all(sink.write(one) for one in packets)
        sink.flush()
        assert sink.stats().packets == len(packets)
        assert sink.stats().bytes == sum(map(len, packets))
        return written(theirs)


def written(kernel: socket.socket) -> list[tuple[Vnet, bytes]]:
    out = []
    with suppress(BlockingIOError):
        while data := kernel.recv(1 << 17):
            out.append((Vnet.parse(data), data[VNET_SIZE:]))
    return out


JOINS: dict[str, Join] = {"reference": join, "native": native_join}
