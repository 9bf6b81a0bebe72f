"""A datagram link that goes on with the framing of the one before it: keys, numbers and windows outlive a socket."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.framing.esp import Decoder, Encoder
from protocols.framing.esp_sa import Cipher, Mac, sa_option
from tests.transports.packets import ipv4
from tests.transports.tlspair import TIMEOUT
from transports.link import DatagramLink, LinkDescription
from transports.pump import Pump
from transports.sink import MemorySink

OURS, THEIRS = (sa_option(Cipher.AES_128_CBC, Mac.SHA1_96, spi, bytes(range(spi, spi + 36))) for spi in (1, 2))
DESCRIPTION = LinkDescription("ESP", "127.0.0.1", 4500)


class Peer:
    """A gateway's socket, and one of ours connected to it."""

    def __init__(self) -> None:
        self.theirs, self.ours = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.theirs.bind(("127.0.0.1", 0))
        self.ours.connect(self.theirs.getsockname())
        self.ours.setblocking(False)
        self.theirs.settimeout(TIMEOUT)

    def link(self, *, inherit: bool) -> DatagramLink:
        options = (("esp.in", OURS), ("esp.out", THEIRS))
        made: Any = self.ours  # all that is asked of it is its descriptor
        return DatagramLink(made, "esp", description=DESCRIPTION, largest=2048, options=options, inherit=inherit)

    def number(self) -> int:
        """Of the next packet that comes."""
        data = self.theirs.recv(65536)
        assert data[:4] == b"\0\0\0\2"
        return int.from_bytes(data[4:8], "big")

    def send(self, datagram: bytes) -> None:
        self.theirs.sendto(datagram, self.ours.getsockname())

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()


@contextmanager
def running(inherit: bool) -> Iterator[tuple[Pump, socket.socket, Peer]]:
    kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device.setblocking(False)
    tun: Any = SimpleNamespace(fileno=device.fileno)
    pump, peer = Pump(tun, None, "", mtu=1400), Peer()
    pump.attach(peer.link(inherit=inherit))
    pump.start()
    try:
        yield pump, kernel, peer
    finally:
        pump.stop(0)
        for one in (kernel, device, peer):
            one.close()


def received(kernel: socket.socket) -> bytes:
    assert select.select([kernel], [], [], TIMEOUT)[0], "no packet came"
    return kernel.recv(65536)


@pytest.mark.parametrize(("inherit", "numbers"), [(True, [0, 1, 2]), (False, [0, 1, 0])])
def test_numbers_go_on_and_what_came_before_is_a_replay(inherit: bool, numbers: list[int]) -> None:
    packet = ipv4(60)
    encoder = Encoder()
    encoder.set("esp.out", OURS)
    first, second = (encoder.encode(packet, bytes([at]) * 16) for at in (1, 2))
    with running(inherit) as (pump, kernel, before), closing(Peer()) as after:
        for _ in range(2):
            kernel.send(packet)
        found = [before.number(), before.number()]
        before.send(first)
        assert received(kernel) == packet
        pump.attach(after.link(inherit=inherit))
        after.send(first)
        if not inherit:
            assert received(kernel) == packet  # its window is a new one
        after.send(second)
        assert received(kernel) == packet
        kernel.send(packet)
        assert [*found, after.number()] == numbers
        counters = pump.counters()
        assert counters["esp_replay"] == inherit and counters["esp_authentic"] == (2 if inherit else 3)


def test_options_reach_a_framing_that_waits_for_its_next_link() -> None:
    packet = ipv4(60)
    rekeyed = sa_option(Cipher.AES_256_CBC, Mac.SHA256_128, 7, bytes(64))
    with running(True) as (pump, kernel, before), closing(Peer()) as after:
        kernel.send(packet)
        assert before.number() == 0
        pump.detach()
        assert pump.set_datagrams("esp.out", rekeyed)
        pump.attach(after.link(inherit=True))
        kernel.send(packet)
        sink = MemorySink()
        decoder = Decoder(sink)
        decoder.set("esp.in", rekeyed)
        decoder.feed_datagram(after.theirs.recv(65536))
        sink.flush()
        assert sink.take() == packet
