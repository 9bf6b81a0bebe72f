"""A client's PPP link once packets flow, sans-IO: echoes, rejects, a new negotiation, the end.

    UP --silence, other options than before, a path too small for IPv6--> DONE        (Reconnect)
    UP --Terminate-Request, another address--> DONE        (Ended, Dismissed)
    UP --goodbye--> DONE

The pump's codec keeps the options it was started with: if a new negotiation by the peer ends in others, the link is
opened anew.  Times: monotonic seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from protocols.base import Action, Control, Dismissed, Ended, Reconnect, Send, SetMtu, Traffic, Warn
from protocols.ppp.echo import Watch
from protocols.ppp.engine import Agreed, Engine, Phase

ALERT = 300.0  # seconds before the end of the session


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds; 0: unknown.  session: until the session ends.  idle: without traffic, for the user only.

    speak: between two echoes that we ask for, whatever else comes and goes, for a way of datagrams; 0: none.  They keep
    what is between us and the gateway from forgetting it; and only an answer proves that what we send arrives.
    """

    session: float = 0
    idle: int = 0
    speak: float = 0


@dataclass(frozen=True, slots=True)
class Room:
    """How large a packet may be where one datagram must hold it.  Bytes.

    size: at first, and never more.  least: with less the link is no good.  of: from the path's MTU to the packet's.
    """

    size: int
    least: int
    of: Callable[[int], int]


class PppController:
    """engine: open.  now: when packets may flow.  room: on a datagram link."""

    def __init__(self, engine: Engine, timers: Timers, now: float, room: Room | None = None) -> None:
        self._engine, self._timers = engine, timers
        self._agreed = engine.agreed()
        self._given_up = set(engine.failures)
        self._done = False
        self._room, self._size = room, room.size if room else 0
        self._way = Watch(timers.speak, now)
        self._ends_at = now + timers.session if timers.session else inf
        self._alert_at = self._ends_at - min(ALERT, timers.session / 2)

    def on_control(self, frame: Control, now: float) -> list[Action]:
        if self._done:
            return []
        return self._sends(self._engine.on_frame(frame, now)) + self._consequences(now)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self._done:
            return []
        frames = self._engine.on_time(now, traffic.received_at) or self._speak(now)
        return [*self._sends(frames), *self._warnings(now), *(self._consequences(now) or self._unheard(now))]

    def deadline(self) -> float:
        return inf if self._done else min(self._engine.deadline(), self._alert_at, self._way.deadline())

    def _speak(self, now: float) -> list[Control]:
        self._way.heard(self._engine.answered_at)
        due = not self._way.dead(now) and self._way.asks(now)
        return self._engine.ask() if due and self._engine.is_open else []

    def _unheard(self, now: float) -> list[Action]:
        """The gateway speaks, and answers nothing any more: it does not get what we send."""
        if not self._way.dead(now):
            return []
        if self._engine.answered_at > -inf:
            return self._finish(Reconnect(f"the gateway has answered nothing for {self._way.silence(now):.0f} s"))
        self._way.heard(now)  # one that never answers echoes
        return []

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # never asked for: PPP has no rekey

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        """The kernel has learned how large a packet the way to the gateway takes."""
        room = self._room
        if self._done or room is None:
            return []
        size = min(room.of(mtu), room.size)
        if size < room.least:
            text = f"the way to the gateway takes {mtu} bytes by now: packets of {room.least} do not fit a datagram"
            return self._finish(Reconnect(text))
        changed, self._size = size != self._size, size
        return [SetMtu(size)] if changed else []

    def goodbye(self, reason: str) -> list[Action]:
        """A Terminate-Request: the gateway frees the address."""
        if self._done:
            return []
        self._done = True
        return self._sends(self._engine.close(0))  # its deadline is of no interest: the link goes now

    @staticmethod
    def _sends(frames: list[Control]) -> list[Action]:
        return [Send(frame) for frame in frames]

    def _consequences(self, now: float) -> list[Action]:
        engine = self._engine
        if engine.phase is Phase.DEAD:
            return self._finish(Reconnect(f"the gateway was silent for {engine.silence(now):.0f} s"))
        if engine.phase is Phase.ENDED:
            return self._finish(self._ending())
        lost = [str(why) for number, why in engine.failures.items() if number not in self._given_up]
        self._given_up.update(engine.failures)
        actions: list[Action] = [Warn(text) for text in lost]
        if engine.is_open:
            actions += self._compare(engine.agreed())
        return actions

    def _compare(self, agreed: Agreed) -> list[Action]:
        """After a new negotiation: may the codec go on as it is?"""
        before = self._agreed
        if agreed.address not in (None, before.address):
            text = f"the gateway gave the address {agreed.address}, want {before.address} as before"
            return self._finish(Ended(text))
        magic = agreed.granted.magic  # of no importance for the codec
        if agreed.granted != replace(before.granted, magic=magic) or agreed.families & ~before.families:
            return self._finish(Reconnect("the gateway negotiated other options for the link"))
        return []

    def _ending(self) -> Ended | Dismissed:
        if self._engine.reason:
            return Ended(f"the gateway ended the session: {self._engine.reason}")
        idle = self._timers.idle
        note = f"; it ends sessions that are idle for {idle} s" if idle else ""
        return Dismissed(f"the gateway ended the link (no reason given){note}")

    def _finish(self, action: Action) -> list[Action]:
        self._done = True
        return [action]

    def _warnings(self, now: float) -> list[Action]:
        if now < self._alert_at:
            return []
        if now < self._ends_at:
            self._alert_at = self._ends_at
            left = self._ends_at - now
            span = f"{left / 60:.0f} minutes" if left >= 120 else f"{left:.0f} s"
            return [Warn(f"the gateway will end this session in {span}; you will have to sign in again")]
        self._alert_at = inf
        return [Warn("the session's time is over: the gateway will end it, sign in again")]
