"""When to ask whether the peer is still there (section 10): dead peer detection by LCP Echo-Requests.

An Echo-Request D seconds after the last packet, then every D/2 while it is silent; dead after 2 D.
"""

from __future__ import annotations

from math import inf


class Watch:
    """interval: D in seconds, 0: off.  Times: monotonic seconds."""

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._heard_at = now
        self._asked_at = -inf

    def heard(self, at: float) -> None:
        self._heard_at = max(self._heard_at, at)

    def switch_off(self) -> None:
        """The peer does not know echoes."""
        self._interval = 0

    def silence(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self._heard_at

    def dead(self, now: float) -> bool:
        return now >= self._dead_at()

    def asks(self, now: float) -> bool:
        """Whether a question is due; it counts as asked."""
        if now < self._due():
            return False
        self._asked_at = now
        return True

    def deadline(self) -> float:
        return min(self._due(), self._dead_at())

    def _dead_at(self) -> float:
        return self._heard_at + 2 * self._interval if self._interval else inf

    def _due(self) -> float:
        if not self._interval:
            return inf
        if self._asked_at > self._heard_at:
            return self._asked_at + self._interval / 2
        return self._heard_at + self._interval
