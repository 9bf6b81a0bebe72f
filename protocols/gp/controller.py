"""The life of the TLS tunnel after START_TUNNEL, sans-IO (sections 11.3, 13.1 and 13.2).

    UP --silence for 2 D--> DONE: Reconnect
       --rekey or host report due--> DONE: Reconnect, planned
       --the login's time is over--> UP: Warn

A keepalive that comes is an echo of ours or cannot be told from one: it is never answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

from protocols.base import Action, Control, Reconnect, Send, Traffic, Warn
from protocols.errors import UnexpectedFrame
from protocols.framing.gpst import Kind
from protocols.gp.config import Timers
from protocols.gp.hip import early

DPD = 10.0  # seconds; what the official client uses
LEAST_DPD = 2.0  # seconds
KEEPALIVE = Control(Kind.KEEPALIVE)


class State(Enum):
    UP = "up"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds.  dpd: silence that is asked about; report: until the next host report; 0 of the others: never."""

    timers: Timers
    dpd: float = DPD
    report: int = 0


class GpstController:
    """One tunnel.  Deadlines are counted from `now`, the opening of this link."""

    def __init__(self, schedule: Schedule, now: float) -> None:
        timers = schedule.timers
        self.state = State.UP
        self._dpd, self._timers = max(schedule.dpd, LEAST_DPD), timers
        self._received_at = self._sent_at = now
        self._asked_at = -inf  # when our last keepalive that wants an answer left
        self._rekey_at = now + early(timers.tunnel) if timers.tunnel else inf
        self._report_at = now + schedule.report if schedule.report else inf
        self._ends_at = now + timers.session if timers.session else inf
        self._alert_at = max(self._ends_at - timers.notify, now) if timers.notify else self._ends_at

    def on_control(self, frame: Control, now: float) -> list[Action]:
        """Only keepalives come this way, and that one came is all it says.  Raises UnexpectedFrame."""
        if frame.kind != Kind.KEEPALIVE:
            raise UnexpectedFrame(f"gpst frame {frame.kind:#06x}", state=self.state.value)
        return []

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self.state is not State.UP:
            return []
        self._received_at = max(self._received_at, traffic.received_at)
        self._sent_at = max(self._sent_at, traffic.sent_at)
        if now >= self._received_at + 2 * self._dpd:
            return self._over(f"the gateway was silent for {now - self._received_at:.0f} s{self._idle_note()}")
        if now >= self._rekey_at:
            return self._over("new keys are due", planned=True)
        if now >= self._report_at:
            return self._over("a host report is due", planned=True)
        return [*self._warnings(now), *self._keepalive(now)]

    def deadline(self) -> float:
        if self.state is not State.UP:
            return inf
        return min(
            self._received_at + 2 * self._dpd,
            self._ask_at(),
            self._sent_at + self._dpd,
            self._rekey_at,
            self._report_at,
            self._alert_at,
        )

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # keys are renewed by a new tunnel

    def goodbye(self, reason: str) -> list[Action]:
        """No frame ends a session: the logout does (section 13.4)."""
        self.state = State.DONE
        return []

    def _over(self, reason: str, *, planned: bool = False) -> list[Action]:
        self.state = State.DONE
        return [Reconnect(reason, planned=planned)]

    def _keepalive(self, now: float) -> list[Action]:
        asking = now >= self._ask_at()
        if not asking and now < self._sent_at + self._dpd:
            return []
        if asking:
            self._asked_at = now
        self._sent_at = now
        return [Send(KEEPALIVE)]

    def _ask_at(self) -> float:
        """After D of silence, and again every D/2."""
        asked = self._asked_at > self._received_at
        return self._asked_at + self._dpd / 2 if asked else self._received_at + self._dpd

    def _warnings(self, now: float) -> list[Action]:
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

    def _idle_note(self) -> str:
        """Keepalives do not count there, so a quiet session ends although it is alive (Q35)."""
        return f"; it ends sessions that are idle for {self._timers.idle} s" if self._timers.idle else ""
