"""One tunnel of a lab gateway: a pump between a session's TUN device and its links, until either side ends it.

The pump's events and the clock go to the protocol's controller; its actions come back and are carried out here.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from protocols.base import Control, Rekey, Send, SetOption, Traffic, UseDatagrams, Warn
from protocols.errors import ProtocolError
from transports.link import DatagramLink
from transports.pump import Pump, PumpEvent, PumpEventKind
from transports.tls import TlsStream
from transports.tun import Tun
from vpnclient.lab.netns import LabError
from vpnclient.lab.site import Hangup, OpenTunnel, ServerAction, ServerController
from vpnclient.pumps import AnyPump, make_pump
from vpnclient.tasks import to_the_end

LEAST_WAIT = 0.02  # seconds between two looks at the clock, whatever a controller says
LINGER = 0.5  # seconds to hand the last frames to the kernel

_ENDINGS = {
    PumpEventKind.LINK_EOF: "the client closed the link",
    PumpEventKind.LINK_ERROR: "the link failed",
    PumpEventKind.STREAM_BROKEN: "the stream is broken",
    PumpEventKind.DEVICE_GONE: "the device is gone",
    PumpEventKind.STOPPED: "stopped",
}


def ending_of(event: PumpEvent) -> str | None:
    """None: the tunnel goes on.  The pump speaks of its peer as a client's does."""
    ending = _ENDINGS.get(event.kind)
    if ending is None or event.kind is PumpEventKind.LINK_EOF:
        return ending
    detail = event.text.replace("the gateway", "the client")
    return f"{ending}: {detail}" if detail else ending


class Link:
    """Runs in the event loop's thread; the packets move in the pump's."""

    def __init__(self, tun: Tun, stream: TlsStream | None, opened: OpenTunnel, log: Callable[[str], None]) -> None:
        """stream: None for a tunnel by datagrams alone; `attach` its link before `run`."""
        self._tun, self._stream, self._opened, self._log = tun, stream, opened, log
        self._controller = opened.controller
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Hangup] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._pump: AnyPump | None = None
        self._waiting: DatagramLink | None = None  # attached before there was a pump
        self._by_datagrams: ServerController | None = None  # of the channel beside the stream
        self.opened = asyncio.Event()  # what was attached is the pump's, or will never be
        self.closed = asyncio.Event()

    def attach(self, link: DatagramLink, controller: ServerController) -> None:
        """Take a datagram link over.  Raises EngineError, LabError."""
        self._by_datagrams = controller
        if self._pump is None and self._stream is None:
            self._waiting = link
        elif isinstance(self._pump, Pump):
            self._pump.attach(link)
            self._pump.follow()
        else:
            raise LabError("the tunnel is not there, or its framing exists in Python only")

    def export(self, label: str, length: int) -> bytes:
        """Keying material of the stream.  Raises LabError: there is none, TransportError."""
        if self._stream is None:
            raise LabError("the session has no stream")
        return self._stream.export_keying_material(label, length)

    async def run(self, first: bytes) -> Hangup:
        """Move packets until the end; `first`: framing that came with the request.  The stream stays open."""
        try:
            pump = make_pump(
                *(self._tun, self._stream, self._opened.framing),
                mtu=self._opened.mtu,
                first=first,
                options=self._opened.options,
            )
            if self._stream is not None:
                self._stream.detach(pump.export if isinstance(pump, Pump) else None)
            if self._waiting is not None and isinstance(pump, Pump):
                pump.attach(self._waiting)
            self.opened.set()
            self._pump = pump
            return await self._carry(pump)
        finally:
            self._pump = None
            self.opened.set()
            self.closed.set()

    async def _carry(self, pump: AnyPump) -> Hangup:
        try:
            pump.start()
            self._loop.add_reader(pump.fileno(), self._on_ready)
            self._schedule()
            return await self._ending
        finally:
            self._loop.remove_reader(pump.fileno())
            if self._timer is not None:
                self._timer.cancel()
            await to_the_end(lambda: pump.stop(LINGER))
            stats = pump.stats()
            self._log(f"{self._opened.session!r}: link closed, {stats.rx_packets} packets in, {stats.tx_packets} out")
            if self._stream is not None:
                self._stream.reattach()

    def end(self, hangup: Hangup) -> None:
        """From outside: drop the link.  The client is not told."""
        if not self._ending.done():
            self._ending.set_result(hangup)

    def farewell(self, reason: str) -> None:
        """From outside: tell the client that the session is over, then drop the link."""
        self._act(self._controller.farewell(reason))

    def _on_ready(self) -> None:
        assert self._pump is not None  # the reader is added after the pump
        now = time.monotonic()
        events = self._pump.events()  # before the frames: then a goodbye that preceded the end is among them
        alone = self._stream is None
        frames = [Control(kind, payload) for kind, payload in self._pump.controls(datagrams=alone)]
        beside = [] if alone else [Control(kind, payload) for kind, payload in self._pump.controls(datagrams=True)]
        try:
            self._act(self._controller.on_controls(frames, now))
            if self._by_datagrams is not None and beside:
                self._act(self._by_datagrams.on_controls(beside, now))
        except ProtocolError as exc:
            self.end(Hangup(str(exc), forget=False))
        for event in events:
            ending = ending_of(event)
            if ending is None:
                self._log(f"{event.kind.name.lower().replace('_', ' ')} {event.text}".rstrip())
            else:
                self.end(Hangup(ending, forget=False))
        self._schedule()

    def _on_time(self) -> None:
        assert self._pump is not None  # as above
        now, stats = time.monotonic(), self._pump.stats()
        by_datagrams = Traffic(stats.last_rx_datagram, stats.last_tx_datagram)
        by_stream = Traffic(stats.last_rx, stats.last_tx)
        self._act(self._controller.on_time(by_datagrams if self._stream is None else by_stream, now))
        if self._stream is not None and self._by_datagrams is not None:
            self._act(self._by_datagrams.on_time(by_datagrams, now))
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._controller.deadline()
        if self._by_datagrams is not None:
            deadline = min(deadline, self._by_datagrams.deadline())
        if deadline < math.inf and not self._ending.done():
            self._timer = self._loop.call_at(max(deadline, self._loop.time() + LEAST_WAIT), self._on_time)

    def _act(self, actions: list[ServerAction]) -> None:
        for action in actions:
            match action:
                case Send(frame, datagrams):
                    self._send(frame, datagrams or self._stream is None)
                case Rekey():
                    if self._pump is not None:
                        self._pump.rekey()
                case Warn(text):
                    self._log(text)
                case Hangup():
                    self.end(action)
                case SetOption(name, value):
                    if isinstance(self._pump, Pump) and not self._pump.set_datagrams(name, value):
                        self._log(f"option {name} dropped: too many wait")
                case UseDatagrams(yes):
                    if isinstance(self._pump, Pump):
                        self._pump.use_datagrams(yes)

    def _send(self, frame: Control, datagrams: bool) -> None:
        if self._pump is None:
            return
        if not self._pump.send_control(frame.kind, frame.payload, datagrams=datagrams):
            self._log(f"control frame {frame.kind} dropped: the queue is full")
