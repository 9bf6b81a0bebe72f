"""DTLS of the lab's Fortinet gateway: signs of life, and answers that our client reads as they are meant."""

from __future__ import annotations

from math import inf

import pytest

from protocols.base import Control, Send, Traffic
from protocols.fortinet import hello
from protocols.fortinet.hello import Answer
from protocols.framing.ppp_prefixed import CONTROL_RECORD, FortinetDecoder, FortinetEncoder
from protocols.ppp.engine import Engine, Wishes
from tests.protocols.ppp.peers import counting
from transports.sink import MemorySink
from vpnclient.lab.fortinet_dtls import CONSENTS, FAIL, HELLOS, HeartbeatServer
from vpnclient.lab.site import Hangup


def beats(server: HeartbeatServer, now: float) -> list[Control]:
    actions = server.on_time(Traffic(now, now), now)
    return [one.frame for one in actions if isinstance(one, Send) and one.frame.kind == CONTROL_RECORD]


def server(every: float) -> HeartbeatServer:
    return HeartbeatServer(Engine(Wishes(), counting(), 0.0), expires_at=inf, every=every, now=100.0)


def test_a_sign_of_life_in_every_interval() -> None:
    link = server(10)
    assert link.deadline() == 110 and beats(link, 109.9) == []
    (beat,) = beats(link, 110)
    decoder = FortinetDecoder(MemorySink())
    decoder.feed_datagram(FortinetEncoder().encode_control(beat.kind, beat.payload))
    assert decoder.counters()["forti_heartbeat"] == 1
    assert link.deadline() == 120 and beats(link, 111) == [] and len(beats(link, 125)) == 1


def test_no_signs_of_life() -> None:
    link = server(0)
    assert link.deadline() == inf and beats(link, 1e6) == []


def test_none_after_the_end() -> None:
    link = server(10)
    assert isinstance(link.farewell("over")[-1], Hangup)
    assert beats(link, 200) == [] and link.deadline() == inf


@pytest.mark.parametrize("name", CONSENTS)
def test_consents_are_consents(name: str) -> None:
    said = CONSENTS[name]
    assert name in HELLOS and (not said or hello.decode(said) is Answer.OK)
    assert hello.decode(FAIL) is Answer.FAIL
