"""GlobalProtect's TLS tunnel from the gateway's side, after START_TUNNEL.

    OPEN --silence, session timeout--> OVER
Source: globalprotect.md sections 11.3 and 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from protocols.base import Control, Send, Traffic, Warn
from protocols.framing.gpst import Kind
from vpnclient.lab.site import Hangup, ServerAction

FRAMING = "gpst"
START = b"START_TUNNEL"
SILENCE = 120.0  # seconds after which a client is given up


class State(Enum):
    OPEN = "open"
    OVER = "over"


class GpstServer:
    """One link of one session.  expires_at: monotonic seconds; then the session ends."""

    def __init__(self, expires_at: float, now: float) -> None:
        self.state = State.OPEN
        self._expires_at, self._heard_at = expires_at, now

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        """Keepalives are echoed, many at once by one."""
        odd: list[ServerAction] = [
            Warn(f"frame {one.kind:#06x} ignored") for one in frames if one.kind != Kind.KEEPALIVE
        ]
        echo: list[ServerAction] = [Send(Control(Kind.KEEPALIVE))] if len(odd) < len(frames) else []
        return [*odd[:1], *echo] if self.state is State.OPEN else []

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        self._heard_at = max(self._heard_at, traffic.received_at)
        if self.state is not State.OPEN:
            return []
        if now >= self._expires_at:
            return self.farewell("session timeout")
        if now >= self._heard_at + SILENCE:
            self.state = State.OVER
            return [Hangup(f"silent for {now - self._heard_at:.0f} s", forget=False)]
        return []

    def deadline(self) -> float:
        return min(self._expires_at, self._heard_at + SILENCE)

    def farewell(self, reason: str) -> list[ServerAction]:
        """No frame tells a client that its session is over."""
        self.state = State.OVER
        return [Hangup(reason, forget=True)]
