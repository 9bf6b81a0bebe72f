"""Array framing: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, both twins hand out the same packets, control frames, counters and error text for
the same reads, and every packet they hand out is a whole IP packet.  Streams without a fault may be cut anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import array
from protocols.framing.array import Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import REFUSED, MakeTwin, Outcome, Twin, corrupt, cut, in_steps, outcome
from tests.transports.packets import ipv4, ipv6
from transports.sink import PacketSink, ip_length

# Array notes, section 15.
V_KEEPALIVE = bytes.fromhex("450000140000000000ff00000001000000000000")
V_DTLS_OFF = bytes.fromhex("450000140000000000ff00000005000000000000")
V_KILL_3 = bytes.fromhex("450000140000000000ff00000002000000000003")
V_KILL_14 = bytes.fromhex("450000140000000000ff0000000200000000000e")
CLIENT_ID = b"00112233-4455-6677-8899-AABBCCDDEEFF"
V_CLIENT_ID = bytes.fromhex("450000340000000000ff000000040000") + CLIENT_ID
V_ANSWER = bytes.fromhex("450000250000000000ff0000000400000000115144544c532053504545442054554e4e454c")
V_SUCCESS = bytes.fromhex("323030204f4b")
P1 = bytes.fromhex("4500001c000100004001") + bytes(18)
P2 = bytes.fromhex("6000000000143a40") + bytes(52)


def python_twin(slots: int = 64) -> Twin:
    return twins.PythonTwin(array.Decoder, array.Encoder(), slots)


def native_twin(slots: int = 64) -> Twin:
    return twins.NativeTwin("array", slots)


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def control(kind: int, payload: bytes) -> bytes:
    """As the notes draw it, built apart from the code under test."""
    total = 14 + len(payload)
    return bytes.fromhex(f"4500{total:04x}0000000000ff0000{kind:04x}") + payload


# --- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 20, 1000])
def test_the_vectors(twin: Twin, step: int) -> None:
    wire = V_KEEPALIVE + V_DTLS_OFF + V_KILL_3 + V_KILL_14 + V_CLIENT_ID + V_ANSWER
    seen = outcome(twin, in_steps(wire, step))
    assert seen.controls == (
        (Kind.KEEPALIVE, bytes(6)),
        (Kind.DTLS_OFF, bytes(6)),
        (Kind.KILLED, bytes.fromhex("000000000003")),
        (Kind.KILLED, bytes.fromhex("00000000000e")),
        (Kind.CLIENT_ID, bytes(2) + CLIENT_ID),
        (Kind.CLIENT_ID, bytes.fromhex("000000001151") + b"DTLS SPEED TUNNEL"),
    )
    assert seen.packets == () and seen.counted() == {} and seen.error == ""


def test_the_vectors_encoded(twin: Twin) -> None:
    assert twin.encode_control(Kind.KEEPALIVE) == V_KEEPALIVE
    assert twin.encode_control(Kind.DTLS_OFF) == V_DTLS_OFF
    assert twin.encode_control(Kind.CLIENT_ID, bytes(2) + CLIENT_ID) == V_CLIENT_ID
    assert twin.encode_control(Kind.KILLED, bytes.fromhex("00000000000e")) == V_KILL_14
    assert twin.encode(P1) == P1 and twin.encode(P2) == P2


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_the_stream_of_the_notes_cut_at_every_position(make: MakeTwin) -> None:
    stream = P1 + V_KEEPALIVE + P2
    for at in range(len(stream) + 1):
        seen = outcome(make(64), [stream[:at], stream[at:]])
        assert seen.packets == (P1, P2) and seen.controls == ((1, bytes(6)),)
        assert seen.counted() == {} and seen.error == "" and seen.sink.copied == 0


# --- what section 7 says of each input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "4500000000",  # length 0 must not loop
        "45000013",  # shorter than any packet
        "46000014",  # shorter than its own header
        "44000028",  # a header of 16 bytes
        "00",
        "ff",
        "50",
    ],
)
def test_out_of_step_costs_the_rest_of_the_read(twin: Twin, head: str) -> None:
    lost = bytes.fromhex(head) + P1
    seen = outcome(twin, [P1 + lost, P2, lost + lost + lost, P1])
    assert seen.packets == (P1, P2, P1)
    assert seen.counted() == {"array_desync": 2} and seen.error == ""


def test_an_unfinished_head_is_judged_as_soon_as_it_can_be(twin: Twin) -> None:
    seen = outcome(twin, [b"\x45", b"\0", b"\0", b"\x13", P1])  # the fourth byte tells; the next read starts afresh
    assert seen.packets == (P1,) and seen.counted() == {"array_desync": 1}


def test_three_times_out_of_step_in_a_row_break_the_stream(twin: Twin) -> None:
    assert outcome(twin, [b"\0", b"\0", P1, b"\0", b"\0", V_KEEPALIVE]).error == ""
    seen = outcome(twin, [b"\0abc", b"\1", b"\2" + P1, P1])
    assert seen.error == "array packets out of step in a row: got 3, want at most 2 (byte 0)"
    assert seen.packets == () and seen.counters["array_desync"] == 7


def test_what_is_too_large_is_skipped_whole(twin: Twin) -> None:
    stream = ipv4(16384) + ipv4(16385) + ipv6(65535) + P1 + control(9, bytes(2035)) + control(9, bytes(2034)) + P2
    seen = outcome(twin, in_steps(stream, 5000))
    assert seen.packets == (ipv4(16384), P1, P2) and seen.controls == ((9, bytes(2034)),)
    assert seen.counted() == {"array_oversize": 2, "array_control_oversize": 1} and seen.error == ""


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_a_sink_that_is_full_costs_packets_not_the_stream(make: MakeTwin) -> None:
    seen = outcome(make(2), [b"".join(ipv4(40, mark=i) for i in range(5)) + V_KEEPALIVE])
    assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1))
    assert seen.counted() == {"array_sink_full": 3} and len(seen.controls) == 1


def test_a_flood_of_control_packets_is_bounded(twin: Twin) -> None:
    seen = outcome(twin, [V_KEEPALIVE * 100])
    assert len(seen.controls) == 64 and seen.counted() == {"array_control_overflow": 36}


def test_protocol_255_with_options_is_data_and_every_other_type_goes_up(twin: Twin) -> None:
    data = b"\x46" + control(1, bytes(10))[1:]
    seen = outcome(twin, [data + control(0xFFFF, bytes(6))])
    assert seen.packets == (data,) and seen.controls == ((0xFFFF, bytes(6)),)


# --- the encoder -----------------------------------------------------------------------------------------------------


def test_what_must_not_leave_is_refused(twin: Twin) -> None:
    for packet in (V_KEEPALIVE, b"\x46" + control(1, bytes(10))[1:], P1 + b"x", P1[:-1], b"", b"\x45", bytes(40)):
        with pytest.raises(REFUSED):
            twin.encode(packet)
    for kind, payload in ((0x10000, b""), (1, bytes(2035)), (1, bytes(16384))):
        with pytest.raises(REFUSED):
            twin.encode_control(kind, payload)
    assert twin.encode(ipv4(16384)) == ipv4(16384)
    assert twin.encode_control(0xFFFF, bytes(2034)) == control(0xFFFF, bytes(2034))


# --- records of DTLS -------------------------------------------------------------------------------------------------


def datagrams(native: bool, records: Sequence[bytes], slots: int = 64) -> Outcome:
    """What becomes of these records."""
    if native:
        codec = twins.NativeTwin("array", slots)
        for record in records:
            codec.codec.feed_datagram(record, codec.sink)
        return outcome(codec, [])
    made: list[array.Decoder] = []

    def make(sink: PacketSink) -> array.Decoder:
        made.append(array.Decoder(sink))
        return made[0]

    reference = twins.PythonTwin(make, array.Encoder(), slots)
    for record in records:
        made[0].feed_datagram(record)
    return outcome(reference, [])


RECORDS = [
    V_SUCCESS,
    P1,
    V_SUCCESS + b" and more",
    P1 + b"x",
    P1[:-1],
    V_KEEPALIVE,
    P2,
    b"",
    b"\0",
    b"200 O",
    control(1, bytes(3000)),
    ipv4(16385),
    ipv4(16384),
]


@pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
def test_a_record_of_dtls_is_one_packet(native: bool) -> None:
    seen = datagrams(native, RECORDS)
    assert seen.packets == (P1, P2, ipv4(16384))
    assert seen.controls == (
        (Kind.ACCEPTED, V_SUCCESS),
        (Kind.ACCEPTED, V_SUCCESS + b" and more"),
        (Kind.KEEPALIVE, bytes(6)),
    )
    assert seen.counted() == {"array_bad_record": 5, "array_control_oversize": 1, "array_oversize": 1}
    full = datagrams(native, [P1, P2, P1], slots=1)
    assert full.packets == (P1,) and full.counted() == {"array_sink_full": 2}


# --- the twins against each other ------------------------------------------------------------------------------------

pieces = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.builds(control, st.integers(0, 0xFFFF), st.binary(min_size=6, max_size=60)),
    st.sampled_from([16384, 16385, 65535]).map(ipv4),
)
streams = st.lists(pieces, max_size=16)
wild_cuts = st.lists(st.integers(0, 1 << 17), max_size=30)
wild_flips = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4)


@given(streams, wild_cuts, wild_cuts, st.sampled_from([1, 3, 64]))
def test_a_stream_without_a_fault_may_be_cut_anywhere(
    whole: list[bytes], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    stream = b"".join(whole)
    reference = outcome(python_twin(slots), cut(stream, ours))
    assert outcome(native_twin(slots), cut(stream, theirs)) == reference
    assert reference.error == "" and reference.counters["array_desync"] == 0


@given(streams.map(b"".join) | st.binary(max_size=200), wild_flips, wild_cuts, st.sampled_from([1, 64]))
def test_the_twins_agree_on_the_same_reads_whatever_they_bring(
    stream: bytes, flips: Sequence[tuple[int, int]], cuts: Sequence[int], slots: int
) -> None:
    reads = cut(corrupt(stream, flips), cuts)
    reference = outcome(python_twin(slots), reads)
    assert outcome(native_twin(slots), reads) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


@given(st.lists(pieces | st.binary(max_size=60), max_size=8), wild_flips)
def test_the_twins_agree_on_records_of_dtls(records: list[bytes], flips: Sequence[tuple[int, int]]) -> None:
    bad = [corrupt(record, flips) for record in records]
    assert datagrams(True, bad + records) == datagrams(False, bad + records)
