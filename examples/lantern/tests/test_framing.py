"""The framing: every cut of the stream gives the same packets, and no length is believed."""

from __future__ import annotations

import pytest
from lantern.framing import LANTERN, MAX_CONTROLS, MAX_PAYLOAD, Decoder, Encoder, Kind, first_frame

from vpnclient.api import Control, MalformedFrame, MemorySink, ProtocolError

V4 = bytes.fromhex("4500001c00000000401100000a4d00020a4d0001") + bytes(8)
V6 = bytes.fromhex("6000000000083a40") + bytes(32) + bytes(8)
WIRE = (
    bytes.fromhex("4c00001c") + V4  # written by hand, from the table in framing.py
    + bytes.fromhex("4c03000141")
    + bytes.fromhex("4c000030") + V6
    + bytes.fromhex("4c040000")
    + bytes.fromhex("4c000000")
    + bytes.fromhex("4c7f0002ffff")
)  # fmt: skip


def run(*pieces: bytes, slots: int = 64) -> tuple[list[bytes], list[Control], dict[str, int]]:
    """What a stream in pieces decodes to."""
    sink = MemorySink(slots)
    decoder = Decoder(sink)
    controls = []
    for piece in pieces:
        decoder.feed(piece)
        while (control := decoder.next_control()) is not None:
            controls.append(control)
    sink.flush()
    packets = []
    while (packet := sink.take()) is not None:
        packets.append(packet)
    return packets, controls, decoder.counters()


def test_a_stream_is_packets_and_control_frames() -> None:
    packets, controls, counters = run(WIRE)
    assert packets == [V4, V6]
    assert controls == [Control(Kind.PING, b"A"), Control(Kind.PONG)]
    assert counters == {
        "lantern_empty": 1,
        "lantern_sink_full": 0,
        "lantern_unknown_kind": 1,
        "lantern_control_overflow": 0,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 31, 33, len(WIRE)])
def test_every_cut_gives_the_same(size: int) -> None:
    assert run(*(WIRE[at : at + size] for at in range(0, len(WIRE), size))) == run(WIRE)


@pytest.mark.parametrize("at", range(len(WIRE)))
def test_every_cut_in_two_gives_the_same(at: int) -> None:
    assert run(WIRE[:at], WIRE[at:]) == run(WIRE)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("4d000000", "lantern mark: got '4d', want 4c (byte 0)"),
        ("4c00ffff", "lantern length: got 65535, want <= 16380 (byte 2)"),
        ("4c033ffd", "lantern length: got 16381, want <= 16380 (byte 2)"),
    ],
)
def test_a_header_that_cannot_be_ends_the_stream(wire: str, text: str) -> None:
    decoder = Decoder(MemorySink())
    for piece in (bytes.fromhex(wire), b"", WIRE):
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(piece)
        assert str(caught.value) == text
    with pytest.raises(MalformedFrame):
        first_frame(bytes.fromhex(wire))


def test_the_largest_frame() -> None:
    frame = Encoder().encode_control(Kind.PONG, bytes(MAX_PAYLOAD))
    assert len(frame) == 16384
    assert run(frame)[1] == [Control(Kind.PONG, bytes(MAX_PAYLOAD))]


def test_what_does_not_fit_is_not_encoded() -> None:
    for kind, payload in ((Kind.PONG, bytes(MAX_PAYLOAD + 1)), (256, b""), (-1, b"")):
        with pytest.raises(ValueError, match="want <= 16380"):
            Encoder().encode_control(kind, payload)


def test_what_is_encoded_is_decoded() -> None:
    encoder = Encoder()
    assert run(encoder.encode(V4) + encoder.encode_control(Kind.BYE, b"bye"))[:2] == ([V4], [Control(Kind.BYE, b"bye")])


def test_a_full_sink_is_counted() -> None:
    packets, _, counters = run(Encoder().encode(V4) * 3, slots=1)
    assert packets == [V4] and counters["lantern_sink_full"] == 2


def test_control_frames_that_nobody_takes_are_bounded() -> None:
    decoder = Decoder(MemorySink())
    decoder.feed(Encoder().encode_control(Kind.PING) * (MAX_CONTROLS + 5))
    assert decoder.counters()["lantern_control_overflow"] == 5


def test_the_first_frame_and_what_follows() -> None:
    assert first_frame(b"\x4c\x02\x00") is None
    assert first_frame(bytes.fromhex("4c02000561")) is None
    assert first_frame(bytes.fromhex("4c0200016162")) == (Control(Kind.CONFIG, b"a"), b"b")


def test_the_value_that_the_pump_gets() -> None:
    assert (LANTERN.name, LANTERN.max_payload) == ("lantern", 16380)
    assert isinstance(LANTERN.decoder(MemorySink()), Decoder) and isinstance(LANTERN.encoder(), Encoder)
