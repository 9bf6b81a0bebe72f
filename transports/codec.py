"""The engine's framings, driven from Python: for tests, and as fast twins of protocols/framing/NAME.py.

Knows no framing by itself: kinds are plain numbers, a control frame is a pair (kind, payload).
"""

from __future__ import annotations

from collections.abc import Sequence

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import EngineError, TransportError
from transports.sink import NativeSink

MAX_FRAME = 65536  # bytes; room for the largest encoded frame of any framing


def is_native(framing: str) -> bool:
    """Whether the engine knows a framing of that name."""
    codec = lib.ve_codec_new(framing.encode(), errbuf(), ERROR_SIZE)
    lib.ve_codec_free(codec)  # NULL is fine
    return bool(codec)


class CodecError(TransportError):
    """The stream cannot go on; the text names the field, what came, what was wanted, and where."""


class NativeCodec:
    """A decoder and encoder of the engine."""

    def __init__(self, framing: str) -> None:
        error = errbuf()
        native = lib.ve_codec_new(framing.encode(), error, ERROR_SIZE)
        if not native:
            raise EngineError(text(error))
        self._framing = framing
        self._native = ffi.gc(native, lib.ve_codec_free)
        self._control = ffi.new("struct ve_control *")
        self._frame = ffi.new("uint8_t[]", MAX_FRAME)

    def feed(self, data: bytes, sink: NativeSink) -> None:
        """Take any number of bytes of the stream.  Packets go into the sink.  Raises CodecError, and then always."""
        if lib.ve_codec_feed(self._native, sink.native, data, len(data)) != lib.VE_OK:
            raise CodecError(text(lib.ve_codec_error(self._native)))

    def park(self, sink: NativeSink) -> None:
        """Between reads of the link: the packet that it is within must not hold back another link's in this sink."""
        lib.ve_codec_park(self._native, sink.native)

    def end(self) -> None:
        """The stream ended in order.  Raises CodecError: the framing does not allow an end here."""
        if lib.ve_codec_end(self._native) != lib.VE_OK:
            raise CodecError(text(lib.ve_codec_error(self._native)))

    def feed_datagram(self, data: bytes, sink: NativeSink) -> None:
        """One whole datagram; what is wrong with it is dropped and counted.  Raises CodecError for a stream framing."""
        if lib.ve_codec_datagram(self._native, sink.native, data, len(data)) != lib.VE_OK:
            raise CodecError(text(lib.ve_codec_error(self._native)))

    def feed_datagrams(self, datagrams: Sequence[bytes], sink: NativeSink) -> None:
        """Datagrams that came together: as one by one, and to some framings cheaper.  Raises CodecError as above."""
        held = [ffi.from_buffer(data) for data in datagrams]
        spans = ffi.new("struct ve_span[]", [(at, len(at)) for at in held])
        if lib.ve_codec_datagrams(self._native, sink.native, spans, len(held)) != lib.VE_OK:
            raise CodecError(text(lib.ve_codec_error(self._native)))

    def set(self, option: str, value: bytes) -> None:
        """Set an option that the framing names (keys, a negotiated map, ...).  Raises CodecError: refused."""
        if lib.ve_codec_set(self._native, option.encode(), value, len(value)) != lib.VE_OK:
            raise CodecError(text(lib.ve_codec_error(self._native)))

    def next_control(self) -> tuple[int, bytes] | None:
        if lib.ve_codec_next_control(self._native, self._control) != lib.VE_OK:
            return None
        return self._control.kind, bytes(ffi.buffer(self._control.payload, self._control.length))

    def encode(self, packet: bytes) -> bytes:
        """Raises CodecError: the packet does not fit a frame."""
        return self._encoded(lib.ve_codec_encode(self._native, packet, len(packet), self._frame, MAX_FRAME))

    def encode_together(self, packets: Sequence[bytes]) -> list[bytes]:
        """Packets that leave together.  Raises CodecError: one of them does not fit a frame."""
        frames = []
        for packet in packets:
            frame = ffi.new("uint8_t[]", MAX_FRAME)
            length = lib.ve_codec_encode_later(self._native, packet, len(packet), frame, MAX_FRAME)
            frames.append((frame, length))
        lib.ve_codec_finish(self._native)
        return [self._encoded(length, frame) for frame, length in frames]

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises CodecError: no such kind, or the payload does not fit a frame."""
        size = len(payload)
        return self._encoded(lib.ve_codec_encode_control(self._native, kind, payload, size, self._frame, MAX_FRAME))

    def counters(self) -> dict[str, int]:
        name, value = ffi.new("const char **"), ffi.new("uint64_t *")
        counters: dict[str, int] = {}
        while lib.ve_codec_counter(self._native, len(counters), name, value) == lib.VE_OK:
            counters[text(name[0])] = int(value[0])
        return counters

    def _encoded(self, length: int, frame: CData = None) -> bytes:
        if length < 0:
            raise CodecError(f"{self._framing}: the payload or its kind does not fit a frame")
        return bytes(ffi.buffer(frame or self._frame, length))
