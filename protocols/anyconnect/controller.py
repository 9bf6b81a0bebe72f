"""The life of a CSTP channel, sans-IO.

    UP --rekey time, ssl--> REKEYING --done--> UP
    UP, REKEYING --silence, rekey by new tunnel, failed rekey--> DONE      (Reconnect)
    UP, REKEYING --DISCONNECT, TERMINATE--> DONE                          (Ended, Dismissed)
    any --goodbye--> DONE

Times: monotonic seconds, passed in; intervals in seconds.  Source: anyconnect.md sections 4, 5 and 9.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from math import inf
from typing import Protocol

from protocols.anyconnect.timers import RekeyMethod, Timers
from protocols.base import Action, Control, Dismissed, Ended, Reconnect, Rekey, Send, Traffic, Warn
from protocols.framing.cstp import Kind
from protocols.text import one_line, printable

MAX_ANSWER = 16376  # bytes of a DPD payload that is answered
MAX_GOODBYE = 512  # bytes of text in a goodbye
REKEY_PATIENCE = 60.0  # seconds for a rekey in place
DEFAULT_ALERT = 300.0  # seconds before the end of the session, when the gateway names no interval


class Reason(IntEnum):
    """First byte of a DISCONNECT."""

    USER = 0xB0  # ends the session and its cookie
    RECONNECTING = 0x91
    PAUSED = 0xD1
    LOCAL_ERROR = 0x70


class Restartable(Protocol):
    """The DTLS channel, as far as this one knows it."""

    def restart(self, now: float) -> list[Action]: ...


class State(Enum):
    UP = "up"
    REKEYING = "rekeying"
    DONE = "done"


class CstpController:
    """One tunnel connection, from its CONNECT on.  `now`: when the CONNECT was answered."""

    def __init__(self, timers: Timers, now: float, datagrams: Restartable | None = None) -> None:
        """datagrams: the channel beside this one, which takes its keys from it."""
        self.state = State.UP
        self._datagrams = datagrams
        self._timers = timers
        self._received_at = self._sent_at = now
        self._dpd_at = -inf  # when the last DPD-REQ went out
        self._rekeyed_at = now
        self._rekey_began = inf
        self._ends_at = now + timers.session if timers.session else inf
        self._alert_at = self._ends_at - min(timers.alert or DEFAULT_ALERT, timers.session / 2)
        self._answer: bytes | None = None  # payload of the newest DPD-REQ, answered once a turn
        self._answer_at = inf

    # --- the session's calls ---

    def on_control(self, frame: Control, now: float) -> list[Action]:
        """What to do about a control frame.  A type that nobody knows is passed over, as ocserv does it."""
        self._received_at = max(self._received_at, now)
        if self.state is State.DONE:
            return []
        handler = _HANDLERS.get(frame.kind)
        return [] if handler is None else handler(self, frame.payload, now)

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        """Answers, probes, keep-alives, rekeys and warnings that are due."""
        if self.state is State.DONE:
            return []
        self._received_at = max(self._received_at, traffic.received_at)
        self._sent_at = max(self._sent_at, traffic.sent_at)
        if now >= self._dead_at():
            return self._give_up(f"the gateway was silent for {now - self._received_at:.0f} s")
        return [*self._answers(now), *self._probes(now), *self._warnings(now), *self._rekeys(now)]

    def deadline(self) -> float:
        if self.state is State.DONE:
            return inf
        return min(
            self._dead_at(), self._dpd_due(), self._keepalive_due(), self._rekey_due(), self._alert_at, self._answer_at
        )

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        """The engine has finished a Rekey; a failed one becomes a new tunnel (section 5.3)."""
        if self.state is not State.REKEYING:
            return []
        if not ok:
            return self._renew("the keys could not be renewed in place")
        self.state = State.UP
        self._rekeyed_at, self._rekey_began = now, inf
        return self._datagrams.restart(now) if self._datagrams is not None else []

    def goodbye(self, reason: str) -> list[Action]:
        """A DISCONNECT that ends the session at the gateway: its cookie is dead afterwards."""
        if self.state is State.DONE:
            return []
        self.state = State.DONE
        text = reason.encode("utf-8", "replace")[:MAX_GOODBYE]
        return [Send(Control(Kind.DISCONNECT, bytes([Reason.USER]) + text))]

    # --- control frames ---

    def _on_dpd_request(self, payload: bytes, now: float) -> list[Action]:
        """Answered at the end of the turn, the newest only: a flood costs one frame a turn."""
        self._answer = payload[:MAX_ANSWER]
        self._answer_at = now
        return []

    def _on_life(self, payload: bytes, now: float) -> list[Action]:
        return []  # DPD-RESP, KEEPALIVE: that it came is all it says

    def _on_disconnect(self, payload: bytes, now: float) -> list[Action]:
        """An empty one is ocserv's (section 10): ended by its administrator, idle, taken over, or shutting down."""
        if not payload:
            self.state = State.DONE
            return [Dismissed(_ending("no reason given", b"") + self._idle_note())]
        return self._ended(f"reason 0x{payload[0]:02x}", payload[1:], payload[0])

    def _on_terminate(self, payload: bytes, now: float) -> list[Action]:
        return self._ended("terminated", payload, 0)

    def _ended(self, kind: str, text: bytes, code: int) -> list[Action]:
        self.state = State.DONE
        return [Ended(_ending(kind, text) + ("" if text else self._idle_note()), code)]

    def _idle_note(self) -> str:
        """Nobody else can tell the user why: ocserv gives no reason when a tunnel was idle for too long (5.2)."""
        return f"; it ends sessions that are idle for {self._timers.idle} s" if self._timers.idle else ""

    # --- time ---

    def _answers(self, now: float) -> list[Action]:
        if self._answer is None:
            return []
        payload, self._answer, self._answer_at = self._answer, None, inf
        self._sent_at = max(self._sent_at, now)
        return [Send(Control(Kind.DPD_RESPONSE, payload))]

    def _probes(self, now: float) -> list[Action]:
        if now >= self._dpd_due():
            self._dpd_at = self._sent_at = now
            return [Send(Control(Kind.DPD_REQUEST))]
        if now >= self._keepalive_due():
            self._sent_at = now
            return [Send(Control(Kind.KEEPALIVE))]
        return []

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

    def _rekeys(self, now: float) -> list[Action]:
        if now < self._rekey_due():
            return []
        if self.state is State.REKEYING:
            return self._renew(f"renewing the keys in place took over {REKEY_PATIENCE:.0f} s")
        if self._timers.rekey_method is RekeyMethod.NEW_TUNNEL:
            return self._renew("rekey by a new tunnel")
        self.state = State.REKEYING
        self._rekey_began = now
        return [Rekey()]

    def _renew(self, reason: str) -> list[Action]:
        self.state = State.DONE
        return [Reconnect(reason, planned=True)]

    def _give_up(self, reason: str) -> list[Action]:
        self.state = State.DONE
        return [Reconnect(reason)]

    # --- when (section 5.1) ---

    def _dead_at(self) -> float:
        return self._received_at + 2 * self._timers.dpd if self._timers.dpd else inf

    def _dpd_due(self) -> float:
        if not self._timers.dpd:
            return inf
        if self._dpd_at > self._received_at:
            return self._dpd_at + self._timers.dpd / 2
        return self._received_at + self._timers.dpd

    def _keepalive_due(self) -> float:
        return self._sent_at + self._timers.keepalive if self._timers.keepalive else inf

    def _rekey_due(self) -> float:
        if self.state is State.REKEYING:
            return self._rekey_began + REKEY_PATIENCE
        if self._timers.rekey_method is RekeyMethod.NONE:
            return inf
        return self._rekeyed_at + self._timers.rekey


_Handler = Callable[[CstpController, bytes, float], list[Action]]


def _ending(kind: str, text: bytes) -> str:
    said = f": {one_line(printable(text))}" if text else ""
    return f"the gateway ended the session ({kind}){said}"


# The same in UP and REKEYING; in DONE nothing is handled.
_HANDLERS: dict[int, _Handler] = {
    Kind.DPD_REQUEST: CstpController._on_dpd_request,
    Kind.DPD_RESPONSE: CstpController._on_life,
    Kind.DISCONNECT: CstpController._on_disconnect,
    Kind.KEEPALIVE: CstpController._on_life,
    Kind.TERMINATE: CstpController._on_terminate,
}
