"""PPP as Debian's openconnect 9.01 sent it over F5's carriers: an independent sender, read and rebuilt by us."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocols.ppp.packet import Code, parse, parse_options
from tests.protocols.framing.captures import assert_pings, assert_solicitation, capture
from tests.protocols.framing.ppp_twins import F5, HDLC, IDS, IP6CP, IPCP, LCP, MAKERS, Twin

FRAMINGS = [F5, HDLC]
BY_DTLS = "ppp-f5-dtls"


def receive(maker: Callable[[str], Twin], framing: str, step: int = 0) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Control frames and packets of the capture; step: bytes a time, 0: as they came."""
    twin = maker(framing)
    twin.set("ppp.data", b"\3")
    stream = b"".join(capture(framing))
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)] if step else capture(framing)
    controls, packets = [], []
    for piece in pieces:
        twin.feed(piece)
        while (control := twin.control()) is not None:
            controls.append(control)
    twin.sink.flush()
    while (packet := twin.sink.take()) is not None:
        packets.append(bytes(packet))
    return controls, packets


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("step", [0, 1, 7])
def test_everything_is_understood(maker: Callable[[str], Twin], framing: str, step: int) -> None:
    controls, packets = receive(maker, framing, step)
    assert [(kind, payload[0]) for kind, payload in controls] == [
        (LCP, Code.CONFIGURE_REQUEST), (LCP, Code.CONFIGURE_ACK),
        (IPCP, Code.CONFIGURE_REQUEST), (IP6CP, Code.CONFIGURE_REQUEST),
        *[(IPCP, Code.CONFIGURE_ACK), (IP6CP, Code.CONFIGURE_ACK), (IPCP, Code.CONFIGURE_REQUEST)],
        (LCP, Code.ECHO_REQUEST), (LCP, Code.TERMINATE_REQUEST),
    ]  # fmt: skip
    solicitation, *pings = packets
    assert_solicitation(solicitation)
    assert len(pings) == 2
    assert_pings(pings)
    request = parse(controls[0][1])
    kinds = [option.kind for option in parse_options(request.data)]
    assert kinds == ([1, 2, 5, 7, 8] if framing == HDLC else [1, 5, 7, 8])


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_our_encoders_make_the_same_bytes(maker: Callable[[str], Twin], framing: str) -> None:
    controls, packets = receive(maker, framing)
    twin = maker(framing)
    for option in ("ppp.pfc", "ppp.acfc"):
        twin.set(option, b"\1")
    twin.set("ppp.data", b"\3")
    if framing == HDLC:
        twin.set("ppp.accm", bytes(4))
    frames = {twin.encode_control(kind, payload) for kind, payload in controls}
    frames |= {twin.encode(packet) for packet in packets}
    stream = b"".join(capture(framing))
    assert len(frames) == 12 and all(frame in stream for frame in frames)
    assert sum(map(len, frames)) == len(stream)


# --- by DTLS: a line is a record ---


def records(maker: Callable[[str], Twin]) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    twin = maker(F5)
    twin.set("ppp.data", b"\3")
    controls, packets = [], []
    for record in capture(BY_DTLS):
        twin.feed_datagram(record)
        while (control := twin.control()) is not None:
            controls.append(control)
    twin.sink.flush()
    while (packet := twin.sink.take()) is not None:
        packets.append(bytes(packet))
    return controls, packets


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_every_record_is_one_packet(maker: Callable[[str], Twin]) -> None:
    controls, packets = records(maker)
    assert [(kind, payload[0]) for kind, payload in controls] == [
        (LCP, Code.CONFIGURE_REQUEST), (LCP, Code.CONFIGURE_ACK),
        (IPCP, Code.CONFIGURE_REQUEST), (IP6CP, Code.CONFIGURE_REQUEST),
        *[(IPCP, Code.CONFIGURE_ACK), (IP6CP, Code.CONFIGURE_ACK), (IPCP, Code.CONFIGURE_REQUEST)],
        *[(LCP, Code.ECHO_REQUEST)] * 3, (LCP, Code.TERMINATE_REQUEST),
    ]  # fmt: skip
    assert len(controls) + len(packets) == len(capture(BY_DTLS))
    pings = [packet for packet in packets if packet[:1] == b"\x45"]
    assert len(pings) == 2
    assert_pings(pings)
    for packet in packets:
        if packet not in pings:
            assert_solicitation(packet)


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_our_records_are_the_same(maker: Callable[[str], Twin]) -> None:
    controls, packets = records(maker)
    twin = maker(F5)
    for option in ("ppp.pfc", "ppp.acfc"):
        twin.set(option, b"\1")
    twin.set("ppp.data", b"\3")
    made = [twin.encode_control(kind, payload) for kind, payload in controls] + [twin.encode(one) for one in packets]
    assert sorted(made) == sorted(capture(BY_DTLS))
