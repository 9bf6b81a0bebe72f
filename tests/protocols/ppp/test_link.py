"""The negotiation on a stream and by records: retransmissions, loss, the end, a peer that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

import pytest

from protocols.errors import ConfigurationRefused, NegotiationFailed
from protocols.ppp.automaton import Limits
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.link import negotiate, negotiate_records
from protocols.ppp.opening import Opening
from tests.protocols.ppp.peers import counting
from tests.protocols.ppp.records import FakeRecords, Fate, pair
from tests.protocols.ppp.test_engine import CLIENT, SERVER
from tests.protocols.refusals import refused
from tests.transports.http_doubles import HANG, FakeStream
from transports.errors import ConnectionLost, DtlsEnded, TimedOut, Truncated

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


# --- by records ---


def lossy(every: int) -> Fate:
    """One of so many is lost, one of so many doubled; by chance: a pattern can hit the same answer for ever."""
    chance = Random(every)

    def fate(record: bytes) -> Iterable[bytes]:
        if chance.randrange(every) == 0:
            return ()
        return (record,) * (2 if chance.randrange(every) == 0 else 1)

    return fate


def both(client: Fate, server: Fate) -> tuple[Opening, ...]:
    async def run() -> tuple[Opening, ...]:
        now = asyncio.get_running_loop().time()
        ends = pair(client, server)
        # Whoever is slow is asked again and again meanwhile: that is no disagreement.
        quick = Limits(restart=0.02, tries=5000, revisions=5000, naks=5000, whole_link=60.0)
        wishes = [Wishes(one.lcp, one.ipcp, one.ip6cp, quick) for one in (CLIENT, SERVER)]
        work = [
            asyncio.ensure_future(negotiate_records(end, "ppp-f5", Engine(wish, counting(seed), now)))
            for end, wish, seed in zip(ends, wishes, (1, 1000), strict=True)
        ]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        opening = done.pop().result()
        other = next(one for one in work if not one.done() or one.result() is not opening)
        if not other.done():  # its last answers were lost: now a pump and a controller would repeat ours
            other.cancel()
            await asyncio.wait(work)
            return (opening,)
        return opening, other.result()

    return asyncio.run(run())


def test_records_that_arrive() -> None:
    same = lambda record: (record,)  # noqa: E731
    openings = both(same, same)
    assert len({opening.options() for opening in openings}) == 1 and len(openings) == 2


@pytest.mark.parametrize("every", [2, 3, 4])
def test_records_that_are_lost_and_doubled(every: int) -> None:
    for client, server in ((lossy(every), lossy(every + 1)), (lossy(every + 1), lossy(every))):
        assert both(client, server)[0].options()[0] == ("ppp.data", b"\3")


def by_records(records: FakeRecords, first: bytes = b"", peer: str = "the gateway") -> None:
    async def run() -> None:
        now = asyncio.get_running_loop().time()
        await negotiate_records(records, "ppp-f5", Engine(Wishes(limits=QUICK), counting(), now), first, peer=peer)

    asyncio.run(run())


def test_a_silent_peer_hears_the_same_record_again_and_is_given_up() -> None:
    silent = FakeRecords()
    with refused(NegotiationFailed, "ppp-negotiation-timeout: LCP"):
        by_records(silent)
    assert silent.sent == [bytes.fromhex("f500000eff03c0210101000a050600000001")] * 3


def test_the_first_record_counts_and_its_sender_may_have_been_answered_meanwhile() -> None:
    peer = FakeRecords()
    peer.waiting.put_nowait(TimedOut("udp", 0.01))
    peer.waiting.put_nowait(DtlsEnded("the association was closed by the other side"))
    with refused(ConfigurationRefused, "ppp-establish-failed: the gateway closed the association: "):
        by_records(peer, REQUEST)
    assert peer.sent[1] == bytes.fromhex("f5000008ff03c02102070004")


def test_a_peer_that_ends_the_link_is_quoted() -> None:
    with refused(
        ConfigurationRefused, r"ppp-establish-failed: the client ended the link .*negotiated: no address left"
    ):
        by_records(FakeRecords(), bytes.fromhex("f5000017ff03c02105070013") + b"no address left", peer="the client")


def test_a_flood_of_records_does_not_outrun_the_clock() -> None:
    class Flood(FakeRecords):
        async def receive(self, timeout: float) -> bytes:
            return bytes.fromhex("f5000008ff03c0210b010004") * 5

    with refused(NegotiationFailed, "ppp-negotiation-timeout"):
        by_records(Flood())
