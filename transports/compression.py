"""The engine's compression methods, driven from Python: for tests, and for framings that are not in C."""

from __future__ import annotations

from transports.engine import ERROR_SIZE, errbuf, ffi, lib, text
from transports.errors import EngineError, TransportError

MAX_FRAME = 16384  # bytes; VE_MAX_PACKET


class CompressionError(TransportError):
    """A packet that cannot be expanded; of a stream, the stream too."""


def available(name: str) -> bool:
    """Whether this engine has the method: it may have been built without its library."""
    error = errbuf()
    native = lib.ve_compression_new(name.encode(), error, ERROR_SIZE)
    lib.ve_compression_free(native)
    return bool(native)


class NativeCompression:
    """A method of the engine, both directions of one connection."""

    def __init__(self, name: str) -> None:
        """Raises EngineError: no such method, or the engine was built without its library."""
        error = errbuf()
        native = lib.ve_compression_new(name.encode(), error, ERROR_SIZE)
        if not native:
            raise EngineError(text(error))
        self._name = name
        self._native = ffi.gc(native, lib.ve_compression_free)

    def shrink(self, packet: bytes, room: int = MAX_FRAME) -> bytes | None:
        """At most `room` bytes, or None: it does not fit."""
        out = ffi.new("uint8_t[]", room)
        n = lib.ve_compression_shrink(self._native, packet, len(packet), out, room)
        return bytes(ffi.buffer(out, n)) if n >= 0 else None

    def expand(self, data: bytes, room: int = MAX_FRAME) -> bytes:
        """Raises CompressionError."""
        out = ffi.new("uint8_t[]", room)
        n = lib.ve_compression_expand(self._native, data, len(data), out, room)
        if n < 0:
            reason = text(lib.ve_compression_error(self._native))
            raise CompressionError(reason or f"{self._name}: the packet is damaged or larger than {room} bytes")
        return bytes(ffi.buffer(out, n))
