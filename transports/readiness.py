"""Waits until a descriptor can be read or written, on the running asyncio loop, with nothing left registered after."""

from __future__ import annotations

import asyncio

from transports.errors import ConnectionLost


class Readiness:
    """Several tasks may wait at once, in either direction.  The owner calls `close` before it closes the descriptor."""

    def __init__(self, fd: int) -> None:
        self._input, self._output = _Direction(fd), _Output(fd)

    async def readable(self) -> None:
        """Raises ConnectionLost if `close` is called meanwhile."""
        await _wait(self._input)

    async def writable(self) -> None:
        """Raises ConnectionLost if `close` is called meanwhile."""
        await _wait(self._output)

    async def either(self) -> None:
        """Readable or writable.  Raises ConnectionLost if `close` is called meanwhile."""
        await _wait(self._input, self._output)

    def wake_reader(self) -> None:
        """Something was read on behalf of who waits for input."""
        self._input.wake()

    def close(self) -> None:
        """Stop watching; who waits gets ConnectionLost.  Watching may begin anew later."""
        self._input.close()
        self._output.close()


async def _wait(*directions: _Direction) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for direction in directions:
        direction.enter(waiter)
    try:
        await waiter
    finally:
        for direction in directions:
            direction.leave(waiter)


class _Direction:
    """Input; _Output is its twin."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop: asyncio.AbstractEventLoop | None = None  # where the descriptor is registered now
        self._waiters: set[asyncio.Future[None]] = set()

    def enter(self, waiter: asyncio.Future[None]) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._watch(self._loop)
        self._waiters.add(waiter)

    def leave(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.discard(waiter)
        if not self._waiters:
            self._stop()

    def close(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionLost("the connection was closed on this side"))
        self._stop()

    def wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._stop()

    def _stop(self) -> None:
        """Only what is registered is removed: once closed, the number may be another descriptor's."""
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            self._unwatch(loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._fd, self.wake)

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._fd)


class _Output(_Direction):
    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_writer(self._fd, self.wake)

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_writer(self._fd)
