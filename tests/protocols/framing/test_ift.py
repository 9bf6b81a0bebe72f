"""IF-T/TLS framing: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins hand out the same packets, control frames, counters
and error text, and every packet they hand out is a whole IP packet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import ift
from protocols.framing.ift import JUNIPER, MAX_SENT, TCG, Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import REFUSED, MakeTwin, Twin, corrupt, cut, in_steps, outcome
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError, NativeCodec
from transports.sink import MemorySink, ip_length

# Pulse notes, section 14: wire, kind, payload, sequence.
P15_PACKET = bytes.fromhex("4500001c0001000040fd65d00a0900020a09000170696e6730303031")
P15_DATA = bytes.fromhex("00000a4c000000040000002c00000008") + P15_PACKET
P11 = bytes.fromhex(
    "00000a4c00000001000000be000001f600000000000000000000000000000000"
    "2c20f00000000000000000ae2e00002802000000070000100000ffff0a090000"
    "0a0900fff10000100000ffff0a0900800a0900ff0000006a0300000040050004"
    "00000578000300040a090035000400040a09003c4006000c6c61622e6578616d"
    "706c650040100002000240110002000240120004000004b04014000400000001"
    "401600021194401700040000000f000100040a09000200020004ffffffff"
)
P13 = bytes.fromhex(
    "00000a4c0000000100000080000001f700000000000000000000000000000000"
    "2120240000000000000000700000005401000000785634120040000102030405"
    "060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425"
    "262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f000000000000"
)
P13_ANSWER = bytes.fromhex(
    "00000a4c00000001000000c00000000600000000000000000000000000000000"
    "2120240000000000000000b00000009401000000d4c3b2a10040404142434445"
    "464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162630000"
    "0000000000000000000000000000000000000000000000000000785634120040"
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
)
P2 = bytes.fromhex(
    "00000a4c000000880000005100000001636c69656e74486f73744e616d653d6c"
    "6162686f737420636c69656e7449703d3139322e302e322e3920636c69656e74"
    "4361706162696c69746965733d7b7d0a00"
)
VECTORS = [
    ("P1 request", bytes.fromhex("0000559700000001000000140000000000010202"), Kind.VERSION_REQUEST),
    ("P1 response", bytes.fromhex("000055970000000200000014000001f000000002"), Kind.VERSION_RESPONSE),
    ("P2", P2, Kind.CLIENT_INFORMATION),
    ("P3 challenge", bytes.fromhex("000055970000000500000014000001f1000a4c01"), Kind.AUTH_CHALLENGE),
    (
        "P3 identity",
        bytes.fromhex("00005597000000060000002200000002000a4c010201000e01616e6f6e796d6f7573"),
        Kind.AUTH_RESPONSE,
    ),
    ("P10 success", bytes.fromhex("000055970000000700000018000001f5000a4c0103040004"), Kind.AUTH_SUCCESS),
    ("P11", P11, Kind.CONFIGURATION),
    ("P13", P13, Kind.CONFIGURATION),
    ("P13 answer", P13_ANSWER, Kind.CONFIGURATION),
    ("P14 on", bytes.fromhex("00000a4c0000000500000018000000076e636d6f3d310a00"), Kind.ESP_CONTROL),
    ("P14 off", bytes.fromhex("00000a4c0000000500000018000000096e636d6f3d300a00"), Kind.ESP_CONTROL),
    ("P14 end", bytes.fromhex("00000a4c0000008f00000014000001f800000000"), Kind.CONFIGURATION_END),
    ("P15 8a", bytes.fromhex("00000a4c0000008a00000012000000080a00"), Kind.LICENCE_ANSWER),
    ("P15 goodbye", bytes.fromhex("00000a4c00000089000000100000000a"), Kind.GOODBYE),
    (
        "P15 fatal",
        bytes.fromhex(
            "00000a4c000000930000003c000002006572726f72547970653d38206572726f"
            "72537472696e673d73657373696f6e2b74696d65642532306f75740a"
        ),
        Kind.FATAL_ERROR,
    ),
]
CONTROL_WIRE = b"".join(wire for _, wire, _ in VECTORS)


def python_twin(slots: int = 64) -> Twin:
    return twins.PythonTwin(ift.Decoder, ift.Encoder(), slots)


def native_twin(slots: int = 64) -> Twin:
    return twins.NativeTwin("ift", slots)


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def frame(vendor: int, kind: int, payload: bytes = b"", *, length: int | None = None, sequence: int = 0) -> bytes:
    """As the notes draw it, built apart from the code under test."""
    total = 16 + len(payload) if length is None else length
    return b"".join(field.to_bytes(4, "big") for field in (vendor, kind, total, sequence)) + payload


def data(packet: bytes) -> bytes:
    return frame(JUNIPER, 4, packet)


# --- vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", TWINS, ids=["python", "native"])
def test_the_vectors_for_many_sizes_of_chunk(make: MakeTwin) -> None:
    wire = CONTROL_WIRE + P15_DATA
    for step in (*range(1, 70), len(wire)):
        seen = outcome(make(2), in_steps(wire, step))
        assert seen.controls == tuple((kind, vector[16:]) for _, vector, kind in VECTORS), step
        assert seen.packets == (P15_PACKET,) and seen.counted() == {} and seen.error == "", step


@pytest.mark.parametrize(("wire", "kind"), [vector[1:] for vector in VECTORS], ids=[name for name, _, _ in VECTORS])
def test_the_vectors_encoded(wire: bytes, kind: Kind) -> None:
    native = NativeCodec("ift")
    native.set("sequence", wire[12:16])
    assert native.encode_control(kind, wire[16:]) == wire
    assert ift.Encoder(int.from_bytes(wire[12:16], "big")).encode_control(kind, wire[16:]) == wire


def test_every_frame_sent_is_numbered(twin: Twin) -> None:
    for sequence in range(8):
        wanted = frame(TCG, 6, b"x", sequence=sequence) if sequence % 2 else frame(JUNIPER, 0x89, sequence=sequence)
        assert twin.encode_control(*((Kind.AUTH_RESPONSE, b"x") if sequence % 2 else (Kind.GOODBYE,))) == wanted
        with pytest.raises(REFUSED):
            twin.encode_control(0)  # is not sent, and so not numbered
    assert twin.encode(P15_PACKET) == P15_DATA


def test_the_number_wraps() -> None:
    native, reference = NativeCodec("ift"), ift.Encoder(0xFFFFFFFF)
    native.set("sequence", b"\xff\xff\xff\xff")
    for encode in (native.encode, reference.encode):
        assert encode(P15_PACKET)[12:16] == b"\xff\xff\xff\xff"
        assert encode(P15_PACKET)[12:16] == bytes(4)


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(CodecError, match="framing ift has no option 'gateway'"):
        NativeCodec("ift").set("gateway", b"\1")
    with pytest.raises(CodecError, match="ift option sequence: got 3 bytes, want 4"):
        NativeCodec("ift").set("sequence", b"\0\0\1")


# --- what sections 1, 3 and 8 say of each input ----------------------------------------------------------------------

EVERYTHING = b"".join(
    [
        data(ipv4(84)),
        frame(0xAB005597, 5, b"the top byte of TCG is not looked at"),
        data(ipv6(1400)),
        frame(0x01000A4C, 4, ipv4(60)),  # but Juniper's is
        frame(0x00001234, 1, b"another vendor"),
        frame(JUNIPER, 0x10004, ipv4(60)),
        frame(TCG, 0xFFFFFFFF),
        frame(TCG, 4, b"no packet, as it is TCG's"),
        frame(JUNIPER, 0x97, b"a type of which nobody has heard"),
        data(b""),
        data(b"no packet at all, this one"),
        data(b"\x4f" + bytes(30)),
        data(ipv4(60)[:59]),  # its own length goes beyond the payload
        data(ipv4(60) + b"tail"),  # is cut
        data(bytes(16385)),
        frame(JUNIPER, 1, bytes(16385)),
        frame(JUNIPER, 1, bytes((1 << 20) - 16)),
        frame(JUNIPER, 1, b"\1" * 16384),
        data(ipv4(16384)),
        frame(JUNIPER, 0x8F, bytes(4), sequence=0xFFFFFFFF),
    ]
)


@pytest.mark.parametrize("step", [1, 5, 16, 17, 40000, 2000000])
def test_a_stream_of_everything(twin: Twin, step: int) -> None:
    border = len(EVERYTHING) if step > 1 else 4000  # a MiB byte by byte takes too long
    seen = outcome(twin, [*in_steps(EVERYTHING[:border], step), EVERYTHING[border:]])
    assert seen.packets == (ipv4(84), ipv6(1400), ipv4(60), ipv4(16384))
    assert seen.controls == (
        (Kind.AUTH_CHALLENGE, b"the top byte of TCG is not looked at"),
        (0x55970004, b"no packet, as it is TCG's"),
        (0x0A4C0097, b"a type of which nobody has heard"),
        (Kind.CONFIGURATION, b"\1" * 16384),
        (Kind.CONFIGURATION_END, bytes(4)),
    )
    assert seen.counted() == {"ift_unknown": 4, "ift_empty": 1, "ift_oversize": 3}
    assert seen.sink.not_ip == 3 and seen.sink.copied == 0 and seen.error == ""


@pytest.mark.parametrize("length", [0, 1, 15, (1 << 20) + 1, 0xFFFFFFFF])
@pytest.mark.parametrize(("vendor", "kind"), [(JUNIPER, 4), (TCG, 5), (0, 0)])
def test_a_length_that_cannot_be_breaks_the_stream_for_good(twin: Twin, vendor: int, kind: int, length: int) -> None:
    seen = outcome(twin, [P15_DATA + data(ipv4()) + frame(vendor, kind, length=length), P15_DATA])
    assert seen.error == f"ift frame length: got {length}, want 16..1048576 (byte 8)"
    assert seen.packets == (P15_PACKET, ipv4()) and seen.counted() == {}  # what came before counts, nothing after


def test_a_sink_that_is_full_costs_packets_not_the_stream() -> None:
    for make in TWINS:
        seen = outcome(make(2), [data(ipv4(40, mark=i)) for i in range(5)] + [P2])
        assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1))
        assert seen.counted() == {"ift_sink_full": 3} and seen.sink.dropped_full == 3
        assert len(seen.controls) == 1


def test_a_flood_of_control_frames_is_bounded(twin: Twin) -> None:
    by_count = outcome(twin, [frame(JUNIPER, 0x96)] * 100)
    assert len(by_count.controls) == 64 and by_count.counted() == {"ift_control_overflow": 36}
    by_bytes = outcome(twin, [frame(JUNIPER, 1, bytes(16384))] * 10)
    assert len(by_bytes.controls) == 3 and by_bytes.counters["ift_control_overflow"] == 36 + 7


def test_the_reference_can_be_told_to_take_larger_configurations() -> None:
    """Configurations of more than 16 KiB are real (Q3)."""
    decoder = ift.Decoder(MemorySink(), max_control=ift.MAX_FRAME)
    decoder.feed(frame(JUNIPER, 1, bytes((1 << 20) - 16)) + frame(JUNIPER, 4, bytes(16385)))
    seen = decoder.next_control()
    assert seen is not None and (seen.kind, len(seen.payload)) == (Kind.CONFIGURATION, (1 << 20) - 16)
    assert decoder.counters()["ift_oversize"] == 1  # a packet is none the larger for it


# --- the encoder --------------------------------------------------------------------------------------------------


def test_what_does_not_fit_one_record_is_refused(twin: Twin) -> None:
    assert twin.encode(ipv4(MAX_SENT)) == data(ipv4(MAX_SENT))
    with pytest.raises(REFUSED):
        twin.encode(ipv4(MAX_SENT + 1))
    with pytest.raises(REFUSED):
        twin.encode_control(Kind.CONFIGURATION, bytes(MAX_SENT + 1))
    for kind in (0, 1, 0x1234_0001, 0xFFFF_FFFE):
        with pytest.raises(REFUSED):
            twin.encode_control(kind)


# --- the twins against each other ---------------------------------------------------------------------------------

payloads = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.integers(20, 400).map(lambda n: ipv4(n) + b"tail"),
    st.binary(max_size=60),
    st.sampled_from([16383, 16384, 16385]).map(ipv4),
)
vendors = st.sampled_from([JUNIPER, JUNIPER, TCG, 0xFF005597, 0xFF000A4C, 7])
types = st.sampled_from([4, 4, 4, 1, 5, 0x96, 0xFFFF, 0x10000])
packets = st.integers(20, 400).map(ipv4) | st.integers(40, 400).map(ipv6)
streams = st.lists(packets.map(data) | st.builds(frame, vendors, types, payloads), max_size=16).map(b"".join)


@given(streams, twins.wild_flips, twins.wild_cuts, twins.wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking_and_corruption(
    wire: bytes, flips: Sequence[tuple[int, int]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    bad = corrupt(wire, flips)
    reference = outcome(python_twin(slots), cut(bad, ours))
    assert outcome(native_twin(slots), cut(bad, theirs)) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(P15_DATA.__add__))
def test_the_twins_agree_on_noise_byte_by_byte(noise: bytes) -> None:
    assert outcome(native_twin(), in_steps(noise, 1)) == outcome(python_twin(), [noise])


@given(st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6), max_size=20), twins.wild_cuts)
def test_what_one_twin_encodes_the_other_decodes(wanted: list[bytes], cuts: Sequence[int]) -> None:
    for here, there in ((python_twin(), native_twin()), (native_twin(), python_twin())):
        wire = b"".join(here.encode(packet) for packet in wanted)
        assert outcome(there, cut(wire, cuts)).packets == tuple(wanted)
