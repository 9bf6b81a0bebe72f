"""Which packets does the UDP path take?  A binary search by DPD requests of growing and shrinking size, sans-IO.

Sizes: bytes of a tunnel packet, times: monotonic seconds.  Source: anyconnect.md section 7, Q18.
"""

from __future__ import annotations

from math import inf

TRY = 0.05  # seconds for an answer
TRIES = 6  # of one size
PATIENCE = 10.0  # seconds in all


class MtuSearch:
    """Ask `probe` until `result` is there.  low: taken for granted; high: the largest that is wanted.

    mark: a few random bytes, with which each probe begins.
    """

    def __init__(self, low: int, high: int, now: float, mark: bytes = b"") -> None:
        self._low, self._high = min(low, high), high
        self._negotiated = high
        self._size = high
        self._mark = mark
        self._tries = 0
        self._next_at = now
        self._gives_up_at = now + PATIENCE
        self._proven = 0  # the largest that was answered
        self.result: int | None = None  # the size to use

    def deadline(self) -> float:
        return inf if self.result is not None else min(self._next_at, self._gives_up_at)

    def probe(self, now: float) -> bytes | None:
        """The payload of a DPD request to send now; None: not now, or it is over."""
        if self.result is None and now >= self._gives_up_at:
            self._finish()
        if self.result is None and now >= self._next_at and self._tries == TRIES:
            self._too_large(self._size)
        if self.result is not None or now < self._next_at:
            return None
        self._tries += 1
        self._next_at = now + TRY
        return self._mark + bytes(self._size - len(self._mark))

    def answered(self, size: int, now: float) -> None:
        """A DPD answer of `size` bytes came; other than of a probe it says nothing."""
        if self.result is not None or not self._low <= size <= self._high:
            return
        self._proven = self._low = max(self._low, size)
        if size >= self._size:
            self._go_on(now)

    def limit(self, size: int, now: float) -> None:
        """The kernel knows that more than `size` bytes do not pass."""
        if self.result is None and size < self._high:
            self._high = self._negotiated = max(size, self._low)
            if self._size > self._high:
                self._size, self._tries, self._next_at = self._high, 0, now

    def _too_large(self, size: int) -> None:
        self._high = max(size - 1, self._low)
        self._go_on(self._next_at)

    def _go_on(self, now: float) -> None:
        if self._low >= self._high and (self._proven or self._size == self._low):
            self._finish()
            return
        self._size = (self._low + self._high + 1) // 2
        self._tries, self._next_at = 0, now

    def _finish(self) -> None:
        """Nothing was ever answered: the path tells nothing, the size that was negotiated stays."""
        self.result = self._low if self._proven else self._negotiated
