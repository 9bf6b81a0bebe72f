"""Both pumps on a device with a virtio header: a packet socket in its place, then the kernel itself as judge."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing.cstp import MAX_SENT, Decoder, Encoder
from tests.transports.namespace import in_own_namespace, ip
from tests.transports.resting import assert_it_costs_no_time
from tests.transports.superpackets import is_right, packet, super_packet, written
from tests.transports.test_offload import GOOD, LIES, WHOLE, reference_cut, supers
from tests.transports.tlspair import TIMEOUT, End, tls_pair
from transports.framing import Framing
from transports.offload import ACK, PSH, TCP, UDP, VNET_SIZE, Offload, Vnet, ones_sum, segments
from transports.pump import Pump
from transports.pump_python import PythonPump
from transports.sink import NativeSink
from transports.tun import Tun

ENCODER = Encoder()
AnyPump = Pump | PythonPump
MARKER = packet(b"marker", host=99)
JOINING = Offload.VNET | Offload.JOIN_TCP | Offload.JOIN_UDP


@dataclass
class Device:
    """A socket in the place of a TUN with headers."""

    sock: socket.socket
    offload: Offload = JOINING

    def fileno(self) -> int:
        return self.sock.fileno()


@dataclass
class Bench:
    pump: AnyPump
    peer: End
    kernel: socket.socket

    def cut(self, vnet: bytes, whole: bytes) -> list[bytes]:
        """What becomes of one read of the device."""
        self.kernel.send(vnet + whole)
        self.kernel.send(Vnet().pack() + MARKER)
        packets = []
        while (record := self.peer.read()) != ENCODER.encode(MARKER):
            packets.append(record[8:])
        return packets


def make_pump(name: str, device: Any, stream: Any, mtu: int) -> AnyPump:
    if name == "engine":
        return Pump(device, stream, "cstp", mtu=mtu)
    framing = Framing("cstp", Decoder, Encoder, MAX_SENT)
    return PythonPump(device, stream, framing, mtu=mtu, malformed=MalformedFrame)


@contextmanager
def opened(name: str, mtu: int = 1400, offload: Offload = JOINING) -> Iterator[Bench]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tls_pair(0x0304) as (client, server):
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        pump = make_pump(name, Device(ours, offload), client, mtu)
        pump.start()
        try:
            yield Bench(pump, server, theirs)
        finally:
            pump.stop(0)


both = pytest.mark.parametrize("name", ["engine", "python"])


@both
def test_super_packets_are_cut_as_the_reference_does(name: str) -> None:
    with opened(name, mtu=16000) as bench:

        @settings(max_examples=60)
        @given(supers())
        def check(one: tuple[Vnet, bytes]) -> None:
            vnet, whole = one
            assert bench.cut(vnet.pack(), whole) == list(segments(vnet, whole))

        check()


@both
def test_a_header_that_lies_costs_that_read(name: str) -> None:
    with opened(name) as bench:
        for count, (vnet, whole) in enumerate(LIES.values(), 1):
            assert bench.cut(vnet.pack(), whole) == []
            until(lambda count=count: bench.pump.stats().tun_bad_vnet == count)  # type: ignore[misc]
        bench.kernel.send(b"\1\1")
        assert bench.cut(GOOD.pack(), WHOLE) == list(segments(GOOD, WHOLE))
        until(lambda: bench.pump.stats().super_packets == 1)
        stats = bench.pump.stats()
        assert stats.tun_bad_vnet == stats.dropped == len(LIES) + 1


def until(condition: Any) -> None:
    """Statistics have no descriptor to wait on."""
    limit = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


@both
def test_headers_of_any_bytes_are_judged_as_the_reference_does(name: str) -> None:
    with opened(name, mtu=16000) as bench:

        @settings(max_examples=150)
        @given(st.binary(min_size=10, max_size=10), st.integers(0, 9), st.integers(0, 255), st.integers(1, len(WHOLE)))
        def check(noise: bytes, at: int, value: int, length: int) -> None:
            near = GOOD.pack()[:at] + bytes([value]) + GOOD.pack()[at + 1 :]
            for vnet in (noise, near):
                whole = WHOLE[:length]
                want = reference_cut(vnet, whole) or []
                got = bench.cut(vnet, whole)
                kept = [one for one in want if len(one) >= 20 and int.from_bytes(one[2:4], "big") <= len(one)]
                assert got == [one[: int.from_bytes(one[2:4], "big")] for one in kept if one[0] == 0x45]

        check()


@both
def test_segments_larger_than_the_tunnel_are_dropped_and_counted(name: str) -> None:
    with opened(name, mtu=1000) as bench:
        vnet, whole = super_packet(packet(bytes(5000)), 961)
        assert bench.cut(vnet.pack(), whole) == []
        until(lambda: bench.pump.stats().dropped_tx_oversize == 6)
        assert len(bench.cut(*fitting(vnet, whole))) == 6


def fitting(vnet: Vnet, whole: bytes) -> tuple[bytes, bytes]:
    return Vnet(vnet.flags, vnet.gso_type, 40, 960, vnet.csum_start, vnet.csum_offset).pack(), whole


@both
def test_a_full_link_keeps_the_segments_that_are_not_cut_yet(name: str) -> None:
    """More than the link takes, in few super-packets: nothing is lost, and nothing spins meanwhile."""
    with opened(name) as bench:
        wholes = [super_packet(packet(bytes([i]) * 50000, seq=i), 1000) for i in range(60)]
        for vnet, whole in wholes:
            bench.kernel.send(vnet.pack() + whole)
        assert_it_costs_no_time(bench.pump)
        assert 0 < bench.pump.stats().tx_packets < 3000
        assert bench.pump.send_control(7)  # a control frame does not overwrite them
        records = [bench.peer.read() for _ in range(3001)]
        data = [one[8:] for one in records if one[6] == 0]
        assert data == [part for vnet, whole in wholes for part in segments(vnet, whole)]


@both
def test_received_packets_are_joined(name: str) -> None:
    with opened(name) as bench:
        packets = [
            packet(bytes([i]) * 100, seq=i * 100, ident=i, flags=ACK | (PSH if i == 9 else 0)) for i in range(10)
        ]
        bench.peer.write(b"".join(ENCODER.encode(one) for one in packets))
        assert select.select([bench.kernel], [], [], TIMEOUT)[0]
        ((vnet, whole),) = written(bench.kernel)
        assert list(segments(vnet, whole)) == packets
        until(lambda: bench.pump.stats().rx_packets == 10)
        stats = bench.pump.stats()
        assert (stats.rx_bytes, stats.sink.super_packets, stats.sink.joined) == (1400, 1, 10)


@both
def test_a_device_with_headers_and_no_wishes(name: str) -> None:
    with opened(name, offload=Offload.VNET) as bench:
        packets = [packet(bytes(100), seq=i * 100) for i in range(5)]
        bench.peer.write(b"".join(ENCODER.encode(one) for one in packets))
        got: list[tuple[Vnet, bytes]] = []
        while len(got) < 5:
            assert select.select([bench.kernel], [], [], TIMEOUT)[0]
            got += written(bench.kernel)
        assert got == [(Vnet(), one) for one in packets]


# --- the kernel as judge -----------------------------------------------------------------------------------------


def forwarding(stack: ExitStack) -> tuple[Tun, Tun]:
    """A TUN with headers and one without, and a kernel that forwards between them."""
    source = stack.enter_context(Tun.open("vesrc"))
    target = stack.enter_context(Tun.open("vedst", offload=False))
    for tun, net in ((source, "10.0.0"), (target, "10.1.0")):
        ip("link", "set", tun.name, "mtu", "1500", "up")
        ip("addr", "add", f"{net}.254/24", "dev", tun.name)
    ip("addr", "add", "fd00::fe/64", "dev", source.name, "nodad")
    ip("addr", "add", "fd01::fe/64", "dev", target.name, "nodad")
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
            file.write("1")
    return source, target


def readdressed(whole: bytes) -> bytes:
    """To the other side, with flags of an established connection.  The checksum of TCP or UDP is left as it was."""
    data = bytearray(whole)
    start, protocol = (20, data[9]) if data[0] >> 4 == 4 else (40, data[6])
    if start == 20:
        data[16:20] = bytes([10, 1, 0, 200])
        data[10:12] = b"\0\0"
        data[10:12] = (ones_sum(bytes(data[:20])) ^ 0xFFFF).to_bytes(2, "big")
    else:
        data[24:40] = bytes([0xFD, 1, *[0] * 13, 200])
    if protocol == TCP:
        data[start + 13] = data[start + 13] & 0x89 | ACK  # CWR, PSH, FIN
    return bytes(data)


def read_all(tun: Tun, count: int) -> list[bytes]:
    packets: list[bytes] = []
    while len(packets) < count:
        assert select.select([tun], [], [], TIMEOUT)[0], f"{len(packets)} of {count} packets came"
        data = os.read(tun.fileno(), 65536)
        if (data[0] >> 4 == 4 and data[9] in (TCP, UDP)) or (data[0] >> 4 == 6 and data[6] in (TCP, UDP)):
            packets.append(data)
    return packets


def a_hop_later(one: bytes) -> bytes:
    if one[0] >> 4 == 6:
        return one[:7] + bytes([one[7] - 1]) + one[8:]
    head = bytearray(one[:20])
    head[8] -= 1
    head[10:12] = b"\0\0"
    head[10:12] = (ones_sum(bytes(head)) ^ 0xFFFF).to_bytes(2, "big")
    return bytes(head) + one[20:]


@pytest.mark.system
def test_the_kernel_cuts_as_the_reference_does() -> None:
    """What the kernel forwards from a device with super-packets to one without."""

    def body() -> None:
        with ExitStack() as stack:
            source, target = forwarding(stack)

            @settings(max_examples=40, phases=[Phase.generate], derandomize=True)
            @given(supers())
            def check(one: tuple[Vnet, bytes]) -> None:
                vnet, whole = one
                if not 2 <= vnet.sizes(whole).count <= (64 if vnet.protocol == UDP else 200):
                    return  # more than an older kernel takes; a single segment is not forwarded (6.18)
                vnet, whole = super_packet(readdressed(whole), vnet.gso_size, ecn=vnet.gso_type & 0x80)
                os.write(source.fileno(), vnet.pack() + whole)
                want = [a_hop_later(part) for part in segments(vnet, whole)]
                assert read_all(target, len(want)) == want

            check()

    in_own_namespace(body)


@pytest.mark.system
@pytest.mark.parametrize("version", [4, 6])
def test_sockets_receive_what_was_joined(version: int) -> None:
    """Datagrams joined by the sink, each received by a socket; the probe before them is harmless."""

    def body() -> None:
        with Tun.open("vejoin") as tun:
            assert tun.offload & Offload.JOIN_UDP, tun.offload
            ip("addr", "add", "10.0.0.200/24", "dev", tun.name)
            ip("link", "set", tun.name, "up")
            ip("addr", "add", "fd00::c8/64", "dev", tun.name, "nodad")
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(TIMEOUT)
                sock.bind(("10.0.0.200" if version == 4 else "fd00::c8", 53))
                sink = NativeSink.tun(tun.fileno(), 1500, tun.offload)
                payloads = [bytes([i]) * (900 if i % 10 else 300) for i in range(100)]
                for i, data in enumerate(payloads):
                    whole = packet(data, version=version, protocol=UDP, ident=i)
                    if version == 6:  # the addresses of packet() begin with fd00
                        assert whole[8:10] == b"\xfd\0"
                    sink.write(whole)
                sink.flush()
                assert [sock.recv(2000) for _ in payloads] == payloads
                stats = sink.stats()
                assert (stats.join_refused, stats.refused, stats.packets) == (0, 0, 100)
                assert stats.joined >= 98 and stats.writes < 20

    in_own_namespace(body)


@pytest.mark.system
def test_the_probe_is_accepted_and_goes_nowhere() -> None:
    def body() -> None:
        with Tun.open("veprobe") as tun:
            ip("addr", "add", "10.0.0.200/24", "dev", tun.name)
            sink = NativeSink.tun(tun.fileno(), 1500, tun.offload)
            pair = [packet(bytes(100), seq=i * 100) for i in range(2)]
            for _ in range(2):
                for one in pair:
                    sink.write(one)
                sink.flush()  # the first time it is down
                ip("link", "set", tun.name, "up")
            assert sink.stats().join_refused == 0
            assert (sink.stats().refused, sink.stats().joined) == (2, 2)
            with pytest.raises(BlockingIOError):
                while True:
                    data = os.read(tun.fileno(), 65536)
                    assert b"\xc0\x00\x02\x01" not in data[VNET_SIZE:]

    in_own_namespace(body)


@pytest.mark.system
def test_a_local_sender_of_tiny_segments() -> None:
    """UDP_SEGMENT of one byte, 60 datagrams in a call: one read, cut into all of them (section 14)."""

    def body() -> None:
        with Tun.open("vetiny") as tun, tls_pair(0x0304) as (client, peer):
            ip("addr", "add", "10.0.0.1/24", "dev", tun.name)
            ip("link", "set", tun.name, "mtu", "1400", "up")
            pump = make_pump("engine", tun, client, 1400)
            pump.start()
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.setsockopt(17, 103, 1)  # UDP_SEGMENT
                    sock.sendto(bytes(range(60)), ("10.0.0.200", 53))
                got: list[bytes] = []
                while len(got) < 60:
                    frame = peer.read()
                    if frame[8] == 0x45 and frame[17] == UDP:  # the kernel sends IPv6 of its own (Q13)
                        got.append(frame[8:])
                assert b"".join(one[28:] for one in got) == bytes(range(60))
                assert all(is_right(one) for one in got)
                until(lambda: pump.stats().super_packets == 1)
            finally:
                pump.stop(0)

    in_own_namespace(body)
