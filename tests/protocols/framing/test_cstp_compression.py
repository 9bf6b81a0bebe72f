"""CSTP with compression negotiated: both twins, what pays, what is damaged, and one against the other.

Fuzz invariant: with LZS and deflate both twins hand out the same packets, counters and error text for any bytes; with
oc-lz4 for every stream that is not damaged (see test_compression.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import compression, cstp
from protocols.framing.cstp import MAX_SENT, Kind
from tests.protocols.framing import twins
from tests.protocols.framing.twins import Twin, corrupt, cut, in_steps, outcome, wild_cuts, wild_flips
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError, NativeCodec
from transports.compression import NativeCompression

METHODS = ("lzs", "oc-lz4", "deflate")
MakeTwin = Callable[..., Twin]
# AnyConnect notes, V8: a ping of 228 bytes as a real client sent it.
V8_PING = bytes.fromhex("2280000e4000070a100026555028120001028c78e01000341342434c4041c0fffffffffffffde000")
NOISE = zlib.compress(bytes(range(256)) * 3)[10:]  # nothing that compresses


def python_twin(method: str, slots: int = 64) -> Twin:
    decoder = partial(cstp.Decoder, compression=compression.make(method))
    return twins.PythonTwin(decoder, cstp.Encoder(compression.make(method)), slots)


def native_twin(method: str, slots: int = 64) -> Twin:
    twin = twins.NativeTwin("cstp", slots)
    twin.codec.set("cstp.compression", method.encode())
    return twin


TWINS: list[MakeTwin] = [python_twin, native_twin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def make(request: pytest.FixtureRequest) -> MakeTwin:
    made: MakeTwin = request.param
    return made


def frame(kind: int, payload: bytes = b"") -> bytes:
    return bytes.fromhex("53544601") + len(payload).to_bytes(2, "big") + bytes([kind, 0]) + payload


def ip_of(payload: bytes) -> bytes:
    return ipv4(20 + len(payload))[:20] + payload


# --- in ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_compressed_packet_of_a_real_client(make: MakeTwin, step: int) -> None:
    seen = outcome(make("lzs"), in_steps(frame(8, V8_PING) + frame(0, ipv4(84)) + frame(8, V8_PING), step))
    assert [len(packet) for packet in seen.packets] == [228, 84, 228]
    assert seen.counted() == {"cstp_expanded": 2} and seen.sink.copied == 0


@pytest.mark.parametrize("method", ["lzs", "oc-lz4"])
def test_what_is_damaged_costs_that_packet_alone(make: MakeTwin, method: str) -> None:
    good = NativeCompression(method).shrink(ipv6(200)) or b""
    bad = [b"", b"\x60", good[:-4], b"\xff" * 30]
    stream = b"".join(frame(8, data) + frame(8, good) for data in bad) + b"".join(frame(8, b"") for _ in range(20))
    seen = outcome(make(method), [stream])
    assert seen.packets == (ipv6(200),) * 4 and seen.error == ""
    assert seen.counted() == {"cstp_expanded": 4, "cstp_bad_compressed": 24} and seen.sink.aborted == 24


def test_a_bomb_stops_at_the_reservation(make: MakeTwin) -> None:
    lzs = b"\x20\x60\xff" + b"\xff" * 8000 + b"\xc0\0"  # A, then offset 1 and 64000 nibbles of 15
    lz4 = b"\x1f\x41\x01\x00" + b"\xff" * 8000 + b"\x00\x50AAAAA"
    for method, data in (("lzs", lzs), ("oc-lz4", lz4)):
        seen = outcome(make(method), [frame(8, data) + frame(0, ipv4(40))])
        assert seen.packets == (ipv4(40),) and seen.counted() == {"cstp_bad_compressed": 1} and seen.error == ""
    out = zlib.compressobj(wbits=-15)
    data = out.compress(bytes(1 << 20)) + out.flush(zlib.Z_SYNC_FLUSH) + bytes(4)
    seen = outcome(make("deflate"), [frame(8, data)])
    assert seen.error == "deflate output: got 'more', want <= 16384 bytes (byte 0)"
    assert seen.packets == () and seen.counted() == {"cstp_bad_compressed": 1}


def test_a_lost_deflate_stream_breaks_the_tunnel(make: MakeTwin) -> None:
    first = NativeCompression("deflate").shrink(ipv4(100)) or b""
    changed = first[:-1] + bytes([first[-1] ^ 1])
    seen = outcome(make("deflate"), [frame(8, changed) + frame(0, ipv4(40)), frame(0, ipv4(40))])
    assert seen.error.startswith("deflate checksum: got '") and seen.packets == ()
    assert seen.counted() == {"cstp_bad_compressed": 1}
    assert outcome(make("deflate"), [frame(8, b"abcd")]).error == "deflate payload: got 4, want >= 5 bytes (byte 0)"


def test_a_full_sink_does_not_lose_the_stream(make: MakeTwin) -> None:
    sender, packets = NativeCompression("deflate"), [ipv4(100, mark=i) for i in range(4)]
    stream = [frame(8, sender.shrink(packet) or b"") for packet in packets]
    twin = make("deflate", 1)
    first = outcome(twin, [b"".join(stream[:3])])  # two find no room, but are part of the stream
    assert first.packets == (packets[0],)
    then = outcome(twin, stream[3:])
    assert then.packets == (packets[3],) and then.error == ""
    assert then.counted() == {"cstp_sink_full": 2, "cstp_expanded": 4}


# --- out -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lzs", "oc-lz4"])
def test_it_is_compressed_where_it_pays(make: MakeTwin, method: str) -> None:
    twin = make(method)
    wire = twin.encode(ip_of(b"A" * 1000))
    assert wire[6] == Kind.COMPRESSED and len(wire) < 100
    assert outcome(twin, [wire]).packets == (ip_of(b"A" * 1000),)
    assert twin.encode(ip_of(NOISE)) == frame(0, ip_of(NOISE))  # would grow
    assert twin.encode(ip_of(b"A" * 19)) == frame(0, ip_of(b"A" * 19))  # below 40 bytes
    assert twin.encode(ip_of(b"A" * 20))[6] == Kind.COMPRESSED
    assert len(twin.encode(ip_of(b"A" * (MAX_SENT - 20)))) < 600
    assert twin.encode_control(Kind.DPD_REQUEST, b"A" * 100) == frame(3, b"A" * 100)


def test_deflate_is_always_used_but_where_a_frame_might_not_hold_it(make: MakeTwin) -> None:
    twin = make("deflate")
    packets = [ipv4(20), ip_of(NOISE), ip_of(b"A" * 14000), ipv4(MAX_SENT), ipv4(1400)]
    wires = [twin.encode(packet) for packet in packets]
    assert [wire[6] for wire in wires] == [8, 8, 8, 0, 8]
    assert outcome(make("deflate"), wires).packets == tuple(packets)


def test_a_stateless_result_as_long_as_the_packet_is_still_sent_compressed(make: MakeTwin) -> None:
    for method in ("lzs", "oc-lz4"):
        kinds = set()
        for n in range(20, 400):  # somewhere the result is as long as the packet, or just longer
            wire = make(method).encode(ip_of((NOISE + b"B" * 60)[n % 60 : n]))
            kinds.add(wire[6])
            assert len(wire) <= 8 + len(ip_of((NOISE + b"B" * 60)[n % 60 : n]))
        assert kinds == {0, 8}


# --- the option ----------------------------------------------------------------------------------------------------


def test_the_option_names_what_it_takes() -> None:
    codec = NativeCodec("cstp")
    for option, value, text in (
        ("cstp.compression", b"zstd", "cstp.compression: want lzs, oc-lz4, deflate or none"),
        ("cstp.compression", b"lzo", "cstp.compression: want lzs, oc-lz4, deflate or none"),
        ("compression", b"lzs", "option: got 'compression', want cstp.compression"),
    ):
        with pytest.raises(CodecError) as caught:
            codec.set(option, value)
        assert str(caught.value) == text
    assert codec.encode(ip_of(b"A" * 1000)) == frame(0, ip_of(b"A" * 1000))
    codec.set("cstp.compression", b"lzs")
    assert codec.encode(ip_of(b"A" * 1000))[6] == Kind.COMPRESSED
    codec.set("cstp.compression", b"none")
    assert codec.encode(ip_of(b"A" * 1000))[6] == Kind.DATA


def test_the_option_waits_for_the_end_of_a_frame() -> None:
    twin = twins.NativeTwin("cstp")
    twin.codec.set("cstp.compression", b"lzs")
    twin.feed(frame(8, V8_PING)[:20])
    with pytest.raises(CodecError, match=r"^cstp\.compression: cannot change within a frame$"):
        twin.codec.set("cstp.compression", b"none")
    twin.feed(frame(8, V8_PING)[20:])
    twin.codec.set("cstp.compression", b"none")
    assert len(outcome(twin, []).packets[0]) == 228


# --- the twins against each other ------------------------------------------------------------------------------------

texts = st.builds(lambda part, n: ip_of(part * n), st.binary(min_size=1, max_size=30), st.integers(1, 50))
packets = st.one_of(st.integers(20, 1500).map(ipv4), st.integers(40, 1500).map(ipv6), texts)
frames = st.lists(st.tuples(st.sampled_from([8, 8, 8, 0, 7, 3]), packets), max_size=10)


def stream_of(method: str, wanted: Sequence[tuple[int, bytes]]) -> bytes:
    sender = NativeCompression(method)
    return b"".join(frame(kind, (sender.shrink(data) or b"") if kind == 8 else data) for kind, data in wanted)


@given(st.sampled_from(METHODS), frames, wild_cuts, wild_cuts, st.sampled_from([1, 3, 64]))
def test_the_twins_agree_under_any_chunking(
    method: str, wanted: list[tuple[int, bytes]], ours: Sequence[int], theirs: Sequence[int], slots: int
) -> None:
    stream = stream_of(method, wanted)
    reference = outcome(python_twin(method, slots), cut(stream, ours))
    assert outcome(native_twin(method, slots), cut(stream, theirs)) == reference and reference.error == ""
    if slots == 64:
        assert reference.packets == tuple(data for kind, data in wanted if kind in (0, 8))


@given(st.sampled_from(["lzs", "deflate"]), frames, wild_flips, wild_cuts)
def test_the_twins_agree_under_any_corruption(
    method: str, wanted: list[tuple[int, bytes]], flips: Sequence[tuple[int, int]], cuts: Sequence[int]
) -> None:
    bad = corrupt(stream_of(method, wanted), flips)
    assert outcome(native_twin(method), cut(bad, cuts)) == outcome(python_twin(method), [bad])


@given(st.sampled_from(METHODS), st.lists(packets, max_size=8))
def test_what_one_twin_encodes_the_other_decodes(method: str, plain: list[bytes]) -> None:
    for here, there in ((python_twin, native_twin), (native_twin, python_twin)):
        encoder = here(method)
        wire = b"".join(encoder.encode(packet) for packet in plain)
        assert outcome(there(method), [wire]).packets == tuple(plain)
