"""Runs the loops of `python -m benchmarks.decoders`: the C program for the engine, and the Python twins right here.

Every figure is nanoseconds a packet, once a round; what counts is the median of the rounds.  Sinks are those of
benchmarks/device.c: memory, Wintun (the double of the driver), TUN (a real one, where there are rights for it).
"""

from __future__ import annotations

import contextlib
import json
import random
import runpy
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Goal, Twin
from tests.transports.packets import ipv4
from tests.transports.sinks import wait_for_driver
from tests.wintun_double import double
from transports.sink import MemorySink, NativeSink, PacketSink

ROOT = Path(__file__).resolve().parent.parent
PROGRAM, COUNTING_PROGRAM = "bench_decoders", "bench_decoders_counting"
READ = 16384  # bytes of stream between two flushes
FLUSH = 48  # packets between two flushes, at most; the memory sinks hold 64
TIMEOUT = 60.0  # seconds for one run of the C program
MTU = 16384  # bytes
PYTHON_BATCH = 0.003  # seconds that a round of a Python twin should take
PYTHON_PACKETS = (4, 256)  # a round, at least and at most
COUNTED_ROUNDS = 2
WORDS = "the packet GET /index .html HTTP/1.1\r\n Host: and of a tunnel 0x7e <div> </div> example .com".split(" ")


@dataclass(frozen=True, slots=True)
class Figure:
    """Nanoseconds a packet (or a ratio): median and quartiles of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: list[float]) -> Figure:
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(slots=True)
class Row:
    """All of one framing, in one language, at one size.

    decode: by sink; ratio: time of libcrypto alone (of write(2) for the TUN) / ours, in the same rounds; shares: of the
    packets, as the sinks counted them; copies: bytes a byte of packet that the engine's code copied by memcpy, beside
    the way in; bytes_on_wire: of a frame, on average.
    """

    name: str
    language: str
    size: int
    encode: Figure | None = None
    decode: dict[str, Figure] = field(default_factory=dict)
    ratio: dict[str, Figure] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    copies: dict[str, float] = field(default_factory=dict)
    header_only: bool = False  # the encoder writes a header in front of a packet that lies where it leaves from
    allocations: int | None = None
    counted_packets: int = 0
    bytes_on_wire: float = 0.0

    def document(self) -> dict[str, object]:
        return asdict(self)


def build(name: str = PROGRAM) -> Path:
    program: Path = runpy.run_path(str(ROOT / "scripts" / "build_engine.py"))["program"](ROOT, name)
    return program


# --- the engine -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Engine:
    """The two C programs.  tun: a descriptor of a TUN that is up, or -1."""

    program: Path
    counting: Path
    tun: int

    def measure(self, case: Case, size: int, rounds: int) -> Row:
        row = Row(case.name, "C", size)
        for sink in sinks(self.tun):
            ran = self._run(self.program, case, sink, size, rounds)
            row.decode[sink] = Figure.of(ran["decode"])
            if sink == "memory":
                _note(row, ran)
            if sink == "wintun":
                row.shares["moved"] = ran["sink"]["moved"] / ran["sink"]["packets"]
            if sink == "tun":
                row.ratio["tun"] = _ratio(ran["bare_write"], ran["decode"])
        self.count(case, size, row)
        row.header_only = case.goal is Goal.PACKETS and row.copies["encode"] == 0
        return row

    def count(self, case: Case, size: int, row: Row) -> None:
        """Allocations and copies, in a run that is not timed."""
        ran = self._run(self.counting, case, "memory", size, COUNTED_ROUNDS)
        payload = ran["total"] * size
        row.allocations = ran["encode_allocations"] + ran["decode_allocations"]
        row.counted_packets = ran["total"]
        row.copies = {
            "encode": ran["encode_copied"] / payload,
            "decode": (ran["decode_copied"] - ran["arrived"]) / payload,
        }

    def _run(self, program: Path, case: Case, sink: str, size: int, rounds: int) -> dict[str, Any]:
        tun = self.tun if sink == "tun" else -1
        command = [str(program), *case.arguments(sink, tun, size, rounds)]
        descriptors = (tun,) if tun >= 0 else ()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False, pass_fds=descriptors
        )
        if done.returncode:
            raise RuntimeError(f"{case.name} into {sink} at {size} bytes: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def sinks(tun: int) -> tuple[str, ...]:
    return ("memory", "wintun", "tun") if tun >= 0 else ("memory", "wintun")


def _note(row: Row, ran: dict[str, Any]) -> None:
    counters = ran["sink"]
    row.encode = Figure.of(ran["encode"])
    row.shares = {name: counters[name] / counters["packets"] for name in ("in_place", "copied", "expanded")}
    row.bytes_on_wire = ran["wire_bytes"] / ran["packets"]
    if "raw_decode" in ran:
        row.ratio["decode"] = _ratio(ran["raw_decode"], ran["decode"])
        row.ratio["encode"] = _ratio(ran["raw_encode"], ran["encode"])


def _ratio(theirs: list[float], ours: list[float]) -> Figure:
    """Of the same rounds."""
    return Figure.of([other / mine for other, mine in zip(theirs, ours, strict=True)])


# --- the Python twins -------------------------------------------------------------------------------------------


def measure_python(case: Case, size: int, repeats: int, tun: int) -> Row:
    row = Row(case.name, "Python", size)
    for kind in sinks(tun):
        with _device(kind, tun) as (sink, settle):
            twin = case.twin(sink)
            number = _batch(case, twin, size, settle)
            spent = [_round(case, twin, packets(case.content, size, number), sink, settle) for _ in range(repeats)]
        row.decode[kind] = Figure.of([decoding for _, decoding in spent])
        if kind == "memory":
            row.encode = Figure.of([encoding for encoding, _ in spent])
            seen = sink.stats()
            row.shares = {name: getattr(seen, name) / seen.packets for name in ("in_place", "copied", "expanded")}
    return row


def packets(content: str, size: int, number: int) -> list[bytes]:
    """IP packets with content as the C program has it."""
    dice = random.Random(1)
    made = []
    for mark in range(number):
        if content == "text":
            body = " ".join(dice.choice(WORDS) for _ in range(size)).encode()[: size - 20]
        else:
            body = dice.randbytes(size - 20)
        made.append(ipv4(size, mark=mark)[:20] + body)
    return made


@contextlib.contextmanager
def _device(kind: str, tun: int) -> Iterator[tuple[PacketSink, Callable[[], None]]]:
    """A sink, and what empties it after a flush."""
    if kind == "memory":
        memory = MemorySink(64)
        yield memory, lambda: _take_all(memory)
    elif kind == "tun":
        yield NativeSink.tun(tun, MTU), lambda: None
    else:
        with double.rings() as rings:
            sink = NativeSink.wintun(rings.receive.memory, rings.receive.event, MTU)
            yield sink, lambda: _settle(sink)


def _take_all(sink: MemorySink) -> None:
    while sink.take() is not None:
        pass


def _settle(sink: NativeSink) -> None:
    wait_for_driver(sink)
    double.taken()


def _batch(case: Case, twin: Twin, size: int, settle: Callable[[], None]) -> int:
    """Packets a round: found with the first one, which also warms up."""
    start = time.perf_counter()
    for packet in packets(case.content, size, 2):
        twin.take(twin.encode(packet))
    spent = (time.perf_counter() - start) / 2
    least, most = PYTHON_PACKETS
    return max(least, min(most, int(PYTHON_BATCH / spent)))


def _round(
    case: Case, twin: Twin, batch: list[bytes], sink: PacketSink, settle: Callable[[], None]
) -> tuple[float, float]:
    """Nanoseconds a packet: encoding, decoding."""
    start = time.perf_counter_ns()
    frames = [twin.encode(packet) for packet in batch]
    encoding = time.perf_counter_ns() - start
    decoding = 0
    for group in _groups(case, frames):
        start = time.perf_counter_ns()
        for piece in group:
            twin.take(piece)
        sink.flush()
        decoding += time.perf_counter_ns() - start
        settle()
    return encoding / len(batch), decoding / len(batch)


def _groups(case: Case, frames: list[bytes]) -> Iterator[list[bytes]]:
    """What comes between two flushes: datagrams, or one piece of the stream."""
    if case.datagrams:
        step = max(1, min(FLUSH, READ // max(map(len, frames))))
        yield from (frames[i : i + step] for i in range(0, len(frames), step))
        return
    stream = b"".join(frames)
    chunk = min(READ, FLUSH * min(map(len, frames)))
    yield from ([stream[i : i + chunk]] for i in range(0, len(stream), chunk))
