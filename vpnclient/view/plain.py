"""Plain lines, for pipes, log files and services."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from vpnclient.events import Event, Failed, State, StateChanged, Statistics
from vpnclient.settings import plain
from vpnclient.view.text import Level, Line, lines, statistics

STAMP = "[%Y-%m-%d %H:%M:%S] "  # --timestamp, local time (cli-parity 2.12)


class PlainView:
    """A line an event, on `out`, up to a level.  now: Unix time in seconds, for the timestamps."""

    def __init__(
        self,
        out: TextIO,
        level: int = Level.INFO,
        *,
        timestamps: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._out, self._level, self._timestamps, self._now = out, level, timestamps, now
        self._totals: Statistics | None = None
        self._asked = False
        self._failure = ""

    def __call__(self, event: Event) -> None:
        for line in self._lines(event):
            if line.level <= self._level:
                self._write(line)

    def undisturbed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def show_statistics(self) -> None:
        self._asked = True

    def close(self) -> None:
        """Nothing is held."""

    def _lines(self, event: Event) -> list[Line]:
        """The lines of an event; the totals when asked for and at the end."""
        if isinstance(event, Statistics):
            self._totals = event
            asked, self._asked = self._asked, False
            return statistics(event) if asked else []
        if isinstance(event, Failed):
            self._failure = event.text
        if not isinstance(event, StateChanged) or event.state is not State.CLOSED:
            return lines(event)
        if event.reason == self._failure:  # said already
            event = StateChanged(State.CLOSED)
        totals = statistics(self._totals) if self._totals is not None else []
        return [*lines(event), *(Line(Level.INFO, line.text) for line in totals)]

    def _write(self, line: Line) -> None:
        stamp = time.strftime(STAMP, time.localtime(self._now())) if self._timestamps else ""
        self._print(stamp + plain(line.text), line.style)

    def _print(self, text: str, style: str) -> None:
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self._level = -1  # nobody reads any more: say nothing from now on
