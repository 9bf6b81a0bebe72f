"""What one session knows of its way by DTLS, and how a tunnel over TLS gets back to it (ppp.md section 13).

the controller of a tunnel over TLS:

WAITING --a minute--> SEEKING --answered--> DONE     (Reconnect, planned: the association waits in the Way)
   ^                     |
   +----- no answer -----+--never in this session--> OFF
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from protocols.base import Action, Control, Dismissed, Ended, Errand, Reconnect, Traffic
from protocols.errors import ProtocolError
from transports.errors import TransportError

if TYPE_CHECKING:
    from protocols.f5.plan import Plan
    from protocols.f5.udp import Answered
    from protocols.ppp.controller import PppController

EVERY = 60.0  # seconds between two looks for the way back
ANSWERS = "DTLS answers: packets go by it again"


@dataclass(frozen=True, slots=True)
class Ready:
    """An association that was answered, for the next tunnel; and with which options it was asked for."""

    plan: Plan
    answered: Answered


@dataclass(slots=True)
class Way:
    """every: seconds.  tried: the first tunnel has looked for it.  off: there is none in this session."""

    every: float = EVERY
    tried: bool = False
    off: bool = False
    _ready: Ready | None = None

    def put(self, ready: Ready) -> None:
        self.close()
        self._ready = ready

    def take(self) -> Ready | None:
        """What came back; the caller's from now on."""
        ready, self._ready = self._ready, None
        return ready

    def close(self) -> None:
        """Let go of what nobody took."""
        if (ready := self.take()) is not None:
            ready.answered.records.close()


class _State(Enum):
    WAITING = auto()
    SEEKING = auto()
    RESTED = auto()  # no answer: the clock has not been seen since
    OFF = auto()
    DONE = auto()


class WayBack:
    """A controller that seeks while another lives the tunnel's life.  seek: asks for a tunnel by DTLS."""

    def __init__(
        self, life: PppController, way: Way, plan: Plan, seek: Callable[[], Awaitable[Answered]], now: float
    ) -> None:
        self._life, self._way, self._plan, self._seek = life, way, plan, seek
        self._state, self._due = _State.WAITING, now + way.every

    def on_control(self, frame: Control, now: float) -> list[Action]:
        return self._life.on_control(frame, now)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        actions = self._life.on_time(traffic, now)
        if self._state is _State.RESTED:
            self._state, self._due = _State.WAITING, now + self._way.every
        over = any(isinstance(action, Reconnect | Ended | Dismissed) for action in actions)
        if self._state is _State.WAITING and now >= self._due and not over:
            self._state, self._due = _State.SEEKING, inf
            actions.append(Errand(self._look))
        return actions

    def deadline(self) -> float:
        return min(self._life.deadline(), self._due)

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return self._life.on_rekeyed(ok, now)

    def goodbye(self, reason: str) -> list[Action]:
        self._state, self._due = _State.DONE, inf
        return self._life.goodbye(reason)

    async def _look(self) -> list[Action]:
        """Packets go by TLS meanwhile, and go on so, whatever is wrong here."""
        try:
            answered = await self._seek()
        except TransportError:
            self._state, self._due = _State.RESTED, -inf
            return []
        except ProtocolError:
            self._state, self._due, self._way.off = _State.OFF, inf, True
            return []
        self._way.put(Ready(self._plan, answered))
        self._state, self._due = _State.DONE, inf
        return [Reconnect(ANSWERS, planned=True)]
