"""Reading the Send ring in place, fed by the driver's double."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.packets import ipv4, ipv6
from tests.wintun_double import double
from transports.errors import DeviceError, EngineError
from transports.reader import RingReader
from transports.sink import RING_OVERHEAD

SMALL = 0x20000


def test_a_batch_is_read_in_place_and_released_once() -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        assert not reader.wait(0)
        assert double.inject(ipv4(), ipv6(), ipv4(1400)) == 0
        assert reader.wait(5000)
        packets = list(reader.packets())
        assert [bytes(p) for p in packets] == [ipv4(), ipv6(), ipv4(1400)]
        packets[0][0] = 0x46  # ours until released
        assert rings.send.words()[0] == 0
        reader.release()
        assert rings.send.words()[0] == rings.send.words()[1] == 88 + 108 + 1404
        assert (reader.stats().packets, reader.stats().batches, reader.stats().bytes) == (3, 1, 84 + 104 + 1400)
        del packets


def test_what_is_not_released_fills_the_ring() -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        assert [double.inject(ipv4(60000)) for _ in range(3)] == [0, 0, 4]
        list(reader.packets())
        assert double.inject(ipv4(60000)) == 4
        reader.release()
        assert double.inject(ipv4(60000), ipv4(60000)) == 0
        assert reader.batch() == [ipv4(60000)] * 2


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(20, 9000), min_size=1, max_size=8), max_size=30))
def test_everything_injected_is_read_in_order(bursts: list[list[int]]) -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        for mark, lengths in enumerate(bursts):
            packets = [ipv4(length, mark=mark) for length in lengths]
            assert double.inject(*packets) == 0
            assert reader.batch() == packets


def test_packets_of_zeros_are_dropped_and_counted() -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        double.lib().TwdSetFault(double.ZERO_PACKET)
        assert double.inject(ipv4()) == 0
        double.lib().TwdSetFault(0)
        assert double.inject(ipv4(100)) == 0
        assert reader.batch() == [ipv4(100)]
        assert reader.stats().not_ip == 1


def test_a_size_that_cannot_be_ends_the_registration() -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        double.lib().TwdSetFault(double.CORRUPT_SIZE)
        assert double.inject(ipv4()) == 0
        for _ in range(2):
            with pytest.raises(DeviceError, match="corrupt"):
                reader.batch()
        assert reader.stats().corrupt == 1
        double.lib().TwdSetFault(0)
        double.lib().TwdUnregister()
        reader.restart()
        rings.receive.memory[:12] = bytes(12)
        assert rings.register() == 0
        assert double.inject(ipv4()) == 0
        assert reader.batch() == [ipv4()]


def test_the_end_of_the_registration_wakes_and_is_told() -> None:
    with double.rings(SMALL) as rings:
        reader = RingReader.ring(rings.send.memory, rings.send.event)
        double.lib().TwdUnregister()
        assert reader.wait(5000)
        with pytest.raises(DeviceError, match="has ended"):
            reader.batch()
        reader.release()


def test_a_ring_must_be_one() -> None:
    with pytest.raises(EngineError, match="want a power of two"):
        RingReader.ring(bytearray(SMALL + RING_OVERHEAD - 4), 7)
