"""The producer of a Wintun ring as plain arithmetic (Wintun notes, 9.2 and 9.3), for the engine to be compared with.

It knows no memory: offsets, lengths and states only.  The driver gives room back by `head`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def slot(length: int) -> int:
    return 4 + (length + 3) // 4 * 4


@dataclass(slots=True, eq=False)
class Reservation:
    off: int
    span: int
    mark: int
    state: str = "open"  # open, done, aborted
    length: int = 0
    outside: bool = False  # in scratch memory


@dataclass(slots=True)
class Ring:
    capacity: int
    head: int = 0
    alloc: int = 0
    pub: int = 0
    moves: int = 0
    dropped: int = 0
    queue: list[Reservation] = field(default_factory=list)
    published: list[tuple[int, int, int]] = field(default_factory=list)  # offset, length, mark

    def space(self) -> int:
        return (self.head - self.alloc - 4) % self.capacity

    def reserve(self, capacity: int, mark: int) -> Reservation | None:
        if slot(capacity) > self.space():
            return None
        new = Reservation(self.alloc, slot(capacity), mark)
        self.alloc = (self.alloc + new.span) % self.capacity
        self.queue.append(new)
        return new

    def expand(self, reservation: Reservation, capacity: int) -> None:
        more = slot(capacity) - reservation.span
        if reservation.outside or more <= 0:
            return
        if reservation is self.queue[-1] and more <= self.space():
            self.alloc, reservation.span = (self.alloc + more) % self.capacity, slot(capacity)
        else:
            reservation.outside = True

    def commit(self, reservation: Reservation, length: int) -> None:
        reservation.state, reservation.length = "done", length
        if reservation is self.queue[-1] and not reservation.outside:
            self.alloc, reservation.span = (reservation.off + slot(length)) % self.capacity, slot(length)
        self._advance()

    def abort(self, reservation: Reservation) -> None:
        reservation.state = "aborted"
        if reservation is self.queue[-1]:
            self.alloc, reservation.span = reservation.off, 0
        self._advance()

    def _advance(self) -> None:
        while self.queue and self.queue[0].state != "open":
            front = self.queue.pop(0)
            if front.state == "done":
                self._finish(front)
        if not self.queue:
            self.alloc = self.pub

    def _finish(self, front: Reservation) -> None:
        if front.outside:
            if not self.queue:
                self.alloc = self.pub
            room = (self.queue[0].off - self.pub) % self.capacity if self.queue else self.space()
            if slot(front.length) > room:
                self.dropped += 1
                return
        elif front.off != self.pub:
            self.moves += 1
        self.published.append((self.pub, front.length, front.mark))
        self.pub = (self.pub + slot(front.length)) % self.capacity
