"""The life of the DTLS channel beside CSTP, sans-IO.

    WAITING --time--> OPENING --up--> PROVING --an answer, or patience--> UP
    OPENING --failed--> WAITING (60 s after its start)         any --hopeless--> OFF
    PROVING, UP --lost, silence, path too small--> OPENING (at once; again within 60 s: WAITING; after hopeless: OFF)
    UP --rekey time--> UP, opening a second one that takes its place; where there is one port for both: OPENING

Packets go by DTLS in UP alone: a path that carries them one way only never sees one (Q22).  A path that dies silently
is noticed within seconds of the first packet that goes unanswered, as TLS is there to carry on.
Times: monotonic seconds.  Source: anyconnect.md sections 5.1, 6.1, 6.8 and 7.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from protocols.anyconnect.controller import MAX_ANSWER
from protocols.anyconnect.mtu_search import MtuSearch
from protocols.anyconnect.timers import DtlsTimers
from protocols.base import Action, CloseDatagrams, Control, OpenDatagrams, Send, SetMtu, Traffic, UseDatagrams, Warn
from protocols.framing.cstp import Kind

if TYPE_CHECKING:
    from transports.link import LinkDescription

RETRY = 60.0  # seconds from the start of an attempt to that of the next
DEFAULT_DPD = 30  # seconds, when the gateway wants none (Q22)
HEADER = 1  # byte of type before a packet
SUSPICION = 2.0  # seconds after something was sent: if nothing has come since, it may have gone nowhere
ASK_EVERY = 1.0  # seconds, once it is suspected
UNANSWERED = 4  # requests in a row; then packets go by TLS again, long before DPD would say so
MOST_EXACT = 37  # bytes: what records of AEAD suites add at most; of others only a bound is known, which is larger


class State(Enum):
    OFF = "off"
    WAITING = "waiting"
    OPENING = "opening"
    PROVING = "proving"
    UP = "up"


class DtlsController:
    """mtu: as configured, bytes.  least: bytes that packets must have room for, whatever the path says.

    base: bytes of the largest outer packet as the gateway says it; 0: unknown, the tunnel's MTU stays (6.4).
    mark: a few random bytes for probes.  one_port: the user chose the local port, which two links cannot share.
    """

    def __init__(
        self, timers: DtlsTimers, *, mtu: int, least: int, base: int = 0, mark: bytes = b"", one_port: bool = False
    ) -> None:
        self.state = State.WAITING
        self._timers, self._most, self._least, self._base = timers, mtu, least, base
        self._dpd = timers.dpd or DEFAULT_DPD
        self._mark = mark  # of probes
        self._one_port = one_port
        self._mtu = mtu  # in force
        self._began = -inf  # the last attempt
        self._opening = False  # an attempt is under way, perhaps beside a link that works
        self._retry_at = inf
        self._received_at = self._sent_at = self._dpd_at = -inf
        self._unanswered = 0  # DPD requests since something came
        self._waiting_since = inf  # what we sent then was the first that nothing has come after
        self._rekey_at = inf
        self._search: MtuSearch | None = None
        self._link: LinkDescription | None = None
        self._answer: bytes | None = None  # payload of the newest DPD request, answered once a turn
        self._hopeless = False  # no attempt is to follow the link that works
        self._told = ""  # the reason of the last failure that was told

    # --- the carrier's calls ---

    def begin(self, now: float) -> list[Action]:
        return self._open(now)

    def restart(self, now: float) -> list[Action]:
        """The stream has new keys, and the gateway names no time for those of DTLS (section 5.3)."""
        return [] if self.state is State.OFF or self._timers.rekey or self._hopeless else self._open(now)

    def on_up(self, link: LinkDescription, now: float) -> list[Action]:
        replaced = self.state is State.UP
        self._opening, self._link, self._told = False, link, ""
        self._received_at = self._sent_at = now
        self._dpd_at, self._unanswered, self._waiting_since = -inf, 0, inf
        self._rekey_at = now + self._timers.rekey if self._timers.rekey else inf
        self._search = MtuSearch(self._least, self._largest(link), now, self._mark)
        self.state = State.UP if replaced else State.PROVING  # the same path: it is known to work
        return [*self._lower_to(self._largest(link)), *self._probes(now)]

    def on_failed(self, reason: str, now: float, *, hopeless: bool = False) -> list[Action]:
        """An attempt failed; a link that works goes on."""
        self._opening = False
        works = self.state in (State.PROVING, State.UP)
        if hopeless:
            self._hopeless = True
            self._retry_at = self._rekey_at = inf
            self.state = self.state if works else State.OFF
            return [Warn(f"DTLS is not used: {reason}")]
        self._retry_at = self._began + RETRY
        if works:
            return []
        self.state = State.WAITING
        told, self._told = self._told, reason
        return [] if reason == told else [Warn(f"DTLS cannot be opened, TLS carries on: {reason}")]

    def on_lost(self, reason: str, now: float) -> list[Action]:
        """The link failed: once more at once, then after a while."""
        if self.state not in (State.PROVING, State.UP):
            return []
        self._search = self._answer = None
        self._rekey_at = inf
        if self._hopeless:
            self.state = State.OFF
            return []
        self.state = State.OPENING
        if self._opening:
            return []
        if now >= self._began + RETRY:
            return self._open(now)
        self.state, self._retry_at = State.WAITING, self._began + RETRY
        return []

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        if self._link is None or self.state not in (State.PROVING, State.UP):
            return []
        if mtu < self._least + _around(self._link, min(self._link.overhead, MOST_EXACT)):
            # The small packets that prove life would pass, and those that people send would not: TLS cuts them.
            return self._give_up(f"the path takes {mtu} bytes, too little for packets of {self._least}", now)
        room = max(mtu - _around(self._link, self._link.overhead), self._least)
        if self._search is not None:
            self._search.limit(room, now)
        return self._lower_to(room)

    def on_control(self, frame: Control, now: float) -> list[Action]:
        self._heard(now)
        match frame.kind:
            case Kind.DPD_REQUEST:
                self._answer = frame.payload[:MAX_ANSWER]
            case Kind.DPD_RESPONSE if self._search is not None:
                self._search.answered(len(frame.payload), now)
        return []

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self.state is State.OFF:
            return []
        self._heard(traffic.received_at)
        self._sent_at = max(self._sent_at, traffic.sent_at)
        if self._sent_at > self._received_at:
            self._waiting_since = min(self._waiting_since, self._sent_at)
        actions: list[Action] = []
        if self.state in (State.PROVING, State.UP):
            if now >= self._dead_at():
                return self._silent(now)
            actions += [*self._answers(now), *self._probes(now), *self._signs_of_life(now)]
        if now >= min(self._retry_at, self._rekey_at):
            actions += self._open(now)
        return actions

    def deadline(self) -> float:
        if self.state is State.OFF:
            return inf
        due = min(self._retry_at, self._rekey_at)
        if self.state in (State.PROVING, State.UP):
            due = min(due, self._dead_at(), self._dpd_due(), self._keepalive_due())
            if self._answer is not None:
                due = -inf
            if self._search is not None:
                due = min(due, self._search.deadline())
        return due

    # --- opening ---

    def _open(self, now: float) -> list[Action]:
        self._opening = True
        self._began, self._retry_at, self._rekey_at = now, inf, inf
        if self.state not in (State.PROVING, State.UP):
            self.state = State.OPENING
        elif self._one_port:
            self.state, self._search, self._answer = State.OPENING, None, None
            return [UseDatagrams(False, "DTLS is renewed"), CloseDatagrams(), OpenDatagrams()]
        return [OpenDatagrams()]

    def _silent(self, now: float) -> list[Action]:
        return self._give_up(f"nothing came by DTLS for {now - self._received_at:.0f} s", now)

    def _give_up(self, reason: str, now: float) -> list[Action]:
        """Of the link that is there."""
        self._opening = False  # an attempt that is under way is closed too
        return [UseDatagrams(False, reason), CloseDatagrams(), *self.on_lost(reason, now)]

    # --- packet size ---

    def _largest(self, link: LinkDescription) -> int:
        room = self._base - _around(link, link.overhead) if self._base else self._most
        return max(min(room, self._most), self._least)

    def _lower_to(self, mtu: int) -> list[Action]:
        return self._set_mtu(min(mtu, self._mtu))

    def _set_mtu(self, mtu: int) -> list[Action]:
        if mtu == self._mtu:
            return []
        self._mtu = mtu
        return [SetMtu(mtu)]

    def _probes(self, now: float) -> list[Action]:
        if self._search is None:
            return []
        payload = self._search.probe(now)
        if payload is not None:
            self._sent_at = now
            return [Send(Control(Kind.DPD_REQUEST, payload), datagrams=True)]
        result = self._search.result
        if result is None:
            return []
        self._search = None
        return [*self._set_mtu(result), *self._use()]

    def _use(self) -> list[Action]:
        if self._link is None:
            return []
        self.state = State.UP
        return [UseDatagrams(True, self._link.detail)]

    # --- life (section 5.1) ---

    def _answers(self, now: float) -> list[Action]:
        if self._answer is None:
            return []
        payload, self._answer = self._answer, None
        self._sent_at = now
        return [Send(Control(Kind.DPD_RESPONSE, payload), datagrams=True)]

    def _signs_of_life(self, now: float) -> list[Action]:
        if now >= self._dpd_due():
            self._dpd_at = self._sent_at = now
            self._unanswered += 1
            self._waiting_since = min(self._waiting_since, now)
            return [Send(Control(Kind.DPD_REQUEST), datagrams=True)]
        if now >= self._keepalive_due():
            self._sent_at = now
            return [Send(Control(Kind.KEEPALIVE), datagrams=True)]
        return []

    def _heard(self, at: float) -> None:
        if at > self._received_at:
            self._received_at, self._unanswered, self._waiting_since = at, 0, inf

    def _dead_at(self) -> float:
        dead = self._received_at + 2 * self._dpd
        return min(dead, self._dpd_at + ASK_EVERY) if self._unanswered >= UNANSWERED else dead

    def _dpd_due(self) -> float:
        if self.state is State.UP and self._waiting_since < inf:
            return max(self._waiting_since + SUSPICION, self._dpd_at + ASK_EVERY)
        if self._dpd_at > self._received_at:
            return self._dpd_at + self._dpd / 2
        return self._received_at + self._dpd

    def _keepalive_due(self) -> float:
        return self._sent_at + self._timers.keepalive if self._timers.keepalive else inf


def _around(link: LinkDescription, record: int) -> int:
    """Bytes around a packet on the wire.  record: those that a record adds."""
    return (40 if link.ipv6 else 20) + 8 + record + HEADER
