"""Both pumps, the engine's and Python's, over a TLS socket pair and a packet socket in the device's place.

No root, no timers: a test waits for what it wants to see, and TIMEOUT is how long a broken one hangs.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pytest

from protocols.errors import MalformedFrame
from protocols.framing import array, capsule, oncp
from protocols.framing.cstp import MAX_SENT, Decoder, Encoder, Kind
from tests.transports.namespace import in_own_namespace, ip
from tests.transports.packets import ipv4, ipv6
from tests.transports.resting import assert_it_costs_no_time, wait_for_rest
from tests.transports.tlspair import TIMEOUT, End, tls_pair
from transports.engine import lib
from transports.errors import EngineError
from transports.framing import Framing
from transports.pump import Pump, PumpEvent, PumpEventKind
from transports.pump_python import PythonPump
from transports.tun import Tun

ENCODER = Encoder()
KEEPALIVE = ENCODER.encode_control(Kind.KEEPALIVE)
BYE = ENCODER.encode_control(Kind.DISCONNECT, b"\xb0bye")
VERSIONS = [0x0303, 0x0304]
AnyPump = Pump | PythonPump


@dataclass
class Bench:
    """A running pump, the peer of its link, and the kernel's side of its device."""

    pump: AnyPump
    link: End
    peer: End
    kernel: socket.socket
    device: socket.socket

    def packet(self) -> bytes:
        """The next packet that reached the device."""
        assert select.select([self.kernel], [], [], TIMEOUT)[0], "no packet came"
        return self.kernel.recv(65536)

    def controls(self) -> list[tuple[int, bytes]]:
        assert select.select([self.pump], [], [], TIMEOUT)[0], "neither control nor event came"
        return self.pump.controls()

    def event(self) -> PumpEvent:
        assert select.select([self.pump], [], [], TIMEOUT)[0], "neither control nor event came"
        (event,) = self.pump.events()
        return event

    def until(self, condition: Callable[[], bool]) -> None:
        """Statistics have no descriptor to wait on."""
        limit = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < limit, self.pump.stats()
            time.sleep(0.001)


class MakePump(Protocol):
    """Pump, or a PythonPump on the reference of the framing that is named."""

    def __call__(self, tun: Any, stream: Any, framing: str, *, mtu: int, first: bytes = b"") -> AnyPump: ...


FRAMINGS = {
    "array": Framing("array", array.Decoder, array.Encoder, array.MAX_SENT),
    "capsule": Framing("capsule", capsule.Decoder, capsule.Encoder, capsule.MAX_SENT),
    "cstp": Framing("cstp", Decoder, Encoder, MAX_SENT),
    "oncp": Framing("oncp", oncp.Decoder, oncp.Encoder, oncp.MAX_SENT),
}


def python_pump(tun: Any, stream: Any, framing: str, *, mtu: int, first: bytes = b"") -> PythonPump:
    return PythonPump(tun, stream, FRAMINGS[framing], mtu=mtu, first=first, malformed=MalformedFrame)


@pytest.fixture(params=[Pump, python_pump], ids=["engine", "python"])
def make_pump(request: pytest.FixtureRequest) -> MakePump:
    made: MakePump = request.param
    return made


class Benches(Protocol):
    def __call__(
        self, version: int = 0x0304, *, mtu: int = 1400, first: bytes = b"", start: bool = True, framing: str = "cstp"
    ) -> AbstractContextManager[Bench]: ...


@pytest.fixture
def bench(make_pump: MakePump) -> Benches:
    return partial(opened, make_pump)


@contextmanager
def opened(
    make_pump: MakePump,
    version: int = 0x0304,
    *,
    mtu: int = 1400,
    first: bytes = b"",
    start: bool = True,
    framing: str = "cstp",
) -> Iterator[Bench]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tls_pair(version) as (client, server):
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        pump = make_pump(ours, client, framing, mtu=mtu, first=first)  # the End has what a pump uses of a TlsStream
        if start:
            pump.start()
        try:
            yield Bench(pump, client, server, theirs, ours)
        finally:
            pump.stop(0)


@pytest.mark.parametrize("version", VERSIONS)
def test_packets_both_ways(bench: Benches, version: int) -> None:
    with bench(version) as b:
        b.peer.write(ENCODER.encode(ipv4(1400)))
        assert b.packet() == ipv4(1400)
        b.kernel.send(ipv6(1300))
        assert b.peer.read() == ENCODER.encode(ipv6(1300))  # one record holds one frame
        b.until(lambda: b.pump.stats().tx_packets == 1)
        stats = b.pump.stats()
        assert (stats.rx_packets, stats.rx_bytes, stats.tx_packets, stats.tx_bytes) == (1, 1400, 1, 1300)
        assert stats.dropped == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_many_packets_cost_few_calls_on_the_link(bench: Benches, version: int) -> None:
    down = [ipv4(60 + i % 1300, mark=i) for i in range(300)]
    with bench(version, start=False) as b:
        for packet in down:
            b.kernel.send(packet)
        b.pump.start()
        assert [b.peer.read() for _ in down] == [ENCODER.encode(packet) for packet in down]
        b.until(lambda: b.pump.stats().tx_packets == 300)
        assert b.pump.stats().link_writes <= 6  # 300 packets in batches of 64, and one more
        for packet in down:
            b.peer.write(ENCODER.encode(packet))
        assert [b.packet() for _ in down] == down
        b.until(lambda: b.pump.stats().rx_packets == 300)
        assert b.pump.stats().sink.in_place == 300  # none was copied
        assert b.pump.stats().sink.writes == 300


def test_what_the_framing_does_not_carry_is_dropped_and_counted(bench: Benches) -> None:
    with bench(framing="oncp") as b:
        for packet in (ipv6(100), ipv4(200)):
            b.kernel.send(packet)
        assert b.peer.read() == oncp.Encoder().encode(ipv4(200))
        b.until(lambda: b.pump.stats().tx_packets == 1)
        assert b.pump.stats().dropped_tx_not_ip == 1
        b.peer.write(b"\0\0\x08")
        assert b.controls() == [(oncp.Kind.TERMINATED, b"\x08")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_framing_without_borders_is_in_step_again_with_the_next_record(bench: Benches, version: int) -> None:
    with bench(version, framing="array") as b:
        b.peer.write(ipv4(100) + b"\0" * 20)  # read in pieces: the garbage is the last of them
        b.peer.write(ipv4(200) + ipv6(300))
        assert [b.packet() for _ in range(3)] == [ipv4(100), ipv4(200), ipv6(300)]
        b.until(lambda: b.pump.counters()["array_desync"] == 1)
        b.kernel.send(ipv4(400))
        assert b.peer.read() == ipv4(400)


def test_a_framing_that_rewrites_the_packet(bench: Benches) -> None:
    with bench(framing="capsule") as b:
        for packet in (ipv4(40), ipv6(1300)):
            b.kernel.send(packet)
            assert b.peer.read() == capsule.Encoder().encode(packet)
            b.peer.write(capsule.Encoder().encode(packet))
            assert b.packet() == packet


def test_a_control_frame_that_fits_no_record_is_left_out(bench: Benches) -> None:
    """The first 16384 bytes of it were sent once, which put the gateway out of step."""
    with bench(framing="capsule") as b:
        assert b.pump.send_control(1, bytes(capsule.MAX_SENT)) and b.pump.send_control(1, b"next")
        assert b.peer.read() == capsule.Encoder().encode_control(1, b"next")


def test_large_control_frames_are_handed_up_before_they_are_too_many(bench: Benches) -> None:
    with bench(framing="capsule", start=False) as b:
        b.peer.write(b"\3" + capsule.encode_varint(capsule.MAX_CONTROL))
        for _ in range(4):
            b.peer.write(bytes(capsule.MAX_CONTROL // 4))
        b.pump.start()
        b.until(lambda: b.pump.stats().rx_controls == 4)
        assert sum(len(payload) for _, payload in b.controls()) == capsule.MAX_CONTROL


def test_what_came_with_the_answer_is_one_read_of_the_link(bench: Benches) -> None:
    """It was fed in pieces, and garbage in each counted as out of step again."""
    with bench(framing="array", first=ipv4(100) + b"\0" * 300) as b:
        b.peer.write(ipv4(200))
        assert [b.packet(), b.packet()] == [ipv4(100), ipv4(200)]
        b.until(lambda: b.pump.counters()["array_desync"] == 1)


def test_framing_that_came_with_the_answer_goes_first(bench: Benches) -> None:
    wire = ENCODER.encode(ipv4(100)) + KEEPALIVE + ENCODER.encode(ipv4(200))
    with bench(first=wire[:-30]) as b:
        b.peer.write(wire[-30:] + ENCODER.encode(ipv4(300)))
        assert [b.packet(), b.packet(), b.packet()] == [ipv4(100), ipv4(200), ipv4(300)]
        assert b.controls() == [(Kind.KEEPALIVE, b"")]


def test_a_goodbye_behind_a_burst_that_came_with_the_answer_is_heard(bench: Benches) -> None:
    with bench(first=KEEPALIVE * 100 + BYE) as b:
        b.until(lambda: b.pump.stats().rx_controls == 101)
        assert b.controls()[-1] == (Kind.DISCONNECT, b"\xb0bye")
        assert b.pump.counters()["cstp_control_overflow"] == 0


def test_what_tls_has_already_is_not_waited_for(make_pump: MakePump) -> None:
    with tls_pair() as (client, server):
        server.write(b"HTTP/1.1 200 CONNECTED\r\n\r\n" + ENCODER.encode(ipv4(100)))
        server.write(ENCODER.encode(ipv4(200)))
        assert client.read()  # the answer; the second record is in the receive buffer now
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            pump = make_pump(ours, client, "cstp", mtu=1400)
            pump.start()
            assert select.select([theirs], [], [], TIMEOUT)[0]
            assert theirs.recv(2000) == ipv4(200)
            pump.stop(0)


def test_control_frames_both_ways(bench: Benches) -> None:
    with bench() as b:
        b.peer.write(ENCODER.encode_control(Kind.DPD_REQUEST, b"ABCDE"))
        assert b.controls() == [(Kind.DPD_REQUEST, b"ABCDE")]
        assert not select.select([b.pump], [], [], 0)[0]  # nothing waits any more
        assert b.pump.send_control(Kind.DPD_RESPONSE, b"ABCDE")
        assert b.peer.read() == ENCODER.encode_control(Kind.DPD_RESPONSE, b"ABCDE")
        b.until(lambda: b.pump.stats().tx_controls == 1)
        assert b.pump.stats().rx_controls == 1


def test_a_goodbye_behind_a_burst_of_control_frames_is_heard(bench: Benches) -> None:
    """In one record batch: more frames than the codec's queue holds."""
    with bench() as b:
        b.peer.write(KEEPALIVE * 200 + BYE)
        heard: list[tuple[int, bytes]] = []
        b.until(lambda: heard.extend(b.pump.controls()) or len(heard) == 201)  # type: ignore[func-returns-value]
        assert heard[-1] == (Kind.DISCONNECT, b"\xb0bye")
        assert b.pump.counters()["cstp_control_overflow"] == 0


def test_a_flood_of_control_frames_is_bounded_and_counted(bench: Benches) -> None:
    with bench() as b:
        for _ in range(400):
            b.peer.write(KEEPALIVE)
        b.peer.write(ENCODER.encode(ipv4()))
        assert b.packet() == ipv4()
        stats = b.pump.stats()
        assert len(b.pump.controls()) <= 256
        b.until(lambda: b.pump.stats().rx_packets == 1)
        stats, counters = b.pump.stats(), b.pump.counters()
        assert stats.rx_controls + counters["cstp_control_overflow"] == 400
        assert stats.dropped_controls_up + counters["cstp_control_overflow"] >= 144


def test_the_queue_to_the_link_is_bounded(bench: Benches) -> None:
    with bench(start=False) as b:
        assert [b.pump.send_control(Kind.KEEPALIVE) for _ in range(257)] == [True] * 256 + [False]
        assert not b.pump.send_control(Kind.DPD_RESPONSE, bytes(16377))
        b.pump.start()
        assert [b.peer.read() for _ in range(256)] == [KEEPALIVE] * 256


def test_a_goodbye_leaves_before_the_thread_ends(bench: Benches) -> None:
    with bench() as b:
        b.pump.send_control(Kind.DISCONNECT, b"\xb0bye")
        b.pump.stop(5)
        assert b.peer.read() == BYE
        assert b.event() == PumpEvent(PumpEventKind.STOPPED)
        b.link.end()  # TLS is the caller's again: it can be closed in order
        assert b.peer.read() == b""


def test_stop_waits_no_longer_than_asked_for_a_peer_that_reads_nothing(bench: Benches) -> None:
    with bench() as b:
        fill(b)
        b.pump.send_control(Kind.DISCONNECT, b"\xb0bye")
        began = time.monotonic()
        b.pump.stop(0.05)
        assert 0.04 < time.monotonic() - began < TIMEOUT


def fill(b: Bench) -> int:
    """Send packets until the device takes no more, and the pump rests; how many."""
    sent = rested = 0
    while True:
        try:
            b.kernel.send(ipv4(1400, mark=sent))
            sent += 1
        except BlockingIOError:
            if sent == rested:
                return sent
            wait_for_rest(b.pump)
            rested = sent


def test_a_full_link_stops_reading_the_device_and_loses_nothing(bench: Benches) -> None:
    with bench() as b:
        sent = fill(b)
        assert b.pump.stats().tx_packets < sent
        b.peer.write(ENCODER.encode(ipv4(99)))  # the other way still works
        assert b.packet() == ipv4(99)
        for mark in range(sent):
            assert b.peer.read() == ENCODER.encode(ipv4(1400, mark=mark))
        assert b.pump.stats().dropped == 0


def after_full_batches(b: Bench) -> None:
    """A spin once began here: whole batches, then nothing."""
    for _ in range(128):
        b.kernel.send(ipv4())
        b.peer.write(ENCODER.encode(ipv4()))
    b.pump.start()
    assert [b.peer.read() for _ in range(128)] and [b.packet() for _ in range(128)]
    b.until(lambda: b.pump.stats().tx_packets == b.pump.stats().rx_packets == 128)


def blocked_on_the_link(b: Bench) -> None:
    b.pump.start()
    fill(b)


def idle(b: Bench) -> None:
    b.pump.start()
    b.pump.send_control(Kind.KEEPALIVE)
    b.peer.read()


@pytest.mark.parametrize("bring", [idle, after_full_batches, blocked_on_the_link])
def test_a_pump_without_work_sleeps(bench: Benches, bring: Callable[[Bench], None]) -> None:
    with bench(start=False) as b:
        bring(b)
        assert_it_costs_no_time(b.pump)


def test_a_rekey_that_the_peer_leaves_open_costs_no_time(bench: Benches) -> None:
    """A control frame that waited for its end, and a packet in the device, once kept the thread spinning."""
    with bench(0x0303) as b:
        b.pump.rekey()
        b.pump.send_control(Kind.KEEPALIVE)
        wait_for_rest(b.pump)
        b.kernel.send(ipv4(100))
        assert_it_costs_no_time(b.pump)
        while b.peer.read_once() is None:  # once the peer goes on, so do they
            select.select([b.peer.sock], [], [], TIMEOUT)
        assert b.peer.read() == ENCODER.encode(ipv4(100))


def test_a_peer_that_asks_for_keys_and_reads_no_answer_costs_no_time(bench: Benches) -> None:
    """Its requests, which could not be answered, once kept the thread spinning."""
    with bench() as b:
        sent = fill(b)
        for _ in range(60):  # more answers than there is room for; with data between them, or it would be a storm
            lib.ve_tls_rekey(b.peer.native)
            for _ in range(16):
                b.peer.write(ENCODER.encode(ipv4(20)))
        b.until(lambda: b.pump.stats().rx_packets == 60 * 16)
        assert_it_costs_no_time(b.pump)
        for mark in range(sent):  # it reads at last: all goes on
            assert b.peer.read() == ENCODER.encode(ipv4(1400, mark=mark))
        b.kernel.send(ipv4(100))
        assert b.peer.read() == ENCODER.encode(ipv4(100))


def test_a_storm_of_key_updates_ends_the_link() -> None:
    """Each costs us far more than the peer."""
    with opened(Pump) as b:
        for _ in range(40):
            lib.ve_tls_rekey(b.peer.native)
        assert (b.event().kind, b.pump.stats().rx_packets) == (PumpEventKind.LINK_ERROR, 0)
        with pytest.raises(AssertionError, match="alert 10, unexpected_message"):
            b.peer.read()


def test_packets_that_may_not_enter_the_tunnel_are_counted(bench: Benches) -> None:
    with bench(mtu=1400) as b:
        for packet in (ipv4(1401), b"\x00" * 60, ipv4(30)[:10], bytes(20000), ipv4(1400)):
            b.kernel.send(packet)
        assert b.peer.read() == ENCODER.encode(ipv4(1400))
        b.until(lambda: b.pump.stats().tx_packets == 1)
        stats = b.pump.stats()
        assert (stats.dropped_tx_oversize, stats.dropped_tx_not_ip) == (2, 2)


def test_the_mtu_can_change(bench: Benches) -> None:
    with bench(mtu=1400) as b:
        b.pump.set_mtu(1200)
        b.kernel.send(ipv4(1201))
        b.kernel.send(ipv4(1200))
        assert b.peer.read() == ENCODER.encode(ipv4(1200))
        for mtu in (67, 16377):
            with pytest.raises(EngineError, match=f"an mtu of {mtu} bytes"):
                b.pump.set_mtu(mtu)


@pytest.mark.parametrize("mtu", [67, 16377])
def test_an_mtu_that_cannot_be_is_refused(make_pump: MakePump, mtu: int) -> None:
    with tls_pair() as (client, _), pytest.raises(EngineError, match=rf"mtu: got {mtu}, want 68\.\.16376"):
        make_pump(client.sock, client, "cstp", mtu=mtu)


def test_the_goodbye_of_the_gateway_is_heard_before_its_end(bench: Benches) -> None:
    with bench() as b:
        b.peer.write(ENCODER.encode(ipv4()) + ENCODER.encode_control(Kind.DISCONNECT, b"\xd0maintenance"))
        b.peer.end()
        assert b.packet() == ipv4()
        b.until(lambda: b.pump.stats().rx_controls == 1)
        assert b.controls() == [(Kind.DISCONNECT, b"\xd0maintenance")]
        assert b.event().kind is PumpEventKind.LINK_EOF


def test_a_link_cut_without_goodbye_is_an_error(bench: Benches) -> None:
    with bench() as b:
        b.peer.sock.close()
        event = b.event()
        assert event.kind is PumpEventKind.LINK_ERROR and event.text


def test_a_broken_stream_tells_the_decoders_text(bench: Benches) -> None:
    with bench() as b:
        b.peer.write(ENCODER.encode(ipv4()) + bytes.fromhex("5354460200000000"))
        assert b.packet() == ipv4()
        text = "cstp magic: got '53544602', want 53544601 (byte 0)"
        assert b.event() == PumpEvent(PumpEventKind.STREAM_BROKEN, text)
        assert PumpEventKind.STREAM_BROKEN.fatal
        b.kernel.send(ipv4())  # nobody takes it
        b.pump.send_control(Kind.DISCONNECT, b"\xb0bye")
        b.pump.stop(5)
        assert b.peer.read() == BYE  # a goodbye still leaves


def test_a_device_that_goes_away_ends_the_flow_but_not_the_goodbye(bench: Benches) -> None:
    with bench() as b:
        b.kernel.close()
        assert b.event() == PumpEvent(PumpEventKind.DEVICE_GONE, "the tunnel interface was removed")
        assert_it_costs_no_time(b.pump)  # a dead device must not keep the thread busy
        b.pump.send_control(Kind.DISCONNECT, b"\xb0bye")
        b.pump.stop(5)
        assert b.peer.read() == BYE


def serve_until(b: Bench, done: Callable[[], bool]) -> list[bytes]:
    """The peer reads, and so answers handshakes, until something is true; what it read."""
    seen = []
    limit = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < limit, b.pump.stats()
        select.select([b.peer.sock], [], [], 0.01)
        while (data := b.peer.read_once()) is not None:
            seen.append(data)
    return seen


@pytest.mark.parametrize("version", VERSIONS)
def test_rekey_in_the_middle_of_traffic_loses_nothing(bench: Benches, version: int) -> None:
    packets = [ipv4(1000, mark=i) for i in range(200)]
    events: list[PumpEvent] = []

    with bench(version) as b:

        def rekeyed() -> bool:
            events.extend(b.pump.events())
            return bool(events) and b.pump.stats().tx_packets == 200

        for packet in packets[:100]:
            b.kernel.send(packet)
        b.pump.rekey()
        for packet in packets[100:]:
            b.kernel.send(packet)
        seen = serve_until(b, rekeyed)
        while len(seen) < 200:
            seen.append(b.peer.read())
        assert [e.kind for e in events] == [PumpEventKind.REKEYED]
        assert seen == [ENCODER.encode(packet) for packet in packets]
        b.peer.write(ENCODER.encode(ipv4(99)))
        assert b.packet() == ipv4(99)


def test_a_link_that_dies_during_a_rekey_tells_both(bench: Benches) -> None:
    with bench(0x0303) as b:
        b.pump.rekey()
        assert select.select([b.peer.sock], [], [], TIMEOUT)[0]  # its first message; it is never answered
        b.peer.sock.close()
        kinds: list[PumpEventKind] = []
        while len(kinds) < 2:
            assert select.select([b.pump], [], [], TIMEOUT)[0], kinds
            kinds += [event.kind for event in b.pump.events()]
        assert kinds == [PumpEventKind.REKEY_FAILED, PumpEventKind.LINK_ERROR]


def test_times_of_the_last_traffic(bench: Benches) -> None:
    with bench() as b:
        began = time.monotonic()
        b.peer.write(KEEPALIVE)
        b.controls()
        b.pump.send_control(Kind.KEEPALIVE)
        b.peer.read()
        b.until(lambda: b.pump.stats().tx_controls == 1)
        assert began <= b.pump.stats().last_rx
        assert b.pump.stats().last_rx <= b.pump.stats().last_tx <= time.monotonic()


def test_life_and_death_of_a_pump(bench: Benches, make_pump: MakePump) -> None:
    with bench(start=False) as b:
        fds = len(os.listdir("/proc/self/fd"))
        with pytest.raises(EngineError, match="was started before"):
            b.pump.start()
            b.pump.start()
        b.pump.stop(0)
        b.pump.stop(0)  # again does nothing
        with pytest.raises(EngineError, match="was started before"):
            b.pump.start()
        other = make_pump(b.device, b.link, "cstp", mtu=1400)
        del other
        assert len(os.listdir("/proc/self/fd")) == fds


# --- with a real device -------------------------------------------------------------------------------------------


def turned_round(packet: bytes) -> bytes:
    """A UDP packet back to its sender; swapping both pairs keeps the checksum right."""
    return packet[:12] + packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22] + packet[24:]


@pytest.mark.system
def test_datagrams_through_a_real_device(make_pump: MakePump) -> None:
    def body() -> None:
        with Tun.open("vetest%d") as tun, tls_pair() as (client, peer):
            ip("link", "set", tun.name, "mtu", "1400", "up")
            ip("addr", "add", "192.0.2.1/24", "dev", tun.name)
            pump = make_pump(tun, client, "cstp", mtu=1400)
            pump.start()
            try:
                echo_datagrams(peer, pump)
                ip("link", "del", tun.name)
                assert select.select([pump], [], [], TIMEOUT)[0]
                assert pump.events() == [PumpEvent(PumpEventKind.DEVICE_GONE, "the tunnel interface was removed")]
            finally:
                pump.stop(0)

    in_own_namespace(body)


def echo_datagrams(peer: End, pump: AnyPump) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        for i in range(100):
            sock.sendto(b"%d" % i * 100, ("192.0.2.2", 7))
        answered = 0
        while answered < 100:
            frame = peer.read()
            if frame[8] == 0x45 and frame[8 + 9] == 17:  # the kernel sends IPv6 of its own (Q13)
                peer.write(frame[:8] + turned_round(frame[8:]))
                answered += 1
        assert [sock.recv(2000) for _ in range(100)] == [b"%d" % i * 100 for i in range(100)]
    assert pump.stats().sink.refused == 0
