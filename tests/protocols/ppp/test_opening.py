"""The engine behind a framing: vectors on the wire, every chunking, what comes behind, what is no PPP."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import ConfigurationRefused, NegotiationFailed
from protocols.framing.hdlc import ACCM_ALL, encode
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import LcpWishes
from protocols.ppp.opening import Opening
from tests.protocols.ppp.peers import counting
from tests.protocols.refusals import refused

OWN, GATEWAY = IPv4Address("10.11.1.2"), IPv4Address("10.11.1.1")
LCP = LcpWishes(mru=1400, accm=0, compression=True)
FRAMINGS = ("ppp-f5", "ppp-f5-hdlc", "ppp-fortinet")
H1 = "7eff7d23c0217d217d217d207d387d217d247d25787d227d267d207d207d207d207d257d267d312233447d277d227d287d2288b07e"
F5_LCP = "f5000016ff03c021010100120104057805061122334407020802"
F5_IPV4 = "f500002621450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20"


def opening(framing: str, *, server: bool = False) -> Opening:
    lcp = LcpWishes(mru=1385) if framing == "ppp-fortinet" else LCP
    own = Wishes(lcp, IpcpWishes(address=OWN), Ip6cpWishes(bytes(7) + b"\2"))
    other = Wishes(lcp, IpcpWishes(address=GATEWAY, peer=OWN), Ip6cpWishes(bytes(7) + b"\1"))
    return Opening(framing, Engine(other if server else own, counting(1000 if server else 1), 0.0))


@pytest.mark.parametrize(
    ("framing", "lcp", "wire"),
    [
        ("ppp-f5-hdlc", LCP, H1),
        ("ppp-f5", LcpWishes(mru=1400, compression=True), F5_LCP),
        ("ppp-fortinet", LcpWishes(mru=1385), "001650500010c0210101000e01040569050611223344"),
    ],
)  # fmt: skip
def test_the_first_record_is_the_notes_own(framing: str, lcp: LcpWishes, wire: str) -> None:  # section 16
    ours = Opening(framing, Engine(Wishes(lcp), lambda length: bytes.fromhex("11223344")[:length], 0.0))
    assert [record.hex() for record in ours.begin(0.0)] == [wire]


def talk(framing: str, size: int) -> tuple[Opening, Opening]:
    """Both ends, in pieces of so many bytes."""
    client, server = opening(framing), opening(framing, server=True)
    to_server, to_client = client.begin(0.0), server.begin(0.0)
    while to_server or to_client:
        stream = b"".join(to_server)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        to_client = to_client + [record for piece in pieces for record in server.feed(piece, 1.0)]
        stream = b"".join(to_client)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        to_server, to_client = [record for piece in pieces for record in client.feed(piece, 1.0)], []
    return client, server


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_both_ends_agree_however_the_stream_is_cut(framing: str, size: int) -> None:
    client, server = talk(framing, size)
    assert client.done and server.done
    granted = [] if framing == "ppp-fortinet" else [("ppp.pfc", b"\1"), ("ppp.acfc", b"\1")]
    accm = [("ppp.accm", bytes(4))] if framing == "ppp-f5-hdlc" else []
    assert client.options() == server.options() == (("ppp.data", b"\3"), *granted, *accm)


def rounds(framing: str, behind: dict[int, bytes]) -> tuple[Opening, int]:
    """A client against a gateway that sends something more in some round; how many it took."""
    client, server = opening(framing), opening(framing, server=True)
    to_client, to_server = server.begin(0.0), client.begin(0.0)
    for number in range(10):
        to_client += [answer for record in to_server for answer in server.feed(record, 1.0)]
        to_server, to_client = client.feed(b"".join(to_client) + behind.get(number, b""), 1.0), []
        if client.done:
            return client, number
    raise AssertionError("no end")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_what_comes_behind_the_negotiation_is_the_pumps(framing: str) -> None:  # f5.md section 12
    client, last = rounds(framing, {})
    assert client.unread == b""
    data = bytes.fromhex(F5_IPV4)
    client, again = rounds(framing, {last: data})
    assert client.unread == data and again == last


def test_a_shared_flag_between_negotiation_and_data_is_left_to_the_pump() -> None:  # Q10
    client = Opening("ppp-f5-hdlc", Engine(Wishes(LCP), lambda length: bytes.fromhex("11223344")[:length], 0.0))
    client.begin(0.0)
    request = bytes.fromhex("ff03c02101070004")
    ack = bytes.fromhex("ff03c021020100180104057802060000000005061122334407020802")
    ipcp = [bytes.fromhex("802101010004"), bytes.fromhex("80210301000a03060a0b0102")]
    data = encode(bytes.fromhex("21450000"), 0)
    wire = encode(ack, ACCM_ALL)[:-1] + encode(request, ACCM_ALL)[:-1] + b"".join(encode(one, 0)[:-1] for one in ipcp)
    client.feed(wire + b"\x7e", 1.0)
    assert not client.done
    client.feed(encode(bytes.fromhex("80210202000a03060a0b0102"), 0)[:-1] + data, 1.0)
    assert client.done and client.unread == data[1:]


def test_data_that_comes_too_early_is_dropped() -> None:
    client = opening("ppp-f5")
    client.begin(0.0)
    assert client.feed(bytes.fromhex(F5_IPV4), 0.1) == []
    assert client.feed(bytes.fromhex("f5000000"), 0.1) == []  # an empty one, too
    assert client.feed(bytes.fromhex(F5_LCP), 0.1) != []


@pytest.mark.parametrize(
    ("framing", "data", "text"),
    [
        ("ppp-f5", "f5010004", "want f500 and a length"),
        ("ppp-f5", b"HTTP/1.1 403 Forbidden\r\n".hex(), "ppp f5 prefix"),
        ("ppp-fortinet", "001850510012", "ppp fortinet prefix"),
        ("ppp-fortinet", "001950500012", "ppp fortinet prefix"),
    ],
)
def test_what_is_no_ppp_has_a_name(framing: str, data: str, text: str) -> None:
    client = opening(framing)
    client.begin(0.0)
    with refused(NegotiationFailed, f"ppp-bad-encapsulation: .*{text}"):
        client.feed(bytes.fromhex(data), 0.1)


@pytest.mark.parametrize("noise", ["7e7e7e", "7e21457d7e", "7e214500007e", "7e21457e"])
def test_damaged_frames_end_nothing_by_themselves(noise: str) -> None:
    client = opening("ppp-f5-hdlc")
    client.begin(0.0)
    assert client.feed(bytes.fromhex(noise), 0.1) == []
    assert len(client.feed(encode(bytes.fromhex("ff03c02101070004"), ACCM_ALL), 0.2)) == 1


def run_out(client: Opening) -> None:
    while True:
        client.on_time(client.deadline())


def test_nothing_but_damaged_frames_is_named() -> None:
    client = opening("ppp-f5-hdlc")
    client.begin(0.0)
    client.feed(bytes.fromhex("7e214500007e" * 3), 0.1)
    with refused(NegotiationFailed, "ppp-hdlc-lost: 3 damaged frames"):
        run_out(client)
    silent = opening("ppp-f5-hdlc")
    silent.begin(0.0)
    with refused(NegotiationFailed, "ppp-negotiation-timeout: LCP"):
        run_out(silent)


@settings(max_examples=150)
@given(st.sampled_from(FRAMINGS), st.binary(max_size=200), st.integers(1, 50))
def test_whatever_comes_ends_by_name_or_not_at_all(framing: str, data: bytes, size: int) -> None:
    client = opening(framing)
    client.begin(0.0)
    prefix = {"ppp-f5": b"\xf5\0\0", "ppp-f5-hdlc": b"\x7e", "ppp-fortinet": b""}[framing]
    try:
        for at in range(0, len(data), size):
            client.feed(prefix + data[at : at + size], 0.1)
    except (NegotiationFailed, ConfigurationRefused) as exc:
        assert exc.code.startswith("ppp-")


# --- by datagrams ---


@pytest.mark.parametrize("framing", ["ppp-f5", "ppp-fortinet"])
@pytest.mark.parametrize("packed", [False, True])
def test_both_ends_agree_by_records(framing: str, packed: bool) -> None:
    client, server = opening(framing), opening(framing, server=True)
    to_server, to_client = client.begin(0.0), server.begin(0.0)
    while to_server or to_client:
        arriving = [b"".join(to_server)] if packed else to_server
        to_client = to_client + [answer for record in arriving for answer in server.feed_datagram(record, 1.0)]
        arriving = [b"".join(to_client)] if packed else to_client
        to_server, to_client = [answer for record in arriving for answer in client.feed_datagram(record, 1.0)], []
    assert client.done and server.done and client.unread == server.unread == b""
    assert client.options() == server.options() and client.options()[0] == ("ppp.data", b"\3")


def test_what_is_no_ppp_costs_that_record_alone() -> None:
    client = opening("ppp-f5")
    client.begin(0.0)
    for bad in (b"HTTP/1.1 200 OK\r\n\r\n", bytes.fromhex("f5010004"), bytes.fromhex(F5_LCP)[:-1], b"", b"\xf5"):
        assert client.feed_datagram(bad, 0.1) == []
    assert len(client.feed_datagram(bytes.fromhex(F5_LCP) + b"rest", 0.2)) == 1


def test_what_follows_the_end_in_a_record_is_dropped() -> None:
    client, server = opening("ppp-f5"), opening("ppp-f5", server=True)
    echo = bytes.fromhex("f5000008ff03c02109070004")  # answered, once the link is open
    to_client, to_server = server.begin(0.0), client.begin(0.0)
    for _round in range(10):
        to_client += [answer for record in to_server for answer in server.feed_datagram(record, 1.0)]
        was_done = client.done
        to_server = client.feed_datagram(b"".join(to_client) + echo, 1.0)
        to_client = []
        if client.done:
            assert was_done or all(record[6:9] != b"\xc0\x21\x0a" for record in to_server)
            assert client.unread == b"" and client.feed_datagram(echo, 1.0) == []
            return
    raise AssertionError("no end")


def test_a_frame_cannot_be_cut_over_records() -> None:
    client = opening("ppp-f5-hdlc")
    with pytest.raises(AssertionError, match="goes by a stream alone"):
        client.feed_datagram(b"", 0.0)


@settings(max_examples=150)
@given(st.sampled_from(("ppp-f5", "ppp-fortinet")), st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_whatever_records_come_end_by_name_or_not_at_all(framing: str, records: list[bytes], begun: bool) -> None:
    client = opening(framing)
    client.begin(0.0)
    before = bytes.fromhex(F5_LCP) if begun and framing == "ppp-f5" else b""
    try:
        for record in records:
            client.feed_datagram(before + record, 0.1)
    except (NegotiationFailed, ConfigurationRefused) as exc:
        assert exc.code.startswith("ppp-")
