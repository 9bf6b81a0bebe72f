"""The life of the TLS tunnel after START_TUNNEL, sans-IO (sections 11.3, 13.1 and 13.2).

    UP --silence for 2 D--> DONE: Reconnect
       --new keys or a host report due--> DONE: Reconnect, planned
       --the login's time is over--> UP: Warn

A keepalive that comes is an echo of ours or cannot be told from one: it is never answered.
"""

from __future__ import annotations

from enum import Enum
from math import inf

from protocols.base import Action, Control, Reconnect, Send, Traffic
from protocols.errors import UnexpectedFrame
from protocols.framing.gpst import Kind
from protocols.gp.life import LEAST_DPD, Deadlines, Schedule

KEEPALIVE = Control(Kind.KEEPALIVE)


class State(Enum):
    UP = "up"
    DONE = "done"


class GpstController:
    """One tunnel.  now: monotonic seconds, when it was opened."""

    def __init__(self, schedule: Schedule, now: float) -> None:
        self.state = State.UP
        self._dpd, self._deadlines = max(schedule.dpd, LEAST_DPD), Deadlines(schedule)
        self._received_at = self._sent_at = now
        self._asked_at = -inf  # when our last keepalive that wants an answer left

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
        ending = self._dead(now) or self._deadlines.rekey(now) or self._report(now)
        if ending:
            self.state = State.DONE
            return ending
        return [*self._deadlines.warnings(now), *self._keepalive(now)]

    def deadline(self) -> float:
        if self.state is not State.UP:
            return inf
        dead_at = self._received_at + 2 * self._dpd
        return min(dead_at, self._ask_at(), self._sent_at + self._dpd, self._deadlines.next())

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # keys are renewed by a new tunnel

    def goodbye(self, reason: str) -> list[Action]:
        """No frame ends a session: the logout does (section 13.4)."""
        self.state = State.DONE
        return []

    def _dead(self, now: float) -> list[Action]:
        if now < self._received_at + 2 * self._dpd:
            return []
        silent = f"the gateway was silent for {now - self._received_at:.0f} s"
        return [Reconnect(silent + self._deadlines.idle_note())]

    def _report(self, now: float) -> list[Action]:
        """The tunnel is closed for it: nobody knows whether a gateway takes one beside a live tunnel (section 10)."""
        return [Reconnect("a host report is due", planned=True)] if self._deadlines.report_due(now) else []

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
