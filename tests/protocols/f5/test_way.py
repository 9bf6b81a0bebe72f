"""The way back from TLS to DTLS: when it is looked for (ppp.md section 13)."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from protocols.base import Control, Errand, Reconnect, Send, Traffic
from protocols.f5.way import Way, WayBack
from protocols.ppp.controller import PppController, Timers
from protocols.ppp.engine import Wishes
from protocols.ppp.ipcp import IpcpWishes
from tests.protocols.ppp.peers import lcp
from tests.protocols.ppp.test_engine import CLIENT, F5_LCP, opened
from transports.errors import DtlsTimedOut

ANYWAY = Traffic(1e9, 1e9)  # the gateway is there


class Gateway:
    answers: list[Any]

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def seek(self) -> Any:
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def seeking(gateway: Gateway, wishes: Wishes = CLIENT) -> tuple[WayBack, Way]:
    way, plan = Way(60.0), object()
    life = PppController(opened(wishes)[0], Timers(), 0.0)
    return WayBack(life, way, plan, gateway.seek, 0.0), way  # type: ignore[arg-type]


def do(actions: list[Any]) -> list[Any]:
    (errand,) = actions
    assert isinstance(errand, Errand)
    return list(asyncio.run(errand.run()))  # type: ignore[arg-type]


def test_every_minute_after_the_last_answer_was_missed() -> None:
    controller, way = seeking(Gateway(DtlsTimedOut("x"), "found"))
    assert controller.deadline() == 60.0
    assert controller.on_time(ANYWAY, 59.9) == []
    errand = controller.on_time(ANYWAY, 60.0)
    assert controller.deadline() == inf and controller.on_time(ANYWAY, 61.0) == []  # one at a time
    assert do(errand) == [] and way.take() is None
    assert controller.on_time(ANYWAY, 72.5) == [] and controller.deadline() == 132.5
    (action,) = do(controller.on_time(ANYWAY, 132.5))
    assert isinstance(action, Reconnect) and action.planned
    assert controller.deadline() == inf and controller.on_time(ANYWAY, 1000.0) == []
    ready = way.take()
    assert ready is not None and ready.answered == "found" and way.take() is None


def test_not_any_more_when_it_can_never_be() -> None:
    from protocols.errors import DatagramsImpossible

    controller, way = seeking(Gateway(DatagramsImpossible("no")))
    assert do(controller.on_time(ANYWAY, 60.0)) == [] and way.off
    assert controller.on_time(ANYWAY, 1000.0) == [] and controller.deadline() == inf


def test_the_life_of_the_tunnel_goes_on() -> None:
    controller, _ = seeking(Gateway(), Wishes(F5_LCP, IpcpWishes(), dpd=10))
    (answer,) = controller.on_control(lcp("0907000caabbccdd01020304"), 1.0)
    assert isinstance(answer, Send) and controller.on_rekeyed(True, 1.0) == []
    assert controller.deadline() == 11.0
    assert [type(one).__name__ for one in controller.on_time(Traffic(1.0, 1.0), 11.0)] == ["Send"]
    (action,) = controller.on_time(Traffic(1.0, 1.0), 100.0)  # silent, and the look was due
    assert isinstance(action, Reconnect) and not action.planned
    _, ended = seeking(Gateway())[0].on_control(Control(0xC021, bytes.fromhex("0503000778") + b"yz"), 1.0)
    assert type(ended).__name__ == "Ended"


def test_a_goodbye_ends_the_search() -> None:
    controller, _ = seeking(Gateway())
    (action,) = controller.goodbye("user disconnect")
    assert isinstance(action, Send) and controller.deadline() == inf
    assert controller.on_time(ANYWAY, 60.0) == []


def test_a_second_one_takes_the_place_of_the_first() -> None:
    class Records:
        closed = False

        def close(self) -> None:
            self.closed = True

    class Ready:
        def __init__(self) -> None:
            self.records = Records()
            self.answered = self

    way, first, second = Way(), Ready(), Ready()
    way.put(first)  # type: ignore[arg-type]
    way.put(second)  # type: ignore[arg-type]
    assert first.records.closed and not second.records.closed
    way.close()
    assert second.records.closed and way.take() is None
