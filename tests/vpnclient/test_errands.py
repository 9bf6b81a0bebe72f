"""Work beside a tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from protocols.base import Action, Reconnect, Warn
from protocols.errors import CookieRejected
from transports.errors import Unreachable
from vpnclient.errands import Errands


class Acts:
    def __init__(self) -> None:
        self.done: list[Action] = []

    def __call__(self, actions: Iterable[Action], now: float) -> None:
        self.done += actions


def test_what_it_returns_is_carried_out_and_one_runs_at_a_time() -> None:
    async def run() -> None:
        acts, gate, began = Acts(), asyncio.Event(), []
        errands = Errands(acts)

        async def work() -> list[Action]:
            began.append(1)
            await gate.wait()
            return [Warn("done")]

        errands.start(work)
        errands.start(work)
        await asyncio.sleep(0)
        gate.set()
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(began) == 1 and acts.done == [Warn("done")]
        errands.start(work)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(acts.done) == 2
        await errands.close()

    asyncio.run(run())


@pytest.mark.parametrize("error", [CookieRejected("gone"), Unreachable("gone")])
def test_a_failure_is_the_tunnels(error: Exception) -> None:
    async def run() -> list[Action]:
        acts = Acts()

        async def work() -> list[Action]:
            raise error

        errands = Errands(acts)
        errands.start(work)
        for _ in range(3):
            await asyncio.sleep(0)
        return acts.done

    (action,) = asyncio.run(run())
    assert isinstance(action, Reconnect) and "gone" in action.reason and not action.planned


def test_it_ends_with_the_tunnel() -> None:
    async def run() -> None:
        acts, ended = Acts(), []

        async def work() -> list[Action]:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(1)
            return []

        errands = Errands(acts)
        errands.start(work)
        await asyncio.sleep(0)
        await errands.close()
        assert ended and not acts.done
        await errands.close()

    asyncio.run(run())
