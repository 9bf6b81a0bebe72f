"""PPP from the lab gateway's side: the opening, and the life of the link."""

from __future__ import annotations

from math import inf

from protocols.base import Control, Send, Traffic, Warn
from protocols.errors import NegotiationFailed
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.opening import Opening
from protocols.ppp.packet import Packet, Proto
from tests.protocols.ppp.peers import counting, lcp
from tests.protocols.ppp.test_engine import CLIENT, F5_LCP, GATEWAY, OWN, SERVER, opened
from tests.protocols.refusals import refused
from vpnclient.lab.ppp import PATIENCE, PppOpening, PppServer
from vpnclient.lab.site import Hangup, Negotiates

SILENT = Traffic(-inf, -inf)


def server(expires_at: float = inf, dpd: float = 0) -> PppServer:
    wishes = Wishes(F5_LCP, IpcpWishes(address=GATEWAY, peer=OWN), SERVER.ip6cp, dpd=dpd)
    return PppServer(opened(CLIENT, wishes)[1], expires_at=expires_at)


def test_the_opening_ends_with_the_framings_options() -> None:
    gateway = PppOpening("ppp-f5-hdlc", Engine(SERVER, counting(1000), 0.0), clock=lambda: 0.0)
    client = Opening("ppp-f5-hdlc", Engine(CLIENT, counting(), 0.0))
    assert isinstance(gateway, Negotiates)
    to_client, to_gateway = list(gateway.begin()), client.begin(0.0)
    while to_client or to_gateway:
        assert gateway.rest() is None or not to_gateway
        to_client += [answer for record in to_gateway for answer in gateway.feed(record)]
        assert all(record[:1] == record[-1:] == b"\x7e" and record.count(b"\x7e") == 2 for record in to_client)  # Q1
        to_gateway, to_client = [answer for record in to_client for answer in client.feed(record, 0.0)], []
    assert gateway.rest() == b""
    assert gateway.options() == client.options()
    assert gateway.options()[0] == ("ppp.data", b"\3")


def test_a_client_that_ends_it_while_it_is_negotiated() -> None:
    gateway = PppOpening("ppp-f5", Engine(SERVER, counting(), 0.0), clock=lambda: 0.0)
    gateway.begin()
    with refused(NegotiationFailed, r"ppp-establish-failed: .*: changed my mind"):
        gateway.feed(bytes.fromhex("f5000017ff03c02105070013") + b"changed my mind")


def test_a_client_that_leaves_closes_the_link_itself_and_may_come_back() -> None:
    gateway = server()
    ack, told = gateway.on_controls([lcp("05030004"), lcp("09070004")], 1.0)
    assert isinstance(ack, Send) and ack.frame.payload.hex() == "06030004"
    assert told == Warn("the client ended the link")
    assert gateway.on_time(SILENT, 1.0) == [] and gateway.deadline() == 1.0 + PATIENCE
    assert gateway.on_time(SILENT, gateway.deadline()) == [Hangup("the client ended the link", forget=False)]
    (_, said) = server().on_controls([Control(Proto.LCP, Packet(5, 1, b"bye").encode())], 1.0)
    assert said == Warn("the client ended the link: bye")


def test_every_echo_is_answered() -> None:
    frames = [lcp("09070004"), lcp("09080004")]
    assert [type(action) for action in server().on_controls(frames, 1.0)] == [Send, Send]


def test_a_session_that_expires_is_ended_with_a_text() -> None:
    gateway = server(expires_at=100.0)
    assert gateway.deadline() == 100.0
    send, hangup = gateway.on_time(SILENT, 100.0)
    assert isinstance(send, Send) and send.frame.payload[4:] == b"session timeout"
    assert hangup == Hangup("session timeout", forget=True)


def test_a_silent_client_is_asked_and_given_up() -> None:
    gateway = server(dpd=10)
    seen: list[object] = []
    while gateway.deadline() < inf:
        seen += gateway.on_time(SILENT, gateway.deadline())
    assert [type(action) for action in seen] == [Send, Send, Hangup]
    assert seen[-1] == Hangup("silent for 20 s", forget=False)


def test_a_farewell_carries_its_reason() -> None:
    send, hangup = server().farewell("ended by the administrator")
    assert isinstance(send, Send) and send.frame.payload[4:] == b"ended by the administrator"
    assert hangup == Hangup("ended by the administrator", forget=True)
