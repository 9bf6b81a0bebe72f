"""A tunnel by DTLS as Debian's openconnect 9.01 sent it: an independent sender, read and rebuilt by us."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocols.base import Secret
from protocols.fortinet import hello
from protocols.ppp.packet import Code, parse, parse_options
from tests.protocols.framing.captures import assert_pings, assert_solicitation, capture
from tests.protocols.framing.ppp_twins import FORTINET, IDS, IP6CP, IPCP, LCP, MAKERS, Twin

HELLO, *RECORDS = capture("ppp-fortinet-dtls")
FF03 = b"\xff\x03"


def received(twin: Twin) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Control frames and packets of the records, each as one datagram."""
    twin.set("ppp.data", b"\3")
    controls, packets = [], []
    for record in RECORDS:
        twin.feed_datagram(record)
        while (control := twin.control()) is not None:
            controls.append(control)
    twin.sink.flush()
    while (packet := twin.sink.take()) is not None:
        packets.append(bytes(packet))
    assert not {name for name, count in twin.counters().items() if count}
    return controls, packets


def test_the_hello() -> None:
    cookie = hello.cookie_of(HELLO)
    assert len(cookie) == 43 and hello.encode(Secret(cookie)) == HELLO


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_everything_is_understood(maker: Callable[[str], Twin]) -> None:
    controls, packets = received(maker(FORTINET))
    assert [(kind, payload[0]) for kind, payload in controls] == [
        (LCP, Code.CONFIGURE_REQUEST), (LCP, Code.CONFIGURE_ACK),
        (IPCP, Code.CONFIGURE_REQUEST), (IP6CP, Code.CONFIGURE_REQUEST),
        *[(IPCP, Code.CONFIGURE_ACK), (IP6CP, Code.CONFIGURE_ACK), (IPCP, Code.CONFIGURE_REQUEST)],
        *[(LCP, Code.ECHO_REQUEST)] * 2, (LCP, Code.TERMINATE_REQUEST),
    ]  # fmt: skip
    assert [option.kind for option in parse_options(parse(controls[0][1]).data)] == [1, 5]
    first, *pings, last = packets
    assert_solicitation(first)
    assert_solicitation(last)
    assert len(pings) == 2
    assert_pings(pings)


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_our_encoders_make_the_same_records_without_ff03(maker: Callable[[str], Twin]) -> None:  # Q4 of the PPP notes
    twin = maker(FORTINET)
    controls, packets = received(twin)
    ours = {twin.encode_control(kind, payload) for kind, payload in controls} | {twin.encode(one) for one in packets}
    theirs = {shortened(record) for record in RECORDS}
    assert ours == theirs and len(ours) == len(RECORDS) - 1  # the solicitation came twice


def shortened(record: bytes) -> bytes:
    total, length = int.from_bytes(record[:2], "big") - 2, int.from_bytes(record[4:6], "big") - 2
    assert record[6:8] == FF03
    return total.to_bytes(2, "big") + record[2:4] + length.to_bytes(2, "big") + record[8:]
