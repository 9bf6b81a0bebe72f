"""DTLS of the lab's Fortinet gateway: what is answered to a hello, and signs of life (fortinet.md section 6)."""

from __future__ import annotations

import math

from protocols.base import Control, Send, Traffic
from protocols.fortinet import hello
from protocols.framing.ppp_prefixed import CONTROL_RECORD, HEARTBEAT
from protocols.ppp.engine import Engine
from vpnclient.lab.ppp import PppServer
from vpnclient.lab.site import ServerAction

HANDSHAKE = 0x16  # a record's first byte
FAIL = hello.record(hello.ANSWER + b"fail\0")
# What --hello may be -> what is answered to a good one; a lost one is not answered, and PPP begins all the same (Q18).
CONSENTS = {"ok": hello.record(hello.ANSWER + b"ok\0"), "bare": hello.record(hello.ANSWER + b"ok"), "lost": b""}
HELLOS = (*CONSENTS, "fail", "mute")


class HeartbeatServer(PppServer):
    """One link of one session, with a sign of life every so many seconds, 0: none."""

    def __init__(self, engine: Engine, *, expires_at: float, every: float, now: float) -> None:
        super().__init__(engine, expires_at=expires_at)
        self._every = every
        self._beat_at = now + every if every else math.inf

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        actions = super().on_time(traffic, now)
        if self._over or now < self._beat_at:
            return actions
        self._beat_at = now + self._every
        return [Send(Control(CONTROL_RECORD, HEARTBEAT)), *actions]

    def deadline(self) -> float:
        return super().deadline() if self._over else min(super().deadline(), self._beat_at)
