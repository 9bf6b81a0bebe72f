"""Two PPP engines and a link between them that loses, doubles and delays frames as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf

from protocols.base import Control
from protocols.ppp.engine import Engine, Phase, Wishes
from protocols.ppp.packet import Packet, Proto, parse

MAX_EVENTS = 20_000


def counting(start: int = 1) -> Callable[[int], bytes]:
    """Random bytes of a test: numbers in a row."""
    numbers = count(start)
    return lambda length: next(numbers).to_bytes(length, "big")


def engine(wishes: Wishes | None = None, seed: int = 1) -> Engine:
    return Engine(wishes or Wishes(), counting(seed), 0.0)


def lcp(data: str) -> Control:
    return Control(Proto.LCP, bytes.fromhex(data))


def ipcp(data: str) -> Control:
    return Control(Proto.IPCP, bytes.fromhex(data))


def hexes(frames: Iterable[Control]) -> list[str]:
    """protocol/packet, in hex."""
    return [f"{frame.kind:04x}/{frame.payload.hex()}" for frame in frames]


def packets(frames: Iterable[Control], proto: int = Proto.LCP) -> list[Packet]:
    return [parse(frame.payload) for frame in frames if frame.kind == proto]


@dataclass
class Wire:
    """fates: what happens to each frame sent: delays in seconds, none: lost.  Out of fates: one delay of 0.01 s."""

    left: Engine
    right: Engine
    fates: Iterator[tuple[float, ...]] = field(default_factory=lambda: iter(()))
    now: float = 0.0
    sent: int = 0
    raised: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._under_way: list[tuple[float, int, Engine, Control]] = []
        self._number = count()

    def run(self, until: float = 200.0) -> None:
        """Until both are open or over and nothing is under way, or an engine raises, or the time is over."""
        for one in (self.left, self.right):
            self._send(one, one.begin(self.now))
        for _event in range(MAX_EVENTS):
            if self.raised or self._settled():
                return
            self._under_way.sort(key=lambda item: item[:2])
            arrival = self._under_way[0][0] if self._under_way else inf
            timer = min(self.left.deadline(), self.right.deadline())
            self.now = max(self.now, min(arrival, timer))
            if self.now > until:
                return
            try:
                self._step(arrival, timer)
            except Exception as exc:
                self.raised.append(exc)
        raise AssertionError(f"no end after {MAX_EVENTS} events: {self.left.phase}, {self.right.phase}")

    def _settled(self) -> bool:
        done = (Phase.OPEN, Phase.ENDED, Phase.DEAD)
        return not self._under_way and self.left.phase in done and self.right.phase in done

    def _step(self, arrival: float, timer: float) -> None:
        if arrival <= timer:
            _, _, to, frame = self._under_way.pop(0)
            self._send(to, to.on_frame(frame, self.now))
            return
        for one in (self.left, self.right):
            if one.deadline() <= self.now:
                self._send(one, one.on_time(self.now))

    def _send(self, source: Engine, frames: list[Control]) -> None:
        to = self.right if source is self.left else self.left
        for frame in frames:
            self.sent += 1
            for delay in next(self.fates, (0.01,)):
                self._under_way.append((self.now + delay, next(self._number), to, frame))
