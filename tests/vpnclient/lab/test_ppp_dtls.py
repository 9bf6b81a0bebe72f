"""PPP over DTLS from a lab gateway's side: whose an association is, and what becomes of it."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from protocols.errors import ConfigurationRefused
from protocols.ppp.engine import Engine
from protocols.ppp.link import negotiate_records
from protocols.ppp.opening import Opening
from tests.protocols.ppp.peers import counting
from tests.protocols.ppp.records import FakeRecords, pair
from tests.protocols.ppp.test_engine import CLIENT, SERVER
from tests.protocols.refusals import refused
from transports.errors import ConnectionLost
from vpnclient.lab.netns import LabError
from vpnclient.lab.ppp import PppServer
from vpnclient.lab.ppp_dtls import Refusal, Welcome, accept, introduction
from vpnclient.lab.site import OpenDatagrams

SESSION: Any = "a session"
HELLO = b"GET /myvpn?sess=x"


def judge(request: bytes, now: float) -> Welcome | Refusal:
    if request != HELLO:
        return Refusal("no such session", b"HTTP/1.1 403 Forbidden\r\n\r\n")
    engine = Engine(SERVER, counting(1000), now)
    return Welcome(SESSION, "ppp-f5", engine, PppServer(engine, expires_at=inf), 1400, b"welcome")


def meet(client: FakeRecords, gateway: FakeRecords, *said: bytes) -> tuple[Opening, OpenDatagrams]:
    """What both ends have in the end."""

    async def run() -> tuple[Opening, OpenDatagrams]:
        async def handshake(socket: Any, first: bytes, tls: Any) -> FakeRecords:
            assert (socket, first, tls) == ("socket", b"hello", "tls")
            return gateway

        other: Any = ("socket", b"hello", "tls")
        meeting = asyncio.ensure_future(introduction(judge, handshake).meet(*other))
        for record in said:
            await client.send(record)
        assert await client.receive(5.0) == b"welcome"
        engine = Engine(CLIENT, counting(), asyncio.get_running_loop().time())
        opening = await negotiate_records(client, "ppp-f5", engine)
        return opening, await meeting

    return asyncio.run(run())


def test_the_session_that_the_first_record_names() -> None:
    client, gateway = pair()
    opening, offer = meet(client, gateway, HELLO)
    assert offer.session == "a session" and offer.alone and offer.mtu == 1400

    other: Any = None
    assert asyncio.run(offer.open(other, b"hello", other)) is gateway
    assert gateway.linked == ("ppp-f5", opening.options()) and not gateway.closed


def test_a_client_that_repeats_itself_is_answered_once() -> None:
    client, gateway = pair()
    meet(client, gateway, HELLO, HELLO, HELLO)
    assert gateway.sent.count(b"welcome") == 1 and all(record[:1] == b"\xf5" for record in gateway.sent[1:])


def test_who_is_unknown_is_told_so() -> None:
    gateway = FakeRecords()
    gateway.waiting.put_nowait(b"GET / HTTP/1.1")
    with pytest.raises(LabError, match="refused by DTLS: no such session"):
        asyncio.run(accept(gateway, judge))
    assert gateway.sent == [b"HTTP/1.1 403 Forbidden\r\n\r\n"] and gateway.closed


@pytest.mark.parametrize("said", [(), (HELLO,)])
def test_an_association_that_is_lost_is_closed(said: tuple[bytes, ...]) -> None:
    gateway = FakeRecords()
    for record in said:
        gateway.waiting.put_nowait(record)
    gateway.waiting.put_nowait(ConnectionLost("udp to 127.0.0.1 port 1: Connection refused"))
    with pytest.raises(ConnectionLost):
        asyncio.run(accept(gateway, judge))
    assert gateway.closed


def test_a_client_that_ends_the_link_is_logged_as_such() -> None:
    gateway = FakeRecords()
    gateway.waiting.put_nowait(HELLO)
    gateway.waiting.put_nowait(bytes.fromhex("f5000008ff03c02105070004"))
    with refused(ConfigurationRefused, "ppp-establish-failed: the client ended the link"):
        asyncio.run(accept(gateway, judge))
    assert gateway.closed
