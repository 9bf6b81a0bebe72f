"""The life of the DTLS channel, sans-IO (anyconnect.md sections 5.1, 6.1, 6.8 and 7)."""

from __future__ import annotations

from math import inf

import pytest

from protocols.anyconnect.dtls_controller import DEFAULT_DPD, RETRY, DtlsController, State
from protocols.anyconnect.timers import DtlsTimers
from protocols.base import Action, CloseDatagrams, Control, OpenDatagrams, Send, SetMtu, Traffic, UseDatagrams, Warn
from protocols.framing.cstp import Kind
from transports.link import LinkDescription

LINK = LinkDescription("DTLS", "192.0.2.1", 443, "DTLSv1.2, GCM", overhead=37)
NOTHING = Traffic(-inf, -inf)


def controller(timers: DtlsTimers | None = None, *, mtu: int = 1400, least: int = 576, base: int = 0) -> DtlsController:
    return DtlsController(timers or DtlsTimers(), mtu=mtu, least=least, base=base, mark=b"mark")


def probe_of(actions: list[Action]) -> int:
    """The size that is asked for by the one probe among the actions."""
    (size,) = [
        len(action.frame.payload)
        for action in actions
        if isinstance(action, Send) and action.datagrams and action.frame.kind == Kind.DPD_REQUEST
    ]
    return size


def up(found: DtlsController, now: float = 1.0) -> DtlsController:
    """Opened and proven at once."""
    found.begin(now)
    found.on_up(LINK, now)
    found.on_control(Control(Kind.DPD_RESPONSE, bytes(1400)), now)
    assert UseDatagrams(True, LINK.detail) in found.on_time(Traffic(now, now), now)
    assert found.state is State.UP
    return found


def test_packets_go_by_it_once_an_answer_has_come() -> None:
    found = controller()
    assert found.begin(0.0) == [OpenDatagrams()] and found.state is State.OPENING
    actions = found.on_up(LINK, 1.0)
    assert probe_of(actions) == 1400 and found.state is State.PROVING
    assert found.on_time(NOTHING, 1.01) == []
    found.on_control(Control(Kind.DPD_RESPONSE, bytes(1400)), 1.02)
    assert found.on_time(NOTHING, 1.02) == [UseDatagrams(True, LINK.detail)]
    assert found.state is State.UP


def test_a_smaller_path_lowers_the_mtu_before_packets_go() -> None:
    found, now, path, actions = controller(), 0.0, 1300, [*controller().begin(0.0)]
    found.begin(0.0)
    actions = found.on_up(LINK, now)
    for _ in range(200):
        sent = [a for a in actions if isinstance(a, Send) and a.frame.kind == Kind.DPD_REQUEST]
        for action in sent:
            if len(action.frame.payload) <= path:
                found.on_control(Control(Kind.DPD_RESPONSE, action.frame.payload), now)
        now = max(now + 0.001, min(found.deadline(), now + 0.05))
        actions = found.on_time(NOTHING, now)
        if found.state is State.UP:
            break
    assert actions == [SetMtu(1300), UseDatagrams(True, LINK.detail)]


@pytest.mark.parametrize(("overhead", "mtu"), [(37, 1334), (29, 1342)])  # V11: AES-GCM, ChaCha20
def test_the_base_mtu_of_the_gateway_bounds_it(overhead: int, mtu: int) -> None:  # section 7
    found = controller(base=1400)
    found.begin(0.0)
    assert SetMtu(mtu) in found.on_up(LinkDescription("DTLS", "192.0.2.1", 443, "", overhead=overhead), 0.0)


def test_the_kernel_learns_of_a_smaller_path_later() -> None:
    found = up(controller())
    assert found.on_path_mtu(1200, 2.0) == [SetMtu(1200 - 20 - 8 - 37 - 1)]
    assert found.on_path_mtu(576 + 66, 3.0) == [SetMtu(576)]
    assert found.on_path_mtu(9000, 4.0) == []  # only the next search raises it


@pytest.mark.parametrize(("least", "passes", "overhead"), [(576, 642, 37), (1280, 1346, 37), (1280, 1346, 109)])
def test_a_path_too_small_for_the_least_packet_is_given_up(least: int, passes: int, overhead: int) -> None:
    """Else large packets vanish while small ones prove life.  109: a bound, no figure to judge by."""
    link = LinkDescription("DTLS", "192.0.2.1", 443, "", overhead=overhead)
    found = controller(mtu=1300, least=least)
    found.begin(0.0)
    found.on_up(link, 0.0)
    assert CloseDatagrams() not in found.on_path_mtu(passes, 1.0) and found.state is State.PROVING
    reason = f"the path takes {passes - 1} bytes, too little for packets of {least}"
    assert found.on_path_mtu(passes - 1, 2.0) == [UseDatagrams(False, reason), CloseDatagrams()]
    assert found.state is State.WAITING and found.deadline() == RETRY
    assert found.on_path_mtu(passes - 1, 3.0) == []  # there is none any more


def test_a_failed_attempt_is_told_once_and_tried_again_a_minute_after_its_start() -> None:
    found = controller()
    found.begin(10.0)
    assert found.on_failed("no answer", 22.0) == [Warn("DTLS cannot be opened, TLS carries on: no answer")]
    assert found.state is State.WAITING and found.deadline() == 10.0 + RETRY
    assert found.on_time(NOTHING, 10.0 + RETRY) == [OpenDatagrams()]
    assert found.on_failed("no answer", 82.0) == []
    assert found.on_failed("refused", 83.0) != []  # something new


def test_a_hopeless_one_is_never_tried_again() -> None:
    found = controller()
    found.begin(0.0)
    assert found.on_failed("dtls-not-resumed", 1.0, hopeless=True) == [Warn("DTLS is not used: dtls-not-resumed")]
    assert found.state is State.OFF and found.deadline() == inf
    assert found.on_time(NOTHING, 1e6) == [] and found.restart(1e6) == []


def test_a_hopeless_rekey_leaves_the_link_that_works_and_nothing_follows_it() -> None:  # section 6.1
    found = up(controller(DtlsTimers(rekey=100)), 1.0)
    found.on_time(Traffic(100.0, 100.0), 101.0)
    assert found.on_failed("dtls-not-resumed", 102.0, hopeless=True) == [Warn("DTLS is not used: dtls-not-resumed")]
    assert found.state is State.UP
    assert found.on_lost("refused", 300.0) == [] and found.state is State.OFF and found.deadline() == inf


def test_new_keys_of_the_stream_do_not_renew_what_is_hopeless() -> None:
    found = up(controller(), 1.0)
    found.restart(5.0)
    found.on_failed("dtls-not-resumed", 6.0, hopeless=True)
    assert found.restart(100.0) == [] and found.state is State.UP


def test_a_working_one_that_dies_is_opened_again_at_once_then_each_minute() -> None:
    found = up(controller(), 1.0)
    assert found.on_lost("refused", 100.0) == [OpenDatagrams()]
    found.on_up(LINK, 101.0)
    assert found.on_lost("refused", 102.0) == [] and found.state is State.WAITING
    assert found.deadline() == 100.0 + RETRY
    assert found.on_lost("again", 103.0) == []  # there is none to lose


ASK = Send(Control(Kind.DPD_REQUEST), datagrams=True)


@pytest.mark.parametrize(("given", "used"), [(0, DEFAULT_DPD), (5, 5)])
def test_silence_is_asked_about_and_ends_it(given: int, used: int) -> None:  # Q22
    found = up(controller(DtlsTimers(dpd=given)), 1.0)
    assert found.deadline() == 1.0 + used
    for later in (0, 2, 3, 4):  # the first when DPD is due; what goes unanswered then is asked again soon
        assert found.deadline() == 1.0 + used + later
        assert found.on_time(Traffic(1.0, 1.0), 1.0 + used + later) == [ASK]
    actions = found.on_time(Traffic(1.0, 1.0), 1.0 + used + 5)
    assert actions[:2] == [UseDatagrams(False, f"nothing came by DTLS for {used + 5} s"), CloseDatagrams()]
    assert found.state in (State.WAITING, State.OPENING)


def test_packets_that_go_unanswered_are_not_sent_into_the_dark_for_long() -> None:
    """A firewall that shuts silently: DPD alone would take a minute to tell."""
    found = up(controller(DtlsTimers(dpd=30)), 1.0)
    assert found.on_time(Traffic(100.0, 101.0), 101.0) == []  # sent a moment later than heard: as ever
    assert found.deadline() == 103.0
    sent = [found.on_time(Traffic(100.0, 101.0), now) for now in (103.0, 104.0, 105.0, 106.0)]
    assert sent == [[ASK]] * 4
    assert UseDatagrams(False, "nothing came by DTLS for 7 s") in found.on_time(Traffic(100.0, 101.0), 107.0)


def test_one_answer_clears_the_suspicion() -> None:
    found = up(controller(DtlsTimers(dpd=30)), 1.0)
    for _ in range(3):
        found.on_time(Traffic(100.0, 103.0), 103.0)
        found.on_control(Control(Kind.DPD_RESPONSE), 103.1)
        assert found.on_time(Traffic(103.1, 104.0), 104.0) == []
    assert found.state is State.UP


def test_traffic_proves_life_and_keepalives_fill_silence() -> None:
    found = up(controller(DtlsTimers(dpd=30, keepalive=20)), 1.0)
    assert found.on_time(Traffic(25.0, 1.0), 25.0) == [Send(Control(Kind.KEEPALIVE), datagrams=True)]
    assert found.on_time(Traffic(100.0, 100.0), 100.0) == []
    assert found.deadline() == 120.0


def test_a_request_is_answered_with_its_payload_the_newest_alone() -> None:
    found = up(controller())
    found.on_control(Control(Kind.DPD_REQUEST, b"one"), 2.0)
    found.on_control(Control(Kind.DPD_REQUEST, b"two"), 2.0)
    assert found.deadline() <= 2.0
    assert found.on_time(Traffic(2.0, 2.0), 2.0) == [Send(Control(Kind.DPD_RESPONSE, b"two"), datagrams=True)]
    assert found.on_time(Traffic(2.0, 2.0), 2.0) == []


def test_a_rekey_opens_a_second_one_beside_the_first() -> None:  # section 6.8
    found = up(controller(DtlsTimers(rekey=100)), 1.0)
    assert found.on_time(Traffic(100.0, 100.0), 101.0) == [OpenDatagrams()] and found.state is State.UP
    found.on_up(LINK, 102.0)
    assert found.state is State.UP  # packets go on


def test_a_port_of_the_users_choice_is_given_back_before_a_rekey() -> None:
    """A second socket could not be bound to it, and the keys would never be renewed."""
    found = DtlsController(DtlsTimers(rekey=100), mtu=1400, least=576, one_port=True)
    assert up(found, 1.0).on_time(Traffic(100.0, 100.0), 101.0)[:2] == [
        UseDatagrams(False, "DTLS is renewed"),
        CloseDatagrams(),
    ]
    assert found.state is State.OPENING
    assert found.on_lost("late", 101.0) == []
    found.on_up(LINK, 102.0)
    assert found.state is State.PROVING


def test_a_rekey_that_fails_leaves_the_first_and_is_tried_again() -> None:
    found = up(controller(DtlsTimers(rekey=100)), 1.0)
    found.on_time(Traffic(100.0, 100.0), 101.0)
    assert found.on_failed("x", 103.0) == [] and found.state is State.UP
    assert found.on_time(Traffic(160.0, 160.0), 101.0 + RETRY) == [OpenDatagrams()]


def test_new_keys_of_the_stream_renew_it_unless_it_has_a_time_of_its_own() -> None:  # section 5.3
    assert up(controller()).restart(5.0) == [OpenDatagrams()]
    assert up(controller(DtlsTimers(rekey=100))).restart(5.0) == []


def test_a_link_that_is_lost_while_its_successor_is_opened_waits_for_that() -> None:
    found = up(controller())
    found.restart(5.0)
    assert found.on_lost("gone", 6.0) == [] and found.state is State.OPENING
    assert probe_of(found.on_up(LINK, 7.0)) == 1400
