"""oNCP framing: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins hand out the same packets, control frames, counters
and error text, and every packet they hand out is a whole IPv4 packet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import oncp
from protocols.framing.oncp import MAX_SENT, Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import REFUSED, MakeTwin, Twin, corrupt, cut, in_steps, outcome
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError, NativeCodec
from transports.sink import MemorySink, ip_length

# Juniper notes, section 13.
J2 = bytes.fromhex(  # without the status record
    "4901000000000000012d01000000000000000000013500060000000a00"
    "02000000040000057800010000001e0001000000040a090002000200000004ff"
    "ffffff0003000000040a0900010002000000280001000000040a090035000200"
    "0000186c61622e6578616d706c652c636f72702e6578616d706c650003000000"
    "1c0003000000080a090000ffffff000004000000080a090080ffffff80000400"
    "00000a0001000000040a09003c00070000005000010000000411223344000200"
    "000040000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c"
    "1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c"
    "3d3e3f0008000000450001000000010200020000000102000300000001010004"
    "00000002119400050000000400000000000600000004000004b0000900000004"
    "0000000f000a0000000400000001"
)
J3 = bytes.fromhex(
    "8e00000000000000012f01000000010000000000001000060000000a00020000"
    "000400000578000000000000012e010000000100000000000056000700000050"
    "000100000004a1b2c3d4000200000040404142434445464748494a4b4c4d4e4f"
    "505152535455565758595a5b5c5d5e5f60616263000000000000000000000000"
    "00000000000000000000000000000000"
)
J3_MTU = bytes.fromhex("00060000000a00020000000400000578")
J4 = bytes.fromhex("2100000000000000012f01000000000000000000000d00060000000700010000000101")
J5 = bytes.fromhex(
    "3000000000000000012c01000000010000000000001c4500001c0001000040fd65d00a0900020a09000170696e6730303031"
)
J6 = bytes.fromhex(
    "3300000000000000012c000000000000000000000018450000180001000040fd"
    "65d40a0900010a09000241414141000000000000012b002c0000000000000000"
    "0000002b450000160002000040fd65d50a0900010a0900024242450000150003"
    "00003a0040fd65d50a0900010a09000243000000000000012c00000000000000"
    "0000000019450000190004000040fd65d00a0900010a09000244444444440000"
    "08"
)
J6_PACKETS = tuple(
    bytes.fromhex(packet)
    for packet in (
        "450000180001000040fd65d40a0900010a09000241414141",
        "450000160002000040fd65d50a0900010a0900024242",
        "450000150003000040fd65d50a0900010a09000243",
        "450000190004000040fd65d00a0900010a0900024444444444",
    )
)
J11 = bytes.fromhex(
    "6a00000000000000012e01000000000000000000005600070000005000010000"
    "000455667788000200000040404142434445464748494a4b4c4d4e4f50515253"
    "5455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f70717273"
    "7475767778797a7b7c7d7e7f"
)


def python_twin(slots: int = 64) -> Twin:
    return twins.PythonTwin(oncp.Decoder, oncp.Encoder(), slots)


def native_twin(slots: int = 64) -> Twin:
    return twins.NativeTwin("oncp", slots)


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def kmp(kind: int, payload: bytes = b"", *, byte8: int = 0, sender: int = 0) -> bytes:
    """A message as the notes draw it, built apart from the code under test."""
    head = bytes(6) + kind.to_bytes(2, "big") + bytes([byte8, 0, 0, 0, sender]) + bytes(5)
    return head + len(payload).to_bytes(2, "big") + payload


def record(*messages: bytes) -> bytes:
    body = b"".join(messages)
    return len(body).to_bytes(2, "little") + body


def records(stream: bytes, cuts: Sequence[int]) -> bytes:
    """The stream of messages in records that are cut wherever it pleases."""
    pieces = [part for piece in cut(stream, cuts) for part in in_steps(piece, 65535)]
    return b"".join(record(piece) for piece in pieces if piece)


DATA = kmp(300, ipv4(84))
KEYS = kmp(302, b"keys")
END = b"\0\0\x08"


# --- vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_j6_for_every_size_of_chunk(make: MakeTwin) -> None:
    for step in range(1, len(J6) + 1):
        seen = outcome(make(8), in_steps(J6, step))
        assert seen.packets == J6_PACKETS, step
        assert seen.controls == ((Kind.TERMINATED, b"\x08"),) and seen.counted() == {} and seen.error == "", step


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_the_control_vectors_cut_in_two_anywhere(make: MakeTwin) -> None:
    wire = J2 + J3 + J4 + J5 + J11
    wanted = (
        (Kind.CONFIGURATION, J2[22:]),
        (Kind.CONTROL, J3_MTU),
        (Kind.ESP_KEYS, J3[58:]),
        (Kind.CONTROL, J4[22:]),
        (Kind.ESP_KEYS, J11[22:]),
    )
    for border in range(len(wire)):
        seen = outcome(make(2), [wire[:border], wire[border:]])
        assert seen.controls == wanted and seen.packets == (J5[22:],), border
        assert seen.counted() == {} and seen.error == "", border


def test_the_vectors_encoded(twin: Twin) -> None:
    assert twin.encode(J5[22:]) == J5
    assert twin.encode_control(Kind.TERMINATED, b"\x08") == END
    assert twin.encode_control(Kind.CONTROL, J3_MTU) == record(kmp(303, J3_MTU, byte8=1, sender=1))


def test_the_answer_to_the_configuration_is_one_record() -> None:
    assert oncp.Encoder().encode_record([(Kind.CONTROL, J3_MTU), (Kind.ESP_KEYS, J3[58:])]) == J3


def test_a_gateway_signs_differently() -> None:
    native = NativeCodec("oncp")
    native.set("gateway", b"\1")
    for encode in (oncp.Encoder(gateway=True).encode_control, native.encode_control):
        assert encode(Kind.ESP_KEYS, J11[22:]) == J11
        assert encode(Kind.CONTROL, J4[22:]) == J4
        assert encode(Kind.CONFIGURATION, J2[22:]) == J2


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(CodecError, match="framing oncp has no option 'sequence'"):
        NativeCodec("oncp").set("sequence", b"\1")
    for value in (b"", b"\2", b"\1\1"):
        with pytest.raises(CodecError, match="oncp option gateway: want one byte, 0 or 1"):
            NativeCodec("oncp").set("gateway", value)


# --- what section 6 says of each input --------------------------------------------------------------------------------

EVERYTHING = b"".join(
    [
        DATA,
        kmp(302),  # empty
        KEYS,
        kmp(300, ipv4(20) + ipv4(1400) + ipv6(60) + ipv4(21)),
        kmp(300, ipv4(40) + bytes(19)),  # too short a rest
        kmp(300, ipv4(40) + b"\x75" + bytes(59)),  # no version 4 or 6
        kmp(300, ipv4(60)[:50]),  # longer than the message
        kmp(300, ipv4(60)[:2] + b"\0\x13" + bytes(40)),  # shorter than its header
        kmp(300, ipv6(60)[:59]),
        kmp(300, ipv4(16385)),  # larger than anything may be
        kmp(300, b"\x41" + ipv4(40)[1:] + ipv4(44)),  # a header of 4 bytes: the sink's to judge
        kmp(299, b"unknown"),
        kmp(65535, bytes(30000)),
        kmp(301, bytes(16385)),
        kmp(303, b"\1" * 16384, byte8=0xFF, sender=0xFF),
        kmp(300, ipv4(16384) + ipv4(48)),
    ]
)


@pytest.mark.parametrize("size", [1, 7, 19, 20, 41, 42, 43, 1000, 65535])
@pytest.mark.parametrize("step", [1, 42, 65537])
def test_a_stream_of_everything(twin: Twin, size: int, step: int) -> None:
    wire = b"".join(record(piece) for piece in in_steps(EVERYTHING, size)) + END
    seen = outcome(twin, in_steps(wire, step))
    lengths = [84, 20, 1400, 21, 40, 40, 44, 16384, 48]
    assert seen.packets == tuple(ipv4(length) for length in lengths)
    assert seen.controls == ((302, b"keys"), (303, b"\1" * 16384), (Kind.TERMINATED, b"\x08"))
    assert seen.counted() == {
        "oncp_empty": 1,
        "oncp_ipv6": 1,
        "oncp_bad_ip": 6,
        "oncp_unknown_kmp": 2,
        "oncp_oversize": 1,
    }
    assert seen.sink.not_ip == 1 and seen.sink.copied == 0 and seen.sink.aborted == 0 and seen.error == ""


@pytest.mark.parametrize("at", range(6))
def test_a_kmp_header_that_does_not_begin_with_zeros_loses_the_stream(twin: Twin, at: int) -> None:
    bad = bytearray(DATA)
    bad[at] = 0xA5
    seen = outcome(twin, [record(DATA, KEYS, bytes(bad)), record(DATA)])
    assert seen.error == f"oncp kmp header: got '{bytes(bad[:6]).hex()}', want 000000000000 (byte 0)"
    assert seen.packets == (ipv4(84),) and len(seen.controls) == 1 and seen.counted() == {}


def test_the_64th_unknown_message_in_a_row_loses_the_stream(twin: Twin) -> None:
    odd = kmp(304, b"x")
    assert outcome(twin, [record(odd) * 63 + record(DATA), record(odd) * 62 + record(kmp(300))]).error == ""
    seen = outcome(twin, [record(odd), record(odd)])  # an empty message does not excuse it
    assert seen.error == "oncp unknown messages in a row: got 64, want types 300 to 303 (byte 6)"
    assert seen.counted() == {"oncp_unknown_kmp": 63 + 64, "oncp_empty": 1}


def test_nothing_may_follow_the_termination(twin: Twin) -> None:
    assert outcome(twin, [record(DATA) + b"\0\0\1"]).error == ""
    seen = outcome(twin, [b"\x07\x09"])
    assert seen.error == "oncp byte behind the termination: got 7, want the end of the stream (byte 0)"
    assert seen.controls == ()


def test_the_termination_may_come_in_pieces_and_inside_a_packet(twin: Twin) -> None:
    seen = outcome(twin, [record(DATA[:60]), b"\0", b"\0", b"\1"])
    assert seen.controls == ((Kind.TERMINATED, b"\1"),) and seen.packets == () and seen.sink.aborted == 1


def test_a_packet_keeps_its_reservation_from_record_to_record(twin: Twin) -> None:
    wire = b"".join(record(piece) for piece in in_steps(kmp(300, ipv4(1400)), 100))
    seen = outcome(twin, in_steps(wire, 60))
    assert seen.packets == (ipv4(1400),) and (seen.sink.in_place, seen.sink.copied) == (1, 0)


def test_a_sink_that_is_full_costs_packets_not_the_stream() -> None:
    for make in TWINS:
        payload = b"".join(ipv4(20 + i, mark=i) for i in range(5))
        seen = outcome(make(2), [record(kmp(300, payload), KEYS)])
        assert seen.packets == (ipv4(20, mark=0), ipv4(21, mark=1))
        assert seen.counted() == {"oncp_sink_full": 3} and seen.sink.dropped_full == 3
        assert len(seen.controls) == 1


def test_a_flood_of_control_frames_is_bounded(twin: Twin) -> None:
    by_count = outcome(twin, [record(KEYS)] * 100)
    assert len(by_count.controls) == 64 and by_count.counted() == {"oncp_control_overflow": 36}
    by_bytes = outcome(twin, [record(kmp(303, bytes(16384)))] * 10)
    assert len(by_bytes.controls) == 3 and by_bytes.counters["oncp_control_overflow"] == 36 + 7


def test_the_reference_can_be_told_to_take_larger_control_frames() -> None:
    decoder = oncp.Decoder(MemorySink(), max_control=65535)
    decoder.feed(records(kmp(301, bytes(65535)), [30000]))
    frame = decoder.next_control()
    assert frame is not None and (frame.kind, len(frame.payload)) == (Kind.CONFIGURATION, 65535)


# --- the encoder --------------------------------------------------------------------------------------------------


def test_what_would_confuse_the_gateway_is_refused(twin: Twin) -> None:
    assert twin.encode(ipv4(MAX_SENT)) == record(kmp(300, ipv4(MAX_SENT), byte8=1, sender=1))
    for packet in (ipv4(MAX_SENT + 1), ipv6(60), ipv4(60) + b"x", ipv4(60)[:59], ipv4(20)[:19], b""):
        with pytest.raises(REFUSED):
            twin.encode(packet)


def test_control_frames_that_cannot_be_are_refused(twin: Twin) -> None:
    with pytest.raises(REFUSED):
        twin.encode_control(Kind.CONTROL, bytes(MAX_SENT + 1))
    with pytest.raises(REFUSED):
        twin.encode_control(65536)
    for reason in (b"", b"\1\2"):
        with pytest.raises(REFUSED):
            twin.encode_control(Kind.TERMINATED, reason)
    with pytest.raises(ValueError):
        oncp.Encoder().encode_record([(Kind.CONTROL, bytes(9000))] * 2)


# --- the twins against each other ---------------------------------------------------------------------------------

packets = st.one_of(
    st.integers(20, 300).map(ipv4),
    st.integers(20, 60).map(ipv4),
    st.integers(20, 60).map(ipv4),
    st.integers(40, 300).map(ipv6),
    st.binary(max_size=60),
    st.sampled_from([16383, 16384, 16385]).map(ipv4),
)
payloads = st.lists(packets, max_size=3).map(b"".join)
kinds = st.sampled_from([300, 300, 300, 300, 301, 302, 303, 0, 299, 304])
messages = st.lists(st.builds(kmp, kinds, payloads), max_size=10).map(b"".join)
borders = st.lists(st.integers(0, 3000), max_size=20)
streams = st.builds(bytes.__add__, st.builds(records, messages, borders), st.sampled_from([b"", b"", b"\0", END]))


@given(streams, twins.wild_flips, twins.wild_cuts, twins.wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking_and_corruption(
    data: bytes, flips: Sequence[tuple[int, int]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    bad = corrupt(data, flips)
    reference = outcome(python_twin(slots), cut(bad, ours))
    assert outcome(native_twin(slots), cut(bad, theirs)) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(record(DATA).__add__), st.integers(1, 50))
def test_the_twins_agree_on_noise(data: bytes, step: int) -> None:
    assert outcome(native_twin(), in_steps(data, step)) == outcome(python_twin(), [data])


@given(st.lists(st.integers(20, 300).map(ipv4), max_size=40), borders, twins.wild_cuts)
def test_borders_of_records_mean_nothing(wanted: list[bytes], cuts: Sequence[int], chunks: Sequence[int]) -> None:
    wire = records(kmp(300, b"".join(wanted)) if wanted else b"", cuts)
    for make in TWINS:
        assert outcome(make(64), cut(wire, chunks)).packets == tuple(wanted)


@given(st.lists(st.integers(20, 2000).map(ipv4), max_size=20), twins.wild_cuts)
def test_what_one_twin_encodes_the_other_decodes(wanted: list[bytes], cuts: Sequence[int]) -> None:
    for here, there in ((python_twin(), native_twin()), (native_twin(), python_twin())):
        wire = b"".join(here.encode(packet) for packet in wanted)
        assert outcome(there, cut(wire, cuts)).packets == tuple(wanted)
