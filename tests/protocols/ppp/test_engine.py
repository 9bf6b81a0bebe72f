"""The three layers together: both ends, every case of sections 6 to 10, hostile input, lossy links."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.base import Control
from protocols.errors import ConfigurationRefused, NegotiationFailed, ProtocolError
from protocols.ppp.automaton import Limits
from protocols.ppp.engine import Engine, Phase, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import LcpWishes
from protocols.ppp.packet import Code, Packet, Proto
from tests.protocols.ppp.peers import Wire, counting, engine, hexes, ipcp, lcp, packets

OWN = IPv4Address("10.11.1.2")
GATEWAY = IPv4Address("10.11.1.1")
DNS = IPv4Address("10.11.1.53")
F5_LCP = LcpWishes(mru=1400, accm=0, compression=True)
CLIENT = Wishes(F5_LCP, IpcpWishes(servers=True), Ip6cpWishes())
SERVER = Wishes(
    F5_LCP, IpcpWishes(address=GATEWAY, peer=OWN, dns=(DNS,)), Ip6cpWishes(bytes(7) + b"\1", bytes(7) + b"\2")
)


def opened(wishes: Wishes = CLIENT, server: Wishes = SERVER) -> tuple[Engine, Engine]:
    wire = Wire(engine(wishes, 1), engine(server, 1000))
    wire.run()
    assert not wire.raised
    assert wire.left.is_open and wire.right.is_open
    return wire.left, wire.right


def test_a_client_and_a_gateway_agree() -> None:
    client, server = opened()
    agreed = client.agreed()
    assert (agreed.families, agreed.address, agreed.identifier) == (3, OWN, bytes(7) + b"\2")
    assert dict(agreed.servers) == {129: DNS}
    granted = agreed.granted
    assert (granted.mru, granted.accm, granted.pfc, granted.acfc) == (1400, 0, True, True)
    assert server.agreed().address == GATEWAY


def test_the_first_request_is_the_notes_own_vector() -> None:
    wishes = Wishes(F5_LCP)
    ours = Engine(wishes, lambda length: bytes.fromhex("11223344")[:length], 0.0)
    assert hexes(ours.begin(0.0)) == ["c021/010100180104057802060000000005061122334407020802"]
    plain = Engine(Wishes(LcpWishes(mru=1385)), lambda length: bytes.fromhex("11223344")[:length], 0.0)
    assert hexes(plain.begin(0.0)) == ["c021/0101000e01040569050611223344"]


def at_network(wishes: Wishes) -> tuple[Engine, list[Control]]:
    """An engine whose LCP has just opened, and what it sent then."""
    ours = engine(wishes)
    (request,) = packets(ours.begin(0.0))
    ours.on_frame(Control(Proto.LCP, Packet(Code.CONFIGURE_ACK, request.identifier, request.data).encode()), 0.1)
    return ours, ours.on_frame(lcp("01070004"), 0.2)


def test_ipcp_and_ip6cp_requests_are_those_of_the_notes() -> None:
    wishes = Wishes(ipcp=IpcpWishes(address=OWN), ip6cp=Ip6cpWishes(bytes(7) + b"\2"))
    ours, sent = at_network(wishes)
    assert hexes(sent) == ["c021/02070004", "8021/0101000a03060a0b0102", "8057/0101000e010a0000000000000002"]
    assert ours.phase is Phase.NETWORK
    _, sent = at_network(Wishes(ipcp=IpcpWishes(address=OWN, servers=True)))
    assert hexes(sent)[1].startswith("8021/0101002203060a0b01028106000000008206")


def test_a_reject_goes_before_a_nak_and_carries_only_what_it_rejects() -> None:  # 6.1
    ours = engine()
    ours.begin(0.0)
    # MRU 100 (to Nak), Auth-Protocol, magic, an unknown one
    frames = ours.on_frame(lcp("01050014010400640304c02305061a2b3c4d4002"), 0.0)
    assert hexes(frames) == ["c021/0405000a0304c0234002"]
    frames = ours.on_frame(lcp("0106000801040064"), 0.0)
    assert hexes(frames) == ["c021/0306000801040240"]
    frames = ours.on_frame(lcp("0107000801040090"), 0.0)  # once only: 144 is taken now
    assert hexes(frames) == ["c021/0207000801040090"]


def test_an_mru_that_is_far_too_small_ends_it() -> None:
    ours = engine()
    ours.begin(0.0)
    ours.on_frame(lcp("0106000801040064"), 0.0)
    with pytest.raises(ConfigurationRefused, match="got an MRU of 100"):
        ours.on_frame(lcp("0107000801040064"), 0.0)


def test_known_options_with_a_wrong_length_and_repeated_ones_are_rejected() -> None:
    ours = engine()
    ours.begin(0.0)
    frames = ours.on_frame(lcp("0105000f01030505061a2b3c4d0702"), 0.0)
    assert hexes(frames) == ["c021/04050007010305"]
    frames = ours.on_frame(lcp("0106000807020702"), 0.0)
    assert hexes(frames) == ["c021/040600060702"]


def test_after_five_naks_it_is_rejected() -> None:  # 6.3
    ours = engine(Wishes(ipcp=IpcpWishes(address=GATEWAY, peer=OWN)))
    (request,) = packets(ours.begin(0.0))
    ours.on_frame(Control(Proto.LCP, Packet(Code.CONFIGURE_ACK, request.identifier, request.data).encode()), 0.0)
    ours.on_frame(lcp("01070004"), 0.0)
    codes = [ours.on_frame(ipcp(f"01{number:02x}000a030600000000"), 0.0)[0].payload[0] for number in range(7)]
    assert codes == [3, 3, 3, 3, 3, 4, 4]


def test_the_empty_request_and_the_deprecated_option_are_acknowledged() -> None:  # Q6
    ours, _ = at_network(Wishes())
    assert hexes(ours.on_frame(ipcp("01010004"), 0.3)) == ["8021/02010004"]
    assert hexes(ours.on_frame(ipcp("0102000e010ac00002010a0b0102"), 0.3)) == ["8021/0202000e010ac00002010a0b0102"]


def test_any_address_of_the_gateway_is_taken_and_its_servers_are_not() -> None:  # Q5
    ours, _ = at_network(Wishes())
    assert hexes(ours.on_frame(ipcp("0101000a0306c0000201"), 0.3)) == ["8021/0201000a0306c0000201"]
    assert hexes(ours.on_frame(ipcp("010200100206002d0f01810600000000"), 0.3)) == [
        "8021/040200100206002d0f01810600000000"
    ]


def test_a_retransmission_keeps_identifier_and_content() -> None:  # 6.2
    ours = engine()
    first = ours.begin(0.0)
    assert ours.on_time(2.9) == []
    assert ours.deadline() == 3.0
    assert ours.on_time(3.0) == first
    ours.on_frame(lcp("7f010004"), 3.5)  # unknown code: its Code-Reject takes an identifier
    assert ours.on_time(6.0) == first


def test_a_magic_number_that_is_ours_gets_another() -> None:
    ours = engine()
    (request,) = packets(ours.begin(0.0))
    (answer,) = packets(ours.on_frame(Control(Proto.LCP, Packet(1, 9, request.data).encode()), 0.0))
    assert answer.code == Code.CONFIGURE_NAK and answer.data[:2] == b"\5\6" and answer.data != request.data
    (again,) = packets(ours.on_frame(Control(Proto.LCP, Packet(3, request.identifier, request.data).encode()), 0.0))
    assert again.identifier == request.identifier + 1 and again.data != request.data


def test_twins_with_the_same_random_numbers_agree_too() -> None:
    wire = Wire(engine(CLIENT, 1), engine(SERVER, 1))
    wire.run()
    assert wire.left.is_open and wire.right.is_open


def test_naks_of_our_mru() -> None:  # section 7
    ours = engine(Wishes(LcpWishes(mru=1400, magic=False)))
    ours.begin(0.0)
    assert hexes(ours.on_frame(lcp("0301000801040514"), 0.0)) == ["c021/0102000801040514"]  # smaller: taken
    assert hexes(ours.on_frame(lcp("0302000801041000"), 0.0)) == ["c021/0103000801040514"]  # larger: repeated once
    assert hexes(ours.on_frame(lcp("0303000801041000"), 0.0)) == ["c021/01040004"]  # then not told


def test_naks_of_our_map() -> None:
    ours = engine(Wishes(LcpWishes(accm=0, magic=False)))
    ours.begin(0.0)
    assert hexes(ours.on_frame(lcp("0301000a0206000a0000"), 0.0)) == ["c021/0102000a0206000a0000"]
    assert hexes(ours.on_frame(lcp("0402000a0206000a0000"), 0.0)) == ["c021/01030004"]


@pytest.mark.parametrize("option", ["0304c023", "01040123", "0702"])
def test_answers_about_options_that_we_did_not_send_change_nothing_but_are_bounded(option: str) -> None:  # 6.2
    ours = engine(Wishes(LcpWishes(magic=False)))
    ours.begin(0.0)
    length = len(option) // 2 + 4
    with pytest.raises(NegotiationFailed, match="LCP"):
        for number in range(1, 30):
            ours.on_frame(lcp(f"04{number:02x}{length:04x}{option}"), 0.0)
    assert number == 20


def test_a_peer_that_wants_something_else_each_time_is_given_up() -> None:
    ours, sent = at_network(Wishes())
    with pytest.raises(ConfigurationRefused, match="IPCP"):
        for number in range(100):
            (request,) = packets(sent, Proto.IPCP)[-1:]
            sent = ours.on_frame(ipcp(f"03{request.identifier:02x}000a03060a0b01{number + 1:02x}"), 1.0)
    assert number == 20


def test_a_silent_peer_ends_in_a_named_error_after_the_tries() -> None:
    ours = engine()
    sent = len(ours.begin(0.0))
    with pytest.raises(NegotiationFailed, match=r"LCP .*20 tries, 60 s"):
        while True:
            now = ours.deadline()
            sent += len(ours.on_time(now))
    assert (sent, now) == (20, 60.0)


def test_a_family_without_an_answer_is_dropped_and_the_other_goes_on() -> None:
    ours, _sent = at_network(Wishes(ipcp=IpcpWishes(address=OWN), ip6cp=Ip6cpWishes(bytes(7) + b"\2")))
    ours.on_frame(ipcp("0201000a03060a0b0102"), 0.3)
    ours.on_frame(ipcp("01010004"), 0.3)
    assert not ours.is_open
    while not ours.is_open:
        now = ours.deadline()
        ours.on_time(now)
    assert now == 60.0
    assert (ours.agreed().families, ours.agreed().identifier) == (1, b"")
    assert "IP6CP came to no agreement" in str(ours.failures[Proto.IP6CP])


def test_no_family_in_time_names_both() -> None:
    ours, _ = at_network(Wishes(ip6cp=Ip6cpWishes()))
    with pytest.raises(NegotiationFailed, match="IPCP and IP6CP"):
        while True:
            ours.on_time(ours.deadline())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("0401000a030600000000", "the gateway rejects"),
        ("0301000a030600000000", "the gateway offers the address 0.0.0.0"),
        ("0301000a03067f000001", "the gateway offers the address 127.0.0.1"),
    ],
)
def test_ipv4_refused(answer: str, code: str) -> None:
    ours, _ = at_network(Wishes())
    with pytest.raises(ConfigurationRefused, match=code):
        ours.on_frame(ipcp(answer), 0.3)
    both, _ = at_network(Wishes(ip6cp=Ip6cpWishes()))
    both.on_frame(ipcp(answer), 0.3)
    assert code in str(both.failures[Proto.IPCP])


def test_an_acknowledged_request_for_no_address_is_no_address() -> None:
    ours, _ = at_network(Wishes())
    ours.on_frame(ipcp("01010004"), 0.3)
    with pytest.raises(ConfigurationRefused, match="the gateway gave no address"):
        ours.on_frame(ipcp("0201000a030600000000"), 0.3)


def test_servers_are_recorded_and_asked_for_no_more() -> None:  # Q13
    ours, sent = at_network(Wishes(ipcp=IpcpWishes(address=OWN, servers=True)))
    sent = ours.on_frame(ipcp("04010016820600000000830600000000840600000000"), 0.3)
    assert hexes(sent) == ["8021/0102001003060a0b0102810600000000"]
    sent = ours.on_frame(ipcp("0302000a81060a0b0135"), 0.3)
    assert hexes(sent) == ["8021/0103000a03060a0b0102"]
    assert dict(ours.agreed().servers) == {129: DNS}


def test_another_address_than_the_one_in_use_is_said() -> None:
    ours, _ = at_network(Wishes(ipcp=IpcpWishes(address=OWN, keep=True)))
    with pytest.raises(ConfigurationRefused, match=r"the gateway gave the address 10\.11\.1\.9, want"):
        ours.on_frame(ipcp("0301000a03060a0b0109"), 0.3)


@pytest.mark.parametrize("code", ["03", "04"])
def test_ipv6_refused_leaves_ipv4(code: str) -> None:
    ours, _ = at_network(Wishes(ipcp=IpcpWishes(address=OWN), ip6cp=Ip6cpWishes()))
    ours.on_frame(Control(Proto.IP6CP, bytes.fromhex(f"{code}01000e010a0000000000000000")), 0.3)
    ours.on_frame(ipcp("01010004"), 0.3)
    ours.on_frame(ipcp("0201000a03060a0b0102"), 0.3)
    assert ours.is_open and ours.agreed().families == 1


def test_identifiers() -> None:  # section 9
    wishes = Wishes(ipcp=None, ip6cp=Ip6cpWishes(bytes(7) + b"\2"))
    ours, _ = at_network(wishes)
    for wrong in ("0000000000000000", "0000000000000002"):
        (nak,) = packets(ours.on_frame(Control(Proto.IP6CP, bytes.fromhex(f"0109000e010a{wrong}")), 0.3), Proto.IP6CP)
        assert nak.code == Code.CONFIGURE_NAK and nak.data[2:] not in (bytes(8), bytes(7) + b"\2")
    sent = ours.on_frame(Control(Proto.IP6CP, bytes.fromhex("0301000e010a00000000000000aa")), 0.3)
    assert hexes(sent) == ["8057/0102000e010a00000000000000aa"]


# --- other control traffic -------------------------------------------------------------------------------------


def test_unknown_protocols_are_rejected_ten_a_second() -> None:
    client, _ = opened()
    (reject,) = packets(client.on_frame(Control(0x80FD, b"\1\1\0\4"), 100.0))
    assert (reject.code, reject.data) == (Code.PROTOCOL_REJECT, bytes.fromhex("80fd01010004"))
    answers = [client.on_frame(Control(0x80FD, b"\1\1\0\4"), 100.5) for _ in range(20)]
    assert sum(map(len, answers)) == 9
    assert client.on_frame(Control(0x8235, bytes(3000)), 102.0)[0].payload[2:4] == (1400).to_bytes(2, "big")


def test_a_family_we_do_not_want_is_rejected() -> None:  # Q12
    ours, _ = at_network(Wishes())
    sent = ours.on_frame(Control(Proto.IP6CP, bytes.fromhex("0101000e010a0000000000000001")), 0.3)
    assert hexes(sent) == ["c021/0802001480570101000e010a0000000000000001"]


def test_nothing_of_the_network_layer_counts_before_lcp_is_open() -> None:
    ours = engine()
    ours.begin(0.0)
    assert ours.on_frame(ipcp("01010004"), 0.1) == []
    assert ours.on_frame(Control(0x80FD, b"\1\1\0\4"), 0.1) == []
    assert ours.on_frame(lcp("09010008aabbccdd"), 0.1) == []
    assert ours.counters["ppp_ctl_early"] == 2


def test_protocol_rejects_end_a_family_and_the_last_one_the_link() -> None:
    client, _ = opened()
    client.on_frame(lcp("080500068057"), 1.0)
    assert client.is_open and client.agreed().families == 1
    assert client.on_frame(lcp("080500061234"), 1.0) == []
    client.on_frame(lcp("0805000580"), 1.0)  # shorter than a protocol number
    with pytest.raises(ConfigurationRefused, match="neither IPv4 nor IPv6 can be used"):
        client.on_frame(lcp("080600060021"), 1.0)
    other, _ = opened()
    with pytest.raises(ConfigurationRefused, match="the peer rejects LCP"):
        other.on_frame(lcp("08060006c021"), 1.0)


def test_padding_behind_a_packet_is_ignored() -> None:  # Q11
    client, _ = opened()
    client.on_frame(lcp("080500068057ffff"), 1.0)
    assert client.agreed().families == 1


@pytest.mark.parametrize("code", range(1, 8))
def test_a_code_reject_of_what_must_be_known_ends_it(code: int) -> None:
    client, _ = opened()
    with pytest.raises(ConfigurationRefused, match="does not know code"):
        client.on_frame(lcp(f"07010008{code:02x}010004"), 1.0)


def test_unknown_codes_are_rejected_in_every_layer() -> None:
    client, _ = opened()
    (reject,) = packets(client.on_frame(lcp("0c0a0008aabbccdd"), 1.0))
    assert (reject.code, reject.data.hex()) == (Code.CODE_REJECT, "0c0a0008aabbccdd")
    (reject,) = packets(client.on_frame(ipcp("090a0008aabbccdd"), 1.0), Proto.IPCP)  # echoes are LCP's alone
    assert (reject.code, reject.data.hex()) == (Code.CODE_REJECT, "090a0008aabbccdd")


def test_echoes_are_answered_with_our_magic_and_their_data() -> None:
    client, server = opened()
    magic = server.agreed().granted.magic
    (reply,) = packets(client.on_frame(lcp("0907000caabbccdd01020304"), 1.0))
    assert (reply.code, reply.identifier) == (Code.ECHO_REPLY, 7)
    assert reply.data == magic.to_bytes(4, "big") + b"\1\2\3\4"
    (reply,) = packets(client.on_frame(lcp("09080004"), 1.0))
    assert reply.data == magic.to_bytes(4, "big")
    assert client.on_frame(Control(Proto.LCP, Packet(9, 1, magic.to_bytes(4, "big")).encode()), 1.0) == []  # a loop
    assert client.counters["ppp_ctl_looped"] == 1
    assert client.on_frame(lcp("0b010004"), 1.0) == []  # Q15: a Discard-Request without magic
    flood = [client.on_frame(lcp("09080004"), 5.0) for _ in range(1000)]
    assert sum(map(len, flood)) == 20


def test_dpd_asks_and_gives_up() -> None:  # section 10
    client, _ = opened(Wishes(F5_LCP, IpcpWishes(), dpd=10))
    heard = 0.06
    asked = []
    while client.is_open:
        now = client.deadline()
        asked += [(round(now - heard, 1), frame.payload[0]) for frame in client.on_time(now, heard)]
    assert client.phase is Phase.DEAD and client.silence(now) == pytest.approx(20)
    assert [at for at, code in asked if code == Code.ECHO_REQUEST][:2] == pytest.approx([10, 15], abs=0.1)


def test_traffic_of_any_kind_is_life() -> None:
    client, _ = opened(Wishes(F5_LCP, IpcpWishes(), dpd=10))
    for now in range(5, 100, 5):
        assert client.on_time(now, heard_at=now - 1) == []
    assert client.is_open


def test_a_peer_without_echoes_is_not_asked() -> None:
    client, _ = opened(Wishes(F5_LCP, IpcpWishes(), dpd=10))
    client.on_frame(lcp("0701000809010004"), 1.0)
    assert client.on_time(1000.0) == [] and client.is_open


def test_the_peers_reason_is_shown_without_its_tricks() -> None:
    client, _ = opened()
    reason = b"session \x1b[2Jtimeout\n" + b"x" * 500
    answer = client.on_frame(Control(Proto.LCP, Packet(5, 3, reason).encode()), 1.0)
    assert hexes(answer) == ["c021/06030004"]
    assert client.phase is Phase.ENDED
    assert client.reason.startswith("session .[2Jtimeout.xx") and len(client.reason) <= 256
    assert client.deadline() == float("inf") and client.on_frame(lcp("09080004"), 2.0) == []


def test_our_own_end_is_one_request_and_a_second_of_patience() -> None:  # Q16
    client, server = opened()
    (request,) = client.close(10.0)
    assert request.payload[0] == Code.TERMINATE_REQUEST
    assert client.deadline() == 11.0
    assert client.on_time(11.0) == [] and client.phase is Phase.ENDED
    other, server = opened()
    (request,) = other.close(10.0)
    (ack,) = server.on_frame(request, 10.1)
    other.on_frame(ack, 10.2)
    assert other.phase is server.phase is Phase.ENDED


def test_on_a_datagram_link_the_end_is_said_three_times() -> None:
    client, _ = opened(Wishes(F5_LCP, IpcpWishes(), limits=Limits(terminate_tries=3)))
    said = len(client.close(10.0))
    while client.phase is not Phase.ENDED:
        now = client.deadline()
        said += len(client.on_time(now))
    assert (said, now) == (3, 13.0)


def test_a_family_that_the_peer_ends_is_gone() -> None:
    client, _ = opened()
    sent = client.on_frame(ipcp("05090004"), 1.0)
    assert hexes(sent) == ["8021/06090004"]
    assert client.is_open and client.agreed().families == 2


def test_a_new_negotiation_of_the_peer_is_gone_along_with() -> None:
    client, _ = opened()
    sent = client.on_frame(lcp("0142000a0506deadbeef"), 1.0)
    assert [packet.code for packet in packets(sent)] == [Code.CONFIGURE_REQUEST, Code.CONFIGURE_ACK]
    assert client.phase is Phase.ESTABLISH and client.families == 0
    again = engine(SERVER, 5000)
    wire = Wire(client, again, now=1.0)
    wire.run()
    assert client.is_open and client.agreed().address == OWN


def test_a_repeated_request_is_acknowledged_again_without_a_new_negotiation() -> None:
    client, _server = opened()
    (request,) = packets(engine(SERVER, 1000).begin(0.0))
    (answer,) = packets(client.on_frame(Control(Proto.LCP, request.encode()), 1.0))
    assert answer.code == Code.CONFIGURE_ACK and client.is_open


# --- hostile input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", ["", "01", "010100", "01010003", "010100ff", "0101000501", "010100060100", "0101000601ff", "0101080401"]
)
def test_damaged_packets_are_dropped_and_counted(payload: str) -> None:  # section 16
    ours = engine()
    ours.begin(0.0)
    assert ours.on_frame(lcp(payload), 0.0) == []
    assert ours.counters["ppp_ctl_bad_length"] + ours.counters["ppp_ctl_bad_option"] == 1


def test_a_packet_beyond_the_cap_is_dropped() -> None:
    ours = engine()
    ours.begin(0.0)
    assert ours.on_frame(Control(Proto.LCP, Packet(1, 1, bytes.fromhex("4002") * 2000).encode()), 0.0) == []
    assert ours.counters["ppp_ctl_bad_length"] == 1


OPTIONS = st.lists(
    st.one_of(
        st.builds(
            lambda kind, value: bytes([kind, len(value) + 2]) + value, st.integers(0, 255), st.binary(max_size=8)
        ),
        st.builds(lambda kind, value: bytes([kind, 255]) + value, st.integers(0, 255), st.just(bytes(253))),
        st.builds(lambda kind, length: bytes([kind, length]), st.integers(0, 9), st.sampled_from([0, 1, 255])),
    ),
    max_size=6,
).map(b"".join)
PACKETS = st.one_of(
    st.builds(lambda code, number, data: Packet(code, number, data).encode(), *(
        st.integers(0, 15), st.integers(0, 6), OPTIONS,
    )),
    st.binary(max_size=40),
)  # fmt: skip
FRAMES = st.builds(Control, st.sampled_from([*Proto, 0x80FD, 0x8235]), PACKETS)


@settings(max_examples=300)
@given(st.lists(st.tuples(FRAMES, st.floats(0, 4)), max_size=30), st.booleans())
def test_whatever_comes_is_answered_within_bounds_or_ends_by_name(story: list[tuple[Control, float]], up: bool) -> None:
    ours = opened()[0] if up else engine(CLIENT)
    now = 1.0
    try:
        if not up:
            ours.begin(now)
        for frame, pause in story:
            now += pause
            sent = ours.on_frame(frame, now)
            assert len(sent) <= 4 and all(len(one.payload) <= 2048 for one in sent)
            ours.on_time(now)
    except ProtocolError as exc:
        assert exc.code in {
            "ppp-negotiation-timeout", "ppp-mru-too-small", "ppp-ipv4-refused", "ppp-ipv6-refused",
            "ppp-code-rejected", "ppp-no-network-protocol", "ppp-protocol-rejected", "ppp-family-rejected",
            "ppp-family-ended",
        }  # fmt: skip


# --- lossy links -----------------------------------------------------------------------------------------------

FATES = st.lists(
    st.one_of(
        st.just(()),
        st.tuples(st.floats(0.001, 5)),
        st.tuples(st.floats(0.001, 5), st.floats(0.001, 8)),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(FATES, st.booleans())
def test_two_engines_agree_over_a_link_that_loses_doubles_and_delays(
    fates: list[tuple[float, ...]], both_clients: bool
) -> None:
    ours, other = CLIENT, SERVER
    if both_clients:  # neither assigns: each takes what the other says
        ours = Wishes(F5_LCP, IpcpWishes(address=OWN), Ip6cpWishes(bytes(7) + b"\5"))
        other = Wishes(F5_LCP, IpcpWishes(address=GATEWAY), Ip6cpWishes(bytes(7) + b"\6"))
    wire = Wire(engine(ours, 1), engine(other, 1000), iter(fates))
    wire.run()
    if wire.raised:
        assert isinstance(wire.raised[0], NegotiationFailed | ConfigurationRefused)
        assert wire.raised[0].code == "ppp-negotiation-timeout"
        assert wire.now >= 3.0
    else:
        assert wire.left.is_open and wire.right.is_open
        assert wire.left.agreed().families == wire.right.agreed().families == 3
    assert wire.sent < 1000


def test_a_link_that_loses_everything_ends_within_the_tries() -> None:
    wire = Wire(engine(CLIENT, 1), engine(SERVER, 1000), iter([()] * 1000))
    wire.run()
    assert isinstance(wire.raised[0], NegotiationFailed) and wire.now == 60.0 and wire.sent == 2 * 20


def test_counting_is_what_the_tests_take_for_random() -> None:
    assert counting(5)(2) == b"\0\5"
