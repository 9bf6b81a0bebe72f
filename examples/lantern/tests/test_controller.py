"""The life of a tunnel, told with frames and numbers for the time."""

from __future__ import annotations

from math import inf

import pytest
from lantern.controller import MAX_ECHO, LanternController, State
from lantern.framing import Kind

from vpnclient.api import Control, Ended, Reconnect, Send, Traffic, UnexpectedFrame

PING = Send(Control(Kind.PING))


def up(dpd: float = 30) -> LanternController:
    return LanternController(dpd, 1000)


def test_a_ping_comes_back_as_a_pong_within_bounds() -> None:
    assert up().on_control(Control(Kind.PING, bytes(100)), 1001) == [Send(Control(Kind.PONG, bytes(MAX_ECHO)))]


def test_a_silent_gateway_is_pinged_and_then_given_up() -> None:
    controller, silent = up(), Traffic(1000, 1000)
    assert controller.deadline() == 1030
    assert controller.on_time(silent, 1029) == []
    assert controller.on_time(silent, 1030) == [PING]
    assert controller.deadline() == 1045
    assert controller.on_time(silent, 1045) == [PING]
    assert controller.on_time(silent, 1060) == [Reconnect("the gateway was silent for 60 s")]
    assert controller.state is State.DONE and controller.deadline() == inf
    assert controller.on_time(silent, 2000) == [] == controller.goodbye("bye")


def test_packets_and_pongs_are_signs_of_life() -> None:
    controller = up()
    assert controller.on_time(Traffic(1029, 1000), 1030) == []
    assert controller.deadline() == 1059
    assert controller.on_control(Control(Kind.PONG), 1058) == []
    assert controller.deadline() == 1088


def test_without_dpd_nothing_is_due() -> None:
    controller = up(0)
    assert controller.deadline() == inf
    assert controller.on_time(Traffic(1000, 1000), 1e9) == []
    assert controller.on_rekeyed(True, 1e9) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b"maintenance", "maintenance"), (b"", "no reason given"), (b"a\x1b[31m\xff", "a [31m\ufffd")],
)
def test_a_bye_ends_it(text: bytes, reason: str) -> None:
    controller = up()
    assert controller.on_control(Control(Kind.BYE, text), 1001) == [Ended(f"the gateway ended the session: {reason}")]
    assert controller.on_control(Control(Kind.PING), 1002) == []


def test_our_goodbye() -> None:
    controller = up()
    assert controller.goodbye("user disconnect") == [Send(Control(Kind.BYE, b"user disconnect"))]
    assert controller.state is State.DONE


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.CONFIG])
def test_a_frame_that_does_not_belong_here(kind: int) -> None:
    with pytest.raises(UnexpectedFrame, match=f"unexpected frame of kind {kind} in state up"):
        up().on_control(Control(kind), 1001)
