"""CSTP inside DTLS records: one suite over the Python reference and its C twin, then each against the other.

Fuzz invariant: whatever records come, both twins hand out the same packets, control frames and counters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import compression, cstp_dtls
from protocols.framing.cstp import Kind
from protocols.framing.cstp_dtls import MAX_SENT
from tests.protocols.framing import twins
from tests.protocols.framing.twins import REFUSED, outcome
from tests.transports.packets import ipv4, ipv6
from transports.codec import NativeCodec
from transports.sink import MemorySink, NativeSink

METHODS = ("lzs", "oc-lz4")


class PythonTwin:
    def __init__(self, method: str = "", slots: int = 64) -> None:
        self.sink = MemorySink(slots)
        make = partial(compression.make, method) if method else lambda: None
        self._decoder, encoder = cstp_dtls.Decoder(self.sink, make()), cstp_dtls.Encoder(make())
        self.feed, self.counters = self._decoder.feed_datagram, self._decoder.counters
        self.encode, self.encode_control = encoder.encode, encoder.encode_control

    def control(self) -> tuple[int, bytes] | None:
        frame = self._decoder.next_control()
        return None if frame is None else (frame.kind, frame.payload)


class NativeTwin:
    def __init__(self, method: str = "", slots: int = 64) -> None:
        self.sink = NativeSink.memory(slots)
        self.codec = NativeCodec("cstp-dtls")
        if method:
            self.codec.set("cstp.compression", method.encode())
        self.control, self.counters = self.codec.next_control, self.codec.counters
        self.encode, self.encode_control = self.codec.encode, self.codec.encode_control

    def feed(self, data: bytes) -> None:
        self.codec.feed_datagram(data, self.sink)


Make = Callable[..., twins.Twin]
TWINS: list[Make] = [PythonTwin, NativeTwin]


@pytest.fixture(params=TWINS, ids=["python", "native"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def test_records_of_every_type(make: Make) -> None:  # section 6.7
    records = [
        b"\0" + ipv4(84),
        b"\x03ABCDE",
        b"\0" + ipv6(1400),
        b"\x04" + bytes(1300),
        b"\x07",
        b"\x05\xb0bye",
        b"\x09",
        b"\x08squeezed",
        b"\x06?",
        b"\0",
        b"",
        b"\0no packet at all, this one",
    ]
    seen = outcome(make(), records)
    assert seen.packets == (ipv4(84), ipv6(1400))
    assert seen.controls == ((3, b"ABCDE"), (4, bytes(1300)), (7, b""))
    assert seen.counted() == {
        "cstp_dtls_empty": 2,
        "cstp_dtls_unknown_type": 1,
        "cstp_dtls_meaningless": 2,
        "cstp_dtls_not_negotiated": 1,
    }
    assert seen.sink.not_ip == 1 and seen.error == ""


def test_what_is_sent(make: Make) -> None:
    twin = make()
    assert twin.encode(ipv4(84)) == b"\0" + ipv4(84)
    assert twin.encode_control(Kind.DPD_REQUEST, b"ABCDE") == b"\x03ABCDE"
    assert len(twin.encode(ipv4(MAX_SENT))) == MAX_SENT + 1
    for kind, payload in ((0, bytes(MAX_SENT + 1)), (256, b"")):
        with pytest.raises(REFUSED):
            twin.encode_control(kind, payload)


@pytest.mark.parametrize("method", METHODS)
def test_compressed_packets_both_ways(make: Make, method: str) -> None:  # section 8
    twin = make(method)
    packet = ipv4(800)
    record = twin.encode(packet)
    assert record[0] == Kind.COMPRESSED and len(record) < len(packet)
    assert twin.encode(ipv4(39)) == b"\0" + ipv4(39)  # not worth it
    seen = outcome(twin, [record, b"\x08\xff\xff\xff", b"\0" + packet])
    assert seen.packets == (packet, packet)
    assert seen.counted() == {"cstp_dtls_expanded": 1, "cstp_dtls_bad_compressed": 1}


def test_a_full_sink_costs_the_packet(make: Make) -> None:
    seen = outcome(make(slots=1), [b"\0" + ipv4(40), b"\0" + ipv4(41)])
    assert seen.packets == (ipv4(40),) and seen.counted() == {"cstp_dtls_sink_full": 1}


def test_a_flood_of_control_frames_is_bounded(make: Make) -> None:
    seen = outcome(make(), [b"\x03"] * 100)
    assert len(seen.controls) == 64 and seen.counted() == {"cstp_dtls_control_overflow": 36}


def test_deflate_is_never_for_datagrams() -> None:
    with pytest.raises(Exception, match="want lzs, oc-lz4 or none"):
        NativeCodec("cstp-dtls").set("cstp.compression", b"deflate")


records = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.tuples(st.sampled_from([0, 3, 4, 5, 7, 8, 9, 200]), st.binary(max_size=80)).map(
            lambda t: bytes([t[0]]) + t[1]
        ),
        st.integers(20, 300).map(lambda n: b"\0" + ipv4(n)),
    ),
    max_size=30,
)


@given(records, st.sampled_from(["", "lzs"]))
def test_the_twins_agree(sent: Sequence[bytes], method: str) -> None:
    assert outcome(PythonTwin(method), sent) == outcome(NativeTwin(method), sent)
