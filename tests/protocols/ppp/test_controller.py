"""A client's link once packets flow."""

from __future__ import annotations

from math import inf

from protocols.base import Control, Dismissed, Ended, Reconnect, Send, SetMtu, Traffic, Warn
from protocols.errors import ConfigurationRefused
from protocols.ppp.controller import PppController, Room, Timers
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.packet import Packet, Proto
from tests.protocols.ppp.peers import Wire, engine, ipcp, lcp
from tests.protocols.ppp.test_engine import CLIENT, F5_LCP, GATEWAY, OWN, SERVER, opened
from tests.protocols.refusals import refused

SILENT = Traffic(-inf, -inf)


def up(timers: Timers = Timers(), wishes: Wishes = CLIENT) -> PppController:  # noqa: B008  # a value
    return PppController(opened(wishes)[0], timers, 0.1)


def kinds(actions: object) -> list[str]:
    assert isinstance(actions, list)
    return [type(action).__name__ for action in actions]


def test_an_idle_link_needs_nothing() -> None:
    link = up()
    assert link.deadline() == inf
    assert link.on_time(SILENT, 1e6) == []
    assert link.on_rekeyed(True, 1.0) == []


def test_an_echo_is_answered() -> None:
    (action,) = up().on_control(lcp("0907000caabbccdd01020304"), 1.0)
    assert isinstance(action, Send) and action.frame.payload[:2] == b"\x0a\x07"


def test_silence_ends_in_a_new_link() -> None:
    link = up(wishes=Wishes(F5_LCP, IpcpWishes(), dpd=10))
    seen: list[object] = []
    while link.deadline() < inf:
        seen += link.on_time(SILENT, link.deadline())
    assert kinds(seen) == ["Send", "Send", "Reconnect"]
    assert isinstance(seen[-1], Reconnect) and "silent for 20 s" in seen[-1].reason
    assert link.on_time(SILENT, 1e6) == link.on_control(lcp("09070004"), 1.0) == link.goodbye("x") == []


ECHO_REPLY = "0a07000800000000"


def test_a_way_of_datagrams_is_kept_open_by_words_of_ours() -> None:
    """Whatever comes in and goes: signs of life of the gateway's do not refresh what is between."""
    link = up(Timers(speak=10), Wishes(F5_LCP, IpcpWishes(), dpd=10))
    asked = []
    for second in range(1, 100):
        for action in link.on_time(Traffic(second, second), second):
            assert isinstance(action, Send) and action.frame.payload[:1] == b"\x09"
            asked.append(second)
            assert link.on_control(lcp(ECHO_REPLY), second) == []
    assert asked == [11, 21, 31, 41, 51, 61, 71, 81, 91]
    assert link.deadline() == 101


def test_a_gateway_that_speaks_and_does_not_hear_is_left() -> None:
    """A firewall may be closed one way."""
    link = up(Timers(speak=10), Wishes(F5_LCP, IpcpWishes(), dpd=10))
    assert link.on_control(lcp(ECHO_REPLY), 1.0) == []
    seen = {second: kinds(link.on_time(Traffic(second, second), second)) for second in range(2, 30)}
    assert {second: what for second, what in seen.items() if what} == {11: ["Send"], 16: ["Send"], 21: ["Reconnect"]}


def test_a_gateway_that_never_answers_echoes_is_not() -> None:
    link = up(Timers(speak=10), Wishes(F5_LCP, IpcpWishes(), dpd=10))
    for second in range(1, 1000):
        assert set(kinds(link.on_time(Traffic(second, second), second))) <= {"Send"}
        assert link.deadline() > second


def test_an_end_with_a_reason_is_final_and_one_without_is_not() -> None:
    link = up()
    frame = Control(Proto.LCP, Packet(5, 3, b"Session timeout").encode())
    ack, ended = link.on_control(frame, 1.0)
    assert isinstance(ack, Send) and isinstance(ended, Ended)
    assert ended.reason == "the gateway ended the session: Session timeout"
    _, dismissed = up(Timers(idle=600)).on_control(lcp("05030004"), 1.0)
    assert isinstance(dismissed, Dismissed) and "idle for 600 s" in dismissed.reason
    _, dismissed = up().on_control(lcp("05030004"), 1.0)
    assert isinstance(dismissed, Dismissed) and "idle" not in dismissed.reason


def test_the_users_goodbye_is_one_terminate_request() -> None:
    link = up()
    (action,) = link.goodbye("user disconnect")
    assert isinstance(action, Send) and action.frame.payload.hex().startswith("05") and action.frame.kind == Proto.LCP
    assert link.goodbye("again") == [] and link.deadline() == inf


def test_a_family_that_goes_is_told_once() -> None:
    link = up()
    _, warned = link.on_control(Control(Proto.IP6CP, bytes.fromhex("05090004")), 1.0)
    assert isinstance(warned, Warn) and "IP6CP" in warned.text
    assert kinds(link.on_control(lcp("09070004"), 1.0)) == ["Send"]
    with refused(ConfigurationRefused, "ppp-no-network-protocol"):  # the link is dropped
        link.on_control(ipcp("05090004"), 1.0)


def renegotiated(server: Wishes) -> list[object]:
    """What a controller does about a gateway that begins anew, with these wishes."""
    client = opened()[0]
    link = PppController(client, Timers(), 0.1)
    seen: list[object] = []

    class Watched:
        """The engine as the wire sees it; what the controller makes of each frame is noted."""

        phase = property(lambda self: client.phase)

        def begin(self, now: float) -> list[Control]:
            return []

        def deadline(self) -> float:
            return link.deadline()

        def on_frame(self, frame: Control, now: float) -> list[Control]:
            return self._sent(link.on_control(frame, now))

        def on_time(self, now: float) -> list[Control]:
            return self._sent(link.on_time(SILENT, now))

        @staticmethod
        def _sent(actions: list[object]) -> list[Control]:
            seen.extend(action for action in actions if not isinstance(action, Send))
            return [action.frame for action in actions if isinstance(action, Send)]

    peer: Engine = engine(server, 7000)
    wire = Wire(Watched(), peer)  # type: ignore[arg-type]
    wire.run(until=10)
    return seen


def test_a_new_negotiation_with_the_same_outcome_goes_unnoticed() -> None:
    assert renegotiated(SERVER) == []


def test_one_with_other_options_is_a_new_link() -> None:
    other = Wishes(F5_LCP.__class__(mru=1400, accm=0xA0000), SERVER.ipcp, SERVER.ip6cp)
    (action,) = renegotiated(other)
    assert isinstance(action, Reconnect) and "other options" in action.reason


def test_one_with_another_address_is_the_end() -> None:
    from ipaddress import IPv4Address

    other = Wishes(F5_LCP, IpcpWishes(address=GATEWAY, peer=IPv4Address("10.11.1.9")), Ip6cpWishes(bytes(7) + b"\1"))
    (action,) = renegotiated(other)
    assert isinstance(action, Ended)
    assert action.reason == f"the gateway gave the address 10.11.1.9, want {OWN} as before"


def test_the_end_of_the_session_is_told_before_and_when_it_comes() -> None:
    link = up(Timers(session=3600))
    assert link.deadline() == 0.1 + 3300
    (soon,) = link.on_time(SILENT, link.deadline())
    assert isinstance(soon, Warn) and "in 5 minutes" in soon.text
    (over,) = link.on_time(SILENT, link.deadline())
    assert isinstance(over, Warn) and "is over" in over.text
    assert link.deadline() == inf
    (soon,) = up(Timers(session=60)).on_time(SILENT, 31)
    assert isinstance(soon, Warn) and "in 29 s" in soon.text


def test_a_path_that_shrinks_makes_packets_smaller_and_no_larger_than_at_first() -> None:
    link = PppController(opened(CLIENT)[0], Timers(), 0.1, Room(1400, 576, lambda path: path - 70))
    assert link.on_path_mtu(1470, 1.0) == link.on_path_mtu(1500, 1.0) == []
    assert link.on_path_mtu(1400, 2.0) == [SetMtu(1330)]
    assert link.on_path_mtu(1400, 3.0) == []
    assert link.on_path_mtu(1500, 4.0) == [SetMtu(1400)]


def test_a_path_too_small_for_ipv6_is_left() -> None:
    link = PppController(opened(CLIENT)[0], Timers(), 0.1, Room(1400, 1280, lambda path: path - 70))
    (action,) = link.on_path_mtu(1300, 1.0)
    assert isinstance(action, Reconnect) and "takes 1300 bytes" in action.reason and not action.planned
    assert link.on_path_mtu(1500, 2.0) == [] and link.deadline() == inf


def test_a_stream_has_no_such_limit() -> None:
    assert up().on_path_mtu(1000, 1.0) == []
