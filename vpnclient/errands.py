"""Work of a controller's beside the tunnel: one task at a time, which ends with the tunnel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from protocols.base import Action, Reconnect
from protocols.errors import ProtocolError
from transports.errors import TransportError

Work = Callable[[], Awaitable[list[Action]]]


class Errands:
    """One per carrier, on asyncio's thread.  act: carries out actions."""

    def __init__(self, act: Callable[[Iterable[Action], float], None]) -> None:
        self._act = act
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Work) -> None:
        """Not while one is under way."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._run(work))

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self, work: Work) -> None:
        try:
            actions: list[Action] = await work()
        except (ProtocolError, TransportError) as exc:
            actions = [Reconnect(str(exc))]
        self._task = None
        self._act(actions, time.monotonic())
