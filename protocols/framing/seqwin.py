"""Anti-replay window of a datagram tunnel, 64 numbers wide, exact; the twin is seqwin.c.

Any number may come first, lower ones may follow, and there is no wrap: after 0xffffffff nothing newer exists.
Source: ESP notes, section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

WIDTH = 64  # numbers
_MASK = (1 << WIDTH) - 1


class Sequence(Enum):
    """What a number is to a window."""

    FRESH = "fresh"
    REPLAY = "replay"
    OLD = "old"


@dataclass(slots=True)
class SequenceWindow:
    """next: the next number expected, 0..2^32.  map: bit i is set when number next-1-i was received."""

    next: int = 0
    map: int = 0

    def take(self, number: int) -> Sequence:
        """Judge a genuine number (0..2^32-1), and remember it.  Never call it before the packet is authenticated."""
        if number >= self.next:
            self.map = (self.map << (number - self.next + 1) if number - self.next < WIDTH else 0) & _MASK | 1
            self.next = number + 1
            return Sequence.FRESH
        age = self.next - 1 - number
        if age >= WIDTH:
            return Sequence.OLD
        if self.map >> age & 1:
            return Sequence.REPLAY
        self.map |= 1 << age
        return Sequence.FRESH
