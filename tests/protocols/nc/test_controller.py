"""The life of the tunnel (section 9)."""

from __future__ import annotations

from math import inf

import pytest

from protocols.base import Control, Ended, Traffic
from protocols.framing.oncp import Kind
from protocols.nc.controller import NcController, State


@pytest.mark.parametrize(
    "reason, text",
    [
        (b"\x01", "reason 1: the session has expired"),
        (b"\x08", "reason 8: the tunnel was idle for too long"),
        (b"\x63", "reason 99: no reason that is known"),
        (b"", "reason 0"),
    ],
)
def test_a_termination_ends_the_session(reason: bytes, text: str) -> None:
    controller = NcController()
    (ended,) = controller.on_control(Control(Kind.TERMINATED, reason), 1.0)
    assert isinstance(ended, Ended) and text in ended.reason and ended.code == (reason or b"\0")[0]
    assert controller.state is State.DONE
    assert controller.on_control(Control(Kind.TERMINATED, reason), 2.0) == []


def test_what_nobody_knows_is_passed_over_and_silence_is_no_reason() -> None:
    controller = NcController()
    assert controller.on_control(Control(Kind.CONFIGURATION, b"again"), 1.0) == []
    assert controller.on_time(Traffic(0.0, 0.0), 1e9) == [] and controller.deadline() == inf
    assert controller.on_rekeyed(True, 2.0) == []


def test_a_goodbye_says_nothing_on_the_link() -> None:
    controller = NcController()
    assert controller.goodbye("user") == []
    assert controller.on_control(Control(Kind.TERMINATED, b"\x08"), 1.0) == []
