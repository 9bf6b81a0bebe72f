"""What both channels of GlobalProtect have in common: new keys, host reports, the end of the login (section 13)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from protocols.base import Action, Reconnect, Warn
from protocols.gp.config import Timers
from protocols.gp.hip import early

DPD = 10.0  # seconds; what the official client uses
LEAST_DPD = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds.  dpd: silence that is asked about; report: between two host reports, 0: none.

    since: monotonic, when the configuration came; from then on everything but dpd counts.
    """

    timers: Timers
    since: float
    dpd: float = DPD
    report: int = 0


class Deadlines:
    """When what is due."""

    def __init__(self, schedule: Schedule) -> None:
        timers, since = schedule.timers, schedule.since
        self._timers, self._every = timers, schedule.report
        self._rekey_at = since + early(timers.tunnel) if timers.tunnel else inf
        self._report_at = since + schedule.report if schedule.report else inf
        self._ends_at = since + timers.session if timers.session else inf
        self._alert_at = max(self._ends_at - timers.notify, since) if timers.notify else self._ends_at

    def next(self) -> float:
        return min(self._rekey_at, self._report_at, self._alert_at)

    def rekey(self, now: float) -> list[Action]:
        return [Reconnect("new keys are due", planned=True)] if now >= self._rekey_at else []

    def report_due(self, now: float) -> bool:
        """Whether a host report is due; asked once."""
        if now < self._report_at:
            return False
        self._report_at = now + self._every
        return True

    def warnings(self, now: float) -> list[Action]:
        if now < self._alert_at:
            return []
        if now >= self._ends_at:
            self._alert_at = inf
            return [Warn("the session's time is over: the gateway will end it, sign in again")]
        self._alert_at = self._ends_at
        left = self._ends_at - now
        span = f"{left / 60:.0f} minutes" if left >= 120 else f"{left:.0f} s"
        said = f": {self._timers.message}" if self._timers.message else ""
        return [Warn(f"the gateway will end this session in {span}{said}")]

    def idle_note(self) -> str:
        """Keepalives do not count there, so a quiet session ends although it is alive (Q35)."""
        return f"; it ends sessions that are idle for {self._timers.idle} s" if self._timers.idle else ""
