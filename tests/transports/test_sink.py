"""The contract of a sink, on its Python reference, on the engine's memory sink and on the TUN sink over a socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.packets import ipv4, ipv6
from transports.errors import DeviceError, EngineError
from transports.sink import MAX_PACKET, MemoryReservation, MemorySink, NativeReservation, NativeSink, ip_length

AnySink = MemorySink | NativeSink
MakeSink = Callable[[int], AnySink]
both = pytest.mark.parametrize("make", [MemorySink, NativeSink.memory], ids=["python", "native"])


def taken(sink: AnySink) -> list[bytes]:
    sink.flush()
    return list(iter(sink.take, None))


@both
def test_a_packet_may_shrink_in_its_reservation(make: MakeSink) -> None:
    sink = make(4)
    room = sink.reserve(1500)
    assert room is not None
    room.data[:84] = ipv4(84)
    room.commit(84)
    assert sink.take() is None  # not before the flush
    assert taken(sink) == [ipv4(84)]
    assert (sink.stats().in_place, sink.stats().packets, sink.stats().bytes) == (1, 1, 84)


@both
def test_growing_is_refused_and_counted(make: MakeSink) -> None:
    sink = make(4)
    room = sink.reserve(40)
    assert room is not None
    with pytest.raises(ValueError, match="commit of 41 bytes, reserved 40"):
        room.commit(41)
    with pytest.raises(ValueError):
        room.commit(40)  # it was given back
    assert taken(sink) == []
    assert sink.stats().oversize == 1


@both
def test_packets_leave_in_order_of_reservation(make: MakeSink) -> None:
    sink = make(8)
    first, second, third = (sink.reserve(100) for _ in range(3))
    assert first and second and third
    third.data[:60] = ipv4(60)
    third.commit(60)
    first.data[:50] = ipv4(50)
    first.commit(50)
    assert taken(sink) == [ipv4(50)]  # the open second holds back the third
    second.abort()
    assert taken(sink) == [ipv4(60)]
    assert sink.stats().aborted == 1


@both
def test_write_copies(make: MakeSink) -> None:
    sink = make(2)
    assert sink.write(ipv6()) and sink.write(ipv4(MAX_PACKET))
    assert not sink.write(ipv4())  # full
    assert taken(sink) == [ipv6(), ipv4(MAX_PACKET)]
    assert (sink.stats().copied, sink.stats().dropped_full) == (2, 1)


@both
def test_what_is_too_large_is_refused(make: MakeSink) -> None:
    sink = make(2)
    assert sink.reserve(MAX_PACKET + 1) is None
    assert not sink.write(bytes(MAX_PACKET + 1))
    assert sink.stats().oversize == 2


@both
@pytest.mark.parametrize(
    "junk",
    [
        b"",
        bytes(100),
        ipv4()[:19],
        ipv6()[:39],
        b"\x44" + ipv4()[1:],  # header of 16 bytes
        b"\x4f" + ipv4(40)[1:],  # header beyond the packet
        ipv4(85)[:84],  # total length > received
        ipv6(105)[:104],
        b"\x55" + ipv4()[1:],
        ipv4(20)[:2] + b"\x00\x13" + ipv4(20)[4:],  # total length < header
    ],
    ids=range(10),
)
def test_what_is_no_ip_packet_is_dropped_and_counted(make: MakeSink, junk: bytes) -> None:
    sink = make(2)
    sink.write(junk)
    assert taken(sink) == []
    assert (sink.stats().not_ip, sink.stats().copied) == (1, 0)


@both
def test_bytes_beyond_the_ip_length_are_cut(make: MakeSink) -> None:
    sink = make(2)
    sink.write(ipv4(40) + b"trailer")
    sink.write(ipv6(40) + b"trailer")
    assert taken(sink) == [ipv4(40), ipv6(40)]


def test_only_a_memory_sink_keeps_packets() -> None:
    with pytest.raises(EngineError, match="only a memory sink"):
        NativeSink.tun(0, 1400).take()
    with pytest.raises(EngineError, match=r"got 0 slots, want 1\.\.65536"):
        NativeSink.memory(0)


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "abort", "write", "flush", "take"]), st.integers(0, 90), st.integers(0, 9)
    )
)


def play(sink: AnySink, script: list[Step]) -> list[object]:
    """What a sink answers to a script of calls."""
    seen: list[object] = []
    open_: list[MemoryReservation | NativeReservation] = []
    for what, size, which in script:
        if what == "reserve":
            room = sink.reserve(size)
            seen.append(room is not None)
            if room is not None:
                room.data[:] = ipv4(max(size, 20))[:size]
                open_.append(room)
        elif what in ("commit", "abort") and open_:
            room = open_.pop(which % len(open_))
            try:
                seen.append(room.commit(size) if what == "commit" else room.abort())
            except ValueError as exc:
                seen.append(type(exc))
        elif what == "write":
            seen.append(sink.write(ipv6(40 + size)))
        elif what == "flush":
            sink.flush()
        elif what == "take":
            seen.append(sink.take())
    return [*seen, sink.stats()]


@given(steps)
def test_the_twins_answer_alike(script: list[Step]) -> None:
    assert play(NativeSink.memory(4), script) == play(MemorySink(4), script)


@given(st.binary(max_size=80))
def test_ip_length_never_exceeds_what_came(data: bytes) -> None:
    assert ip_length(data) == 0 or 20 <= ip_length(data) <= len(data)


# --- the TUN sink, over a socket that keeps packet borders --------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A device's descriptor, and the kernel's side of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    with ours, theirs:
        yield ours, theirs


def received(sock: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(sock.recv(65536))
        except BlockingIOError:
            return packets


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
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 23)
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
