"""HDLC-like framing (RFC 1662): octet stuffing and the FCS-16; the reference of hdlc.c.

    7e  packet and its FCS, stuffed  7e       one flag may end a frame and begin the next

Stuffing: 7e, 7d and the control characters of the map become 7d and the byte with bit 0x20 turned.
Source: PPP notes, sections 3 and 4.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache

FLAG = 0x7E
ESCAPE = 0x7D
FLIP = 0x20
FCS_START = 0xFFFF
FCS_GOOD = 0xF0B8  # the register after a frame and its FCS
FCS_SIZE = 2
ACCM_ALL = 0xFFFFFFFF
MIN_FRAME = 4  # bytes un-stuffed, with the FCS


def _left_by(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x8408 if byte & 1 else byte >> 1
    return byte


TABLE = tuple(_left_by(byte) for byte in range(256))


def fcs16(data: bytes | bytearray, fcs: int = FCS_START) -> int:
    """The register after these bytes; sent is its complement, low byte first."""
    for byte in data:
        fcs = fcs >> 8 ^ TABLE[(fcs ^ byte) & 0xFF]
    return fcs


@lru_cache(maxsize=8)
def _stuffed(accm: int) -> tuple[bytes, ...]:
    """What each byte is sent as."""
    special = {FLAG, ESCAPE, *(byte for byte in range(32) if accm >> byte & 1)}
    return tuple(bytes([ESCAPE, byte ^ FLIP]) if byte in special else bytes([byte]) for byte in range(256))


def encode(packet: bytes, accm: int) -> bytes:
    """A whole frame; accm: the sending map."""
    stuffed = _stuffed(accm)
    check = (fcs16(packet) ^ 0xFFFF).to_bytes(FCS_SIZE, "little")
    return b"".join([b"\x7e", *(stuffed[byte] for byte in packet + check), b"\x7e"])


class End(Enum):
    """What a frame turned out to be."""

    EMPTY = auto()  # idle fill, or a shared flag
    GOOD = auto()
    ABORTED = auto()
    SHORT = auto()
    BAD_FCS = auto()
    TOO_LONG = auto()


class Unstuffer:
    """The frame under way."""

    def __init__(self, limit: int) -> None:
        """limit: bytes un-stuffed that a frame may have, with the FCS."""
        self.frame = bytearray()  # un-stuffed so far
        self.overflown = False  # it was too long: eaten up to the next flag
        self._limit = limit
        self._escaped = False

    def push(self, piece: bytes) -> None:
        """Bytes between flags."""
        at = 0
        while at < len(piece) and not self.overflown:
            if len(self.frame) == self._limit:
                self.overflown = True
            elif self._escaped:
                self.frame.append(piece[at] ^ FLIP)
                self._escaped = False
                at += 1
            elif piece[at] == ESCAPE:
                self._escaped = True
                at += 1
            else:
                end = piece.find(ESCAPE, at)
                end = min(len(piece) if end < 0 else end, at + self._limit - len(self.frame))
                self.frame += piece[at:end]
                at = end

    def end(self) -> End:
        """A flag came.  The frame stays until clear()."""
        if self.overflown:
            return End.TOO_LONG
        if not self.frame:
            return End.EMPTY
        if self._escaped:
            return End.ABORTED
        if len(self.frame) < MIN_FRAME:
            return End.SHORT
        return End.GOOD if fcs16(self.frame) == FCS_GOOD else End.BAD_FCS

    def clear(self) -> None:
        self.frame.clear()
        self.overflown = self._escaped = False
