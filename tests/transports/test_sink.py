"""What every sink must do, on every sink there is: the Python reference, the engine's memory, a TUN, a Wintun ring."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.packets import ipv4, ipv6
from tests.transports.sinks import EVERY, AnySink, Place
from transports.sink import MAX_PACKET, MemoryReservation, MemorySink, NativeReservation, SinkStats

AnyReservation = MemoryReservation | NativeReservation


@pytest.fixture(params=EVERY)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with EVERY[request.param]() as place:
        yield place


def reserve(sink: AnySink, capacity: int) -> AnyReservation:
    room = sink.reserve(capacity)
    assert room is not None
    return room


def commit(room: AnyReservation, packet: bytes) -> None:
    room.data[: len(packet)] = packet
    room.commit(len(packet))


def test_a_packet_may_shrink_in_its_reservation(place: Place) -> None:
    commit(reserve(place.sink, 1500), ipv4(84))
    assert place.arrived() == [ipv4(84)]
    stats = place.sink.stats()
    assert (stats.in_place, stats.packets, stats.bytes, stats.moved) == (1, 1, 84, 0)


def test_growing_by_commit_is_refused_and_counted(place: Place) -> None:
    room = reserve(place.sink, 40)
    with pytest.raises(ValueError, match="commit of 41 bytes, reserved 40"):
        room.commit(41)
    with pytest.raises(ValueError):
        room.commit(40)  # it was given back
    assert place.arrived() == []
    assert place.sink.stats().oversize == 1


def test_packets_leave_in_order_of_reservation(place: Place) -> None:
    first, second, third = (reserve(place.sink, 100) for _ in range(3))
    commit(third, ipv4(60))
    commit(first, ipv4(50))
    assert place.arrived() == [ipv4(50)]  # the open second holds back the third
    second.abort()
    assert place.arrived() == [ipv4(60)]
    assert place.sink.stats().aborted == 1


def test_what_is_aborted_twice_is_an_error(place: Place) -> None:
    room = reserve(place.sink, 100)
    room.abort()
    with pytest.raises(ValueError, match="no longer open"):
        room.abort()
    with pytest.raises(ValueError):
        room.commit(40)


def test_a_closed_reservation_does_not_touch_the_next_one(place: Place) -> None:
    """Its memory may be the next one's: a second abort took that away once."""
    rooms = [reserve(place.sink, 100) for _ in range(3)]
    commit(rooms[0], ipv4(60))
    rooms[1].abort()
    assert not rooms[2].expand(0, MAX_PACKET + 1)
    assert place.arrived() == [ipv4(60)]
    fresh = reserve(place.sink, 100)
    for room in rooms:
        with pytest.raises(ValueError, match="no longer open"):
            room.abort()
        with pytest.raises(ValueError, match="no longer open"):
            room.commit(40)
        with pytest.raises(ValueError, match="no longer open"):
            room.expand(0, 200)
    commit(fresh, ipv4(70))
    assert place.arrived() == [ipv4(70)]


def test_what_a_lost_link_left_open_is_given_back(place: Place) -> None:
    """A decoder that ends within a packet leaves its reservation open; the sink of an adapter outlives it."""
    place.sink.write(ipv4(50))
    left = [reserve(place.sink, size) for size in (100, 2000)]
    place.sink.write(ipv4(60))
    assert left[0].expand(0, 3000)
    assert place.arrived() == [ipv4(50)]
    place.sink.abandon()
    with pytest.raises(ValueError):
        left[0].commit(40)
    assert place.arrived() == [ipv4(60)]
    commit(reserve(place.sink, MAX_PACKET), ipv4(70))
    assert place.arrived() == [ipv4(70)]
    place.sink.abandon()
    assert place.sink.stats().aborted == 2


def test_nothing_arrives_before_the_flush(place: Place) -> None:
    place.sink.write(ipv4())
    assert place.sink.stats().packets == 0
    assert place.arrived() == [ipv4()]
    assert place.sink.stats().packets == 1


def test_write_copies(place: Place) -> None:
    assert place.sink.write(ipv6()) and place.sink.write(ipv4(MAX_PACKET))
    assert place.arrived() == [ipv6(), ipv4(MAX_PACKET)]
    assert (place.sink.stats().copied, place.sink.stats().in_place) == (2, 0)


def test_what_is_too_large_is_refused(place: Place) -> None:
    assert place.sink.reserve(MAX_PACKET + 1) is None
    assert not place.sink.write(bytes(MAX_PACKET + 1))
    assert place.sink.stats().oversize == 2


def test_the_newest_reservation_expands(place: Place) -> None:
    room = reserve(place.sink, 100)
    room.data[:20] = ipv4(1000)[:20]
    assert room.expand(20, 1000)
    room.data[20:1000] = ipv4(1000)[20:]
    room.commit(1000)
    assert place.arrived() == [ipv4(1000)]
    assert (place.sink.stats().expanded, place.sink.stats().in_place) == (1, 0)


def test_an_older_reservation_expands_if_there_is_room_in_front(place: Place) -> None:
    roomy, older, newest = reserve(place.sink, 1500), reserve(place.sink, 100), reserve(place.sink, 100)
    older.data[:20] = ipv4(300)[:20]
    assert older.expand(20, 200) and older.expand(20, 300)
    older.data[20:300] = ipv4(300)[20:]
    commit(newest, ipv4(100, mark=3))
    older.commit(300)
    commit(roomy, ipv4(1000))
    assert place.arrived() == [ipv4(1000), ipv4(300), ipv4(100, mark=3)]
    assert (place.sink.stats().expanded, place.sink.stats().in_place) == (1, 2)


def test_an_expansion_may_shrink_again_or_be_aborted(place: Place) -> None:
    first, second = reserve(place.sink, 100), reserve(place.sink, 100)
    assert first.expand(0, 2000) and second.expand(0, 2000)
    commit(first, ipv4(60))
    second.abort()
    assert place.arrived() == [ipv4(60)]


def test_what_is_parked_holds_back_nobody(place: Place) -> None:
    """A stream that stalls within a packet, beside datagrams for the same device."""
    place.sink.write(ipv4(50))
    stalled = reserve(place.sink, 100)
    stalled.data[:30] = ipv4(90)[:30]
    stalled.park(30)
    commit(reserve(place.sink, 1500), ipv4(60))
    assert place.arrived() == [ipv4(50), ipv4(60)]
    stalled.park(30)  # it is parked already
    late = reserve(place.sink, 200)
    stalled.data[30:90] = ipv4(90)[30:]
    stalled.commit(90)
    commit(late, ipv4(200))
    assert place.arrived() == [ipv4(200), ipv4(90)]  # behind what was reserved by then
    stats = place.sink.stats()
    assert (stats.parked, stats.copied, stats.in_place, stats.moved) == (1, 2, 2, 0)


def test_what_is_behind_a_parked_reservation_goes_on(place: Place) -> None:
    stalled, second, third = (reserve(place.sink, 100) for _ in range(3))
    commit(second, ipv4(60))
    assert place.arrived() == []
    stalled.park(0)
    assert place.arrived() == [ipv4(60)]
    third.data[:20] = ipv4(40)[:20]
    third.park(20)
    assert third.expand(20, 3000) and third.data[:20] == ipv4(40)[:20]
    third.data[20:40] = ipv4(40)[20:]
    third.commit(40)
    stalled.abort()
    assert place.arrived() == [ipv4(40)]
    stats = place.sink.stats()
    assert (stats.parked, stats.expanded, stats.aborted, stats.packets) == (2, 1, 1, 2)


def test_what_was_expanded_can_be_parked(place: Place) -> None:
    stalled, other = reserve(place.sink, 100), reserve(place.sink, 100)
    stalled.data[:20] = ipv4(2000)[:20]
    assert stalled.expand(20, 2000)
    stalled.data[20:1000] = ipv4(2000)[20:1000]
    stalled.park(1000)
    commit(other, ipv4(70))
    assert place.arrived() == [ipv4(70)]
    stalled.data[1000:] = ipv4(2000)[1000:]
    stalled.commit(2000)
    assert place.arrived() == [ipv4(2000)]
    assert place.sink.stats().expanded == 1


def test_a_parked_packet_is_judged_like_any_other(place: Place) -> None:
    for what, size in (("junk", 40), ("long", 101), ("abandon", 0)):
        room = reserve(place.sink, 100)
        room.park(0)
        if what == "junk":
            room.data[:] = bytes(100)
            room.commit(size)
        elif what == "long":
            with pytest.raises(ValueError):
                room.commit(size)
        else:
            place.sink.abandon()
        with pytest.raises(ValueError, match="no longer open"):
            room.commit(20)
    with pytest.raises(ValueError, match="parked with 101 bytes, reserved 100"):
        reserve(place.sink, 100).park(101)
    assert place.arrived() == []
    stats = place.sink.stats()
    assert (stats.parked, stats.not_ip, stats.oversize, stats.aborted) == (3, 1, 2, 1)


def test_scratch_memory_is_given_back(place: Place) -> None:
    for i in range(40):
        stalled = reserve(place.sink, 100)
        stalled.park(0)
        assert place.sink.stats().parked == i + 1
        if i % 3 == 0:
            stalled.abort()
        else:
            commit(stalled, ipv4(100))
            assert place.arrived() == [ipv4(100)]


@pytest.mark.parametrize(("used", "capacity"), [(0, MAX_PACKET + 1), (101, 200)])
def test_an_expansion_beyond_all_bounds_gives_the_reservation_back(place: Place, used: int, capacity: int) -> None:
    room = reserve(place.sink, 100)
    assert not room.expand(used, capacity)
    with pytest.raises(ValueError):
        room.commit(40)
    assert place.arrived() == []
    assert place.sink.stats().oversize == 1


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
def test_what_is_no_ip_packet_is_dropped_and_counted(place: Place, junk: bytes) -> None:
    place.sink.write(junk)
    commit(reserve(place.sink, len(junk)), junk)
    assert place.arrived() == []
    assert (place.sink.stats().not_ip, place.sink.stats().copied, place.sink.stats().in_place) == (2, 0, 0)


def test_bytes_beyond_the_ip_length_are_cut(place: Place) -> None:
    place.sink.write(ipv4(40) + b"trailer")
    place.sink.write(ipv6(40) + b"trailer")
    assert place.arrived() == [ipv4(40), ipv6(40)]


def test_many_packets_of_every_length(place: Place) -> None:
    want, got = [], []
    for length in range(20, 1500, 7):
        want.append(ipv4(length, mark=length))
        commit(reserve(place.sink, 1500), want[-1])
        if length % 5 == 0:
            got += place.arrived()
    assert got + place.arrived() == want
    assert place.sink.stats().moved == 0


Step = tuple[str, int, int]
KINDS = ["reserve", "reserve", "commit", "commit", "abort", "expand", "park", "write", "junk", "flush"]
steps = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 4000), st.integers(0, 9)), max_size=60)
MOST_OPEN = 6
MOST_PARKED = 8  # of all; beyond that there may be no scratch memory, which is each sink's own affair


class Player:
    """Plays a script of calls on a sink, and knows what must arrive."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.open: list[tuple[AnyReservation, int, int]] = []  # the room, its place in `promised`, its size
        self.promised: list[bytes | None] = []  # in order of reservation, what was parked in order of its commit
        self.aside = 0  # reservations that may be in scratch memory
        self.parked: set[int] = set()  # by their place in `promised` before they were
        self.answers: list[object] = []

    def play(self, script: list[Step]) -> None:
        for what, size, which in script:
            if what == "reserve":
                self._reserve(size)
            elif what == "write":
                self.promised.append(ipv6(40 + size))
                self.answers.append(self.place.sink.write(ipv6(40 + size)))
            elif what == "junk":
                self.answers.append(self.place.sink.write(bytes(size)))
            elif what == "flush":
                self.place.sink.flush()
            elif self.open:
                self._finish(what, size, self.open.pop(which % len(self.open)))
        while self.open:
            self._finish("abort", 0, self.open.pop())

    def _reserve(self, size: int) -> None:
        if len(self.open) == MOST_OPEN:
            return
        room = self.place.sink.reserve(size)
        self.answers.append(room is not None)
        if room is not None:
            self.open.append((room, len(self.promised), size))
            self.promised.append(None)

    def _finish(self, what: str, size: int, entry: tuple[AnyReservation, int, int]) -> None:
        room, index, capacity = entry
        if what == "abort":
            room.abort()
        elif what == "expand":
            capacity = min(capacity + size, MAX_PACKET)
            assert room.expand(min(entry[2], 20), capacity)
            self.aside += 1
            self.open.append((room, index, capacity))
        elif what == "park":
            if self.aside < MOST_PARKED:
                room.park(min(capacity, 20))
                self.aside += 1
                self.parked.add(index)
            self.open.append(entry)
        else:
            packet = ipv4(max(20, min(size, capacity)), mark=index)
            try:
                room.data[:] = packet[:capacity].ljust(capacity, b"\0")
                room.commit(min(size, capacity + 1))
            except ValueError as exc:
                self.answers.append(type(exc))
            else:
                kept = packet if 20 <= len(packet) <= min(size, capacity) else None
                if index in self.parked:
                    self.promised.append(kept)
                else:
                    self.promised[index] = kept

    def expected(self) -> list[bytes]:
        return [packet for packet in self.promised if packet is not None]


def played(name: str, script: list[Step]) -> tuple[list[object], list[bytes], list[bytes], SinkStats]:
    with EVERY[name]() as place:
        player = Player(place)
        player.play(script)
        return player.answers, player.expected(), place.arrived(), place.sink.stats()


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=60)
@given(steps)
def test_every_sink_does_as_the_reference(name: str, script: list[Step]) -> None:
    """The same answers, the same packets in the same order, the same counts; only an expansion may find no room."""
    answers, expected, arrived, stats = played(name, script)
    reference = Player(ReferencePlace())
    reference.play(script)
    assert answers == reference.answers
    assert len(expected) - len(arrived) == stats.dropped_expand
    left = iter(expected)
    assert all(packet in left for packet in arrived)  # in order, each once
    want = reference.place.sink.stats()
    counted = ("in_place", "copied", "expanded", "parked", "aborted", "not_ip", "oversize")
    assert [getattr(stats, field) for field in counted] == [getattr(want, field) for field in counted]
    assert (stats.packets, stats.bytes) == (len(arrived), sum(map(len, arrived)))


class ReferencePlace:
    def __init__(self) -> None:
        self.sink: AnySink = MemorySink(64)

    def arrived(self) -> list[bytes]:
        raise AssertionError("only its answers and counts are wanted")
