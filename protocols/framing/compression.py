"""Compression of packets, by name: the references; the twins are compression.c and a file for each method.

    lzs      each packet by itself                     lzs.py      AnyConnect notes, section 8.2
    oc-lz4   each packet by itself                     lz4.py      section 8.1
    deflate  a stream each way, with a checksum        deflate.py  section 8.3
    lzo      each packet by itself; only expands       lzo.py      Juniper notes, section 8.5

One object serves one direction of one connection.
"""

from __future__ import annotations

from typing import Protocol

from protocols.framing import lz4, lzo, lzs
from protocols.framing.deflate import Deflate


class Compression(Protocol):
    """A method."""

    @property
    def stateful(self) -> bool:
        """A stream: what cannot be expanded ends it."""

    def shrink(self, packet: bytes, room: int) -> bytes | None:
        """At most `room` bytes, or None: it does not fit; send the packet as it is."""

    def expand(self, data: bytes, room: int) -> bytes:
        """Raises MalformedFrame: damaged, or more than `room` bytes of packet."""


class Lzs:
    """LZS."""

    stateful = False
    shrink, expand = staticmethod(lzs.shrink), staticmethod(lzs.expand)


class Lz4:
    """oc-lz4."""

    stateful = False
    shrink, expand = staticmethod(lz4.shrink), staticmethod(lz4.expand)


class Lzo:
    """LZO1X, which only gateways use."""

    stateful = False
    expand = staticmethod(lzo.expand)

    @staticmethod
    def shrink(packet: bytes, room: int) -> bytes | None:
        return None


def make(name: str) -> Compression:
    """Raises ValueError: no such method."""
    match name:
        case "lzs":
            return Lzs()
        case "oc-lz4":
            return Lz4()
        case "deflate":
            return Deflate()
        case "lzo":
            return Lzo()
    raise ValueError(f"no compression named {name!r}")
