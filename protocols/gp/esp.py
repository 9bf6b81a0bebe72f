"""ESP of GlobalProtect: probing, and the life of the channel, sans-IO (sections 12 and 13; esp.md section 8).

    Probe           PROBING --reply--> up          --5 s after getconfig--> over: GPST
    EspController   UP --silence for 2 D--> DEAD: Reconnect, over GPST with the same configuration
                       --path too narrow--> DEAD, likewise
                       --new keys due--> DONE: Reconnect, planned
                       --host report due--> UP: an errand beside it

Traffic is held back until a probe is answered; authentic packets before that do not count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf

from protocols.base import Action, Control, Errand, Reconnect, Send, SetMtu, Traffic
from protocols.errors import UnexpectedFrame
from protocols.framing.esp import LOW_NUMBER, Decoder, Encoder, Kind
from protocols.framing.esp_mtu import largest_inner
from protocols.gp import ping
from protocols.gp.ipsec import EspParameters
from protocols.gp.life import LEAST_DPD, Deadlines, Schedule
from transports.sink import MemorySink

PROBE_EVERY = 1.0  # seconds
PROBE_LIMIT = 5.0  # seconds after getconfig without an answer: GPST
IV_SIZE = 16  # bytes
_LIFE = frozenset({Kind.IPV4, Kind.IPV6, Kind.DUMMY, Kind.NEW_SA})

Random = Callable[[int], bytes]  # so many bytes that nobody can foretell


def probe(parameters: EspParameters, sequence: int) -> Control:
    """The magic ping as a frame of the framing `esp`."""
    kind = Kind.IPV6 if parameters.target.version == 6 else Kind.IPV4
    return Control(kind, ping.request(parameters.source, parameters.target, sequence))


class Probe:
    """The first pings of new keys, by the framing's reference; what it used of the keys the engine goes on from.

    since: monotonic seconds, when the configuration came.
    """

    def __init__(self, parameters: EspParameters, random: Random, since: float) -> None:
        self._parameters, self._random = parameters, random
        self._encoder, self._decoder = Encoder(), Decoder(MemorySink())
        for name, value in parameters.encoder_options():
            self._encoder.set(name, value)
        for name, value in parameters.decoder_options():
            self._decoder.set(name, value)
        self._sent = 0
        self._next_at, self._over_at = since, since + PROBE_LIMIT
        self.up = False

    @property
    def sent(self) -> int:
        """Numbers of the outbound SA that are used."""
        return self._sent

    def over(self, now: float) -> bool:
        return self.up or now >= self._over_at

    def deadline(self) -> float:
        """When `due` has something next, or it is over."""
        return min(self._next_at, self._over_at)

    def due(self, now: float) -> bytes | None:
        """The datagram to send now; None: none."""
        if self.over(now) or now < self._next_at:
            return None
        frame = probe(self._parameters, self._sent)
        self._sent += 1
        self._next_at = now + PROBE_EVERY
        return self._encoder.encode_control(frame.kind, frame.payload, self._random(IV_SIZE))

    def take(self, datagram: bytes) -> None:
        """One that came."""
        self._decoder.feed_datagram(datagram)
        while (frame := self._decoder.next_control()) is not None:
            self.up = self.up or (frame.kind in (Kind.IPV4, Kind.IPV6) and len(frame.payload) > 1)


class State(Enum):
    UP = "up"
    DEAD = "dead"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of inner packet.  mtu: the tunnel's.  least: what its families need.  outer_ipv6: of the way there."""

    mtu: int
    least: int
    outer_ipv6: bool


class EspController:
    """One link.  report: makes a host report on a connection of its own, and says what is to be done then."""

    def __init__(
        self,
        schedule: Schedule,
        parameters: EspParameters,
        report: Callable[[], Awaitable[list[Action]]],
        size: Size,
        *,
        now: float,
        sent: int,
    ) -> None:
        """sent: how many probes went out before."""
        self.state = State.UP
        self._dpd, self._deadlines = max(schedule.dpd, LEAST_DPD), Deadlines(schedule)
        self._parameters, self._report, self._size = parameters, report, size
        self._before = self._sent = sent
        self._received_at, self._asked_at = now, -inf

    def on_control(self, frame: Control, now: float) -> list[Action]:
        """Answers to probes, and that new keys are in use: signs of life.  Raises UnexpectedFrame."""
        if frame.kind not in _LIFE:
            raise UnexpectedFrame(f"esp frame {frame.kind}", state=self.state.value)
        return []

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        if self.state is not State.UP:
            return []
        self._received_at = max(self._received_at, traffic.received_at)
        if now >= self._received_at + 2 * self._dpd:
            self.state = State.DEAD
            return [Reconnect(f"ESP: the gateway was silent for {now - self._received_at:.0f} s")]
        if rekey := self._deadlines.rekey(now) or self._numbers(traffic):
            self.state = State.DONE
            return rekey
        reports: list[Action] = [Errand(self._report)] if self._deadlines.report_due(now) else []
        return [*reports, *self._deadlines.warnings(now), *self._probes(now)]

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        """Smaller packets from now on; over TLS they may be of any size."""
        fits = largest_inner(mtu, self._parameters.suite, outer_ipv6=self._size.outer_ipv6)
        if self.state is not State.UP or fits >= self._size.mtu:
            return []
        if fits < self._size.least:
            self.state = State.DEAD
            return [Reconnect(f"ESP: the way takes {mtu} bytes, too few for packets of {self._size.least}")]
        self._size = replace(self._size, mtu=fits)
        return [SetMtu(fits)]

    def deadline(self) -> float:
        if self.state is not State.UP:
            return inf
        return min(self._received_at + 2 * self._dpd, self._ask_at(), self._deadlines.next())

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        return []  # there is no TLS

    def goodbye(self, reason: str) -> list[Action]:
        """No frame ends a session: the logout does (section 13.4)."""
        self.state = State.DONE
        return []

    def _numbers(self, traffic: Traffic) -> list[Action]:
        """New keys before the sequence numbers run out (esp.md section 5.2)."""
        if self._before + traffic.sent < LOW_NUMBER:
            return []
        return [Reconnect("the sequence numbers of the keys are nearly used up", planned=True)]

    def _probes(self, now: float) -> list[Action]:
        if now < self._ask_at():
            return []
        self._asked_at = now
        self._sent += 1
        return [Send(probe(self._parameters, self._sent))]

    def _ask_at(self) -> float:
        """After D of silence, and again every D/2 (esp.md section 8.3)."""
        asked = self._asked_at > self._received_at
        return self._asked_at + self._dpd / 2 if asked else self._received_at + self._dpd
