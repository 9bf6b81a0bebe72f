"""The life of an oNCP tunnel, sans-IO.

    UP --termination--> DONE (Ended, Dismissed)       any --goodbye--> DONE

No keep-alive is known on the TLS channel (juniper.md 9.1), and nothing tells the gateway that the session is over but
the logout.  Times: monotonic seconds, passed in.  Source: juniper.md sections 8 and 9.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from protocols.base import Action, Control, Ended, Traffic, Warn
from protocols.errors import ConfigurationRefused
from protocols.framing.oncp import Kind
from protocols.nc.esp import read_switch
from protocols.nc.esp_path import EspPath

_REASONS = {1: "the session has expired", 8: "the tunnel was idle for too long"}


class State(Enum):
    UP = "up"
    DONE = "done"


class NcController:
    """One tunnel connection, from its configuration on.  esp: its faster sister, if there is one."""

    def __init__(self, esp: EspPath | None = None) -> None:
        self.state = State.UP
        self._esp = esp

    def on_control(self, frame: Control, now: float) -> list[Action]:
        if self.state is State.DONE:
            return []
        handler = _HANDLERS.get(frame.kind)
        return [] if handler is None else handler(self, frame.payload, now)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        return self._esp.on_sent(traffic.sent_at, now) if self._esp and self.state is State.UP else []

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

    def _on_esp_keys(self, payload: bytes, now: float) -> list[Action]:
        return self._esp.on_keys(payload, now) if self._esp else []

    def _on_switch(self, payload: bytes, now: float) -> list[Action]:
        """Only that ESP is off means something to us (9.5)."""
        try:
            on = read_switch(payload)
        except ConfigurationRefused as exc:
            return [Warn(f"what the gateway says of ESP is ignored: {exc}")]
        return self._esp.on_switched_off() if self._esp and on is False else []


_HANDLERS: dict[int, Callable[[NcController, bytes, float], list[Action]]] = {
    Kind.TERMINATED: NcController._on_terminated,
    Kind.ESP_KEYS: NcController._on_esp_keys,
    Kind.CONTROL: NcController._on_switch,
}
