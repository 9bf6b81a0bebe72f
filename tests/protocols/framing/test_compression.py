"""Compression methods: vectors, damaged input, and the twins against each other.

Fuzz invariant: whatever bytes come, LZS, LZO1X and deflate give the same in both twins, never more than the room; what
one twin of any method shrinks, the other expands.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing import compression
from tests.protocols.framing.twins import corrupt
from tests.transports.packets import ipv4, ipv6
from transports.compression import CompressionError, NativeCompression
from transports.errors import EngineError

ROOM = 16384
DAMAGED = (MalformedFrame, CompressionError)
METHODS = ("lzs", "oc-lz4", "deflate")


class Twin(Protocol):
    def shrink(self, packet: bytes, room: int) -> bytes | None: ...
    def expand(self, data: bytes, room: int) -> bytes: ...


MakeTwin = Callable[[str], Twin]
TWINS: list[MakeTwin] = [compression.make, NativeCompression]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def make(request: pytest.FixtureRequest) -> MakeTwin:
    made: MakeTwin = request.param
    return made


def expanded(twin: Twin, data: bytes, room: int = ROOM) -> bytes | None:
    try:
        return twin.expand(data, room)
    except DAMAGED:
        return None


def lzs_bits(text: str) -> bytes:
    bits = text.replace(" ", "")
    return int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")


END = " 110000000"

# --- LZS: AnyConnect notes, V8 ---------------------------------------------------------------------------------------

V8 = [
    (b"A", "20e000"),
    (b"A" * 4, "20e05c00"),
    (b"AB" * 5, "2090b05e1800"),
    (b"A" * 9, "20e07c3000"),
    (b"A" * 23, "20e07fb000"),
    (b"A" * 24, "20e07fc300"),
    (b"STF\x01" * 12, "299508c01c27ffb600"),
    (b"XYZ" + b"A" * 130 + b"XYZ!", "2c164b441c0fffffffff8c21510e00"),
]
# A ping of 228 bytes as a real client sent it.
V8_PING = bytes.fromhex("2280000e4000070a100026555028120001028c78e01000341342434c4041c0fffffffffffffde000")


@pytest.mark.parametrize(("plain", "packed"), V8)
def test_v8_lzs(make: MakeTwin, plain: bytes, packed: str) -> None:
    lzs = make("lzs")
    assert lzs.shrink(plain, ROOM) == bytes.fromhex(packed)
    assert lzs.expand(bytes.fromhex(packed), ROOM) == plain
    assert lzs.expand(bytes.fromhex(packed) + b"what follows", ROOM) == plain
    assert lzs.expand(bytes.fromhex(packed), len(plain)) == plain
    assert expanded(lzs, bytes.fromhex(packed), len(plain) - 1) is None
    assert lzs.shrink(plain, len(packed) // 2) and lzs.shrink(plain, len(packed) // 2 - 1) is None


def test_v8_lzs_of_a_real_client(make: MakeTwin) -> None:
    packet = make("lzs").expand(V8_PING, ROOM)
    assert len(packet) == 228 and packet[:4].hex() == "450000e4" and packet[-192:] == b"A" * 192


@pytest.mark.parametrize("data", ["", "c0", "60", "ffffffff", "8000", "c1000000"])
def test_v8_lzs_errors(make: MakeTwin, data: str) -> None:
    assert expanded(make("lzs"), bytes.fromhex(data)) is None


def test_lzs_takes_every_form_of_offset_and_length(make: MakeTwin) -> None:
    lzs, a = make("lzs"), "0 01000001 "
    lengths = {2: "00", 3: "01", 4: "10", 5: "1100", 6: "1101", 7: "1110", 8: "1111 0000", 22: "1111 1110"}
    for length, bits in lengths.items():
        assert lzs.expand(lzs_bits(a + "11 0000001 " + bits + END), ROOM) == b"A" * (1 + length)
        assert lzs.expand(lzs_bits(a + "10 00000000001 " + bits + END), ROOM) == b"A" * (1 + length)
    assert lzs.expand(lzs_bits(END), ROOM) == b""
    assert expanded(lzs, lzs_bits(a + "10 00000000000 00" + END)) is None  # the long form of 0 is no end marker
    assert expanded(lzs, lzs_bits(a + "11 0000010 00" + END)) is None


def test_lzs_reaches_back_2047_bytes_and_no_further(make: MakeTwin) -> None:
    noise = bytes((i * i * 7 + i // 3) & 0xFF for i in range(1 << 12))
    lzs, head = make("lzs"), b"\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7" * 4
    for gap in (2047, 2048):
        packet = head + noise[: gap - len(head)] + head
        packed = lzs.shrink(packet, ROOM)
        assert packed is not None and lzs.expand(packed, ROOM) == packet


# --- oc-lz4: V9 ------------------------------------------------------------------------------------------------------

V9_PLAIN = bytes.fromhex("4500003c00010000400164bd0a6300010a630002") + b"A" * 40
V9_PACKED = bytes.fromhex("ff064500003c00010000400164bd0a6300010a6300024101000f504141414141")


def test_v9_lz4(make: MakeTwin) -> None:
    lz4 = make("oc-lz4")
    assert lz4.expand(V9_PACKED, ROOM) == V9_PLAIN and lz4.shrink(V9_PLAIN, ROOM) == V9_PACKED
    assert lz4.shrink(V9_PLAIN, len(V9_PACKED)) and lz4.shrink(V9_PLAIN, len(V9_PACKED) - 1) is None
    assert expanded(lz4, V9_PACKED, 59) is None


@pytest.mark.parametrize(
    "data",
    [
        "",
        "50414141",  # fewer literals than told
        "f0ff",  # a count without an end
        "1f4101",  # half an offset
        "1a410200504242424242",  # an offset beyond what is out
        "1f410100" + "ff" * 100 + "00504242424242",  # a bomb: 25 KB
    ],
)
def test_damaged_lz4(make: MakeTwin, data: str) -> None:
    assert expanded(make("oc-lz4"), bytes.fromhex(data)) is None


# --- deflate: V10 ----------------------------------------------------------------------------------------------------

V10 = [
    (b"A" * 50, "7274241500000000ffff 43fc0cb3"),
    (b"A" * 40 + b"BCDEFGHIJK", "22163839bbb8bab97b787a7903000000ffff 03c5199c"),
]


def test_v10_deflate(make: MakeTwin) -> None:
    inwards, outwards = make("deflate"), make("deflate")
    for plain, packed in V10:
        assert inwards.expand(bytes.fromhex(packed), ROOM) == plain
        assert (outwards.shrink(plain, ROOM) or b"")[-4:] == bytes.fromhex(packed)[-4:]


def whole_stream(plain: bytes) -> bytes:
    """A stream that ends, with its checksum."""
    out = zlib.compressobj(wbits=-15)
    return out.compress(plain) + out.flush() + zlib.adler32(plain).to_bytes(4, "big")


def bomb(size: int) -> bytes:
    out = zlib.compressobj(wbits=-15)
    return out.compress(bytes(size)) + out.flush(zlib.Z_SYNC_FLUSH) + zlib.adler32(bytes(size)).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "deflate payload: got 0, want >= 5 bytes (byte 0)"),
        (b"abcd", "deflate payload: got 4, want >= 5 bytes (byte 0)"),
        (bytes.fromhex("7274241500000000ffff 43fc0cb4"), "deflate checksum: got '43fc0cb4', want 43fc0cb3 (byte 10)"),
        (b"\x07" + bytes(20), "deflate blocks: got 'damage', want what inflates (byte 0)"),
        (bomb(20000), f"deflate output: got 'more', want <= {ROOM} bytes (byte 0)"),
        (whole_stream(b"A" * 50), "deflate stream: got 'its end', want one that lasts (byte 0)"),
    ],
)
def test_a_deflate_stream_that_is_lost_is_lost_for_good(make: MakeTwin, data: bytes, text: str) -> None:
    deflate = make("deflate")
    for attempt in (data, bytes.fromhex(V10[0][1])):
        with pytest.raises(DAMAGED) as caught:
            deflate.expand(attempt, ROOM)
        assert str(caught.value) == text


def test_deflate_says_before_that_it_does_not_fit(make: MakeTwin) -> None:
    deflate, other = make("deflate"), make("deflate")
    first = deflate.shrink(ipv4(1400), ROOM)
    assert deflate.shrink(ipv4(1400), 1400) is None  # this one went as it is, and touches nothing
    second = deflate.shrink(ipv4(1400, mark=2), ROOM)
    assert first and second
    assert [other.expand(first, ROOM), other.expand(second, ROOM)] == [ipv4(1400), ipv4(1400, mark=2)]


# --- LZO1X: ESP notes, section 14; Juniper notes, J9 and J10 ---------------------------------------------------------

ESP_LZO_PLAIN = bytes.fromhex("4500005a00020000401165c90a6300010a63000200091234004600004142") + b"AB" * 30
ESP_LZO = bytes.fromhex(
    "000c4500005a00020000401165c90a6300010a63000200091234004600004142200b04000d41424142414241424142414241424142110000"
)
J9_PLAIN = bytes.fromhex("450000480001000040fd65a40a0900010a090002") + b"abcdefgh" * 5 + b"xyz" * 4
J9_PACKED = bytes.fromhex(
    "000a450000480001000040fd65a40a0900010a09000261626364656667683a1c"
    "000d6566676861626364656667686162636465666768"
    "78797a78797a78797a78797a110000"
)


def test_lzo_of_the_esp_notes(make: MakeTwin) -> None:
    lzo = make("lzo")
    assert lzo.expand(ESP_LZO, 90) == ESP_LZO_PLAIN
    for damaged, room in ((ESP_LZO, 89), (ESP_LZO + b"\0", 90), (ESP_LZO[:-1], 90), (b"", 90)):
        assert expanded(lzo, damaged, room) is None
    assert expanded(lzo, bytes.fromhex("1261202020ff110000")) is None
    assert lzo.shrink(bytes(100), ROOM) is None


J10 = [
    ("1561626364110000", b"abcd"),
    ("146162630000110000", b"abccc"),
    ("12616000110000", b"a" * 5),
    ("1261210000110000", b"a" * 4),
    ("126120000a0000110000", b"a" * 299),
    ("1261a000110000", b"a" * 7),
]


@pytest.mark.parametrize(("data", "plain"), J10)
def test_j10_short_lzo_streams(make: MakeTwin, data: str, plain: bytes) -> None:
    assert make("lzo").expand(bytes.fromhex(data), ROOM) == plain


@pytest.mark.parametrize("data", ["15616263641100", "1261210400110000", "156162636411000000", "1561626364120000"])
def test_j10_damaged_lzo_streams(make: MakeTwin, data: str) -> None:
    assert expanded(make("lzo"), bytes.fromhex(data)) is None


def test_an_lzo_count_that_never_ends_stops_at_the_room(make: MakeTwin) -> None:
    assert expanded(make("lzo"), b"\x12a\x20" + bytes(16000) + b"\x01\0\0\x11\0\0") is None
    assert expanded(make("lzo"), bytes(16384)) is None


# --- by name ---------------------------------------------------------------------------------------------------------


def test_a_method_that_does_not_exist_is_named() -> None:
    with pytest.raises(EngineError, match="no compression named 'zstd' in this engine"):
        NativeCompression("zstd")
    with pytest.raises(ValueError, match="no compression named 'zstd'"):
        compression.make("zstd")


# --- the twins against each other ------------------------------------------------------------------------------------

repeated = st.builds(
    lambda part, n, tail: part * n + tail, st.binary(min_size=1, max_size=40), st.integers(1, 60), st.binary()
)
packets = st.one_of(
    st.binary(min_size=1, max_size=300), repeated, st.integers(20, 3000).map(ipv4), st.integers(40, 3000).map(ipv6)
)
wild_flips = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4)


@given(st.sampled_from(METHODS), st.lists(packets, min_size=1, max_size=6), st.integers(0, 3))
def test_what_one_twin_shrinks_the_other_expands(method: str, plain: list[bytes], which: int) -> None:
    here, there = TWINS[which & 1](method), TWINS[which >> 1](method)
    for packet in plain:
        packed = here.shrink(packet, ROOM)
        assert packed is not None and there.expand(packed, ROOM) == packet


@given(packets, st.integers(0, 400))
def test_the_twins_write_the_same_lzs(packet: bytes, room: int) -> None:
    assert compression.make("lzs").shrink(packet, room) == NativeCompression("lzs").shrink(packet, room)


@given(st.sampled_from(METHODS), packets, st.integers(0, 300))
def test_what_is_shrunk_keeps_to_its_room(method: str, packet: bytes, room: int) -> None:
    for make_twin in TWINS:
        assert len(make_twin(method).shrink(packet, room) or b"") <= room


@given(packets, wild_flips, st.integers(0, 3000) | st.just(ROOM))
def test_the_twins_agree_on_damaged_lzs(packet: bytes, flips: Sequence[tuple[int, int]], room: int) -> None:
    bad = corrupt(NativeCompression("lzs").shrink(packet, ROOM) or b"", flips)
    assert expanded(NativeCompression("lzs"), bad, room) == expanded(compression.make("lzs"), bad, room)


streams = st.sampled_from([ESP_LZO, J9_PACKED, *(bytes.fromhex(data) for data, _ in J10)])


@given(
    st.lists(streams, min_size=1, max_size=3).map(b"".join) | st.binary(max_size=80),
    wild_flips,
    st.just(ROOM) | st.integers(0, 400),
)
def test_the_twins_agree_on_damaged_lzo(data: bytes, flips: Sequence[tuple[int, int]], room: int) -> None:
    bad = corrupt(data, flips)
    assert expanded(NativeCompression("lzo"), bad, room) == expanded(compression.make("lzo"), bad, room)


@given(packets, wild_flips, st.integers(0, 3000))
def test_damaged_lz4_is_refused_or_read_alike(packet: bytes, flips: Sequence[tuple[int, int]], room: int) -> None:
    """liblz4 refuses more than the reference, and it lets an offset of 0 pass."""
    bad = corrupt(NativeCompression("oc-lz4").shrink(packet, ROOM) or b"", flips)
    native, reference = (
        expanded(NativeCompression("oc-lz4"), bad, room),
        expanded(compression.make("oc-lz4"), bad, room),
    )
    assert native is None or len(native) <= room
    assert native is None or reference is None or native == reference


@given(st.lists(packets, min_size=1, max_size=4), wild_flips, st.just(ROOM) | st.integers(1, 400))
def test_the_twins_agree_on_a_damaged_deflate_stream(
    plain: list[bytes], flips: Sequence[tuple[int, int]], room: int
) -> None:
    sender, native, reference = NativeCompression("deflate"), NativeCompression("deflate"), compression.make("deflate")
    for packet in plain:
        bad = corrupt(sender.shrink(packet, ROOM) or b"", flips)
        errors = []
        outputs = []
        for twin in (native, reference):
            try:
                outputs.append(twin.expand(bad, room))
            except DAMAGED as exc:
                errors.append(str(exc))
        assert len(set(outputs)) <= 1 and len(set(errors)) <= 1 and not (outputs and errors)
