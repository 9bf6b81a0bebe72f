"""NativeCodec, the generic wrapper; what each framing does is tested in tests/protocols/framing."""

from __future__ import annotations

import pytest

from transports.codec import CodecError, NativeCodec
from transports.errors import EngineError
from transports.sink import NativeSink


def test_an_unknown_framing_is_named() -> None:
    with pytest.raises(EngineError, match="no framing named 'lantern' in this engine"):
        NativeCodec("lantern")


def test_a_broken_stream_stays_broken_with_its_text() -> None:
    codec, sink = NativeCodec("cstp"), NativeSink.memory(1)
    for data in (b"not cstp at all", b"", b"more"):
        with pytest.raises(CodecError, match=r"cstp magic: got '6e6f7420', want 53544601 \(byte 0\)"):
            codec.feed(data, sink)


def test_a_framing_of_datagrams_is_none_of_streams() -> None:
    codec, sink = NativeCodec("esp"), NativeSink.memory(1)
    with pytest.raises(CodecError, match="framing esp is one of datagrams"):
        codec.feed(b"x", sink)
    codec.feed_datagram(b"\xff", sink)
    assert codec.counters()["esp_keepalive"] == 1


def test_counters_begin_at_zero() -> None:
    counters = NativeCodec("cstp").counters()
    assert "cstp_oversize" in counters and set(counters.values()) == {0}
