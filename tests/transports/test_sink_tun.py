"""The TUN sink, over a socket that keeps packet borders.  What every sink does is in test_sink.py."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.packets import ipv4
from tests.transports.sinks import device_pair, received
from transports.errors import DeviceError
from transports.sink import MAX_PACKET, NativeReservation, NativeSink


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with device_pair() as both:
        yield both


def test_tun_sink_writes_a_packet_a_call(pair: tuple[socket.socket, socket.socket]) -> None:
    sink = NativeSink.tun(pair[0].fileno(), 1400)
    packets = [ipv4(100 + i, mark=i) for i in range(60)]
    assert all(sink.write(p) for p in packets)
    assert received(pair[1]) == []
    sink.flush()
    assert received(pair[1]) == packets
    assert (sink.stats().writes, sink.stats().packets) == (60, 60)


def test_a_full_batch_is_written_by_the_next_reservation(pair: tuple[socket.socket, socket.socket]) -> None:
    sink = NativeSink.tun(pair[0].fileno(), 1400)
    packets = [ipv4(60, mark=i) for i in range(100)]
    assert all(sink.write(p) for p in packets)
    assert received(pair[1]) == packets[:64]
    sink.flush()
    assert received(pair[1]) == packets[64:]


def test_a_packet_over_the_mtu_is_written_and_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    sink = NativeSink.tun(pair[0].fileno(), 1400)
    sink.write(ipv4(1401))
    sink.flush()
    assert received(pair[1]) == [ipv4(1401)]
    assert sink.stats().over_mtu == 1


def test_a_device_that_takes_no_more_drops_and_counts() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        sink = NativeSink.tun(ours.fileno(), 1400)
        for i in range(640):
            sink.write(ipv4(1400, mark=i))
        sink.flush()
        stats = sink.stats()
        assert stats.dropped_full > 0 and stats.dropped_full + stats.packets == 640


def test_a_device_that_is_gone_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    sink = NativeSink.tun(pair[0].fileno(), 1400)
    pair[1].close()
    sink.write(ipv4())
    with pytest.raises(DeviceError, match="was removed"):
        sink.flush()
    assert sink.stats().refused == 1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(20, MAX_PACKET), st.booleans(), st.integers(0, 3)), min_size=1, max_size=150))
def test_the_arena_never_mixes_packets(sizes: list[tuple[int, bool, int]]) -> None:
    """Reservations of any size, finished late or at once, flushed at any time: each packet leaves whole, in order."""
    with device_pair() as (ours, theirs):
        sink = NativeSink.tun(ours.fileno(), 1400)
        late: NativeReservation | None = None
        got: list[bytes] = []
        want: list[bytes] = []
        for mark, (size, hold, flush) in enumerate(sizes):
            room = sink.reserve(size)
            got += received(theirs)
            if room is None:  # an open one at the front fills the batch
                assert late is not None
                continue
            want.append(ipv4(size, mark=mark))
            room.data[:] = want[-1]
            if hold and late is None:
                late = room
                continue
            room.commit(size)
            if late is not None and flush == 0:
                late.commit(late.capacity)
                late = None
            if flush == 1:
                sink.flush()
                got += received(theirs)
        if late is not None:
            late.commit(late.capacity)
        sink.flush()
        got += received(theirs)
        assert sink.stats().refused == 0
        assert got == want
