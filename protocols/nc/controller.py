"""The life of an oNCP tunnel, sans-IO.

    UP --termination--> DONE (Ended, Dismissed)       any --goodbye--> DONE

No keep-alive is known on the TLS channel (juniper.md 9.1), and nothing tells the gateway that the session is over but
the logout.  Times: monotonic seconds, passed in.  Source: juniper.md sections 8 and 9.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from protocols.base import Action, Control, Ended, Traffic
from protocols.framing.oncp import Kind

_REASONS = {1: "the session has expired", 8: "the tunnel was idle for too long"}


class State(Enum):
    UP = "up"
    DONE = "done"


class NcController:
    """One tunnel connection, from its configuration on."""

    def __init__(self) -> None:
        self.state = State.UP

    def on_control(self, frame: Control, now: float) -> list[Action]:
        if self.state is State.DONE:
            return []
        handler = _HANDLERS.get(frame.kind)
        return [] if handler is None else handler(self, frame.payload, now)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        return []

    def deadline(self) -> float:
        return inf

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # TLS keys are never renewed in place

    def goodbye(self, reason: str) -> list[Action]:
        """Nothing on this channel: the logout ends the session."""
        self.state = State.DONE
        return []

    def _on_terminated(self, payload: bytes, now: float) -> list[Action]:
        self.state = State.DONE
        code = payload[0] if payload else 0
        said = _REASONS.get(code, "no reason that is known")
        return [Ended(f"the gateway ended the session (reason {code}: {said})", code)]


_HANDLERS: dict[int, Callable[[NcController, bytes, float], list[Action]]] = {
    Kind.TERMINATED: NcController._on_terminated,
}
