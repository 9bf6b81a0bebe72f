"""Adapters, own rings and sessions of Wintun, on the driver's double in the place of wintun.dll."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.transports.packets import ipv4, ipv6
from tests.transports.sinks import wait_for_driver
from tests.wintun_double import double
from transports.errors import DeviceError, EngineError
from transports.wintun import (
    Adapter,
    AlreadyRegistered,
    LibraryError,
    WintunLibrary,
    WintunRings,
    WintunSession,
    error_text,
    luid_parts,
    ring_descriptor,
)

SMALL = 0x20000


@pytest.fixture
def library() -> WintunLibrary:
    return double.wintun_library()


@pytest.fixture
def rings() -> Iterator[WintunRings]:
    rings = WintunRings(double.register, double.events(), mtu=1400, capacity=SMALL)
    yield rings
    double.lib().TwdSetFault(0)
    rings.close()
    double.taken()


# --- library and adapters -------------------------------------------------------------------------------------------


def test_a_library_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    def load(path: Path) -> None:
        WintunLibrary.load(path, lambda: 0, 0)

    with pytest.raises(LibraryError, match=r"not usable: got the path .wintun\.dll., want an absolute one"):
        load(Path("wintun.dll"))
    with pytest.raises(LibraryError, match="not usable: "):
        load(tmp_path / "wintun.dll")
    from transports.engine import LIBRARY

    with pytest.raises(LibraryError, match="has no WintunCreateAdapter"):
        load(LIBRARY)


def test_an_adapter_lives_from_create_to_close(library: WintunLibrary) -> None:
    with Adapter.create(library, "Lab", guid=UUID(int=7)) as adapter:
        index, kind = luid_parts(adapter.luid)
        assert index >= 0x8001 and kind == 53
        other = Adapter.open(library, "LAB")
        assert other.luid == adapter.luid
        other.close()
        other.close()
    with pytest.raises(DeviceError, match=r"cannot open the adapter 'Lab': there is no such adapter \(error 1168\)"):
        Adapter.open(library, "Lab")


@pytest.mark.parametrize("name", ["", "x" * 128, "\N{GRINNING FACE}" * 64, "a\0b"])
def test_names_are_checked_first(library: WintunLibrary, name: str) -> None:
    with pytest.raises(DeviceError, match=r"adapter name: got \d+ characters, want 1 to 127"):
        Adapter.create(library, name)


def test_version_and_logger(library: WintunLibrary) -> None:
    assert library.driver_version() == (0, 14)
    seen: list[tuple[int, str]] = []
    library.set_logger(lambda level, text: seen.append((level, text)))
    Adapter.create(library, "Lab").close()
    library.set_logger(None)
    Adapter.create(library, "Lab").close()
    assert seen == [(0, "Creating adapter")]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (5, "administrator rights needed (error 5)"),
        (0x80070005, "administrator rights needed (error 5)"),
        (-2147024891, "administrator rights needed (error 5)"),
        (12345, "Windows refused (error 12345)"),
    ],
)
def test_errors_are_told_in_words(code: int, text: str) -> None:
    assert error_text(code) == text


# --- own rings ------------------------------------------------------------------------------------------------------


def test_the_descriptor_of_the_notes() -> None:
    """Section 16: capacity 0x20000, rings at 0x10000000 and 0x1003000C, events 0x5C and 0x60."""
    want = "0c00030000000000 0000001000000000 5c00000000000000 0c00030000000000 0c00031000000000 6000000000000000"
    size = SMALL + 65548
    assert ring_descriptor((size, 0x10000000, 0x5C), (size, 0x1003000C, 0x60)) == bytes.fromhex(want)


def test_packets_both_ways(rings: WintunRings) -> None:
    room = rings.sink.reserve(1500)
    assert room is not None
    room.data[:84] = ipv4()
    room.commit(84)
    rings.sink.flush()
    wait_for_driver(rings.sink)
    assert double.taken() == [ipv4()]
    assert double.inject(ipv6(), ipv4(1400)) == 0
    assert rings.reader.wait(5000)
    assert rings.reader.batch() == [ipv6(), ipv4(1400)]


@pytest.mark.parametrize("capacity", [0, 1000, 0x10000, 0x30000, 0x8000000])
def test_a_capacity_is_checked_before_anything_is_allocated(capacity: int) -> None:
    with pytest.raises(
        DeviceError, match=f"ring capacity: got {capacity} bytes, want a power of two in 131072..67108864"
    ):
        WintunRings(double.register, double.events(), mtu=1400, capacity=capacity)


def test_a_dead_receive_side_is_renewed(rings: WintunRings) -> None:
    double.lib().TwdUnregister()
    rings.sink.write(ipv4())
    with pytest.raises(DeviceError, match="removed"):
        rings.sink.flush()
    with pytest.raises(DeviceError, match="has ended"):
        rings.reader.batch()
    rings.renew()
    test_packets_both_ways(rings)


def test_a_corrupt_send_ring_is_renewed(rings: WintunRings) -> None:
    double.lib().TwdSetFault(double.CORRUPT_SIZE)
    double.inject(ipv4())
    double.lib().TwdSetFault(0)
    with pytest.raises(DeviceError, match="corrupt"):
        rings.reader.batch()
    rings.renew()
    test_packets_both_ways(rings)


def test_more_than_three_renewals_a_minute_are_too_many() -> None:
    clock = [100.0]
    rings = WintunRings(double.register, double.events(), mtu=1400, capacity=SMALL, now=lambda: clock[0])
    try:
        for _ in range(3):
            clock[0] += 10
            rings.renew()
        with pytest.raises(DeviceError, match="failed more than 3 times within 60 s"):
            rings.renew()
        clock[0] += 60
        rings.renew()
    finally:
        rings.close()
        rings.close()


def test_each_registration_is_closed_exactly_once() -> None:
    """The driver may have closed the handle itself; a second close would hit what has its number now (Q9)."""
    closed: list[int] = []

    class Counted(double.DoubleRegistration):
        def close(self) -> None:
            closed.append(id(self))
            super().close()

    made: list[Counted] = []

    def register(descriptor: bytes) -> Counted:
        double.register(descriptor)
        made.append(Counted())
        return made[-1]

    rings = WintunRings(register, double.events(), mtu=1400, capacity=SMALL)
    rings.renew()
    rings.close()
    rings.close()
    assert closed == [id(one) for one in made] and len(made) == 2


def test_a_registration_that_drains_is_waited_for() -> None:
    tries = []

    def busy(descriptor: bytes) -> double.DoubleRegistration:
        tries.append(len(descriptor))
        if len(tries) < 4:
            raise AlreadyRegistered("not yet")
        return double.register(descriptor)

    slept: list[float] = []
    WintunRings(busy, double.events(), mtu=1400, capacity=SMALL, sleep=slept.append).close()
    assert tries == [48] * 4 and slept == [0.01] * 3


def test_what_does_not_drain_is_an_error_and_leaves_nothing_open(rings: WintunRings) -> None:
    events = CountingEvents()
    clock = iter(range(1000))
    with pytest.raises(AlreadyRegistered, match="another program or session uses it"):
        WintunRings(
            double.register, events, mtu=1400, capacity=SMALL, now=lambda: float(next(clock)), sleep=lambda _: None
        )
    assert events.open == 0


def test_an_mtu_that_cannot_be_leaves_nothing_open(library: WintunLibrary) -> None:
    events = CountingEvents()
    with pytest.raises(EngineError, match="got an MTU of 70000 bytes, want at most 65535"):
        WintunRings(double.register, events, mtu=70000, capacity=SMALL)
    assert events.open == 0
    with Adapter.create(library, "Lab") as adapter:
        with pytest.raises(EngineError, match="got an MTU of 70000 bytes, want at most 65535"):
            WintunSession(adapter, mtu=70000)
        WintunSession(adapter, mtu=1400).close()  # the adapter is free


class CountingEvents:
    def __init__(self) -> None:
        self.open = 0

    def create(self) -> int:
        self.open += 1
        return double.events().create()

    def reset(self, event: int) -> None:
        double.events().reset(event)

    def close(self, event: int) -> None:
        self.open -= 1
        double.events().close(event)


def test_a_slow_network_stack_delays_the_close(rings: WintunRings) -> None:
    double.lib().TwdSetFault(double.SLOW_UNREGISTER)
    start = time.monotonic()
    rings.close()
    assert time.monotonic() - start > 0.45


# --- the library's session ------------------------------------------------------------------------------------------


def test_a_session_passes_packets_both_ways(library: WintunLibrary) -> None:
    with Adapter.create(library, "Lab") as adapter:
        session = WintunSession(adapter, mtu=1400)
        try:
            assert session.sink.write(ipv4())
            session.sink.flush()
            wait_for_driver(session.sink)
            assert double.taken() == [ipv4()]
            assert session.reader.batch() == []
            assert double.inject(ipv4(), ipv6()) == 0
            assert session.reader.wait(5000)
            assert session.reader.batch() == [ipv4(), ipv6()]
            assert session.reader.stats().batches == 1
            with pytest.raises(EngineError, match="only a ring of our own"):
                session.reader.restart()
            with pytest.raises(DeviceError, match="cannot start a session on the adapter 'Lab': another program"):
                WintunSession(adapter, mtu=1400)
        finally:
            session.close()
            session.close()


def test_a_session_whose_adapter_goes_is_told(library: WintunLibrary) -> None:
    with Adapter.create(library, "Lab") as adapter:
        session = WintunSession(adapter, mtu=1400)
        try:
            double.lib().TwdUnregister()
            with pytest.raises(DeviceError, match="has ended"):
                session.reader.batch()
            session.sink.write(ipv4())
            with pytest.raises(DeviceError):
                session.sink.flush()
            assert session.sink.stats().refused == 1
        finally:
            session.close()


def test_a_session_lends_so_many_packets_at_most(library: WintunLibrary) -> None:
    with Adapter.create(library, "Lab") as adapter:
        session = WintunSession(adapter, mtu=1400)
        try:
            packets = [ipv4(40, mark=i) for i in range(300)]
            assert double.inject(*packets) == 0
            assert session.reader.wait(5000)
            assert session.reader.batch() == packets[:256]
            assert session.reader.wait(0)  # the event tells of new packets only: the rest was left in the ring once
            assert session.reader.batch() == packets[256:]
            assert not session.reader.wait(0)
            double.lib().TwdSetFault(double.CORRUPT_SIZE)
            double.inject(ipv4())
            with pytest.raises(DeviceError, match="corrupt"):
                session.reader.batch()
        finally:
            double.lib().TwdSetFault(0)
            session.close()


def test_a_full_session_drops_and_counts(library: WintunLibrary) -> None:
    with Adapter.create(library, "Lab") as adapter:
        session = WintunSession(adapter, mtu=1400, capacity=SMALL)
        try:
            double.lib().TwdSetHold(double.HOLD_UNTIL_TOLD)
            for i in range(120):
                session.sink.write(ipv4(1400, mark=i))
            session.sink.flush()
            assert (session.sink.stats().packets, session.sink.stats().dropped_full) == (93, 27)
        finally:
            double.lib().TwdSetHold(double.HOLD_NONE)
            session.close()
            double.taken()
