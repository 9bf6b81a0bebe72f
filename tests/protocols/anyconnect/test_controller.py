"""The life of a CSTP channel: bytes and times in, actions out (sections 4, 5 and 9)."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.anyconnect.controller import CstpController, State
from protocols.anyconnect.timers import RekeyMethod, Timers
from protocols.base import Action, Control, Dismissed, Ended, Reconnect, Rekey, Send, Traffic, Warn

DPD_REQ, DPD_RESP, DISCONNECT, KEEPALIVE, TERMINATE = 3, 4, 5, 7, 9
PROBE, ALIVE = Send(Control(DPD_REQ)), Send(Control(KEEPALIVE))


def controller(
    dpd: int = 0, keepalive: int = 0, rekey: int = 0, method: RekeyMethod = RekeyMethod.NONE, **more: int
) -> CstpController:
    return CstpController(Timers(dpd, keepalive, rekey, method, **more), now=100.0)


def at(one: CstpController, now: float, heard: float = 100.0, sent: float = 100.0) -> list[Action]:
    return one.on_time(Traffic(heard, sent), now)


def test_nothing_to_do_without_timers() -> None:
    one = controller()
    assert one.deadline() == inf
    assert at(one, 1e9) == []


# --- dead peer detection (5.1) ---


def test_silence_is_probed_and_then_given_up() -> None:
    one = controller(dpd=20)
    assert one.deadline() == 120.0
    assert at(one, 119.9) == []
    assert at(one, 120.0) == [PROBE]
    assert one.deadline() == 130.0  # half the interval after a probe
    assert at(one, 130.0) == [PROBE]
    assert one.deadline() == 140.0
    assert at(one, 140.0) == [Reconnect("the gateway was silent for 40 s")]
    assert one.deadline() == inf and one.state is State.DONE
    assert at(one, 200.0) == []


def test_any_packet_proves_life() -> None:
    one = controller(dpd=20)
    assert at(one, 120.0) == [PROBE]
    assert at(one, 139.9, heard=125.0) == []
    assert one.deadline() == 145.0
    one.on_control(Control(DPD_RESP), 150.0)
    assert at(one, 155.0, heard=125.0) == []
    assert one.deadline() == 170.0


def test_a_sleep_longer_than_two_intervals_is_death() -> None:
    assert at(controller(dpd=20), 5000.0) == [Reconnect("the gateway was silent for 4900 s")]


def test_counters_that_start_at_zero_are_no_silence() -> None:
    assert at(controller(dpd=20), 110.0, heard=0.0, sent=0.0) == []


def test_keepalive_when_nothing_was_sent() -> None:
    one = controller(keepalive=30)
    assert at(one, 129.9) == []
    assert at(one, 130.0) == [ALIVE]
    assert at(one, 150.0) == []
    assert one.deadline() == 160.0
    assert at(one, 160.0, sent=155.0) == []
    assert one.deadline() == 185.0


def test_a_probe_is_a_keepalive_too() -> None:
    one = controller(dpd=20, keepalive=20)
    assert at(one, 120.0) == [PROBE]


# --- DPD requests of the gateway ---


def test_a_request_is_answered_with_its_payload() -> None:  # V7
    one = controller()
    assert one.on_control(Control(DPD_REQ, b"ABCDE"), 101.0) == []
    assert one.deadline() == 101.0
    assert at(one, 101.0) == [Send(Control(DPD_RESP, b"ABCDE"))]
    assert at(one, 101.0) == []


def test_a_flood_gets_one_answer_a_turn() -> None:
    one = controller()
    for n in range(1000):
        assert one.on_control(Control(DPD_REQ, b"%d" % n), 101.0) == []
    assert at(one, 101.0) == [Send(Control(DPD_RESP, b"999"))]


def test_an_answer_fits_a_record() -> None:
    one = controller()
    one.on_control(Control(DPD_REQ, bytes(16384)), 101.0)
    assert at(one, 101.0) == [Send(Control(DPD_RESP, bytes(16376)))]


# --- the end ---


@pytest.mark.parametrize(
    ("frame", "code", "text"),
    [
        (Control(DISCONNECT, b"\xb0bye"), 0xB0, "(reason 0xb0): bye"),
        (Control(DISCONNECT, b"\x70a\x1b[2Jb\xff"), 0x70, "(reason 0x70): a.[2Jb."),
        (Control(TERMINATE), 0, "terminated"),
        (Control(TERMINATE, b"moved"), 0, "(terminated): moved"),
    ],
)
def test_the_gateway_ends_it(frame: Control, code: int, text: str) -> None:
    one = controller(dpd=20)
    (ended,) = one.on_control(frame, 101.0)
    assert isinstance(ended, Ended) and ended.code == code and text in ended.reason
    assert ended.reason.startswith("the gateway ended the session")
    assert one.on_control(frame, 102.0) == one.goodbye("x") == at(one, 5000.0) == []


def test_an_empty_disconnect_gives_no_reason() -> None:  # ocserv, also when it restarts
    one = controller(idle=1200)
    (dismissed,) = one.on_control(Control(DISCONNECT), 101.0)
    assert isinstance(dismissed, Dismissed) and "no reason given" in dismissed.reason
    assert "idle for 1200 s" in dismissed.reason  # 5.2
    assert one.on_control(Control(DISCONNECT), 102.0) == one.goodbye("x") == at(one, 5000.0) == []


def test_goodbye() -> None:  # V7: type 5, b0, text
    one = controller(dpd=20)
    assert one.goodbye("bye") == [Send(Control(DISCONNECT, b"\xb0bye"))]
    assert one.goodbye("bye") == [] and one.deadline() == inf
    assert len(controller().goodbye("x" * 10_000)[0].frame.payload) == 513  # type: ignore[union-attr]


def test_frames_that_nobody_knows_are_passed_over() -> None:
    one = controller()
    for kind in (0, 1, 2, 6, 8, 10, 255, 70_000):
        assert one.on_control(Control(kind, b"x"), 101.0) == []
    assert one.state is State.UP


# --- rekey (5.3) ---


def test_rekey_by_a_new_tunnel() -> None:
    one = controller(rekey=60, method=RekeyMethod.NEW_TUNNEL)
    assert at(one, 159.0) == []
    assert at(one, 160.0) == [Reconnect("rekey by a new tunnel", planned=True)]


def test_rekey_in_place_again_and_again() -> None:
    one = controller(rekey=60, method=RekeyMethod.SSL)
    assert one.deadline() == 160.0
    assert at(one, 160.0) == [Rekey()]
    assert at(one, 161.0) == []
    assert one.on_rekeyed(True, 162.0) == []
    assert one.deadline() == 222.0  # measured from the rekey


def test_a_failed_rekey_becomes_a_new_tunnel() -> None:
    one = controller(rekey=60, method=RekeyMethod.SSL)
    at(one, 160.0)
    assert one.on_rekeyed(False, 161.0) == [Reconnect("the keys could not be renewed in place", planned=True)]


def test_a_rekey_without_end_becomes_a_new_tunnel() -> None:
    one = controller(rekey=60, method=RekeyMethod.SSL)
    at(one, 160.0)
    assert one.deadline() == 220.0
    assert at(one, 220.0) == [Reconnect("renewing the keys in place took over 60 s", planned=True)]


def test_a_rekey_that_nobody_asked_for_changes_nothing() -> None:
    assert controller().on_rekeyed(False, 101.0) == []


def test_death_is_noticed_while_rekeying() -> None:
    one = controller(dpd=20, rekey=10, method=RekeyMethod.SSL)
    assert at(one, 110.0) == [Rekey()]
    assert isinstance(at(one, 140.0)[0], Reconnect)


# --- session end (5.2) ---


def test_the_end_of_the_session_is_announced() -> None:
    one = controller(session=3600, alert=600)
    assert one.deadline() == 3100.0
    (warning,) = at(one, 3100.0)
    assert isinstance(warning, Warn) and "10 minutes" in warning.text
    assert one.deadline() == 3700.0
    (over,) = at(one, 3700.0)
    assert isinstance(over, Warn) and "over" in over.text
    assert one.deadline() == inf


def test_a_short_session_warns_at_half_time() -> None:
    one = controller(session=60)
    assert one.deadline() == 130.0
    assert "30 s" in at(one, 130.0)[0].text  # type: ignore[union-attr]


# --- any order of events ---

_EVENTS = st.one_of(
    st.tuples(st.just("control"), st.integers(0, 12), st.binary(max_size=8)),
    st.tuples(st.just("time"), st.integers(0, 50), st.integers(0, 50)),
    st.tuples(st.just("rekeyed"), st.booleans(), st.none()),
)


@given(
    st.builds(Timers, *[st.integers(0, 60)] * 3, st.sampled_from(RekeyMethod), *[st.integers(0, 90)] * 3),
    st.lists(_EVENTS, max_size=30),
)
def test_it_never_loops_and_never_acts_after_the_end(timers: Timers, events: list[tuple[str, object, object]]) -> None:
    one, now = CstpController(timers, now=0.0), 0.0
    for what, first, second in events:
        done = one.state is State.DONE
        if what == "control":
            actions = one.on_control(Control(int(str(first)), bytes(second)), now)  # type: ignore[call-overload]
        elif what == "rekeyed":
            actions = one.on_rekeyed(bool(first), now)
        else:
            now += int(str(first))
            actions = one.on_time(Traffic(now - int(str(second)), now), now)
            assert one.deadline() > now or one.state is State.DONE  # otherwise the caller would spin
        assert not (done and actions)
    one.goodbye("end")
    assert one.deadline() == inf
