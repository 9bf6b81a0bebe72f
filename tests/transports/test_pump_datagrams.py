"""The pump with a datagram link: beside a stream, alone, coming and going.  UDP on loopback, no root.

Without DTLS the link carries the plaintext of records (framing cstp-dtls), so that a test can read what is sent.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from protocols.framing.cstp import Encoder, Kind
from tests.transports.packets import ipv4, ipv6
from tests.transports.test_pump import Bench
from tests.transports.tlspair import TIMEOUT, tls_pair
from transports.errors import EngineError
from transports.link import DatagramLink, LinkDescription
from transports.pump import Pump, PumpEvent, PumpEventKind
from transports.udp import UdpSocket

ENCODER = Encoder()
LARGEST = 2048


@dataclass
class Datagrams(Bench):
    """far: the gateway's side of the newest datagram link."""

    far: socket.socket = field(default_factory=socket.socket)

    def attach(self, *, use: bool = True, running: bool = True) -> None:
        self.far.close()
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))
        near = UdpSocket.open("127.0.0.1", self.far.getsockname()[1])
        self.far.connect(("127.0.0.1", near.local_port))
        self.far.setblocking(False)
        link = DatagramLink(near, "cstp-dtls", description=LinkDescription("DTLS", "127.0.0.1", 1), largest=LARGEST)
        near.close()  # the link has a descriptor of its own
        assert isinstance(self.pump, Pump)
        links = self.pump.stats().links
        self.pump.attach(link)
        link.close()
        if use:
            self.pump.use_datagrams(True)
        if running:
            self.until(lambda: self.pump.stats().links == links + 1)

    def datagram(self) -> bytes:
        assert select.select([self.far], [], [], TIMEOUT)[0], "no datagram came"
        return self.far.recv(65536)

    def told(self) -> PumpEvent:
        return self.event()


@contextmanager
def opened(*, stream: bool = True, attach: bool = True, mtu: int = 1400) -> Iterator[Datagrams]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tls_pair() as (client, server):
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        given: object = client if stream else None
        pump = Pump(ours, given, "cstp" if stream else "", mtu=mtu)  # type: ignore[arg-type]
        bench = Datagrams(pump, client, server, theirs, ours)
        try:
            if attach and not stream:
                bench.attach(running=False)
            pump.start()
            if attach and stream:
                bench.attach()
            yield bench
        finally:
            pump.stop(0)
            bench.far.close()


def test_packets_both_ways_beside_a_stream() -> None:
    with opened() as b:
        b.kernel.send(ipv4(84))
        assert b.datagram() == b"\0" + ipv4(84)
        b.far.send(b"\0" + ipv6(1400))
        assert b.packet() == ipv6(1400)
        b.peer.write(ENCODER.encode(ipv4(100)))  # the stream still receives
        assert b.packet() == ipv4(100)
        b.until(lambda: b.pump.stats().rx_packets == 2)
        stats = b.pump.stats()
        assert (stats.tx_packets, stats.rx_packets, stats.links) == (1, 2, 1)
        assert stats.udp["tx_datagrams"] == 1 and stats.last_rx_datagram > 0


def test_packets_go_by_the_stream_until_datagrams_are_wanted() -> None:
    with opened(attach=False) as b:
        b.attach(use=False)
        b.kernel.send(ipv4(84))
        assert b.peer.read() == ENCODER.encode(ipv4(84))
        assert isinstance(b.pump, Pump)
        b.pump.use_datagrams(True)
        b.kernel.send(ipv4(85))
        assert b.datagram() == b"\0" + ipv4(85)
        b.pump.use_datagrams(False)
        b.kernel.send(ipv4(86))
        assert b.peer.read() == ENCODER.encode(ipv4(86))


def test_a_gateway_follows_its_client() -> None:
    with opened(attach=False) as b:
        b.attach(use=False)
        assert isinstance(b.pump, Pump)
        b.pump.follow()
        b.kernel.send(ipv4(84))
        assert b.peer.read() == ENCODER.encode(ipv4(84))
        b.far.send(b"\0" + ipv4(90))
        assert b.packet() == ipv4(90)
        b.kernel.send(ipv4(85))
        assert b.datagram() == b"\0" + ipv4(85)
        b.peer.write(ENCODER.encode(ipv4(91)))
        assert b.packet() == ipv4(91)
        b.kernel.send(ipv4(86))
        assert b.peer.read() == ENCODER.encode(ipv4(86))


def test_a_link_that_is_refused_is_told_and_packets_go_by_the_stream_again() -> None:
    with opened() as b:
        b.far.close()
        b.kernel.send(ipv4(84))  # is lost, and the kernel of the peer says so
        event = b.told()
        assert event.kind is PumpEventKind.DATAGRAMS_LOST and not event.kind.fatal
        assert event.text == "UDP: no one listens at the gateway's port"
        b.kernel.send(ipv4(85))
        assert b.peer.read() == ENCODER.encode(ipv4(85))
        b.attach()
        b.kernel.send(ipv4(86))
        assert b.datagram() == b"\0" + ipv4(86)
        assert b.pump.stats().links == 2 and b.pump.stats().udp["refused"] == 1  # figures go on over links


def test_after_a_loss_the_next_link_carries_packets_only_once_the_owner_says_so() -> None:
    """A new link is proven first: its path may carry datagrams one way only (anyconnect.md Q22)."""
    with opened() as b:
        b.far.close()
        b.kernel.send(ipv4(84))
        assert b.told().kind is PumpEventKind.DATAGRAMS_LOST
        b.attach(use=False)
        b.kernel.send(ipv4(85))
        assert b.peer.read() == ENCODER.encode(ipv4(85))


def test_the_loss_of_a_link_that_has_a_successor_is_not_told() -> None:
    """The owner would take it for the successor's loss, and leave a link idle that works."""
    with opened() as b:
        b.far.close()
        b.kernel.send(ipv4(84))
        assert select.select([b.pump], [], [], TIMEOUT)[0], "the loss is not told"
        b.attach()  # before the owner has heard of it
        assert b.pump.events() == [] and not select.select([b.pump], [], [], 0)[0]
        b.kernel.send(ipv4(85))
        assert b.datagram() == b"\0" + ipv4(85)


def test_detached_by_wish_nothing_is_told() -> None:
    with opened() as b:
        assert isinstance(b.pump, Pump)
        b.pump.detach()
        b.kernel.send(ipv4(85))
        assert b.peer.read() == ENCODER.encode(ipv4(85))
        assert b.pump.events() == []


def test_control_frames_of_each_link_stay_apart() -> None:
    with opened() as b:
        assert isinstance(b.pump, Pump)
        b.far.send(b"\x03ABCDE")
        b.until(lambda: b.pump.stats().rx_controls == 1)
        b.peer.write(ENCODER.encode_control(Kind.KEEPALIVE))
        b.until(lambda: b.pump.stats().rx_controls == 2)
        assert b.pump.controls() == [(Kind.KEEPALIVE, b"")]
        assert b.pump.controls(datagrams=True) == [(Kind.DPD_REQUEST, b"ABCDE")]
        assert b.pump.send_control(Kind.DPD_RESPONSE, b"ABCDE", datagrams=True)
        assert b.datagram() == b"\x04ABCDE"
        assert b.pump.send_control(Kind.KEEPALIVE)
        assert b.peer.read() == ENCODER.encode_control(Kind.KEEPALIVE)


def test_a_flood_of_control_frames_is_bounded() -> None:
    with opened() as b:
        for _ in range(1000):
            b.far.send(b"\x03")
        b.until(lambda: b.pump.stats().rx_controls + b.pump.counters()["cstp_dtls_control_overflow"] == 1000)
        assert isinstance(b.pump, Pump)
        assert len(b.pump.controls(datagrams=True)) <= 256


def test_garbage_is_counted_and_is_no_sign_of_life() -> None:
    with opened() as b:
        before = b.pump.stats().last_rx_datagram
        for junk in (b"", b"\xc8what", b"\x05", b"\x08squeezed"):
            b.far.send(junk)
        b.until(lambda: sum(b.pump.counters().values()) == 4)
        counters = b.pump.counters()
        assert counters["cstp_dtls_unknown_type"] == 1 and counters["cstp_dtls_not_negotiated"] == 1
        assert b.pump.stats().last_rx_datagram == before
        b.far.send(b"\0" + ipv4(84))
        assert b.packet() == ipv4(84)
        b.until(lambda: b.pump.stats().last_rx_datagram > before)


def test_a_second_link_takes_the_place_of_the_first() -> None:
    with opened() as b:
        first = b.far
        b.far = socket.socket()
        b.attach()
        b.kernel.send(ipv4(84))
        assert b.datagram() == b"\0" + ipv4(84)
        assert select.select([first], [], [], 0)[0] == []
        first.close()


def test_alone_a_datagram_link_is_the_tunnel_and_its_end() -> None:
    with opened(stream=False) as b:
        assert isinstance(b.pump, Pump)
        b.kernel.send(ipv4(84))
        assert b.datagram() == b"\0" + ipv4(84)
        b.far.send(b"\0" + ipv4(90))
        assert b.packet() == ipv4(90)
        b.pump.rekey()  # there is no stream: nothing happens
        with pytest.raises(EngineError):
            b.pump.export("EXPORTER-x", 32)
        b.far.close()
        b.kernel.send(ipv4(85))
        event = b.told()
        assert event.kind is PumpEventKind.LINK_ERROR and event.kind.fatal


def test_many_packets_at_once_arrive_in_order() -> None:
    with opened() as b:
        sent = [ipv4(60 + i % 7 * 100) for i in range(600)]
        for i in range(0, 600, 30):  # what a socket's buffer holds
            for packet in sent[i : i + 30]:
                b.kernel.send(packet)
            assert [b.datagram()[1:] for _ in range(30)] == sent[i : i + 30]
            for packet in sent[i : i + 30]:
                b.far.send(b"\0" + packet)
            assert [b.packet() for _ in range(30)] == sent[i : i + 30]


def test_what_is_larger_than_the_tunnel_is_dropped_and_counted() -> None:
    with opened(mtu=1000) as b:
        b.kernel.send(ipv4(1001))
        b.kernel.send(ipv4(1000))
        assert b.datagram() == b"\0" + ipv4(1000)
        b.until(lambda: b.pump.stats().tx_packets == 1)
        assert b.pump.stats().dropped_tx_oversize == 1


@pytest.mark.parametrize("option", [("cstp.compression", b"rot13"), ("nonsense", b"")])
def test_an_option_that_is_refused_is_told(option: tuple[str, bytes]) -> None:
    with opened() as b:
        assert isinstance(b.pump, Pump)
        assert b.pump.set_datagrams(*option)
        assert b.told().kind is PumpEventKind.OPTION_REFUSED
        assert not b.pump.set_datagrams("x" * 40, b"") and not b.pump.set_datagrams("x", bytes(513))


def test_an_option_changes_while_packets_flow() -> None:
    with opened() as b:
        assert isinstance(b.pump, Pump)
        assert b.pump.set_datagrams("cstp.compression", b"lzs")
        b.until(lambda: _compressed(b))


def _compressed(b: Datagrams) -> bool:
    b.kernel.send(ipv4(800))
    return b.datagram()[0] == Kind.COMPRESSED


def test_keying_material_of_a_running_stream_is_that_of_the_stream() -> None:
    with opened() as b:
        assert isinstance(b.pump, Pump)
        exported = b.pump.export("EXPORTER-openconnect-psk", 32)
        assert len(exported) == 32 and exported == b.pump.export("EXPORTER-openconnect-psk", 32)
        with pytest.raises(EngineError):
            b.pump.export("x" * 64, 32)
        with pytest.raises(EngineError):
            b.pump.export("EXPORTER-x", 65)
        b.pump.stop()
        assert b.pump.export("EXPORTER-openconnect-psk", 32) == exported


def test_a_framing_of_streams_is_no_datagram_link() -> None:
    near = UdpSocket.open("127.0.0.1", 9)
    make: Callable[[str], DatagramLink] = lambda framing: DatagramLink(  # noqa: E731
        near, framing, description=LinkDescription("DTLS", "127.0.0.1", 9), largest=LARGEST
    )
    for framing, text in (("oncp", "no datagram carries it"), ("nonsense", "no framing named")):
        with pytest.raises(EngineError, match=text):
            make(framing)
    near.close()
