"""Carries one tunnel: the pump moves the packets, the controllers decide, this joins them.

One Carrier lives as long as the tunnel's main link does: its stream, or the datagram link that it has instead.  A
datagram channel beside the stream comes and goes meanwhile.  `run` ends with an Outcome: why it is no longer carried.
It wakes up when the pump has something to say, when a controller's deadline comes, and when somebody asks it to stop;
never for a packet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from protocols.base import (
    Action,
    CloseDatagrams,
    Control,
    Controller,
    Dismissed,
    Ended,
    Errand,
    LearnsPathMtu,
    OpenDatagrams,
    Reconnect,
    Rekey,
    Send,
    SetMtu,
    SetOption,
    Traffic,
    Tunnel,
    UseDatagrams,
    Warn,
)
from protocols.errors import ProtocolError
from transports.errors import EngineError
from transports.link import DatagramLink
from transports.pump import Pump, PumpEvent, PumpEventKind, PumpStats
from vpnclient.datagrams import DatagramKeeper
from vpnclient.device import TunnelDevice
from vpnclient.errands import Errands
from vpnclient.pumps import AnyPump, make_pump
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


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a carrier tells: warn a person; tick: figures, about once a second; channel: packets go by this from now on
    ("TLS", "DTLS", "ESP"; then details for people); mtu: the tunnel carries packets of so many bytes at most.
    """

    warn: Callable[[str], None]
    tick: Callable[[PumpStats], None]
    channel: Callable[[str, str], None] = lambda name, detail: None
    mtu: Callable[[int], None] = lambda mtu: None


class Carrier:
    """One tunnel between a TUN device and a gateway."""

    def __init__(self, tun: TunnelDevice, tunnel: Tunnel, hooks: Hooks) -> None:
        self._tunnel, self._hooks = tunnel, hooks
        self._controller: Controller = tunnel.controller
        self._pump: AnyPump = make_pump(
            *(tun, tunnel.stream, tunnel.framing),
            mtu=tunnel.config.mtu,
            first=tunnel.unread,
            options=tunnel.framing_options,
        )
        self._alone = tunnel.stream is None  # a datagram link carries everything
        if tunnel.link is not None:
            self._attach(tunnel.link)
        self._channel = tunnel.datagrams
        self._way = ""  # what packets went by, as told last
        self._keeper = DatagramKeeper(self._channel, self._attach, self._act) if self._channel else None
        self._errands = Errands(self._act)
        self._wake = asyncio.Event()
        self._outcome: Outcome | None = None

    def stats(self) -> PumpStats:
        return self._pump.stats()

    def counters(self) -> dict[str, int]:
        """Drops and oddities by cause, of the framings."""
        return self._pump.counters()

    def stop(self, outcome: Outcome, *, goodbye: str | None = None) -> None:
        """End `run` with this outcome.  goodbye: end the session at the gateway too, with this reason."""
        if goodbye is not None:
            self._act(self._controller.goodbye(goodbye), time.monotonic())
        self._finish(outcome)

    async def run(self) -> Outcome:
        """Carry packets until the main link is done.  Afterwards the stream is closed."""
        loop = asyncio.get_running_loop()
        stream = self._tunnel.stream
        if stream is not None:
            stream.detach(self._pump.export if isinstance(self._pump, Pump) else None)
        try:
            self._pump.start()
            loop.add_reader(self._pump.fileno(), self._wake.set)
            self._begin()
            while self._outcome is None:
                self._turn(time.monotonic())
                if self._outcome is None:
                    await self._sleep()
            return self._outcome
        finally:
            loop.remove_reader(self._pump.fileno())
            await self._errands.close()
            if self._keeper is not None:
                await self._keeper.close()
            await to_the_end(lambda: self._pump.stop(GOODBYE_LINGER))  # the thread still uses device and stream
            if stream is not None:
                stream.reattach()
                await stream.close()
            self._hooks.tick(self._pump.stats())

    def _begin(self) -> None:
        stream, link = self._tunnel.stream, self._tunnel.link
        if link is not None:
            self._tell_way(link.description.name, link.description.detail)
        elif stream is not None:
            self._tell_way("TLS")
        if self._channel is not None and self._outcome is None:
            now = time.monotonic()
            self._act(self._channel.controller.begin(now), now)

    def _tell_way(self, name: str, detail: str = "") -> None:
        """Packets go by this from now on; told again only with something to say."""
        if name != self._way or detail:
            self._way = name
            self._hooks.channel(name, detail)

    async def _sleep(self) -> None:
        deadline = self._controller.deadline()
        if self._channel is not None:
            deadline = min(deadline, self._channel.controller.deadline())
        pause = min(TICK, max(0.0, deadline - time.monotonic()))
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _turn(self, now: float) -> None:
        stats = self._pump.stats()
        self._hooks.tick(stats)
        by_datagrams = _by_datagrams(stats)
        try:
            events = self._pump.events()  # before the frames: then a goodbye that preceded the end is among them
            for kind, payload in self._pump.controls(datagrams=self._alone):
                self._act(self._controller.on_control(Control(kind, payload), now), now)
            if self._channel is not None:
                for kind, payload in self._pump.controls(datagrams=True):
                    self._act(self._channel.controller.on_control(Control(kind, payload), now), now)
            for event in events:
                self._on_event(event, now)
            main = by_datagrams if self._alone else Traffic(stats.last_rx, stats.last_tx)
            self._act(self._controller.on_time(main, now), now)
            if self._channel is not None:
                self._act(self._channel.controller.on_time(by_datagrams, now), now)
        except ProtocolError as exc:
            self._finish(Outcome(Why.LOST, f"the gateway broke the protocol: {exc}"))

    def _on_event(self, event: PumpEvent, now: float) -> None:
        match event.kind:
            case PumpEventKind.REKEYED:
                self._act(self._controller.on_rekeyed(True, now), now)
            case PumpEventKind.REKEY_FAILED:
                self._act(self._controller.on_rekeyed(False, now), now)
            case PumpEventKind.DATAGRAMS_LOST:
                self._lost(event.text, now)
            case PumpEventKind.OPTION_REFUSED:
                self._hooks.warn(event.text)
            case PumpEventKind.PATH_MTU:
                self._path_mtu(int(event.text), now)
            case PumpEventKind.DEVICE_GONE:
                self._finish(Outcome(Why.DEVICE_GONE, event.text or "the tunnel interface was removed"))
            case PumpEventKind.LINK_EOF:
                self._finish(Outcome(Why.LOST, "the gateway closed the connection"))
            case PumpEventKind.LINK_ERROR | PumpEventKind.STREAM_BROKEN:
                self._finish(Outcome(Why.LOST, event.text))
            case PumpEventKind.STOPPED:
                pass

    def _lost(self, reason: str, now: float) -> None:
        """The datagram link beside the stream: the pump sends by the stream already."""
        if self._channel is None:
            return
        self._tell_way("TLS", reason)
        self._act(self._channel.controller.on_lost(reason, now), now)

    def _path_mtu(self, mtu: int, now: float) -> None:
        if self._channel is not None:
            self._act(self._channel.controller.on_path_mtu(mtu, now), now)
        elif isinstance(self._controller, LearnsPathMtu):
            self._act(self._controller.on_path_mtu(mtu, now), now)

    def _attach(self, link: DatagramLink) -> None:
        """Raises EngineError."""
        if not isinstance(self._pump, Pump):
            raise EngineError(f"a framing that exists in Python only has no {link.description.name} beside it")
        self._pump.attach(link)

    def _act(self, actions: Iterable[Action], now: float) -> None:
        for action in actions:
            match action:
                case Send(frame, datagrams):
                    self._send(frame, datagrams or self._alone)
                case Rekey():
                    self._pump.rekey()
                case Warn(text):
                    self._hooks.warn(text)
                case Reconnect(reason, planned):
                    self._finish(Outcome(Why.RENEW if planned else Why.LOST, reason))
                case Ended(reason, _):
                    self._finish(Outcome(Why.ENDED, reason))
                case Dismissed(reason):
                    self._finish(Outcome(Why.DISMISSED, reason))
                case Errand(run):
                    self._errands.start(run)
                case SetMtu(mtu):
                    self._pump.set_mtu(mtu)
                    self._hooks.mtu(mtu)
                case _:
                    self._act_on_datagrams(action)

    def _act_on_datagrams(self, action: Action) -> None:
        if self._keeper is None or self._channel is None or not isinstance(self._pump, Pump):
            return
        match action:
            case OpenDatagrams():
                self._keeper.open()
            case CloseDatagrams():
                self._keeper.abandon()
                self._pump.detach()
                self._tell_way("TLS")
            case UseDatagrams(yes, detail):
                self._pump.use_datagrams(yes)
                self._tell_way(self._channel.name if yes else "TLS", detail)
            case SetOption(name, value):
                if not self._pump.set_datagrams(name, value):
                    self._hooks.warn(f"{self._channel.name}: the option {name} was not taken")

    def _send(self, frame: Control, datagrams: bool) -> None:
        if not self._pump.send_control(frame.kind, frame.payload, datagrams=datagrams):
            self._hooks.warn("the queue of control frames is full: one was not sent")

    def _finish(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
        self._wake.set()


def _by_datagrams(stats: PumpStats) -> Traffic:
    udp = stats.udp
    moved = max(udp.get("tx_bytes", 0), udp.get("rx_bytes", 0))
    return Traffic(stats.last_rx_datagram, stats.last_tx_datagram, udp.get("tx_datagrams", 0), moved)
