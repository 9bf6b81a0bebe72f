"""The life of the TLS tunnel (sections 11.3, 13.1 and 13.2)."""

from __future__ import annotations

from math import inf

import pytest

from protocols.base import Action, Control, Reconnect, Send, Traffic, Warn
from protocols.errors import UnexpectedFrame
from protocols.gp.config import Timers
from protocols.gp.controller import KEEPALIVE, GpstController, State
from protocols.gp.life import Schedule

ASK = [Send(KEEPALIVE)]


def tunnel(timers: Timers | None = None, *, dpd: float = 10.0, report: int = 0) -> GpstController:
    return GpstController(Schedule(timers or Timers(), 100.0, dpd, report), 100.0)


def at(controller: GpstController, now: float, *, received: float = 100.0, sent: float = 100.0) -> list[Action]:
    return controller.on_time(Traffic(received, sent), now)


def test_silence_is_asked_about_and_then_it_is_dead() -> None:
    controller = tunnel()
    assert controller.deadline() == 110.0
    assert at(controller, 109.9) == []
    assert at(controller, 110.0) == ASK
    assert at(controller, 114.9, sent=110.0) == [] and controller.deadline() == 115.0
    assert at(controller, 115.0, sent=110.0) == ASK
    assert controller.deadline() == 120.0
    assert at(controller, 120.0, sent=115.0) == [Reconnect("the gateway was silent for 20 s")]
    assert controller.state is State.DONE and controller.deadline() == inf
    assert at(controller, 300.0) == []


def test_any_byte_is_a_sign_of_life() -> None:
    controller = tunnel()
    assert at(controller, 110.0) == ASK
    assert at(controller, 111.0, received=110.5, sent=110.0) == []
    assert at(controller, 119.9, received=110.5, sent=110.0) == []
    assert at(controller, 120.5, received=110.5, sent=115.0) == ASK


def test_a_quiet_client_says_that_it_is_there() -> None:
    controller = tunnel()
    assert at(controller, 109.0, received=109.0) == []
    assert at(controller, 110.0, received=109.0) == ASK  # nothing sent for D; the answer is not waited for
    assert at(controller, 118.9, received=109.0, sent=110.0) == []
    assert at(controller, 119.0, received=109.0, sent=110.0) == ASK


def test_a_keepalive_that_comes_is_never_answered() -> None:
    assert tunnel().on_control(KEEPALIVE, 101.0) == []
    with pytest.raises(UnexpectedFrame):
        tunnel().on_control(Control(0x0800), 101.0)


def test_the_idle_limit_is_named_when_the_gateway_goes_silent() -> None:  # Q35
    (action,) = at(tunnel(Timers(idle=3600)), 130.0)
    assert isinstance(action, Reconnect) and "idle for 3600 s" in action.reason


@pytest.mark.parametrize("timeout, due", [(3600, 3540), (66, 6), (60, 30), (1, 1)])
def test_new_keys_a_minute_before_the_old_ones_end(timeout: int, due: int) -> None:
    controller = tunnel(Timers(tunnel=timeout), dpd=1e6)
    assert controller.deadline() == 100.0 + due
    assert at(controller, 100.0 + due) == [Reconnect("new keys are due", planned=True)]


def test_a_host_report_by_a_new_tunnel() -> None:
    assert at(tunnel(dpd=1e6, report=50), 150.0) == [Reconnect("a host report is due", planned=True)]


def test_the_end_of_the_login_is_told_before() -> None:
    controller = tunnel(Timers(session=1000, notify=300, message="Sign in again."), dpd=1e6)
    assert controller.deadline() == 800.0
    assert at(controller, 800.0) == [Warn("the gateway will end this session in 5 minutes: Sign in again.")]
    assert at(controller, 801.0) == [] and controller.deadline() == 1100.0
    assert at(controller, 1100.0) == [Warn("the session's time is over: the gateway will end it, sign in again")]
    assert at(controller, 1101.0) == []


def test_what_is_due_counts_from_the_configuration() -> None:
    controller = GpstController(Schedule(Timers(tunnel=3600), 50.0, 1e6), 100.0)
    assert controller.deadline() == 50.0 + 3540


def test_no_frame_says_goodbye() -> None:
    controller = tunnel()
    assert controller.goodbye("bye") == [] and controller.deadline() == inf
    assert controller.on_rekeyed(True, 1.0) == []
