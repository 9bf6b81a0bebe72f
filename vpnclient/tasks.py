"""Work that must run to its end even when the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: Callable[[], T]) -> T:
    """Run blocking work in a thread, and wait for its end however often this task is cancelled meanwhile."""
    future = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        future.exception()  # whoever cancels does not want it; asyncio must not complain that nobody looked
        raise cancelled
    return future.result()
