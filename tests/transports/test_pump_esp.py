"""The pump with ESP for its link, packets done several at once: none is lost, changed or out of order.  No root."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import CAN_DO_TOGETHER, SPI, Peer, PythonTwin
from tests.transports.packets import ipv4
from tests.transports.tlspair import TIMEOUT
from transports.link import DatagramLink, LinkDescription
from transports.pump import Pump
from transports.udp import UdpSocket

COUNT = 100  # packets: what the buffers of both sockets hold, and less than a turn takes
MTU = 1400
LONG = 600  # bytes: 100 of these fit the buffer of a socket
PEERS = [Peer(), Peer(Cipher.AES_256_CBC, Mac.SHA256_128), Peer(Cipher.AES_128_GCM, Mac.NONE)]


def packets(first: int = 0, count: int = COUNT) -> list[bytes]:
    """Runs of equally long ones, with others between: what the kernel takes as one and what it does not."""
    return [ipv4(LONG if mark % 9 else 20 + mark * 13 % LONG, mark=mark) for mark in range(first, first + count)]


@dataclass
class Bench:
    pump: Pump
    kernel: socket.socket
    far: socket.socket

    def link(self, option: bytes, *, inherit: bool = False) -> DatagramLink:
        near = UdpSocket.open("127.0.0.1", self.far.getsockname()[1])
        self.far.connect(("127.0.0.1", near.local_port))
        description = LinkDescription("ESP", "127.0.0.1", self.far.getsockname()[1])
        options = [("esp.in", option), ("esp.out", option)]
        link = DatagramLink(near, "esp", description=description, largest=2048, options=options, inherit=inherit)
        near.close()
        return link

    def arrived(self, reader: PythonTwin, count: int = COUNT) -> list[bytes]:
        """The next packets at the far end, read by the reference."""
        for _ in range(count):
            assert select.select([self.far], [], [], TIMEOUT)[0], "no datagram came"
            reader.feed(self.far.recv(65536))
        reader.sink.flush()
        return list(iter(reader.sink.take, None))

    def delivered(self, count: int) -> list[bytes]:
        """The next packets at the device."""
        seen = []
        for _ in range(count):
            assert select.select([self.kernel], [], [], TIMEOUT)[0], "no packet came"
            seen.append(self.kernel.recv(65536))
        return seen


@contextmanager
def opened() -> Iterator[Bench]:
    """A pump that is yet to be given its link and started, so that what waits for it then comes at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        far.bind(("127.0.0.1", 0))
        pump = Pump(ours, None, "", mtu=MTU)
        try:
            yield Bench(pump, theirs, far)
        finally:
            pump.stop(0)


def reader_of(peer: Peer) -> PythonTwin:
    reader = PythonTwin(slots=2 * COUNT)
    reader.set("esp.in", peer.option)
    return reader


@pytest.mark.parametrize("peer", PEERS, ids=["AES-128-CBC", "AES-256-CBC", "AES-128-GCM"])
def test_many_packets_that_wait_leave_whole_and_in_order(peer: Peer) -> None:
    with opened() as b:
        b.pump.attach(b.link(peer.option))
        for packet in packets():
            b.kernel.send(packet)
        b.pump.start()
        reader = reader_of(peer)
        assert b.arrived(reader) == packets()
        b.kernel.send(ipv4(84))  # one by itself
        assert b.arrived(reader, 1) == [ipv4(84)]
        b.pump.stop(0)
        together = 96 if CAN_DO_TOGETHER and peer.suite.digest else 0  # 32 at a time, and of the last four none
        assert b.pump.counters()["esp_together"] == together


@pytest.mark.parametrize("peer", PEERS, ids=["AES-128-CBC", "AES-256-CBC", "AES-128-GCM"])
def test_many_datagrams_that_wait_arrive_whole_and_in_order(peer: Peer) -> None:
    with opened() as b:
        link = b.link(peer.option)
        sent = [ipv4(LONG, mark=mark) for mark in range(48)]
        for number, packet in enumerate(sent):
            datagram = peer.send(packet, number)
            b.far.send(datagram)
            if number % 5 == 0:
                b.far.send(datagram[:-1] + bytes([datagram[-1] ^ 1]))  # forged
        b.pump.attach(link)
        b.pump.start()
        assert b.delivered(48) == sent
        b.far.send(peer.send(ipv4(84), 48))
        assert b.delivered(1) == [ipv4(84)]
        b.pump.stop(0)
        counters = b.pump.counters()
        assert counters["esp_authentic"] == 49 and counters["esp_icv"] == 10
        assert (counters["esp_together"] > 0) == bool(CAN_DO_TOGETHER and peer.suite.digest)


def test_new_keys_among_many_packets() -> None:
    """Each packet is sealed with one pair of keys or the other, and none is lost between them."""
    old, new = Peer(), Peer(Cipher.AES_256_CBC, Mac.SHA256_128, SPI + 1)
    reader = reader_of(old)
    reader.set("esp.in", new.option)
    with opened() as b:
        b.pump.attach(b.link(old.option))
        b.pump.start()
        sent = packets()
        for packet in sent[:50]:
            b.kernel.send(packet)
        assert b.pump.set_datagrams("esp.out", new.option)
        for packet in sent[50:]:
            b.kernel.send(packet)
        assert b.arrived(reader) == sent
        b.kernel.send(ipv4(84))
        assert b.arrived(reader, 1) == [ipv4(84)]
        assert reader.control() == (256, b"")  # so the new keys were used


def test_a_link_that_inherits_goes_on_with_keys_and_numbers() -> None:
    peer = PEERS[0]
    reader = reader_of(peer)
    with opened() as b:
        b.pump.attach(b.link(peer.option, inherit=True))
        for packet in packets(count=40):
            b.kernel.send(packet)
        b.pump.start()
        assert b.arrived(reader, 40) == packets(count=40)
        b.pump.attach(b.link(PEERS[2].option, inherit=True))  # whose options are void
        for packet in packets(40, 40):
            b.kernel.send(packet)
        assert b.arrived(reader, 40) == packets(40, 40)
        assert reader.counters()["esp_authentic"] == 80 and not reader.counters()["esp_replay"]
