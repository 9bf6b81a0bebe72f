"""The life of ESP beside the stream: every row of section 8 as a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import (
    Action,
    CloseDatagrams,
    Control,
    OpenDatagrams,
    Reconnect,
    Secret,
    Send,
    SetMtu,
    SetOption,
    Traffic,
    UseDatagrams,
    Warn,
)
from protocols.framing.esp import LOW_NUMBER
from protocols.framing.esp import Kind as EspKind
from protocols.framing.oncp import Kind
from protocols.nc import esp, kmp
from protocols.nc.configuration import negotiate
from protocols.nc.esp import Keys, Offer
from protocols.nc.esp_path import PROBE, EspPath, State
from tests.protocols.nc.vectors import J2_PAYLOAD, J11_PAYLOAD
from transports.link import LinkDescription

ON, OFF = (Send(Control(Kind.CONTROL, esp.switch_payload(on))) for on in (True, False))
ANSWER = Control(EspKind.IPV4, b"\0")
LINK = LinkDescription("ESP", "192.0.2.1", 4500, "AES-128-CBC")
QUIET = Traffic(0.0, 0.0)


def offered(**changes: int) -> Offer:
    offer = negotiate(J2_PAYLOAD).esp
    assert offer is not None
    return replace(offer, parameters=replace(offer.parameters, **changes))


def make(force_dpd: int = 0, mtu: int = 1400, **changes: int) -> EspPath:
    own = Keys(0xA1B2C3D4, Secret((bytes(range(0x40, 0x64)) + bytes(28)).hex()))
    return EspPath(offered(**changes), own, lambda size: b"\x01" * size, now=-1.0, mtu=mtu, force_dpd=force_dpd)


def probing(**changes: int) -> EspPath:
    path = make(**changes)
    assert path.begin(0.0) == [OpenDatagrams()]
    assert path.on_up(LINK, 0.0) == [PROBE]
    return path


def up(**changes: int) -> EspPath:
    path = probing(**changes)
    assert path.on_control(ANSWER, 0.5) == [ON]
    assert path.on_sent(0.55, 0.6) == [UseDatagrams(True, "AES-128-CBC")]
    return path


def quiet(path: EspPath, until: float) -> list[tuple[float, Action]]:
    """All that is done at its deadlines, without a word from the gateway, with its time; sockets open at once."""
    done: list[tuple[float, Action]] = []
    for _turn in range(1000):
        now = path.deadline()
        if now > until:
            return done
        actions = path.on_time(QUIET, now)
        if OpenDatagrams() in actions:
            actions += path.on_up(LINK, now)
        done += [(now, action) for action in actions]
    raise AssertionError("it never rests")


def names(actions: Iterable[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_options_of_the_first_socket() -> None:
    options = dict(make().options())
    assert options["esp.in"][:8].hex() == "02020000a1b2c3d4" and options["esp.out"][:8].hex() == "0202000011223344"
    assert options["esp.lzo"] == (2048).to_bytes(2, "big")  # Q15
    assert dict(make(compression=0).options())["esp.lzo"] == b""
    assert dict(make(mtu=9000).options())["esp.lzo"] == (9256).to_bytes(2, "big")


def test_six_probes_a_second_apart_then_again_a_minute_later() -> None:  # Q25
    done = quiet(probing(), 121.0)
    assert [now for now, action in done if action == PROBE] == [1, 2, 3, 4, 5, 60, 61, 62, 63, 64, 65, 120, 121]
    assert [now for now, action in done if action == OpenDatagrams()] == [60, 120]
    (warned,) = ((now, action) for now, action in done if isinstance(action, Warn))  # told once
    assert warned == (6.0, Warn("ESP cannot be used, TLS carries on: the gateway does not answer by UDP"))
    assert not any(isinstance(action, UseDatagrams) or action == ON for _, action in done)


def test_packets_go_by_esp_once_the_gateway_has_been_told() -> None:
    path = probing()
    assert path.on_sent(0.1, 0.1) == []  # other things left
    assert path.on_control(ANSWER, 0.5) == [ON] and path.state is State.SWITCHING
    assert path.on_control(ANSWER, 0.6) == []
    assert path.on_sent(0.4, 0.61) == [] and path.deadline() == pytest.approx(0.62)  # not yet: looked at again soon
    assert path.on_time(QUIET, 0.62) == []
    assert path.on_sent(0.63, 0.64) == [UseDatagrams(True, "AES-128-CBC")] and path.state is State.UP
    assert path.on_sent(0.7, 0.8) == [] and path.on_control(ANSWER, 0.9) == []


def test_a_late_answer_counts_too() -> None:
    path = probing()
    quiet(path, 30.0)
    assert path.state is State.WAITING and path.on_control(ANSWER, 31.0) == [ON]


def test_what_is_no_answer_is_passed_over() -> None:
    path = probing()
    for frame in (Control(EspKind.DUMMY), Control(EspKind.IPV6, b"\0"), Control(EspKind.IPV4, b"\1")):
        assert path.on_control(frame, 0.5) == []
    assert path.state is State.PROBING


@pytest.mark.parametrize(("force", "fallback", "dpd"), [(0, 15, 15.0), (4, 15, 4.0), (0, 0, 60.0), (0, 99999, 3600.0)])
def test_silence(force: int, fallback: int, dpd: float) -> None:
    path = up(force_dpd=force, fallback=fallback, lifetime=0)
    done = quiet(path, 0.6 + 2 * dpd)
    assert [(round(now - 0.6, 6), action) for now, action in done[:2]] == [(dpd, PROBE), (dpd * 1.5, PROBE)]
    reason = f"nothing came by ESP for {2 * dpd:.0f} s"
    assert [action for _, action in done[2:]] == [UseDatagrams(False, reason), OFF, OpenDatagrams(), PROBE]


def test_any_genuine_packet_is_a_sign_of_life() -> None:
    path = up()
    assert path.on_time(Traffic(14.0, 0.0), 15.0) == [] and path.deadline() == 29.0
    assert path.on_time(Traffic(14.0, 0.0), 29.0) == [PROBE]
    assert path.on_control(ANSWER, 29.1) == [] and path.deadline() == pytest.approx(44.1)


def test_esp_comes_back_with_the_same_keys() -> None:
    path = up(fallback=10, lifetime=0)
    quiet(path, 20.6)
    assert path.on_control(ANSWER, 21.0) == [ON] and path.on_sent(21.1, 21.2)[0] == UseDatagrams(True, "AES-128-CBC")


def test_a_socket_that_fails_is_opened_again_but_not_in_a_hurry() -> None:
    path = up()
    assert path.on_lost("refused", 5.0) == [UseDatagrams(False, "refused"), OFF]
    assert path.state is State.WAITING and path.deadline() == 60.0
    assert path.on_time(QUIET, 60.0) == [OpenDatagrams()]
    late = up(lifetime=0, fallback=3600)
    assert late.on_lost("refused", 500.0) == [UseDatagrams(False, "refused"), OFF, OpenDatagrams()]
    fresh = probing()
    assert fresh.on_lost("refused", 0.5) == [
        Warn("ESP cannot be used, TLS carries on: refused"), UseDatagrams(False, "refused"),
    ]  # fmt: skip
    assert fresh.on_up(LINK, 60.0) and fresh.on_lost("refused", 61.0)[0] != Warn("refused")  # told once


def test_a_socket_that_cannot_be_opened() -> None:
    path = make()
    path.begin(0.0)
    assert path.on_failed("no route", 0.1) == [Warn("ESP cannot be used, TLS carries on: no route")]
    assert path.on_time(QUIET, 60.0) == [OpenDatagrams()]
    assert path.on_failed("no route", 60.1) == []
    assert path.on_time(QUIET, 120.0) == [OpenDatagrams()]
    assert names(path.on_failed("proxy", 120.1, hopeless=True)) == ["Warn"]
    assert path.state is State.OFF and path.deadline() == inf and path.on_failed("x", 1.0) == []


def test_new_keys() -> None:  # J11
    path = up()
    actions = path.on_keys(J11_PAYLOAD, 100.0)
    assert names(actions) == ["SetOption", "SetOption", "Send"] and path.state is State.UP
    inbound, outbound = (action for action in actions if isinstance(action, SetOption))
    assert (inbound.name, outbound.name) == ("esp.in", "esp.out")
    assert outbound.value[4:8].hex() == "55667788" and inbound.value[4:8] == b"\x01" * 4
    told = actions[2]
    assert isinstance(told, Send) and told.frame.kind == Kind.ESP_KEYS and not told.datagrams
    keys = esp.read_keys(kmp.read(told.frame.payload))
    assert keys is not None and keys.spi == 0x01010101
    assert dict(path.options())["esp.out"] == outbound.value
    assert "5566" not in repr(actions)


def test_new_keys_reach_a_socket_that_was_being_opened() -> None:
    path = make()
    path.begin(0.0)
    path.on_keys(J11_PAYLOAD, 0.2)
    assert names(path.on_up(LINK, 0.3)) == ["SetOption", "SetOption", "Send"]
    assert path.on_lost("x", 0.4) and path.on_time(QUIET, 60.0) and path.on_up(LINK, 60.1) == [PROBE]


def test_old_keys_end_after_a_minute_or_soon_after_the_first_packet_with_the_new_ones() -> None:
    path = up(fallback=3600)
    path.on_keys(J11_PAYLOAD, 100.0)
    assert path.deadline() == 160.0 and path.on_time(QUIET, 160.0) == [SetOption("esp.expire-old", b"")]
    assert path.on_time(QUIET, 161.0) == []
    path.on_keys(J11_PAYLOAD, 200.0)
    assert path.on_control(Control(EspKind.NEW_SA), 201.0) == [] and path.deadline() == 206.0


def test_bad_new_keys_end_esp_and_not_the_session() -> None:
    path = up()
    actions = path.on_keys(b"\x00\x07\x00\x00\x00\x01x", 10.0)
    assert names(actions[:1]) == ["Warn"]
    assert actions[1:] == [UseDatagrams(False), OFF, SetOption("esp.close", b""), CloseDatagrams()]
    assert path.state is State.OFF and path.deadline() == inf
    assert path.on_keys(J11_PAYLOAD, 11.0) == path.on_time(QUIET, 1e6) == path.on_control(ANSWER, 12.0) == []
    assert path.on_up(LINK, 13.0) == [CloseDatagrams()] and path.on_lost("x", 14.0) == []


def test_the_gateway_may_turn_it_off() -> None:  # 9.5
    path = up()
    assert names(path.on_switched_off()) == ["Warn", "UseDatagrams", "SetOption", "CloseDatagrams"]  # it knows
    assert path.on_switched_off() == []


def test_keys_that_are_not_renewed_in_time_need_a_new_connection() -> None:  # Q24
    worn = [Reconnect("the gateway sent no new ESP keys in time", planned=True)]
    alive = Traffic(1130.0, 0.0)
    path = up(fallback=3600)
    assert path.on_time(alive, 1138.9) == [] and path.deadline() == 1139.0
    assert path.on_time(alive, 1139.0) == worn
    path = up(fallback=3600)
    path.on_keys(J11_PAYLOAD, 1130.0)
    assert path.on_time(alive, 1150.0) == []
    assert up(lifetime=120, fallback=3600).on_time(Traffic(1e5, 0.0), 1e5) == []  # too short to be meant


def test_bytes_and_numbers_wear_keys_too() -> None:
    path = up(lifetime_bytes=1000)
    assert path.on_time(Traffic(1.0, 1.0, moved=899), 1.0) == []
    path.on_keys(J11_PAYLOAD, 2.0)  # what moved before does not count
    assert path.on_time(Traffic(1.0, 1.0, moved=899 + 899), 3.0) == []
    assert names(path.on_time(Traffic(1.0, 1.0, moved=899 + 900), 4.0)) == ["Reconnect"]
    assert names(up().on_time(Traffic(1.0, 1.0, sent=LOW_NUMBER), 1.0)) == ["Reconnect"]


def test_packets_fit_the_path() -> None:
    path = make()
    path.begin(0.0)
    assert path.on_up(replace(LINK, path_mtu=1400), 0.0) == [SetMtu(1326), PROBE]
    assert path.on_path_mtu(1500, 1.0) == []  # it never grows
    assert path.on_path_mtu(1300, 2.0) == [SetMtu(1230)]
    assert path.on_path_mtu(100, 3.0) == [SetMtu(576)]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "sent", "up", "failed", "lost", "keys", "bad", "off", "time"]), st.floats(0.0, 70.0)
    ),
    max_size=40,
)


@given(EVENTS)
def test_any_order_of_events_keeps_the_rules(events: list[tuple[str, float]]) -> None:
    path = make()
    actions, now = path.begin(0.0), 0.0
    for name, pause in events:
        now += pause
        match name:
            case "answer":
                actions += path.on_control(ANSWER, now)
            case "sent":
                actions += path.on_sent(now, now)
            case "up" if path.state is State.OPENING:
                actions += path.on_up(LINK, now)
            case "failed":
                actions += path.on_failed("x", now)
            case "lost":
                actions += path.on_lost("x", now)
            case "keys" | "bad":
                actions += path.on_keys(J11_PAYLOAD if name == "keys" else b"x", now)
            case "off":
                actions += path.on_switched_off()
            case "time":
                actions += path.on_time(QUIET, now)
    uses = [action.yes for action in actions if isinstance(action, UseDatagrams)]
    switches = [action for action in actions if action in (ON, OFF)]
    assert "off" in dict(events) or all(one != other for one, other in itertools.pairwise(switches))
    assert uses.count(True) <= switches.count(ON)  # never before it was told
    assert (path.state is State.UP) == (uses[-1:] == [True])
