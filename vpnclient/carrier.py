"""Carries one link: the pump moves the packets, the controller decides, this joins the two.

One Carrier lives as long as one link does.  `run` ends with an Outcome: why the link is no longer carried.  It wakes
up when the pump has something to say, when the controller's deadline comes, and when somebody asks it to stop; never
for a packet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from protocols.base import Action, Control, Controller, Dismissed, Ended, Reconnect, Rekey, Send, Traffic, Tunnel, Warn
from protocols.errors import ProtocolError
from transports.pump import PumpEvent, PumpEventKind, PumpStats
from transports.tun import Tun
from vpnclient.pumps import make_pump
from vpnclient.tasks import to_the_end

GOODBYE_LINGER = 1.0  # seconds to get the last frames out (anyconnect.md Q34 allows 5)
TICK = 1.0  # seconds between two looks at the clock and the counters


class Why(Enum):
    """Why a link is no longer carried."""

    ASKED = auto()  # stop() was called
    LOST = auto()  # the link failed or went silent: reconnect
    RENEW = auto()  # planned: a rekey by new tunnel
    ENDED = auto()  # the gateway ended the session
    DISMISSED = auto()  # the gateway closed it without saying why: it may be restarting
    DEVICE_GONE = auto()  # somebody removed the interface


@dataclass(frozen=True, slots=True)
class Outcome:
    why: Why
    reason: str


class Carrier:
    """One link between a TUN device and a gateway."""

    def __init__(
        self, tun: Tun, tunnel: Tunnel, *, warn: Callable[[str], None], tick: Callable[[PumpStats], None]
    ) -> None:
        self._tunnel = tunnel
        self._controller: Controller = tunnel.controller
        self._pump = make_pump(
            *(tun, tunnel.stream, tunnel.framing),
            mtu=tunnel.config.mtu,
            first=tunnel.unread,
            options=tunnel.framing_options,
        )
        self._warn, self._tick = warn, tick
        self._wake = asyncio.Event()
        self._outcome: Outcome | None = None

    def stats(self) -> PumpStats:
        return self._pump.stats()

    def counters(self) -> dict[str, int]:
        """Drops and oddities by cause, of the framing."""
        return self._pump.counters()

    def stop(self, outcome: Outcome, *, goodbye: str | None = None) -> None:
        """End `run` with this outcome.  goodbye: end the session at the gateway too, with this reason."""
        if goodbye is not None:
            self._act(self._controller.goodbye(goodbye), time.monotonic())
        self._finish(outcome)

    async def run(self) -> Outcome:
        """Carry packets until the link is done.  Afterwards the stream is closed."""
        loop = asyncio.get_running_loop()
        self._tunnel.stream.detach()
        try:
            self._pump.start()
            loop.add_reader(self._pump.fileno(), self._wake.set)
            while self._outcome is None:
                self._turn(time.monotonic())
                if self._outcome is None:
                    await self._sleep()
            return self._outcome
        finally:
            loop.remove_reader(self._pump.fileno())
            await to_the_end(lambda: self._pump.stop(GOODBYE_LINGER))  # the thread still uses device and stream
            self._tunnel.stream.reattach()
            await self._tunnel.stream.close()
            self._tick(self._pump.stats())

    async def _sleep(self) -> None:
        pause = min(TICK, max(0.0, self._controller.deadline() - time.monotonic()))
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _turn(self, now: float) -> None:
        stats = self._pump.stats()
        self._tick(stats)
        try:
            events = self._pump.events()  # before the frames: then a goodbye that preceded the end is among them
            for kind, payload in self._pump.controls():
                self._act(self._controller.on_control(Control(kind, payload), now), now)
            for event in events:
                self._on_event(event, now)
            self._act(self._controller.on_time(Traffic(stats.last_rx, stats.last_tx), now), now)
        except ProtocolError as exc:
            self._finish(Outcome(Why.LOST, f"the gateway broke the protocol: {exc}"))

    def _on_event(self, event: PumpEvent, now: float) -> None:
        match event.kind:
            case PumpEventKind.REKEYED:
                self._act(self._controller.on_rekeyed(True, now), now)
            case PumpEventKind.REKEY_FAILED:
                self._act(self._controller.on_rekeyed(False, now), now)
            case PumpEventKind.DEVICE_GONE:
                self._finish(Outcome(Why.DEVICE_GONE, event.text or "the tunnel interface was removed"))
            case PumpEventKind.LINK_EOF:
                self._finish(Outcome(Why.LOST, "the gateway closed the connection"))
            case PumpEventKind.LINK_ERROR | PumpEventKind.STREAM_BROKEN:
                self._finish(Outcome(Why.LOST, event.text))
            case PumpEventKind.STOPPED:
                pass

    def _act(self, actions: Iterable[Action], now: float) -> None:
        for action in actions:
            match action:
                case Send(frame):
                    if not self._pump.send_control(frame.kind, frame.payload):
                        self._warn("the queue of control frames is full: one was not sent")
                case Rekey():
                    self._pump.rekey()
                case Warn(text):
                    self._warn(text)
                case Reconnect(reason, planned):
                    self._finish(Outcome(Why.RENEW if planned else Why.LOST, reason))
                case Ended(reason, _):
                    self._finish(Outcome(Why.ENDED, reason))
                case Dismissed(reason):
                    self._finish(Outcome(Why.DISMISSED, reason))

    def _finish(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
        self._wake.set()
