"""TUN offloads: the virtio header, and the plain reference of cutting and joining super-packets.

A kernel hands over super-packets of up to 64 KiB with a header of ten bytes that tells what they are to be cut into,
and takes the same.  The engine's twins are segment.c and coalesce.c; PythonPump cuts by what is here.
Source: linux-tun notes, sections 3 to 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

VNET_SIZE = 10  # bytes
SUPER_PACKET = 65535  # bytes of IP packet, at most
MAX_DATAGRAMS = 64  # joined; older kernels take no more
MAX_FLOWS = 16  # with an open item
TCP, UDP, ICMPV6 = 6, 17, 58
CSUM_OFFSET = {TCP: 16, UDP: 6}
FIN, PSH, ACK, CWR = 0x01, 0x08, 0x10, 0x80
NEEDS_CSUM, DATA_VALID = 1, 2
ECN, ACCECN = 0x80, 0x10
HEADER = struct.Struct("<BBHHHH")


class Offload(IntFlag):
    """What a TUN was opened with, and what may be made of it; VE_TUN_* of engine.h."""

    NONE = 0
    VNET = 1
    JOIN_TCP = 2
    JOIN_UDP = 4
    PROBE = 8


class Gso(IntEnum):
    NONE = 0
    TCPV4 = 1
    TCPV6 = 4
    UDP = 5


class BadVnet(Exception):
    """A virtio header that lies about its packet."""


# --- checksums -------------------------------------------------------------------------------------------------


def ones_sum(data: bytes) -> int:
    """The folded one's complement sum, not inverted (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo_header(packet: bytes, protocol: int, length: int) -> bytes:
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    return addresses + struct.pack("!II", protocol, length)


def _put16(packet: bytearray, at: int, value: int) -> None:
    packet[at : at + 2] = value.to_bytes(2, "big")


def _ipv4_checksum(packet: bytearray, header: int) -> None:
    _put16(packet, 10, 0)
    _put16(packet, 10, 0xFFFF ^ ones_sum(bytes(packet[:header])))


# --- the header before a packet --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a super-packet is cut, in bytes."""

    transport: int  # of IP header
    header: int  # of IP and transport header
    payload: int  # in all
    segment: int  # of payload each segment, but for the last

    @property
    def count(self) -> int:
        return -(-self.payload // self.segment)

    @property
    def largest(self) -> int:
        return self.header + min(self.segment, self.payload)


@dataclass(frozen=True, slots=True)
class Vnet:
    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Vnet:
        """Raises BadVnet."""
        if len(data) < VNET_SIZE:
            raise BadVnet(f"virtio header: got {len(data)} bytes, want {VNET_SIZE}")
        vnet = cls(*HEADER.unpack(data[:VNET_SIZE]))
        if vnet.flags & ~(NEEDS_CSUM | DATA_VALID):
            raise BadVnet(f"virtio header: got flags {vnet.flags:#x}, want 0..3 (byte 0)")
        return vnet

    def pack(self) -> bytes:
        return HEADER.pack(self.flags, self.gso_type, self.hdr_len, self.gso_size, self.csum_start, self.csum_offset)

    @property
    def is_super(self) -> bool:
        return self.gso_type & ~ECN != Gso.NONE

    @property
    def protocol(self) -> int:
        return UDP if self.gso_type & ~(ECN | ACCECN) == Gso.UDP else TCP

    def sizes(self, packet: bytes) -> Sizes:
        """Every check before a super-packet is cut (section 4.2).  Raises BadVnet."""
        kind, start, length = self.gso_type & ~(ECN | ACCECN), self.csum_start, len(packet)
        version = packet[0] >> 4 if packet else 0
        versions = {Gso.TCPV4: (4,), Gso.TCPV6: (6,), Gso.UDP: (4, 6)}
        self._must(kind in versions and version in versions[Gso(kind)], "type")
        self._must(self.gso_size >= 1, "gso_size")
        self._must(bool(self.flags & NEEDS_CSUM), "flags")
        self._must(self.csum_offset == CSUM_OFFSET[self.protocol], "csum_offset")
        least = 20 if version == 4 else 40
        self._must(start >= least and (version == 6 or start == (packet[0] & 15) * 4), "csum_start")
        self._must(20 <= length <= SUPER_PACKET and start < length, "length")
        header = 8
        if self.protocol == TCP:
            self._must(start + 13 <= length, "length")
            header = (packet[start + 12] >> 4) * 4
            self._must(header >= 20, "TCP header length")
        self._must(start + header < length, "length")
        return Sizes(start, start + header, length - start - header, self.gso_size)

    def _must(self, condition: bool, what: str) -> None:
        if not condition:
            raise BadVnet(f"virtio header {self}: {what} does not fit the packet")


# --- cutting ---------------------------------------------------------------------------------------------------


def finished(vnet: Vnet, packet: bytes) -> bytes:
    """An ordinary packet with its checksum finished.  Raises BadVnet."""
    if not vnet.flags & NEEDS_CSUM:
        return packet
    at = vnet.csum_start + vnet.csum_offset
    if at + 2 > len(packet):
        raise BadVnet(f"virtio header: got a checksum at byte {at}, want one within {len(packet)} bytes")
    whole = bytearray(packet)
    _put16(whole, at, 0xFFFF ^ ones_sum(packet[vnet.csum_start :]) or 0xFFFF)
    return bytes(whole)


def segments(vnet: Vnet, packet: bytes) -> Iterator[bytes]:
    """The packets that a super-packet stands for.  Raises BadVnet at once."""
    return _cut(vnet, vnet.sizes(packet), packet)


def _cut(vnet: Vnet, sizes: Sizes, packet: bytes) -> Iterator[bytes]:
    for index in range(sizes.count):
        done = index * sizes.segment
        payload = packet[sizes.header + done : sizes.header + min(done + sizes.segment, sizes.payload)]
        yield _segment(vnet, sizes, packet[: sizes.header], index, payload)


def _segment(vnet: Vnet, sizes: Sizes, header: bytes, index: int, payload: bytes) -> bytes:
    out = bytearray(header + payload)
    start, done = sizes.transport, index * sizes.segment
    if out[0] >> 4 == 4:
        _put16(out, 2, len(out))
        _put16(out, 4, (int.from_bytes(out[4:6], "big") + index) & 0xFFFF)
        _ipv4_checksum(out, start)
    else:
        _put16(out, 4, len(out) - 40)
    if vnet.protocol == TCP:
        sequence = int.from_bytes(out[start + 4 : start + 8], "big") + done
        out[start + 4 : start + 8] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        if done + len(payload) < sizes.payload:
            out[start + 13] &= ~(FIN | PSH) & 0xFF
        if index and not vnet.gso_type & ACCECN:
            out[start + 13] &= ~CWR & 0xFF
    else:
        _put16(out, start + 4, len(out) - start)
    field_at = start + vnet.csum_offset
    _put16(out, field_at, 0)
    checksum = 0xFFFF ^ ones_sum(pseudo_header(header, vnet.protocol, len(out) - start) + bytes(out[start:]))
    _put16(out, field_at, checksum or (0xFFFF if vnet.protocol == UDP else 0))
    return bytes(out)


# --- joining ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What matters of one packet for joining it."""

    packet: bytes
    hosts: bytes
    flow: bytes | None  # addresses, protocol and ports; None: not known
    any_flow: bool  # a fragment or alike: it may be of any flow between its hosts
    protocol: int = 0
    transport: int = 0
    header: int = 0
    candidate: bool = False  # but for its checksum

    @property
    def payload(self) -> bytes:
        return self.packet[self.header :]

    @property
    def tcp(self) -> bytes:
        return self.packet[self.transport : self.header]

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.tcp[4:8], "big")

    @property
    def pushed(self) -> bool:
        return self.protocol == TCP and bool(self.tcp[13] & PSH)

    @property
    def right(self) -> bool:
        """Its checksum is."""
        body = self.packet[self.transport :]
        return ones_sum(pseudo_header(self.packet, self.protocol, len(body)) + body) == 0xFFFF


def look(packet: bytes) -> Look:
    """packet: IP, as long as its header says."""
    v4 = packet[0] >> 4 == 4
    hosts = packet[12:20] if v4 else packet[8:40]
    transport, protocol = (20, packet[9]) if v4 else (40, packet[6])
    ip_good = True
    if v4:
        fragment = int.from_bytes(packet[6:8], "big")
        if packet[0] & 15 != 5 or fragment & 0x3FFF:
            return Look(packet, hosts, None, any_flow=True)
        ip_good = not fragment & 0xBFFF and ones_sum(packet[:20]) == 0xFFFF
    if protocol not in (TCP, UDP):
        return Look(packet, hosts, None, any_flow=not v4 and protocol != ICMPV6)
    body = packet[transport:]
    if len(body) < (20 if protocol == TCP else 8):
        return Look(packet, hosts, None, any_flow=True)
    flow = hosts + bytes([protocol]) + body[:4]
    if protocol == TCP:
        header = (body[12] >> 4) * 4
        good = 20 <= header < len(body) and not body[12] & 15 and body[13] & ~PSH == ACK
    else:
        header = 8
        good = len(body) > 8 and int.from_bytes(body[4:6], "big") == len(body) and body[6:8] != b"\0\0"
    return Look(packet, hosts, flow, False, protocol, transport, transport + header, ip_good and good)


@dataclass(slots=True)
class Item:
    """Packets of one flow that leave together."""

    looks: list[Look]

    def fits(self, new: Look) -> bool:
        first, size = self.looks[0], len(self.looks[0].payload)
        total = len(first.packet) + sum(len(one.payload) for one in self.looks[1:])
        if new.header != first.header or len(new.payload) > size or total + len(new.payload) > SUPER_PACKET:
            return False
        if not self._same_ip(first.packet, new.packet):
            return False
        if first.protocol == UDP:
            return len(self.looks) < MAX_DATAGRAMS
        a, b = first.tcp, new.tcp
        same = (a[8:13], a[14:16], a[18:]) == (b[8:13], b[14:16], b[18:])
        return same and new.sequence == (first.sequence + len(self.looks) * size) & 0xFFFFFFFF

    def _same_ip(self, a: bytes, b: bytes) -> bool:
        if a[0] >> 4 == 6:
            return (a[:4], a[7]) == (b[:4], b[7])
        if (a[1], a[6], a[8]) != (b[1], b[6], b[8]):
            return False
        number = (int.from_bytes(a[4:6], "big") + len(self.looks)) & 0xFFFF
        return bool(a[6] & 0x40) or int.from_bytes(b[4:6], "big") == number

    def built(self) -> tuple[Vnet, bytes]:
        """As it is written to the device."""
        first, count = self.looks[0], len(self.looks)
        if count == 1:
            return Vnet(), first.packet
        out = bytearray(first.packet + b"".join(one.payload for one in self.looks[1:]))
        start, v4 = first.transport, first.packet[0] >> 4 == 4
        if v4:
            _put16(out, 2, len(out))
            _ipv4_checksum(out, 20)
        else:
            _put16(out, 4, len(out) - 40)
        if first.protocol == UDP:
            _put16(out, start + 4, len(out) - start)
            kind = Gso.UDP
        else:
            out[start + 13] |= PSH if self.looks[-1].pushed else 0
            kind = Gso.TCPV4 if v4 else Gso.TCPV6
        offset = CSUM_OFFSET[first.protocol]
        _put16(out, start + offset, ones_sum(pseudo_header(first.packet, first.protocol, len(out) - start)))
        return Vnet(NEEDS_CSUM, kind, first.header, len(first.payload), start, offset), bytes(out)


@dataclass(slots=True)
class Joiner:
    """One batch of packets (sections 5.3 and 5.4)."""

    tcp: bool = True
    udp: bool = True
    items: list[Item] = field(default_factory=list)
    _open: dict[bytes, Item] = field(default_factory=dict)  # by flow, oldest first

    def add(self, packet: bytes) -> None:
        new = look(packet)
        if new.any_flow:
            self._open = {flow: item for flow, item in self._open.items() if item.looks[0].hosts != new.hosts}
        candidate = new.candidate and (self.tcp if new.protocol == TCP else self.udp)
        item = self._open.get(new.flow) if new.flow is not None else None
        if item is not None and new.flow is not None:
            if candidate and item.fits(new):
                candidate = new.right
                if candidate and item.looks[0].right:
                    self._append(new.flow, item, new)
                    return
            del self._open[new.flow]
        self.items.append(Item([new]))
        if candidate and not new.pushed and new.flow is not None:
            if len(self._open) == MAX_FLOWS:
                del self._open[next(iter(self._open))]
            self._open[new.flow] = self.items[-1]

    def _append(self, flow: bytes, item: Item, new: Look) -> None:
        item.looks.append(new)
        if new.pushed or len(new.payload) < len(item.looks[0].payload):
            del self._open[flow]


def join(packets: Sequence[bytes], *, tcp: bool = True, udp: bool = True) -> list[tuple[Vnet, bytes]]:
    """The packets of a batch as they are written to a device with a virtio header."""
    joiner = Joiner(tcp, udp)
    for packet in packets:
        joiner.add(packet)
    return [item.built() for item in joiner.items]
