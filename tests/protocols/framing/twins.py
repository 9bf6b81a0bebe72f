"""What the suites of the framings share: both twins behind one face, all that can be seen of them, wild chunkings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from hypothesis import strategies as st

from protocols.base import Control
from protocols.errors import MalformedFrame
from transports.codec import CodecError, NativeCodec
from transports.sink import MemorySink, NativeSink, PacketSink, SinkStats

REFUSED = (ValueError, CodecError)  # what an encoder raises, the reference and the native one


class Decoder(Protocol):
    """A reference decoder."""

    def feed(self, data: bytes) -> None: ...
    def next_control(self) -> Control | None: ...
    def counters(self) -> dict[str, int]: ...


class Encoder(Protocol):
    """A reference encoder."""

    def encode(self, packet: bytes) -> bytes: ...
    def encode_control(self, kind: int, payload: bytes = b"") -> bytes: ...


class Twin(Protocol):
    """What a suite needs of either."""

    @property
    def sink(self) -> MemorySink | NativeSink: ...
    def feed(self, data: bytes) -> None: ...
    def control(self) -> tuple[int, bytes] | None: ...
    def counters(self) -> dict[str, int]: ...
    def encode(self, packet: bytes) -> bytes: ...
    def encode_control(self, kind: int, payload: bytes = b"") -> bytes: ...


MakeTwin = Callable[[int], Twin]  # the number of slots of its sink


class PythonTwin:
    def __init__(self, decoder: Callable[[PacketSink], Decoder], encoder: Encoder, slots: int = 64) -> None:
        self.sink = MemorySink(slots)
        self._decoder = decoder(self.sink)
        self.feed, self.counters = self._decoder.feed, self._decoder.counters
        self.encode, self.encode_control = encoder.encode, encoder.encode_control

    def control(self) -> tuple[int, bytes] | None:
        frame = self._decoder.next_control()
        return None if frame is None else (frame.kind, frame.payload)


class NativeTwin:
    def __init__(self, framing: str, slots: int = 64) -> None:
        self.sink = NativeSink.memory(slots)
        self.codec = NativeCodec(framing)
        self.control, self.counters = self.codec.next_control, self.codec.counters
        self.encode, self.encode_control = self.codec.encode, self.codec.encode_control

    def feed(self, data: bytes) -> None:
        self.codec.feed(data, self.sink)


@dataclass(frozen=True)
class Outcome:
    """All that can be seen of a decoder."""

    packets: tuple[bytes, ...]
    controls: tuple[tuple[int, bytes], ...]
    counters: dict[str, int]
    error: str
    sink: SinkStats

    def counted(self) -> dict[str, int]:
        """The counters that moved."""
        return {name: value for name, value in self.counters.items() if value}


def outcome(twin: Twin, chunks: Iterable[bytes]) -> Outcome:
    error = ""
    for chunk in chunks:
        try:
            twin.feed(chunk)
        except (MalformedFrame, CodecError) as exc:
            error = str(exc)
    twin.sink.flush()
    packets = tuple(iter(twin.sink.take, None))
    return Outcome(packets, tuple(iter(twin.control, None)), twin.counters(), error, twin.sink.stats())


def in_steps(data: bytes, step: int) -> list[bytes]:
    return [data[i : i + step] for i in range(0, len(data), step)]


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    borders = sorted({c % (len(data) + 1) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(borders)]


def corrupt(data: bytes, flips: Sequence[tuple[int, int]]) -> bytes:
    bad = bytearray(data)
    for at, mask in flips:
        if bad:
            bad[at % len(bad)] ^= mask
    return bytes(bad)


wild_cuts = st.lists(st.integers(0, 1 << 17), max_size=30)
wild_flips = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4)
