"""Capsules of CONNECT-IP: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins hand out the same packets, control frames, counters
and error text, and every packet they hand out is a whole IP packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing import capsule
from protocols.framing.capsule import MORE, Kind, encode_varint, varint, varint_size
from tests.protocols.framing import twins
from tests.protocols.framing.twins import (
    REFUSED,
    MakeTwin,
    Twin,
    corrupt,
    cut,
    in_steps,
    outcome,
    wild_cuts,
    wild_flips,
)
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError
from transports.sink import ip_length

# CONNECT-IP notes, section 18.
P4 = bytes.fromhex("450000200001000040118e86c000020bc633640703e80035000c4aac61626364")
P6 = bytes.fromhex(
    "60000000000c114020010db812340000000000000000000a20010db834560000000000000000000b03e80035000c94e161626364"
)
V_P4 = bytes.fromhex("002100") + P4
V_P4_LONG = bytes.fromhex("4000800000224000") + P4
V_P6 = bytes.fromhex("003500") + P6
V_WARP = bytes.fromhex("0020") + P4
V_REQUEST = bytes.fromhex("021a0104000000002002060000000000000000000000000000000080")
V_ASSIGN = bytes.fromhex("01070104c000020b20")
V_ASSIGN_TWO = bytes.fromhex("011a0004c000020b20020620010db812340000000000000000000a80")
V_REFUSAL = bytes.fromhex("011302060000000000000000000000000000000080")
V_ROUTE = bytes.fromhex("030a0400000000ffffffff00")
V_ROUTES = bytes.fromhex("031404c0000200c00002290004c000022bc00002ff00")
V_NOTHING = bytes.fromhex("01000300")
V_GREASE = bytes.fromhex("1702dead404000")
V_ENDLESS = bytes.fromhex("17ffffffffffffffff")


def python_twin(slots: int = 64, *, context: bool = True) -> Twin:
    decoder = partial(capsule.Decoder, context=context)
    return twins.PythonTwin(decoder, capsule.Encoder(context=context), slots)


def native_twin(slots: int = 64, *, context: bool = True) -> Twin:
    twin = twins.NativeTwin("capsule", slots)
    twin.codec.set("capsule.context", b"0" if context else b"none")
    return twin


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


# --- varints: section 18, RFC 9000 A.1 -------------------------------------------------------------------------------

VARINTS = [
    (0, "00"),
    (37, "25"),
    (63, "3f"),
    (64, "4040"),
    (1280, "4500"),
    (1281, "4501"),
    (1421, "458d"),
    (15293, "7bbd"),
    (16383, "7fff"),
    (16384, "80004000"),
    (65535, "8000ffff"),
    (494878333, "9d7f3e7d"),
    ((1 << 30) - 1, "bfffffff"),
    (1 << 30, "c000000040000000"),
    (151288809941952652, "c2197c5eff14e88c"),
    ((1 << 62) - 1, "ffffffffffffffff"),
]


@pytest.mark.parametrize(("value", "wire"), VARINTS)
def test_varints(value: int, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert encode_varint(value) == data and varint(data) == value and varint_size(data[0]) == len(data)


@pytest.mark.parametrize("wire", ["4025", "80000025", "c000000000000025"])
def test_varints_that_are_not_the_shortest(wire: str) -> None:
    assert varint(bytes.fromhex(wire)) == 37


def test_a_varint_has_62_bits() -> None:
    for value in (-1, 1 << 62):
        with pytest.raises(ValueError, match="varint: got"):
            encode_varint(value)


# --- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_the_vectors(twin: Twin, step: int) -> None:
    wire = V_ASSIGN + V_ROUTE + V_P4 + V_GREASE + V_P4_LONG + V_REQUEST + V_P6 + V_NOTHING + V_ROUTES + V_REFUSAL
    seen = outcome(twin, in_steps(wire + V_ASSIGN_TWO, step))
    assert seen.packets == (P4, P4, P6) and seen.sink.copied == 0
    assert seen.controls == (
        (Kind.ADDRESS_ASSIGN, V_ASSIGN[2:]),
        (Kind.ROUTE_ADVERTISEMENT, V_ROUTE[2:]),
        (Kind.ADDRESS_REQUEST, V_REQUEST[2:]),
        (Kind.ADDRESS_ASSIGN, b""),
        (Kind.ROUTE_ADVERTISEMENT, b""),
        (Kind.ROUTE_ADVERTISEMENT, V_ROUTES[2:]),
        (Kind.ADDRESS_ASSIGN, V_REFUSAL[2:]),
        (Kind.ADDRESS_ASSIGN, V_ASSIGN_TWO[2:]),
    )
    assert seen.counted() == {"capsule_unknown": 2} and seen.error == ""


def test_the_vectors_encoded(twin: Twin) -> None:
    assert twin.encode(P4) == V_P4 and twin.encode(P6) == V_P6
    assert twin.encode_control(Kind.ADDRESS_REQUEST, V_REQUEST[2:]) == V_REQUEST
    assert twin.encode_control(Kind.ADDRESS_ASSIGN) == b"\x01\0"
    assert twin.encode(ipv4(62))[:3] == bytes.fromhex("003f00")
    assert twin.encode(ipv4(63))[:4] == bytes.fromhex("00404000")
    assert twin.encode(ipv4(1420))[:4] == bytes.fromhex("00458d00")  # a length that the notes cut in two
    assert twin.encode(ipv4(16382))[:4] == bytes.fromhex("007fff00")
    assert twin.encode(ipv4(16383))[:6] == bytes.fromhex("008000400000")
    assert twin.encode_control(1 << 14, b"x") == bytes.fromhex("800040000178")


def test_what_does_not_fit_is_refused(twin: Twin) -> None:
    assert len(twin.encode(ipv4(16384))) == 16390
    for packet in (b"", ipv4(16385)):
        with pytest.raises(REFUSED):
            twin.encode(packet)
    for kind, payload in ((0, b""), (1 << 30, b""), (1, bytes(16385))):
        with pytest.raises(REFUSED):
            twin.encode_control(kind, payload)


# --- the dialect of WARP ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [python_twin, native_twin], ids=["python", "native"])
def test_without_context_ids(make: Callable[..., Twin]) -> None:
    twin = make(context=False)
    assert twin.encode(P4) == V_WARP
    seen = outcome(twin, in_steps(V_WARP + bytes.fromhex("0000") + V_P4 + V_ASSIGN + V_WARP, 3))
    assert seen.packets == (P4, P4) and len(seen.controls) == 1
    assert seen.counted() == {"capsule_empty": 1, "capsule_not_ip": 1}


def test_the_option_names_what_it_takes() -> None:
    twin = twins.NativeTwin("capsule")
    for option, value, text in (
        ("capsule.context", b"1", "capsule.context: want 0 or none"),
        ("context", b"0", "option: got 'context', want capsule.context"),
    ):
        with pytest.raises(CodecError) as caught:
            twin.codec.set(option, value)
        assert str(caught.value) == text
    twin.feed(V_P4[:2])
    with pytest.raises(CodecError, match=r"^capsule\.context: cannot change within a context ID$"):
        twin.codec.set("capsule.context", b"none")


# --- what sections 6 and 7 say of each input -------------------------------------------------------------------------

DROPPED = [
    ("0003027a7a", "capsule_other_context"),
    ("000102", "capsule_other_context"),
    ("0009c000000000000001ff", "capsule_other_context"),
    ("0000", "capsule_no_context"),
    ("000140", "capsule_no_context"),  # half a context ID
    ("0003800000", "capsule_no_context"),
    ("000100", "capsule_empty"),
    ("00024000", "capsule_empty"),
    ("000200ff", "capsule_not_ip"),
    ("002200" + P4.hex() + "00", "capsule_not_ip"),  # a byte beyond its length
    ("002000" + P4[:-1].hex(), "capsule_not_ip"),
    ("003600" + P6.hex() + "00", "capsule_not_ip"),
    ("1700", "capsule_unknown"),
    ("404000", "capsule_unknown"),
    ("c0ffffffffffffff03616263", "capsule_unknown"),
]


@pytest.mark.parametrize(("wire", "counter"), DROPPED)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_dropped_and_counted(twin: Twin, wire: str, counter: str, step: int) -> None:
    seen = outcome(twin, in_steps(V_P4 + bytes.fromhex(wire) + V_P6, step))
    assert seen.packets == (P4, P6) and seen.controls == () and seen.error == ""
    assert seen.counted() == {counter: 1}


def datagram(value: bytes) -> bytes:
    return b"\0" + encode_varint(len(value)) + value


def test_a_datagram_that_no_sink_takes_is_skipped(twin: Twin) -> None:
    wire = b"".join(datagram(b"\0" + ipv4(n)) for n in (16384, 16385, 65535))
    wire += bytes.fromhex("0080010008") + bytes(65544) + bytes.fromhex("00c0000000000100 08") + bytes(65544) + V_P4
    seen = outcome(twin, in_steps(wire, 16384))
    assert seen.packets == (ipv4(16384), P4) and seen.counted() == {"capsule_oversize": 4} and seen.error == ""


def test_an_unknown_capsule_without_an_end_is_skipped_for_ever(twin: Twin) -> None:
    seen = outcome(twin, [V_ENDLESS] + [V_P4 * 400] * 20)
    assert seen.packets == () and seen.counted() == {"capsule_unknown": 1} and seen.error == ""


def test_a_control_capsule_that_is_too_large_breaks_the_stream(twin: Twin) -> None:
    seen = outcome(twin, [V_P4 + bytes.fromhex("0180010001") + V_P4, V_P4])
    assert seen.error == "capsule length of type 1: got 65537, want <= 65536 (byte 1)"
    assert seen.packets == (P4,)


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_the_length_of_2_to_the_62_is_told(make: MakeTwin) -> None:
    seen = outcome(make(64), [bytes.fromhex("4003ffffffffffffffff")])
    assert seen.error == "capsule length of type 3: got 4611686018427387903, want <= 65536 (byte 2)"


def test_a_large_control_capsule_comes_in_pieces(twin: Twin) -> None:
    value = bytes(i * 7 & 0xFF for i in range(65536))
    wire = bytes.fromhex("0380010000") + value + V_ASSIGN
    controls = []
    for chunk in in_steps(wire, 5000):
        twin.feed(chunk)
        controls += list(iter(twin.control, None))
    assert [kind for kind, _ in controls] == [3 | MORE] * 3 + [3, 1]
    assert b"".join(piece for kind, piece in controls if kind != 1) == value


def test_pieces_that_nobody_takes_break_the_stream(twin: Twin) -> None:
    seen = outcome(twin, [bytes.fromhex("0380010000") + bytes(65536)])
    assert seen.error == "capsule pieces waiting: got 'too many', want them taken between reads (byte 0)"
    assert [kind for kind, _ in seen.controls] == [3 | MORE] * 3


def test_a_flood_of_control_capsules_is_bounded(twin: Twin) -> None:
    seen = outcome(twin, [b"\x01\0" * 100 + V_P4])
    assert len(seen.controls) == 64 and seen.counted() == {"capsule_control_overflow": 36}
    assert seen.packets == (P4,)


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_a_sink_that_is_full_costs_packets_not_the_stream(make: MakeTwin) -> None:
    seen = outcome(make(1), [V_P4 + V_P6 + V_P4 + V_ASSIGN])
    assert seen.packets == (P4,) and seen.counted() == {"capsule_sink_full": 2} and len(seen.controls) == 1


@pytest.mark.parametrize("wire", ["00", "0045", "002100", V_P4[:-1].hex(), "0107", V_ENDLESS.hex(), "17", "000240"])
@pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
def test_a_stream_must_not_end_within_a_capsule(native: bool, wire: str) -> None:
    made: list[capsule.Decoder] = []
    reference = twins.PythonTwin(lambda sink: made.append(capsule.Decoder(sink)) or made[0], capsule.Encoder())
    other = twins.NativeTwin("capsule")
    twin, end = (other, other.codec.end) if native else (reference, made[0].end)
    end()
    twin.feed(V_P4)
    end()
    twin.feed(bytes.fromhex(wire))
    for _ in range(2):
        with pytest.raises((MalformedFrame, CodecError)) as caught:
            end()
        assert str(caught.value) == "capsule stream: got 'its end', want the rest of a capsule (byte 0)"


# --- the twins against each other ------------------------------------------------------------------------------------


def long_varint(value: int, spare: int) -> bytes:
    """A form that is `spare` sizes longer than the shortest, as far as there is one."""
    exponent = min(3, varint_size(encode_varint(value)[0]).bit_length() - 1 + spare)
    return (value | exponent << (8 * (1 << exponent) - 2)).to_bytes(1 << exponent, "big")


values = st.one_of(
    st.integers(20, 400).map(ipv4).map(b"\0".__add__),
    st.integers(40, 400).map(ipv6).map(b"\0".__add__),
    st.integers(20, 400).map(lambda n: b"\x40\0" + ipv4(n)),
    st.binary(max_size=80),
    st.sampled_from([16384, 16385, 65535]).map(ipv4).map(b"\0".__add__),
)
types = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 0x17, 0x40, 0x100, (1 << 62) - 1])
spares = st.integers(0, 3)
capsules = st.builds(
    lambda kind, value, a, b: long_varint(kind, a) + long_varint(len(value), b) + value, types, values, spares, spares
)
streams = st.lists(capsules, max_size=12).map(b"".join)


@given(streams, wild_flips, wild_cuts, wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking_and_corruption(
    data: bytes, flips: Sequence[tuple[int, int]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    bad = corrupt(data, flips)
    reference = outcome(python_twin(slots), cut(bad, ours))
    assert outcome(native_twin(slots), cut(bad, theirs)) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


@given(streams | st.binary(max_size=64), wild_flips, st.booleans())
def test_the_twins_agree_byte_by_byte_and_without_context_ids(
    data: bytes, flips: Sequence[tuple[int, int]], context: bool
) -> None:
    bad = corrupt(data, flips)[:2000]
    reference = outcome(python_twin(context=context), [bad])
    assert outcome(native_twin(context=context), in_steps(bad, 1)) == reference


@given(st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6), max_size=20), wild_cuts)
def test_what_one_twin_encodes_the_other_decodes(packets: list[bytes], cuts: Sequence[int]) -> None:
    for here, there in ((python_twin(), native_twin()), (native_twin(), python_twin())):
        wire = b"".join(here.encode(packet) for packet in packets)
        assert outcome(there, cut(wire, cuts)).packets == tuple(packets)


@given(st.integers(1, (1 << 30) - 1), st.binary(max_size=300))
def test_the_twins_write_the_same_control_capsules(kind: int, payload: bytes) -> None:
    assert python_twin().encode_control(kind, payload) == native_twin().encode_control(kind, payload)
