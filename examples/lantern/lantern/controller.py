"""The life of a Lantern tunnel: frames and the clock in, actions out; no sockets, no clock of its own.

    UP --BYE--> DONE (Ended)
    UP --silence for 2 dpd--> DONE (Reconnect)
    UP --goodbye--> DONE

After dpd seconds of silence the gateway is pinged, then every dpd / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from lantern.framing import Kind
from vpnclient.api import Action, Control, Ended, Reconnect, Send, Traffic, UnexpectedFrame

MAX_ECHO = 64  # bytes of a PING that come back
MAX_GOODBYE = 200  # bytes of text


class State(Enum):
    UP = "up"
    DONE = "done"


class LanternController:
    """One link, from CONFIG on.  dpd: seconds, 0: never ask.  `now`: monotonic seconds."""

    def __init__(self, dpd: float, now: float) -> None:
        self.state = State.UP
        self._dpd = dpd or inf
        self._heard_at = now
        self._pinged_at = -inf

    def on_control(self, frame: Control, now: float) -> list[Action]:
        self._heard_at = max(self._heard_at, now)
        if self.state is State.DONE:
            return []
        handler = _HANDLERS.get(frame.kind)
        if handler is None:
            raise UnexpectedFrame(f"frame of kind {frame.kind}", state=self.state.value)
        return handler(self, frame.payload)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self.state is State.DONE:
            return []
        self._heard_at = max(self._heard_at, traffic.received_at)
        if now >= self._dead_at():
            self.state = State.DONE
            return [Reconnect(f"the gateway was silent for {now - self._heard_at:.0f} s")]
        if now >= self._ping_due():
            self._pinged_at = now
            return [Send(Control(Kind.PING))]
        return []

    def deadline(self) -> float:
        return inf if self.state is State.DONE else min(self._dead_at(), self._ping_due())

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # never asked for

    def goodbye(self, reason: str) -> list[Action]:
        if self.state is State.DONE:
            return []
        self.state = State.DONE
        return [Send(Control(Kind.BYE, reason.encode("utf-8", "replace")[:MAX_GOODBYE]))]

    def _on_ping(self, payload: bytes) -> list[Action]:
        return [Send(Control(Kind.PONG, payload[:MAX_ECHO]))]

    def _on_pong(self, payload: bytes) -> list[Action]:
        return []  # that it came is all it says

    def _on_bye(self, payload: bytes) -> list[Action]:
        self.state = State.DONE
        text = "".join(c if c.isprintable() else " " for c in payload[:MAX_GOODBYE].decode("utf-8", "replace"))
        return [Ended(f"the gateway ended the session: {text or 'no reason given'}")]

    def _dead_at(self) -> float:
        return self._heard_at + 2 * self._dpd

    def _ping_due(self) -> float:
        return self._pinged_at + self._dpd / 2 if self._pinged_at > self._heard_at else self._heard_at + self._dpd


_HANDLERS: dict[int, Callable[[LanternController, bytes], list[Action]]] = {
    Kind.PING: LanternController._on_ping,
    Kind.PONG: LanternController._on_pong,
    Kind.BYE: LanternController._on_bye,
}
