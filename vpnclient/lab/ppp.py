"""PPP from a lab gateway's side: the negotiation before the framing's pump, and the life of the link after it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from protocols.base import Control, Send, Traffic, Warn
from protocols.errors import NegotiationFailed
from protocols.ppp.engine import Engine, Phase
from protocols.ppp.opening import Opening, Options
from vpnclient.lab.site import Hangup, ServerAction

PATIENCE = 3.0  # seconds for a client to close the link that it has ended


class PppOpening:
    """What both sides say before packets flow.  clock: monotonic seconds."""

    def __init__(self, framing: str, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._opening = Opening(framing, engine)

    def begin(self) -> tuple[bytes, ...]:
        return tuple(self._opening.begin(self._clock()))

    def feed(self, data: bytes) -> tuple[bytes, ...]:
        """Raises ProtocolError."""
        answers = tuple(self._opening.feed(data, self._clock()))
        if self._opening.done and not self._engine.is_open:
            said = f": {self._engine.reason}" if self._engine.reason else ""
            raise NegotiationFailed("ppp-establish-failed", f"the client ended the link while it was negotiated{said}")
        return answers

    def rest(self) -> bytes | None:
        return self._opening.unread if self._opening.done else None

    def options(self) -> Options:
        return self._opening.options()


class PppServer:
    """One link of one session.  expires_at: monotonic seconds; then the session ends.

    A client that ends the link closes it itself: openconnect fails to log out if we are quicker.  It may come back
    until it logs out, or its session expires.
    """

    def __init__(self, engine: Engine, *, expires_at: float) -> None:
        self._engine, self._expires_at = engine, expires_at
        self._over = False
        self._hangup = Hangup("", forget=False)
        self._hangup_at = math.inf

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        """Raises ProtocolError."""
        actions: list[ServerAction] = []
        for frame in frames:
            if self._over:
                break
            actions += self._act(self._engine.on_frame(frame, now), now)
        return actions

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        if self._over:
            return [self._hangup] if now >= self._hangup_at else []
        if now >= self._expires_at:
            return self.farewell("session timeout")
        return self._act(self._engine.on_time(now, traffic.received_at), now)

    def deadline(self) -> float:
        return self._hangup_at if self._over else min(self._engine.deadline(), self._expires_at)

    def farewell(self, reason: str) -> list[ServerAction]:
        self._over = True
        sent = [Send(frame) for frame in self._engine.close(0, reason)]  # the link goes now: no deadline
        return [*sent, Hangup(reason, forget=True)]

    def _act(self, frames: list[Control], now: float) -> list[ServerAction]:
        actions: list[ServerAction] = [Send(frame) for frame in frames]
        self._over = self._engine.phase in (Phase.ENDED, Phase.DEAD)
        if self._engine.phase is Phase.DEAD:
            actions.append(Hangup(f"silent for {self._engine.silence(now):.0f} s", forget=False))
        elif self._engine.phase is Phase.ENDED:
            said = f": {self._engine.reason}" if self._engine.reason else ""
            self._hangup = Hangup(f"the client ended the link{said}", forget=False)
            self._hangup_at = now + PATIENCE
            actions.append(Warn(self._hangup.reason))
        return actions
