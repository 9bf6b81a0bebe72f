"""A terminal: coloured lines, and below them one live line while the tunnel is up.

    connected  0:12:34  down 12.3 Mbit/s  up 1.2 Mbit/s  1 reconnect  DTLS  vpn.example.com  10.0.0.5  tun0

What changes comes first: a narrow terminal cuts off the end.
It is drawn anew with each event, so at least once a second while statistics come, and taken away while a question is
open.  NO_COLOR is honoured (by rich).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vpnclient.events import ChannelChanged, Configured, Event, RetryScheduled, State, StateChanged, Statistics
from vpnclient.view.plain import PlainView
from vpnclient.view.text import Level, counted, duration, rate

_STYLES = {"error": "bold red", "warning": "yellow", "hint": "cyan", "good": "green", "dim": "dim", "": ""}
SHORTEST = 0.5  # seconds; a rate over less jumps about
_LIVE_STATES = {State.CONNECTED: "green", State.RECONNECTING: "yellow"}


class StatusLine:
    """What the live line says; no terminal in it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._state: State | None = None
        self._address = self._interface = self._retry = self._channel = ""
        self._last: Statistics | None = None
        self._measured: Statistics | None = None  # where the next measurement of the rates begins
        self._down = self._up = 0.0  # bits per second

    @property
    def live(self) -> bool:
        return self._state in _LIVE_STATES

    def __call__(self, event: Event) -> None:
        match event:
            case StateChanged():
                self._state, self._retry = event.state, ""
            case ChannelChanged():
                self._channel = event.name
            case Configured():
                self._address = " ".join(address.partition("/")[0] for address in event.addresses)
                self._interface = event.interface
            case RetryScheduled():
                self._retry = f"attempt {event.attempt + 1} in {event.wait:.0f} s"
            case Statistics():
                self._measure(event)

    def _measure(self, event: Statistics) -> None:
        self._last, before = event, self._measured
        if before is None or event.seconds < before.seconds:
            self._measured = event
            return
        passed = event.seconds - before.seconds
        if passed < SHORTEST:
            return
        self._measured = event
        self._down = 8 * (event.rx_bytes - before.rx_bytes) / passed
        self._up = 8 * (event.tx_bytes - before.tx_bytes) / passed

    def text(self) -> Text:
        assert self._state is not None
        line = Text(str(self._state), style=f"bold {_LIVE_STATES[self._state]}", no_wrap=True, overflow="ellipsis")
        parts = [duration(self._last.seconds)] if self._last is not None else []
        if self._state is State.CONNECTED:
            parts += [f"down {rate(max(self._down, 0))}", f"up {rate(max(self._up, 0))}"]
        else:
            parts.append(self._retry)
        if self._last is not None and self._last.reconnects:
            parts.append(counted(self._last.reconnects, "reconnect"))
        parts += [self._channel, self._target, self._address, self._interface]
        return line.append("  " + "  ".join(part for part in parts if part), style="not bold default")


class TerminalView(PlainView):
    """Lines in colour with the live line below them, on a terminal."""

    def __init__(
        self,
        out: TextIO,
        level: int = Level.INFO,
        *,
        target: str = "",
        timestamps: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(out, level, timestamps=timestamps, now=now)
        self._console = Console(file=out, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._status = StatusLine(target.removeprefix("https://").rstrip("/"))
        self._live: Live | None = None
        self._typing = False

    def __call__(self, event: Event) -> None:
        self._status(event)
        if not self._status.live:
            self._take_away()
        super().__call__(event)
        self._draw()

    def undisturbed(self) -> AbstractContextManager[None]:
        return self._while_typing()

    def close(self) -> None:
        self._take_away()

    @contextmanager
    def _while_typing(self) -> Iterator[None]:
        self._take_away()
        self._typing = True
        try:
            yield
        finally:
            self._typing = False
            self._draw()

    def _draw(self) -> None:
        if self._typing or not self._status.live or self._level < Level.INFO:
            return
        try:
            if self._live is None:
                self._live = Live(
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                    vertical_overflow="crop",
                )
                self._live.start()
            self._live.update(self._status.text(), refresh=True)
        except OSError:
            self._live, self._level = None, -1  # the terminal has gone

    def _take_away(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except OSError:
                self._level = -1

    def _print(self, text: str, style: str) -> None:
        try:
            self._console.print(Text(text, style=_STYLES[style]), soft_wrap=True)
        except OSError:
            self._level = -1
