"""Who opens the datagram channel, and what its controller hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.base import Action, DatagramChannel, Warn
from protocols.errors import DatagramsImpossible, MalformedAnswer
from transports.errors import EngineError, TimedOut
from transports.link import LinkDescription
from vpnclient import datagrams
from vpnclient.datagrams import DatagramKeeper

DESCRIPTION = LinkDescription("DTLS", "192.0.2.1", 443)


class Link:
    def __init__(self) -> None:
        self.description, self.closed = DESCRIPTION, False

    def close(self) -> None:
        self.closed = True


class Controller:
    """Notes what it is told; each call is answered with one Warn."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_up(self, link: LinkDescription, now: float) -> list[Action]:
        self.heard.append(link)
        return [Warn("up")]

    def on_failed(self, reason: str, now: float, *, hopeless: bool = False) -> list[Action]:
        self.heard.append((reason, hopeless))
        return [Warn("failed")]


class Bench:
    def __init__(self, open_link: Callable[[], Awaitable[Any]], attach: Callable[[Any], None] | None = None) -> None:
        self.controller: Any = Controller()
        self.attached: list[object] = []
        self.acted: list[Action] = []
        channel = DatagramChannel("DTLS", open_link, self.controller)
        self.keeper = DatagramKeeper(channel, attach or self.attached.append, self._act)

    def _act(self, actions: Iterable[Action], now: float) -> None:
        self.acted += actions


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_open_link_goes_to_the_pump_and_is_closed_here() -> None:
    link = Link()

    async def open_link() -> Any:
        return link

    async def run() -> Bench:
        bench = Bench(open_link)
        bench.keeper.open()
        await settle()
        await bench.keeper.close()
        return bench

    bench = asyncio.run(run())
    assert bench.attached == [link] and link.closed
    assert bench.controller.heard == [DESCRIPTION] and bench.acted == [Warn("up")]


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (TimedOut("udp to 192.0.2.1", 12.0), ("udp to 192.0.2.1: no answer within 12 s", False)),
        (MalformedAnswer("x", "odd"), ("odd", False)),
        (DatagramsImpossible("not resumed"), ("not resumed", True)),
    ],
)
def test_a_failure_is_told_with_its_reason(error: Exception, heard: tuple[str, bool]) -> None:
    async def open_link() -> Any:
        raise error

    async def run() -> Bench:
        bench = Bench(open_link)
        bench.keeper.open()
        await settle()
        return bench

    bench = asyncio.run(run())
    assert bench.controller.heard == [heard] if heard[1] else bench.controller.heard[0][1] is False
    assert str(error) in bench.controller.heard[0][0] and bench.acted == [Warn("failed")]


def test_a_link_that_the_pump_refuses_is_a_failure_and_is_closed() -> None:
    link = Link()

    async def open_link() -> Any:
        return link

    def refuse(link: object) -> None:
        raise EngineError("no memory")

    async def run() -> Bench:
        bench = Bench(open_link, refuse)
        bench.keeper.open()
        await settle()
        return bench

    bench = asyncio.run(run())
    assert link.closed and bench.controller.heard == [("no memory", False)]


def test_an_attempt_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "GIVE_UP", 0.01)

    async def open_link() -> Any:
        await asyncio.Event().wait()

    async def run() -> Bench:
        bench = Bench(open_link)
        bench.keeper.open()
        async with asyncio.timeout(60):
            while not bench.controller.heard:
                await asyncio.sleep(0.001)
        return bench

    assert asyncio.run(run()).controller.heard == [("no answer within 0 s", False)]


def test_a_new_attempt_and_the_end_give_up_the_one_under_way_without_a_word() -> None:
    begun: list[object] = []
    ended: list[object] = []

    async def open_link() -> Any:
        begun.append(SimpleNamespace())
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(begun[-1])

    async def run() -> Bench:
        bench = Bench(open_link)
        bench.keeper.open()
        await settle()
        bench.keeper.open()
        await settle()
        await bench.keeper.close()
        return bench

    bench = asyncio.run(run())
    assert len(begun) == len(ended) == 2
    assert bench.controller.heard == [] and bench.acted == []
