"""The memory sinks, Python and C: twins to the last answer.  What every sink does is in test_sink.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.packets import ipv4, ipv6
from transports.errors import EngineError
from transports.sink import RING_OVERHEAD, MemoryReservation, MemorySink, NativeReservation, NativeSink, ip_length

AnySink = MemorySink | NativeSink
both = pytest.mark.parametrize("make", [MemorySink, NativeSink.memory], ids=["python", "native"])


@both
def test_a_full_sink_drops_and_counts(make: type[MemorySink]) -> None:
    sink = make(2)
    assert sink.write(ipv6()) and sink.reserve(100) is not None
    assert not sink.write(ipv4()) and sink.reserve(100) is None
    assert sink.stats().dropped_full == 2


def test_only_a_memory_sink_keeps_packets() -> None:
    with pytest.raises(EngineError, match="only a memory sink"):
        NativeSink.wintun(bytearray(0x20000 + RING_OVERHEAD), 7, 1400).take()
    with pytest.raises(EngineError, match=r"got 0 slots, want 1\.\.65536"):
        NativeSink.memory(0)


def test_a_memory_sink_is_no_ring_and_never_impatient() -> None:
    sink = NativeSink.memory()
    assert sink.idle() is None
    with pytest.raises(EngineError, match="only the ring"):
        sink.restart()


Step = tuple[str, int, int]
KINDS = ["reserve", "commit", "abort", "expand", "write", "flush", "take"]
steps = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 90), st.integers(0, 9)))


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
        elif what == "expand" and open_:
            room = open_[which % len(open_)]
            used = min(size, len(room.data))
            seen.append(room.expand(used, size))
            room.data[used:] = bytes(len(room.data) - used)
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
