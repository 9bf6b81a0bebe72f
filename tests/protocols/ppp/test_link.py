"""The negotiation on a stream: retransmissions, the end of the stream, a peer that goes away."""

from __future__ import annotations

import asyncio

import pytest

from protocols.errors import ConfigurationRefused, NegotiationFailed
from protocols.ppp.automaton import Limits
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.link import negotiate
from tests.protocols.ppp.peers import counting
from tests.protocols.refusals import refused
from tests.transports.http_doubles import HANG, FakeStream
from transports.errors import ConnectionLost, Truncated

REQUEST = bytes.fromhex("f5000008ff03c02101070004")
ACK = bytes.fromhex("f500000eff03c0210201000a050600000001")
QUICK = Limits(restart=0.01, tries=3, whole_link=0.5)


def go(stream: FakeStream, first: bytes = b"") -> None:
    async def run() -> None:
        now = asyncio.get_running_loop().time()
        await negotiate(stream, "ppp-f5", Engine(Wishes(limits=QUICK), counting(), now), first)  # type: ignore[arg-type]

    asyncio.run(run())


def test_a_silent_gateway_hears_the_same_request_again_and_is_given_up() -> None:
    silent = FakeStream(HANG)
    with refused(NegotiationFailed, "ppp-negotiation-timeout: LCP"):
        go(silent)
    request = bytes.fromhex("f500000eff03c0210101000a050600000001")
    assert silent.written == request * 3


@pytest.mark.parametrize("end", [b"", Truncated("no close_notify")])
def test_a_gateway_that_closes_instead_of_negotiating_is_not_asked_again(end: object) -> None:
    with refused(ConfigurationRefused, "ppp-establish-failed: the gateway closed"):
        go(FakeStream(REQUEST, *([end] if end else [])))
    with refused(ConfigurationRefused, "ppp-establish-failed"):
        go(FakeStream(), REQUEST)


def test_later_it_is_just_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="network layer"):
        go(FakeStream(REQUEST + ACK))


def test_a_gateway_that_ends_the_link_is_quoted() -> None:
    stream = FakeStream(bytes.fromhex("f5000017ff03c02105070013") + b"no address left")
    with refused(ConfigurationRefused, r"ppp-establish-failed: .*negotiated: no address left"):
        go(stream)
    assert stream.written.endswith(bytes.fromhex("f5000008ff03c02106070004"))


def test_a_flood_does_not_outrun_the_clock() -> None:
    class Flood(FakeStream):
        async def read(self, limit: int = 65536) -> bytes:
            return bytes.fromhex("f5000008ff03c0210b010004") * 5

    with refused(NegotiationFailed, "ppp-negotiation-timeout"):
        go(Flood())
