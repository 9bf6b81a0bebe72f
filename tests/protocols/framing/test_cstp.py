"""CSTP framing: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins hand out the same packets, control frames, counters
and error text, and every packet they hand out is a whole IP packet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import cstp
from protocols.framing.cstp import MAX_SENT, Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import MakeTwin, Outcome, Twin, corrupt, cut, outcome, wild_cuts, wild_flips
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError
from transports.sink import ip_length

# AnyConnect notes, section 14, V7; those marked (M) there were seen on the wire.
V7_DPD = bytes.fromhex("53544601000503004142434445")
V7_DPD_ANSWER = bytes.fromhex("53544601000504004142434445")
V7_BYE = bytes.fromhex("5354460100040500b0627965")
V7_EMPTY_DISCONNECT = bytes.fromhex("5354460100000500")


def python_twin(slots: int = 64) -> Twin:
    return twins.PythonTwin(cstp.Decoder, cstp.Encoder(), slots)


def native_twin(slots: int = 64) -> Twin:
    return twins.NativeTwin("cstp", slots)


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def frame(kind: int, payload: bytes = b"") -> bytes:
    """As the notes draw it, built apart from the code under test."""
    return bytes.fromhex("53544601") + len(payload).to_bytes(2, "big") + bytes([kind, 0]) + payload


# --- vectors -----------------------------------------------------------------------------------------------------


def test_v7_dpd_and_its_answer(twin: Twin) -> None:
    assert outcome(twin, [V7_DPD]).controls == ((Kind.DPD_REQUEST, b"ABCDE"),)
    assert twin.encode_control(Kind.DPD_RESPONSE, b"ABCDE") == V7_DPD_ANSWER


def test_v7_bye(twin: Twin) -> None:
    assert outcome(twin, [V7_BYE]).controls == ((Kind.DISCONNECT, b"\xb0bye"),)
    assert twin.encode_control(Kind.DISCONNECT, b"\xb0bye") == V7_BYE


def test_v7_empty_disconnect(twin: Twin) -> None:
    assert outcome(twin, [V7_EMPTY_DISCONNECT]).controls == ((Kind.DISCONNECT, b""),)
    assert twin.encode_control(Kind.DISCONNECT) == V7_EMPTY_DISCONNECT


# --- what section 4 says of each input ------------------------------------------------------------------------------

EVERYTHING = b"".join(
    [
        frame(Kind.DATA, ipv4(84)),
        V7_DPD,
        frame(Kind.DATA, ipv6(1400)),
        frame(Kind.KEEPALIVE),
        frame(Kind.COMPRESSED, bytes(30)),
        frame(6, b"unknown"),
        frame(Kind.DATA),
        frame(Kind.DATA, b"no packet at all, this one"),
        frame(Kind.DATA, bytes(16385)),
        frame(Kind.DATA, ipv4(16384)),
        frame(Kind.TERMINATE, b"bye"),
    ]
)


def check_everything(seen: Outcome) -> None:
    assert seen.packets == (ipv4(84), ipv6(1400), ipv4(16384))
    assert seen.controls == ((Kind.DPD_REQUEST, b"ABCDE"), (Kind.KEEPALIVE, b""), (Kind.TERMINATE, b"bye"))
    assert seen.counted() == {"cstp_oversize": 1, "cstp_unknown_type": 1, "cstp_compressed": 1, "cstp_empty": 1}
    assert seen.sink.not_ip == 1 and seen.error == ""


def test_a_stream_of_everything(twin: Twin) -> None:
    check_everything(outcome(twin, [EVERYTHING]))


def test_a_stream_of_everything_byte_by_byte(twin: Twin) -> None:
    check_everything(outcome(twin, (EVERYTHING[i : i + 1] for i in range(len(EVERYTHING)))))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("53544602 0000 00 00", "cstp magic: got '53544602', want 53544601 (byte 0)"),
        ("00000000 0000 00 00", "cstp magic: got '00000000', want 53544601 (byte 0)"),
        ("53544601 0000 00 05", "cstp reserved byte: got 5, want 0 (byte 7)"),
        ("53544601 ffff 63 ff", "cstp reserved byte: got 255, want 0 (byte 7)"),
    ],
)
def test_a_header_that_cannot_be_breaks_the_stream_for_good(twin: Twin, header: str, text: str) -> None:
    seen = outcome(twin, [frame(Kind.DATA, ipv4()) + V7_DPD + bytes.fromhex(header), frame(Kind.DATA, ipv4())])
    assert seen.error == text
    assert seen.packets == (ipv4(),) and len(seen.controls) == 1  # what came before counts, nothing after


def test_oversized_is_skipped_whatever_its_type(twin: Twin) -> None:
    seen = outcome(twin, [frame(kind, bytes(16385)) for kind in (0, 3, 6, 8)] + [frame(0, bytes(65535)), V7_DPD])
    assert seen.counted() == {"cstp_oversize": 5} and seen.controls == ((3, b"ABCDE"),)


def test_the_tenth_compressed_frame_breaks_the_stream(twin: Twin) -> None:
    nine = frame(Kind.COMPRESSED, b"x") * 9
    assert outcome(twin, [nine + frame(Kind.DATA, ipv4()), nine]).error == ""
    seen = outcome(twin, [frame(Kind.KEEPALIVE) + frame(Kind.COMPRESSED, b"x")])  # a control frame does not excuse it
    assert seen.error == "cstp compressed frames in a row: got 10, want none, as none was negotiated (byte 6)"
    assert seen.counters["cstp_compressed"] == 19


def test_a_sink_that_is_full_costs_packets_not_the_stream() -> None:
    for make in TWINS:
        seen = outcome(make(2), [frame(Kind.DATA, ipv4(40, mark=i)) for i in range(5)] + [V7_DPD])
        assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1))
        assert seen.counted() == {"cstp_sink_full": 3} and seen.sink.dropped_full == 3
        assert len(seen.controls) == 1


def test_a_flood_of_control_frames_is_bounded(twin: Twin) -> None:
    by_count = outcome(twin, [frame(Kind.KEEPALIVE)] * 100)
    assert len(by_count.controls) == 64 and by_count.counted() == {"cstp_control_overflow": 36}
    by_bytes = outcome(twin, [frame(Kind.DPD_REQUEST, bytes(16384))] * 10)
    assert len(by_bytes.controls) == 3 and by_bytes.counters["cstp_control_overflow"] == 36 + 7


# --- the encoder --------------------------------------------------------------------------------------------------


def test_a_packet_becomes_one_frame(twin: Twin) -> None:
    assert twin.encode(ipv4(1400)) == frame(Kind.DATA, ipv4(1400))
    assert twin.encode(ipv4(MAX_SENT)) == frame(Kind.DATA, ipv4(MAX_SENT))


def test_what_does_not_fit_one_record_is_refused(twin: Twin) -> None:
    with pytest.raises((ValueError, CodecError)):
        twin.encode(ipv4(MAX_SENT + 1))
    with pytest.raises((ValueError, CodecError)):
        twin.encode_control(Kind.DPD_RESPONSE, bytes(MAX_SENT + 1))
    with pytest.raises((ValueError, CodecError)):
        twin.encode_control(256)


# --- the twins against each other ---------------------------------------------------------------------------------

payloads = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.integers(20, 400).map(lambda n: ipv4(n) + b"tail"),
    st.binary(max_size=60),
    st.sampled_from([16383, 16384, 16385, 65535]).map(ipv4),
)
kinds = st.sampled_from([0, 0, 0, 0, 3, 4, 5, 7, 8, 8, 9, 1, 2, 6, 10, 255])
streams = st.lists(st.builds(frame, kinds, payloads), max_size=16).map(b"".join)


@given(streams, wild_flips, wild_cuts, wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking_and_corruption(
    data: bytes, flips: Sequence[tuple[int, int]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    bad = corrupt(data, flips)
    reference = outcome(python_twin(slots), cut(bad, ours))
    assert outcome(native_twin(slots), cut(bad, theirs)) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(V7_DPD.__add__))
def test_the_twins_agree_on_noise_byte_by_byte(data: bytes) -> None:
    chunks = [data[i : i + 1] for i in range(len(data))]
    assert outcome(native_twin(), chunks) == outcome(python_twin(), [data])


@given(st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6), max_size=20), wild_cuts)
def test_what_one_twin_encodes_the_other_decodes(packets: list[bytes], cuts: Sequence[int]) -> None:
    for here, there in ((python_twin(), native_twin()), (native_twin(), python_twin())):
        wire = b"".join(here.encode(packet) for packet in packets)
        assert outcome(there, cut(wire, cuts)).packets == tuple(packets)
