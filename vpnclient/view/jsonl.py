"""JSON lines for scripts: one event, one object, one line, at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from vpnclient.events import Event, to_json


class JsonView:
    """Events on `out`.  now: Unix time in seconds."""

    def __init__(self, out: TextIO, *, now: Callable[[], float] = time.time) -> None:
        self._out, self._now = out, now
        self._open = True

    def __call__(self, event: Event) -> None:
        if not self._open:
            return
        try:
            self._out.write(json.dumps(to_json(event, self._now()), ensure_ascii=True) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self._open = False  # the reader has gone; the session goes on

    def undisturbed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def show_statistics(self) -> None:
        """They are shown anyway."""

    def close(self) -> None:
        """Nothing is held."""
