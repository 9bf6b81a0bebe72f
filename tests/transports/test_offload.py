"""Cutting and joining of super-packets: the reference and the engine under the same tests.

Vectors T1 to T4 and the conditions are those of the linux-tun notes, sections 4, 5.3 and 15.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.superpackets import JOINS, Join, is_right, native_join, packet, super_packet
from transports.offload import ACK, PSH, TCP, UDP, BadVnet, Gso, Look, Vnet, finished, join, look, segments

T1_HEADER = "01812800080014001000"
T1_IN = (
    "4500003cfffe4000400626bb0a0000010a00000204010050fffffffc00012fd1509901f414310000"
    "4142434445464748494a4b4c4d4e4f5051525354"
)
T1_OUT = [
    "45000030fffe4000400626c70a0000010a00000204010050fffffffc00012fd1509001f4542100004142434445464748",
    "45000030ffff4000400626c60a0000010a000002040100500000000400012fd1501001f4347a0000494a4b4c4d4e4f50",
    "4500002c00004000400626ca0a0000010a000002040100500000000c00012fd1501901f4c0fb000051525354",
]
ADDRESSES6 = "fd000000000000000000000000000001fd000000000000000000000000000002"
T2_HEADER = "01053000060028000600"
T2_IN = f"6001234500121140{ADDRESSES6}138800350012fa276162636465666768696a"
T2_OUT = [
    f"60012345000e1140{ADDRESSES6}13880035000ec7e3616263646566",
    f"60012345000c1140{ADDRESSES6}13880035000c21426768696a",
]
T3_HEADER = "01000000000014000600"
T3_IN = "4500002200014000401126c80a0000010a00000213880035000e142261626364134c"
T3_OUT = "4500002200014000401126c80a0000010a00000213880035000effff61626364134c"
T4_PACKETS = [
    "4500003000074000400626bf0a0000010a00000204010050000003e800012fd1501001f450b600004142434445464748",
    "4500002c00084000400626c20a0000010a00000204010050000003f000012fd1501801f4cd280000494a4b4c",
]
T4_HEADER = "01012800080014001000"
T4_SUPER = "4500003400074000400626bb0a0000010a00000204010050000003e800012fd1501801f4142900004142434445464748494a4b4c"
unhex = bytes.fromhex


@pytest.fixture(params=JOINS)
def joined(request: pytest.FixtureRequest) -> Join:
    return JOINS[request.param]


# --- cutting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("header", "whole", "want"), [(T1_HEADER, T1_IN, T1_OUT), (T2_HEADER, T2_IN, T2_OUT)])
def test_vectors_of_cutting(header: str, whole: str, want: list[str]) -> None:
    assert [one.hex() for one in segments(Vnet.parse(unhex(header)), unhex(whole))] == want


def test_a_partial_checksum_that_finishes_as_zero() -> None:
    assert finished(Vnet.parse(unhex(T3_HEADER)), unhex(T3_IN)).hex() == T3_OUT


def test_accecn_keeps_cwr_on_every_segment() -> None:
    vnet, whole = super_packet(packet(bytes(30), flags=0x80 | ACK), 10, ecn=0x10)
    assert [one[33] for one in segments(vnet, whole)] == [0x90] * 3


def test_an_extension_header_is_copied() -> None:
    plain = packet(bytes(20), version=6)
    routed = plain[:4] + (len(plain) - 32).to_bytes(2, "big") + b"\0" + plain[7:40] + b"\x06\0\1\4\0\0\0\0" + plain[40:]
    vnet = Vnet(1, Gso.TCPV6, 68, 10, 48, 16)
    cut = list(segments(vnet, routed))
    assert [len(one) for one in cut] == [78, 78]
    assert all(one[6:48] == routed[6:48] and one[4:6] == b"\0\x26" for one in cut)


GOOD, WHOLE = super_packet(packet(bytes(100)), 40)
GOOD6, WHOLE6 = super_packet(packet(bytes(100), version=6, protocol=UDP), 40)


def changed(vnet: Vnet, **fields: int) -> Vnet:
    return Vnet(**{name: fields.get(name, getattr(vnet, name)) for name in Vnet.__slots__})  # type: ignore[attr-defined]


LIES: dict[str, tuple[Vnet, bytes]] = {
    "segments of nothing": (changed(GOOD, gso_size=0), WHOLE),
    "no partial checksum": (changed(GOOD, flags=0), WHOLE),
    "a verified checksum": (changed(GOOD, flags=2), WHOLE),
    "unknown flags": (changed(GOOD, flags=5), WHOLE),
    "UFO": (changed(GOOD, gso_type=3), WHOLE),
    "an unknown type": (changed(GOOD, gso_type=0x21), WHOLE),
    "only an ECN bit of the new kind": (changed(GOOD, gso_type=0x10), WHOLE),
    "TCPv6 on IPv4": (changed(GOOD, gso_type=4), WHOLE),
    "TCPv4 on IPv6": (changed(GOOD6, gso_type=1, csum_offset=16), WHOLE6),
    "UDP with the field of TCP": (changed(GOOD6, csum_offset=16), WHOLE6),
    "TCP with the field of UDP": (changed(GOOD, csum_offset=6), WHOLE),
    "a start within the IP header": (changed(GOOD, csum_start=16), WHOLE),
    "a start that is not that of the packet": (changed(GOOD, csum_start=24), WHOLE),
    "a start within the IPv6 header": (changed(GOOD6, csum_start=39), WHOLE6),
    "a start behind the end": (changed(GOOD6, csum_start=65535), WHOLE6),
    "an IP header of 16 bytes": (changed(GOOD, csum_start=16), b"\x44" + WHOLE[1:]),
    "a TCP header of 16 bytes": (GOOD, WHOLE[:32] + b"\x40" + WHOLE[33:]),
    "a TCP header beyond the end": (GOOD, WHOLE[:32] + b"\xf0" + WHOLE[33:70]),
    "no payload": (GOOD, WHOLE[:40]),
    "half a header": (GOOD, WHOLE[:30]),
    "no IP": (GOOD, b"\x05" + WHOLE[1:]),
    "nothing": (GOOD, b""),
    "an ordinary packet with its checksum behind the end": (Vnet(1, 0, 0, 0, 20, 80), bytes(b"\x45" + bytes(99))),
    "an ordinary packet with unknown flags": (Vnet(4), WHOLE),
}


def reference_cut(vnet: bytes, whole: bytes) -> list[bytes] | None:
    """None: the header lies."""
    try:
        head = Vnet.parse(vnet)
        if not whole:
            raise BadVnet("nothing behind the header")
        return list(segments(head, whole)) if head.is_super else [finished(head, whole)]
    except BadVnet:
        return None


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_told(lie: str) -> None:
    vnet, whole = LIES[lie]
    assert reference_cut(vnet.pack(), whole) is None
    assert reference_cut(GOOD.pack(), WHOLE) is not None


def random_super(draw: st.DrawFn, largest: int = 9000) -> tuple[Vnet, bytes]:
    protocol = draw(st.sampled_from([TCP, UDP]))
    payload = draw(st.integers(1, largest))
    data = draw(st.randoms(use_true_random=False)).randbytes(payload)
    whole = packet(
        data,
        version=draw(st.sampled_from([4, 6])),
        protocol=protocol,
        seq=draw(st.integers(0, 2**32 - 1)),
        flags=draw(st.integers(0, 255)),
        ident=draw(st.integers(0, 65535)),
        fragment=draw(st.sampled_from([0, 0x4000])),
        tos=draw(st.integers(0, 255)),
        options=bytes(4 * draw(st.integers(0, 10))) if protocol == TCP else b"",
    )
    size = draw(st.integers(max(1, payload // 120), 1400))
    return super_packet(whole, size, ecn=draw(st.sampled_from([0, 0x80])) if protocol == TCP else 0)


supers = st.composite(random_super)


@settings(max_examples=100)
@given(supers())
def test_what_is_cut_is_all_of_it_and_right(one: tuple[Vnet, bytes]) -> None:
    vnet, whole = one
    sizes = vnet.sizes(whole)
    cut = list(segments(vnet, whole))
    assert b"".join(part[sizes.header :] for part in cut) == whole[sizes.header :]
    assert all(is_right(part) for part in cut)
    assert len(cut) == sizes.count and max(map(len, cut)) == sizes.largest


# --- joining ---------------------------------------------------------------------------------------------------


def test_the_vector_of_joining(joined: Join) -> None:
    ((vnet, whole),) = joined([unhex(one) for one in T4_PACKETS])
    assert (vnet.pack().hex(), whole.hex()) == (T4_HEADER, T4_SUPER)


FIRST: dict[str, Any] = {"payload": b"A" * 100, "ident": 7}
SECOND: dict[str, Any] = {"payload": b"B" * 100, "ident": 8, "seq": 1100}
SIX = {"version": 6}
DATAGRAM = {"protocol": UDP}


@pytest.mark.parametrize("both", [{}, SIX, DATAGRAM, SIX | DATAGRAM, {"options": b"\1\1\x08\x0a" + bytes(8)}])
@pytest.mark.parametrize("short", [0, 1, 99])
def test_neighbours_of_a_flow_are_joined(joined: Join, both: dict[str, Any], short: int) -> None:
    pair = [packet(**FIRST | both), packet(**SECOND | both | {"payload": b"B" * (100 - short)})]
    ((vnet, whole),) = joined(pair)
    assert vnet.gso_size == 100
    assert list(segments(vnet, whole)) == pair


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "other source": ({}, {"host": 2}),
    "other source, IPv6": (SIX, {"host": 2}),
    "other port": ({}, {"port": 1001}),
    "other protocol": ({}, DATAGRAM),
    "other TOS": ({}, {"tos": 4}),
    "other ECN": ({"tos": 2}, {"tos": 3}),
    "other traffic class": (SIX, {"tos": 4}),
    "other flow label": (SIX, {"label": 5}),
    "other TTL": ({}, {"ttl": 63}),
    "other hop limit": (SIX, {"ttl": 63}),
    "other DF": ({}, {"fragment": 0}),
    "identification not the next, without DF": ({"fragment": 0}, {"ident": 9}),
    "other acknowledgement": ({}, {"ack": 8}),
    "other window": ({}, {"window": 501}),
    "other urgent pointer": ({}, {"urgent": 1}),
    "other header length": ({}, {"options": b"\1\1\1\1"}),
    "other options": ({"options": b"\1\1\1\1"}, {"options": b"\1\1\1\0"}),
    "a gap": ({}, {"seq": 1101}),
    "a repetition": ({}, {"seq": 1000}),
    "a larger payload": ({}, {"payload": b"B" * 101}),
    "first with PSH": ({"flags": ACK | PSH}, {"flags": ACK}),
    "SYN": ({}, {"flags": ACK | 2}),
    "FIN": ({}, {"flags": ACK | 1}),
    "RST": ({}, {"flags": ACK | 4}),
    "URG": ({}, {"flags": ACK | 0x20}),
    "ECE": ({}, {"flags": ACK | 0x40}),
    "CWR": ({}, {"flags": ACK | 0x80}),
    "no ACK": ({}, {"flags": 0}),
    "no payload": ({}, {"payload": b""}),
    "a fragment": ({}, {"fragment": 0x2000}),
    "the end of a fragmented packet": ({}, {"fragment": 5}),
    "the reserved bit": ({}, {"fragment": 0xC000}),
    "checksum of the second bad": ({}, {"checksum": 0x1234}),
    "checksum of the first bad": ({"checksum": 0x1234}, {"checksum": None}),
    "checksum of the second bad, IPv6": (SIX, {"checksum": 0x1234}),
    "datagram without checksum": (DATAGRAM, {"checksum": 0}),
    "datagram without checksum first": (DATAGRAM | {"checksum": 0}, {"checksum": None}),
    "datagram without checksum, IPv6": (DATAGRAM | SIX, {"checksum": 0}),
    "datagram without payload": (DATAGRAM, {"payload": b""}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_each_condition_refuses(joined: Join, why: str) -> None:
    both, other = REFUSED[why]
    pair = [packet(**FIRST | both), packet(**SECOND | both | other)]
    assert joined(pair) == [(Vnet(), one) for one in pair]


def with_bytes(at: int, value: bytes, **fields: Any) -> bytes:
    """A packet changed, its checksums right again."""
    data = bytearray(packet(**SECOND | fields))
    data[at : at + len(value)] = value
    return bytes(data)


def mended(data: bytes) -> bytes:
    """The IPv4 and TCP checksums made right."""
    whole = data[:10] + b"\0\0" + data[12:36] + b"\0\0" + data[38:]
    head = finished(Vnet(1, 0, 0, 0, 0, 10), whole[:20])
    pseudo = super_packet(head + whole[20:], 1)[1]
    return finished(Vnet(1, 0, 0, 0, 20, 16), pseudo)


@pytest.mark.parametrize(
    ("why", "second"),
    [
        ("bad IPv4 checksum", with_bytes(10, b"\0\0")),
        ("reserved bits of TCP", mended(with_bytes(32, b"\x51"))),
        ("TCP header beyond the end", mended(with_bytes(32, b"\xf0", payload=b"B" * 30))),
        ("TCP header of 16 bytes", mended(with_bytes(32, b"\x40"))),
        ("UDP length of less", with_bytes(24, b"\0\x20", protocol=UDP)),
    ],
)
def test_each_malformed_packet_refuses(joined: Join, why: str, second: bytes) -> None:
    first = packet(**FIRST | {"protocol": second[9]})
    assert joined([first, second]) == [(Vnet(), first), (Vnet(), second)]


def test_options_of_ipv4_are_not_joined_and_close_the_flow(joined: Join) -> None:
    inner = packet(**SECOND)
    optioned = bytearray(
        b"\x46" + inner[1:2] + (len(inner) + 4).to_bytes(2, "big") + inner[4:20] + bytes(4) + inner[20:]
    )
    third = packet(**SECOND)
    assert len(joined([packet(**FIRST), bytes(optioned), third])) == 3


def test_an_extension_header_is_not_joined_and_closes_the_flow(joined: Join) -> None:
    inner = packet(**SECOND | SIX)
    header = inner[:4] + (len(inner) - 32).to_bytes(2, "big") + b"\x3c" + inner[7:40]
    extended = header + b"\x06\0\1\4\0\0\0\0" + inner[40:]
    assert len(joined([packet(**FIRST | SIX), extended, packet(**SECOND | SIX)])) == 3


def test_other_protocols_close_nothing(joined: Join) -> None:
    ping = b"\x45\0\0\x1c" + bytes(5) + b"\x01" + bytes(2) + packet(**FIRST)[12:20] + bytes(8)
    out = joined([packet(**FIRST), ping, packet(**SECOND)])
    assert [vnet.gso_type for vnet, _ in out] == [1, 0] and out[1][1] == ping


def flow(count: int, size: int = 100, **fields: Any) -> list[bytes]:
    return [
        packet(
            bytes([i & 255]) * size,
            seq=(fields.get("start", 0) + i * size) % 2**32,
            ident=i % 65536,
            **{name: value for name, value in fields.items() if name != "start"},
        )
        for i in range(count)
    ]


def test_a_push_closes(joined: Join) -> None:
    packets = [packet(bytes(10), seq=i * 10, flags=ACK | (PSH if i == 1 else 0)) for i in range(4)]
    assert [(v.gso_size, len(p)) for v, p in joined(packets)] == [(10, 60), (10, 60)]
    assert [p[33] for _, p in joined(packets)] == [ACK | PSH, ACK]


def test_a_short_payload_closes(joined: Join) -> None:
    packets = [packet(bytes(10), seq=0), packet(bytes(9), seq=10), packet(bytes(9), seq=19), packet(bytes(9), seq=28)]
    assert [(v.gso_size, len(p)) for v, p in joined(packets)] == [(10, 59), (9, 58)]


@pytest.mark.parametrize("bad", [0, 3, 6])
def test_a_bad_checksum_first_middle_last_stays_alone(joined: Join, bad: int) -> None:
    packets = flow(7)
    packets[bad] = packets[bad][:36] + b"\x12\x34" + packets[bad][38:]
    out = joined(packets)
    assert (Vnet(), packets[bad]) in out
    assert len(out) == (3 if bad == 3 else 2)


def test_no_super_packet_is_larger_than_ip_allows(joined: Join) -> None:
    out = joined(flow(60, 1300))
    assert [len(p) for _, p in out] == [40 + 50 * 1300, 40 + 10 * 1300]
    out = joined(flow(60, 1300, version=6))
    assert [len(p) for _, p in out] == [60 + 50 * 1300, 60 + 10 * 1300]


def test_the_65th_datagram_begins_anew(joined: Join) -> None:
    out = joined(flow(130, 10, protocol=UDP))
    assert [(v.gso_type, len(p)) for v, p in out] == [(5, 668), (5, 668), (5, 48)]


def test_sequence_numbers_wrap(joined: Join) -> None:
    assert len(joined(flow(5, start=2**32 - 250))) == 1


def test_datagrams_are_joined_only_where_the_kernel_takes_them(joined: Join) -> None:
    packets = [*flow(3, protocol=UDP), *flow(3)]
    assert [v.gso_type for v, _ in joined(packets, udp=False)] == [0, 0, 0, 1]
    assert [v.gso_type for v, _ in joined(packets, tcp=False)] == [5, 0, 0, 0]


def test_flows_take_turns(joined: Join) -> None:
    """17 flows in a table of 16: the oldest gives way."""
    packets = [one for i in range(3) for host in range(16) for one in [flow(3, host=host)[i]]]
    assert len(joined(packets)) == 16
    packets = [one for i in range(3) for host in range(17) for one in [flow(3, host=host)[i]]]
    assert len(joined(packets)) == 51


def random_batch(draw: st.DrawFn) -> list[bytes]:
    """Packets of few flows, most of them in order, some not; some damaged."""
    sequences = [draw(st.sampled_from([0, 2**32 - 300])) for _ in range(4)]
    numbers = [0] * 4
    packets = []
    for _ in range(draw(st.integers(1, 40))):
        number = draw(st.integers(0, 3))
        size = draw(st.sampled_from([100, 100, 100, 100, 40, 120, 0]))
        one = packet(
            bytes([len(packets)]) * size,
            version=4 if number < 2 else 6,
            protocol=TCP if number % 2 else UDP,
            seq=(sequences[number] + draw(st.sampled_from([0] * 9 + [1]))) % 2**32,
            ident=numbers[number],
            fragment=draw(st.sampled_from([0x4000] * 20 + [0, 0x2000])),
            flags=draw(st.sampled_from([ACK] * 9 + [ACK | PSH, ACK | 1])),
            tos=draw(st.sampled_from([0] * 20 + [3])),
            checksum=draw(st.sampled_from([None] * 20 + [0, 77])),
        )
        sequences[number] = (sequences[number] + size) % 2**32
        numbers[number] += 1
        packets.append(one)
    return packets


batches = st.composite(random_batch)


def without_ident(one: bytes) -> bytes:
    """With DF the identification means nothing, and joining numbers it anew."""
    return one[:4] + one[6:10] + one[12:] if one[0] >> 4 == 4 and one[6] & 0x40 else one


@settings(max_examples=200)
@given(batches())
def test_what_is_joined_comes_apart_again_in_order(packets: list[bytes]) -> None:
    out = join(packets)
    assert out == native_join(packets)
    apart: list[bytes] = []
    for vnet, whole in out:
        apart += segments(vnet, whole) if vnet.is_super else [whole]
    assert sorted(map(without_ident, apart)) == sorted(map(without_ident, packets))
    for flow_of in {look(one).flow: look(one) for one in packets if look(one).flow}.values():
        assert part_of(flow_of, apart) == part_of(flow_of, packets)


def part_of(flow_of: Look, packets: list[bytes]) -> list[bytes]:
    """The packets that are, or may be, of a flow."""
    looks = [look(one) for one in packets]
    return [
        without_ident(one.packet)
        for one in looks
        if one.flow == flow_of.flow or (one.any_flow and one.hosts == flow_of.hosts)
    ]
