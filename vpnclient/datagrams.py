"""Opens the datagram channel of a tunnel whenever its controller wants it, and tells the controller what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from protocols.base import Action, DatagramChannel
from protocols.errors import DatagramsImpossible, ProtocolError
from transports.errors import TransportError
from transports.link import DatagramLink

GIVE_UP = 15.0  # seconds for an attempt that does not end by itself


class DatagramKeeper:
    """One per carrier.  attach: gives a link to the pump.  act: carries out actions.  Runs on asyncio's thread."""

    def __init__(
        self,
        channel: DatagramChannel,
        attach: Callable[[DatagramLink], None],
        act: Callable[[Iterable[Action], float], None],
    ) -> None:
        self._channel, self._attach, self._act = channel, attach, act
        self._attempt: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin an attempt; one that is under way is given up."""
        self.abandon()
        self._attempt = asyncio.ensure_future(self._open())

    def abandon(self) -> None:
        """Give up the attempt that is under way, if there is one."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    async def close(self) -> None:
        attempt = self._attempt
        self.abandon()
        if attempt is not None:
            await asyncio.wait({attempt})

    async def _open(self) -> None:
        controller = self._channel.controller
        try:
            async with asyncio.timeout(GIVE_UP):
                link = await self._channel.open()
            description = link.description
            try:
                self._attach(link)
            finally:
                link.close()  # the pump has what it needs
        except DatagramsImpossible as exc:
            actions = controller.on_failed(str(exc), time.monotonic(), hopeless=True)
        except (ProtocolError, TransportError, TimeoutError) as exc:
            actions = controller.on_failed(str(exc) or f"no answer within {GIVE_UP:.0f} s", time.monotonic())
        else:
            actions = controller.on_up(description, time.monotonic())
        self._attempt = None
        self._act(actions, time.monotonic())
