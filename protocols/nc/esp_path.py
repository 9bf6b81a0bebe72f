"""The life of ESP beside an oNCP stream, sans-IO: probes, switching, dead peers, new keys (juniper.md section 8).

    OPENING --up--> PROBING --answer--> SWITCHING --`on` has left--> UP
       ^  \\failed     |  no answer to 6 probes                       |  silence of 2 D, the socket failed: `off`
       |   +-------> WAITING  <--------------------------------------+
       +-- 60 s after the attempt began -----+         any --bad keys, the gateway's `off`--> OFF

Packets go over TLS in every state but UP, and are taken from either at any time.  The stream's controller brings what
the gateway says there.  Times: monotonic seconds, passed in; intervals in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from protocols.base import (
    Action,
    CloseDatagrams,
    Control,
    OpenDatagrams,
    Reconnect,
    Send,
    SetMtu,
    SetOption,
    Traffic,
    UseDatagrams,
    Warn,
)
from protocols.errors import ConfigurationRefused
from protocols.framing.esp import LOW_NUMBER
from protocols.framing.esp import Kind as EspKind
from protocols.framing.esp_mtu import largest_inner
from protocols.framing.oncp import Kind
from protocols.nc import esp
from protocols.nc.esp import Keys, Offer

if TYPE_CHECKING:
    from transports.link import LinkDescription

PROBE = Send(Control(EspKind.IPV4, b"\0"), datagrams=True)  # the answer is the same (8.2)
PROBES = 6  # of one attempt: at once, and five more (Q25)
PROBE_EVERY = 1.0
RETRY = 60.0  # from the beginning of one attempt to that of the next
LOOK_EVERY = 0.01  # whether `on` has left
DEFAULT_DPD = 60.0
MAX_DPD = 3600.0
MIN_MTU = 576  # bytes
OLD_SA = 60.0  # seconds that packets of the old keys are taken at most
OLD_SA_AFTER_NEW = 5.0  # behind the first packet of the new ones
LEAST_LIFETIME = 120  # seconds; shorter ones are the gateway's business alone
LIFETIME_MARGIN = 60  # seconds before the end of the keys: the gateway's new ones did not come (Q24)
BYTES_SHARE = 0.9  # of a lifetime in bytes
_WORN = "the gateway sent no new ESP keys in time"


class State(Enum):
    OPENING = "opening"
    PROBING = "probing"
    WAITING = "waiting"
    SWITCHING = "switching"
    UP = "up"
    OFF = "off"


class EspPath:
    """ESP beside one TLS connection."""

    def __init__(
        self, offer: Offer, own: Keys, random: Callable[[int], bytes], *, now: float, mtu: int, force_dpd: int = 0
    ) -> None:
        """own: for what we receive, told to the gateway already.  mtu: as configured, bytes.

        force_dpd: the user's, seconds; 0: as the gateway says.
        """
        self.state = State.WAITING
        self._offer, self._own, self._random = offer, own, random
        self._most = self._mtu = mtu
        self._dpd = min(float(force_dpd or offer.parameters.fallback) or DEFAULT_DPD, MAX_DPD)
        self._began = self._next_probe = now  # the attempt; its next probe
        self._probes = 0  # of this attempt
        self._heard_at = now
        self._expire_at = inf  # the old keys
        self._keyed_at, self._before = now, Traffic(now, now)  # when there were new keys, and what had moved then
        self._traffic = self._before
        self._told_at = inf  # SWITCHING: when `on` was queued
        self._told_on = False
        self._told = ""  # the reason of the last failure that was told
        self._detail = ""

    @property
    def port(self) -> int:
        return self._offer.parameters.port

    def options(self) -> tuple[tuple[str, bytes], ...]:
        """Of a link that has nothing to inherit."""
        lzo = max(2048, self._most + 256).to_bytes(2, "big") if self._offer.parameters.compression else b""
        return (*((option.name, option.value) for option in self._keys()), ("esp.lzo", lzo))

    # --- the carrier's calls ---

    def begin(self, now: float) -> list[Action]:
        return self._open(now)

    def on_up(self, link: LinkDescription, now: float) -> list[Action]:
        """A socket proves nothing: the gateway has to answer."""
        if self.state is State.OFF:
            return [CloseDatagrams()]
        self.state = State.PROBING
        self._probes = 0
        self._detail = link.detail
        self._heard_at = now
        keys = self._keys() if self._keyed_at >= self._began else []  # they changed while the socket was opened
        return [*keys, *self._fit(link.path_mtu), *self._probe(now)]

    def on_failed(self, reason: str, now: float, *, hopeless: bool = False) -> list[Action]:
        if self.state is not State.OPENING:
            return []
        self.state = State.OFF if hopeless else State.WAITING
        return self._say(f"ESP cannot be used, TLS carries on: {reason}")

    def on_lost(self, reason: str, now: float) -> list[Action]:
        """The socket failed.  Again at once if the attempt is old: the local address may have changed."""
        if self.state in (State.OFF, State.OPENING):
            return []
        said = [] if self.state is State.UP else self._say(f"ESP cannot be used, TLS carries on: {reason}")
        off = self._off()
        self.state = State.WAITING
        again = self._open(now) if now >= self._began + RETRY else []
        return [*said, UseDatagrams(False, reason), *off, *again]

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        return [] if self.state is State.OFF else self._fit(mtu)

    def on_control(self, frame: Control, now: float) -> list[Action]:
        match frame.kind:
            case EspKind.IPV4 if frame.payload == b"\0":
                return self._on_answer(now)
            case EspKind.NEW_SA:
                self._expire_at = min(self._expire_at, now + OLD_SA_AFTER_NEW)
        return []

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self.state is State.OFF:
            return []
        self._traffic = traffic
        self._heard_at = max(self._heard_at, traffic.received_at)
        actions: list[Action] = []
        if now >= self._expire_at:
            self._expire_at = inf
            actions.append(SetOption("esp.expire-old", b""))
        if self._keys_are_worn(now):
            self.state = State.OFF
            return [*actions, Reconnect(_WORN, planned=True)]
        return [*actions, *self._on_turn(now)]

    def deadline(self) -> float:
        if self.state is State.OFF:
            return inf
        return min(self._next_turn(), self._expire_at, self._lifetime_end())

    # --- what the stream brings ---

    def on_sent(self, sent_at: float, now: float) -> list[Action]:
        """The stream last sent at this time: what was to be told before has left (Q14 of esp.md)."""
        if self.state is not State.SWITCHING or sent_at <= self._told_at:
            self._next_probe = now + LOOK_EVERY if self.state is State.SWITCHING else self._next_probe
            return []
        self.state = State.UP
        self._heard_at = max(self._heard_at, now)
        self._next_probe, self._told = now, ""
        return [UseDatagrams(True, self._detail)]

    def on_keys(self, payload: bytes, now: float) -> list[Action]:
        """A KMP 302: new keys of the gateway's; it gets new ones of ours.  What cannot be used ends ESP (8.4)."""
        if self.state is State.OFF:
            return []
        try:
            self._offer = esp.new_offer(payload, self._offer.parameters)
        except ConfigurationRefused as exc:
            return [Warn(f"ESP is over, TLS carries on: the gateway's new keys are bad: {exc}"), *self._stop()]
        self._own = esp.make_keys(self._random, self._offer.parameters.suite(), [self._own.spi])
        self._keyed_at, self._expire_at = now, now + OLD_SA
        self._before = self._traffic
        return [*self._keys(), Send(Control(Kind.ESP_KEYS, self._own.payload()))]

    def on_switched_off(self) -> list[Action]:
        """The gateway wants no more ESP (section 9.5)."""
        self._told_on = False  # it knows
        return [] if self.state is State.OFF else [Warn("the gateway turned ESP off, TLS carries on"), *self._stop()]

    # --- turns ---

    def _open(self, now: float) -> list[Action]:
        self.state = State.OPENING
        self._began = now
        return [OpenDatagrams()]

    def _probe(self, now: float) -> list[Action]:
        self._probes += 1
        self._next_probe = now + PROBE_EVERY
        return [PROBE]

    def _on_answer(self, now: float) -> list[Action]:
        self._heard_at = max(self._heard_at, now)
        if self.state not in (State.PROBING, State.WAITING):
            return []
        self.state = State.SWITCHING
        self._told_on, self._told_at, self._next_probe = True, now, now + LOOK_EVERY
        return [Send(Control(Kind.CONTROL, esp.switch_payload(True)))]

    def _on_turn(self, now: float) -> list[Action]:
        if now < self._next_turn():
            return []
        match self.state:
            case State.PROBING if self._probes < PROBES:
                return self._probe(now)
            case State.PROBING:
                self.state = State.WAITING
                return self._say("ESP cannot be used, TLS carries on: the gateway does not answer by UDP")
            case State.WAITING:
                return self._open(now)
            case State.UP if now >= self._heard_at + 2 * self._dpd:
                return self._on_silence(now)
            case State.UP:
                self._next_probe = now + self._dpd / 2
                return [PROBE]
        return []

    def _next_turn(self) -> float:
        match self.state:
            case State.PROBING | State.SWITCHING:
                return self._next_probe
            case State.WAITING:
                return self._began + RETRY
            case State.UP:
                due = max(self._heard_at + self._dpd, self._next_probe)
                return min(due, self._heard_at + 2 * self._dpd)
        return inf

    # --- ends ---

    def _on_silence(self, now: float) -> list[Action]:
        """TLS again, and a new attempt on a new socket at once (section 8.3)."""
        reason = f"nothing came by ESP for {now - self._heard_at:.0f} s"
        return [UseDatagrams(False, reason), *self._off(), *self._open(now)]

    def _stop(self) -> list[Action]:
        """For good: the keys are forgotten."""
        off = self._off()
        self.state = State.OFF
        return [UseDatagrams(False), *off, SetOption("esp.close", b""), CloseDatagrams()]

    def _off(self) -> list[Action]:
        if not self._told_on:
            return []
        self._told_on = False
        return [Send(Control(Kind.CONTROL, esp.switch_payload(False)))]

    def _say(self, text: str) -> list[Action]:
        """UDP that does not get through is no error, and told once (Q15 of esp.md)."""
        told, self._told = self._told, text
        return [] if told == text else [Warn(text)]

    # --- keys and size ---

    def _keys(self) -> list[SetOption]:
        parameters = self._offer.parameters
        inbound, outbound = self._own.inbound_option(parameters), self._offer.outbound.option(parameters)
        return [SetOption("esp.in", inbound), SetOption("esp.out", outbound)]

    def _keys_are_worn(self, now: float) -> bool:
        limit = self._offer.parameters.lifetime_bytes
        moved, sent = self._traffic.moved - self._before.moved, self._traffic.sent - self._before.sent
        return now >= self._lifetime_end() or bool(limit and moved >= limit * BYTES_SHARE) or sent >= LOW_NUMBER

    def _lifetime_end(self) -> float:
        lifetime = self._offer.parameters.lifetime
        return self._keyed_at + lifetime - LIFETIME_MARGIN if lifetime > LEAST_LIFETIME else inf

    def _fit(self, path: int) -> list[Action]:
        """Datagrams are not fragmented: the path may be narrower than the gateway thinks.  path: bytes; 0: unknown."""
        room = largest_inner(path, self._offer.parameters.suite(), outer_ipv6=False) if path else self._mtu
        mtu = max(min(room, self._mtu), min(MIN_MTU, self._most))
        if mtu == self._mtu:
            return []
        self._mtu = mtu
        return [SetMtu(mtu)]
