"""Sums up the pumps of a session: every reconnect starts a new pump at zero, the user's figures go on."""

from __future__ import annotations

from collections import Counter

from transports.pump import UDP_DROPS, PumpStats
from vpnclient.events import Statistics

ORDINARY = frozenset({"esp_authentic", "esp_together"})  # counted by framings, but neither a drop nor odd


class Totals:
    """Figures since the session began; `current` is the running pump's, `fold` adds those of one that ended."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.current: PumpStats | None = None
        self._since: float | None = None
        self._sums: Counter[str] = Counter()
        self._counters: Counter[str] = Counter()

    def begin(self, now: float) -> None:
        """The first time: from here the seconds count."""
        if self._since is None:
            self._since = now

    def fold(self, stats: PumpStats, counters: dict[str, int]) -> None:
        """Add the last figures of a pump that has stopped."""
        self._sums.update(_figures(stats))
        self._counters.update(counters)
        self._counters.update(_drops(stats))
        self.current = None

    def statistics(self, now: float, counters: dict[str, int]) -> Statistics:
        sums, causes = self._sums.copy(), self._counters.copy()
        if self.current is not None:
            sums.update(_figures(self.current))
            causes.update(counters)
            causes.update(_drops(self.current))
        return Statistics(
            seconds=round(now - self._since, 3) if self._since is not None else 0.0,
            rx_bytes=sums["rx_bytes"],
            tx_bytes=sums["tx_bytes"],
            rx_packets=sums["rx_packets"],
            tx_packets=sums["tx_packets"],
            dropped=sums["dropped"],
            reconnects=self.reconnects,
            counters=tuple(sorted((name, causes[name]) for name in causes.keys() - ORDINARY if causes[name])),
        )


def _figures(stats: PumpStats) -> dict[str, int]:
    return {
        "rx_bytes": stats.rx_bytes,
        "tx_bytes": stats.tx_bytes,
        "rx_packets": stats.rx_packets,
        "tx_packets": stats.tx_packets,
        "dropped": sum(_drops(stats).values()),
    }


def _drops(stats: PumpStats) -> dict[str, int]:
    return {
        "dropped_tx_oversize": stats.dropped_tx_oversize,
        "dropped_tx_not_ip": stats.dropped_tx_not_ip,
        "dropped_controls_up": stats.dropped_controls_up,
        "dropped_full": stats.sink.dropped_full,
        "refused": stats.sink.refused,
        "not_ip": stats.sink.not_ip,
        "oversize": stats.sink.oversize,
        "dropped_tx_switched": stats.dropped_tx_switched,
        "tun_bad_vnet": stats.tun_bad_vnet,
        **{f"udp_{cause}": stats.udp.get(cause, 0) for cause in UDP_DROPS},
    }
