"""GPST framing: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins hand out the same packets, keepalives, counters and
error text, and every packet they hand out is a whole IP packet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import gpst
from protocols.framing.gpst import MAX_SENT, Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import REFUSED, MakeTwin, Outcome, Twin, corrupt, cut, in_steps, outcome
from tests.transports.packets import ipv4, ipv6
from transports.sink import ip_length

# GlobalProtect notes, section 18.
V_KEEPALIVE = bytes.fromhex("1a2b3c4d000000000000000000000000")
V_PACKET = bytes.fromhex("4500001e00010000401165fe0a6300020a63000912340009000a00006162")
V_DATA = bytes.fromhex("1a2b3c4d0800001e0100000000000000") + V_PACKET
V_PING4 = bytes.fromhex("4500002c47474000400127240a630002c000020108000b08474700016d6f6e69746f72000070616e20686120")
V_PING6 = bytes.fromhex(
    "6000000000183a80fd00009900000000000000000000000220010db80000000000000000000000018000675f"
    "474700016d6f6e69746f72000070616e20686120"
)


def python_twin(slots: int = 64) -> Twin:
    return twins.PythonTwin(gpst.Decoder, gpst.Encoder(), slots)


def native_twin(slots: int = 64) -> Twin:
    return twins.NativeTwin("gpst", slots)


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def frame(kind: int, payload: bytes = b"", *, mark: str | None = None) -> bytes:
    """As the notes draw it, built apart from the code under test.  mark: bytes 8 to 15 in hex."""
    usual = "0100000000000000" if kind else "0000000000000000"
    head = "1a2b3c4d" + f"{kind:04x}{len(payload):04x}" + (usual if mark is None else mark)
    return bytes.fromhex(head) + payload


# --- vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 16, 1000])
def test_the_vectors(twin: Twin, step: int) -> None:
    wire = V_KEEPALIVE + V_DATA + frame(Kind.IPV4, V_PING4) + frame(Kind.IPV6, V_PING6)
    seen = outcome(twin, in_steps(wire, step))
    assert seen.packets == (V_PACKET, V_PING4, V_PING6) and seen.controls == ((Kind.KEEPALIVE, b""),)
    assert seen.counted() == {} and seen.error == ""


def test_the_vectors_encoded(twin: Twin) -> None:
    assert twin.encode_control(Kind.KEEPALIVE) == V_KEEPALIVE
    assert twin.encode(V_PACKET) == V_DATA
    assert twin.encode(V_PING6) == frame(Kind.IPV6, V_PING6)


# --- what section 11.2 says of each input -----------------------------------------------------------------------------

EVERYTHING = b"".join(
    [
        frame(Kind.IPV4, ipv4(84)),
        V_KEEPALIVE,
        frame(Kind.IPV6, ipv6(1400)),
        frame(Kind.IPV4, ipv4(40), mark="0000000100000000"),  # odd, but taken
        frame(Kind.KEEPALIVE, mark="0100000000000000"),
        frame(Kind.IPV4),
        frame(Kind.IPV6),
        frame(Kind.IPV6, ipv4(40)),
        frame(Kind.IPV4, ipv6(60)),
        frame(Kind.IPV4, b"\x75" + bytes(30)),
        frame(Kind.IPV4, ipv4(60)[:59]),  # its own length goes beyond the payload
        frame(Kind.IPV4, b"\x45"),
        frame(Kind.KEEPALIVE, b"echo this"),
        frame(Kind.IPV4, ipv4(16384)),
        V_KEEPALIVE,
    ]
)


@pytest.mark.parametrize("step", [1, 5, 16, 17, 40000])
def test_a_stream_of_everything(twin: Twin, step: int) -> None:
    seen = outcome(twin, in_steps(EVERYTHING, step))
    assert seen.packets == (ipv4(84), ipv6(1400), ipv4(40), ipv4(16384))
    assert seen.controls == ((0, b""), (0, b""), (0, b"echo this"), (0, b""))
    assert seen.counted() == {"gpst_odd_header": 2, "gpst_empty": 2, "gpst_version": 3}
    assert seen.sink.not_ip == 2 and seen.sink.aborted == 3 and seen.sink.copied == 0 and seen.error == ""


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("1a2b3c4e 0800 0014 01000000 00000000", "gpst magic: got '1a2b3c4e', want 1a2b3c4d (byte 0)"),
        ("53544152 545f 5455 4e4e454c 1a2b3c4d", "gpst magic: got '53544152', want 1a2b3c4d (byte 0)"),
        ("1a2b3c4d 0806 0014 01000000 00000000", "gpst ethertype: got '0806', want 0000, 0800 or 86dd (byte 4)"),
        ("1a2b3c4d ffff ffff 01000000 00000000", "gpst ethertype: got 'ffff', want 0000, 0800 or 86dd (byte 4)"),
        ("1a2b3c4d 0800 4001 01000000 00000000", "gpst length: got 16385, want 0..16384 (byte 6)"),
        ("1a2b3c4d 0000 ffff 00000000 00000000", "gpst length: got 65535, want 0..16384 (byte 6)"),
    ],
)
def test_a_header_that_cannot_be_breaks_the_stream_for_good(twin: Twin, header: str, text: str) -> None:
    seen = outcome(twin, [V_DATA + V_KEEPALIVE + bytes.fromhex(header), V_DATA])
    assert seen.error == text
    assert seen.packets == (V_PACKET,) and len(seen.controls) == 1  # what came before counts, nothing after
    assert seen.counted() == {}


def test_a_sink_that_is_full_costs_packets_not_the_stream() -> None:
    for make in TWINS:
        seen = outcome(make(2), [frame(Kind.IPV4, ipv4(40, mark=i)) for i in range(5)] + [V_KEEPALIVE])
        assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1))
        assert seen.counted() == {"gpst_sink_full": 3} and seen.sink.dropped_full == 3
        assert len(seen.controls) == 1


def test_a_flood_of_keepalives_is_bounded(twin: Twin) -> None:
    by_count = outcome(twin, [V_KEEPALIVE] * 100)
    assert len(by_count.controls) == 64 and by_count.counted() == {"gpst_control_overflow": 36}
    by_bytes = outcome(twin, [frame(Kind.KEEPALIVE, bytes(16384))] * 10)
    assert len(by_bytes.controls) == 3 and by_bytes.counters["gpst_control_overflow"] == 36 + 7


# --- the encoder --------------------------------------------------------------------------------------------------


def test_what_is_no_packet_or_does_not_fit_one_record_is_refused(twin: Twin) -> None:
    assert twin.encode(ipv4(MAX_SENT)) == frame(Kind.IPV4, ipv4(MAX_SENT))
    for packet in (ipv4(MAX_SENT + 1), b"", b"\x75" + bytes(30)):
        with pytest.raises(REFUSED):
            twin.encode(packet)
    for kind in (1, 0x0806, 0x10800):
        with pytest.raises(REFUSED):
            twin.encode_control(kind)
    with pytest.raises(REFUSED):
        twin.encode_control(Kind.KEEPALIVE, bytes(MAX_SENT + 1))


# --- the twins against each other ---------------------------------------------------------------------------------

payloads = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.integers(20, 400).map(lambda n: ipv4(n) + b"tail"),
    st.binary(max_size=60),
    st.sampled_from([16383, 16384, 16385]).map(ipv4),
)
kinds = st.sampled_from([0x0800] * 8 + [0x86DD] * 4 + [0] * 3 + [0x0806])
marks = st.sampled_from([None, None, None, "0000000000000000", "0100000000000001"])
whole = st.integers(20, 400).map(lambda n: frame(Kind.IPV4, ipv4(n)))
streams = st.lists(whole | st.builds(frame, kinds, payloads, mark=marks), max_size=16).map(b"".join)


def compared(data: bytes, ours: Sequence[int], theirs: Sequence[int], slots: int) -> Outcome:
    reference = outcome(python_twin(slots), cut(data, ours))
    assert outcome(native_twin(slots), cut(data, theirs)) == reference
    return reference


@given(streams, twins.wild_flips, twins.wild_cuts, twins.wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking_and_corruption(
    data: bytes, flips: Sequence[tuple[int, int]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    seen = compared(corrupt(data, flips), ours, theirs, slots)
    assert all(ip_length(packet) == len(packet) for packet in seen.packets)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(V_KEEPALIVE.__add__))
def test_the_twins_agree_on_noise_byte_by_byte(data: bytes) -> None:
    assert outcome(native_twin(), in_steps(data, 1)) == outcome(python_twin(), [data])


@given(st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6), max_size=20), twins.wild_cuts)
def test_what_one_twin_encodes_the_other_decodes(packets: list[bytes], cuts: Sequence[int]) -> None:
    for here, there in ((python_twin(), native_twin()), (native_twin(), python_twin())):
        wire = b"".join(here.encode(packet) for packet in packets)
        assert outcome(there, cut(wire, cuts)).packets == tuple(packets)
