"""oc-lz4 compression: a packet is one raw LZ4 block, without frame or size: the reference; lz4.c calls liblz4.

A block is sequences: a token (high nibble: literals, low: length of the match - 4), the rest of a count whose nibble is
15 (bytes to add, going on while one is 255), the literals, the offset (2 bytes, little-endian), the rest of the length.
The last has literals alone.

Each twin reads what the other wrote, but they need not write the same.  Of damaged blocks liblz4 refuses some that this
decoder still reads: those that break the rules for the last bytes of a block.
Source: AnyConnect notes, section 8.1; the LZ4 block format.
"""

from __future__ import annotations

from protocols.errors import MalformedFrame

MIN_MATCH = 4  # bytes
MORE = 15  # a nibble that goes on
WINDOW = 65535  # bytes back that an offset reaches
LAST_LITERALS = 5  # bytes at the end of a block that are literals
LAST_MATCH = 12  # bytes before the end within which no match begins
MAX_PACKET = 16384  # bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise MalformedFrame("lz4 block", got="its end", want=f"{n} more bytes", at=self.at)
        self.at += n
        return self.data[self.at - n : self.at]

    def count(self, nibble: int) -> int:
        total, more = nibble, nibble == MORE
        while more:
            byte = self.take(1)[0]
            total, more = total + byte, byte == 255
        return total


def expand(data: bytes, room: int) -> bytes:
    """Raises MalformedFrame: cut short, an offset that leads nowhere, more than `room` bytes."""
    reader, out = _Reader(data), bytearray()
    while True:
        token = reader.take(1)[0]
        out += reader.take(reader.count(token >> 4))
        if len(out) > room:
            raise MalformedFrame("lz4 output", got="more", want=f"<= {room} bytes", at=reader.at)
        if reader.at == len(data):
            return bytes(out)
        offset = int.from_bytes(reader.take(2), "little")
        if not 1 <= offset <= len(out):
            raise MalformedFrame("lz4 offset", got=offset, want=f"1..{len(out)}", at=reader.at - 2)
        length = MIN_MATCH + reader.count(token & 15)
        if length > room - len(out):
            raise MalformedFrame("lz4 output", got="more", want=f"<= {room} bytes", at=reader.at)
        for _ in range(length):  # byte by byte: a match may repeat itself
            out.append(out[-offset])


def shrink(packet: bytes, room: int) -> bytes | None:
    """At most `room` bytes, or None."""
    if len(packet) > MAX_PACKET:
        return None
    out = bytearray()
    newest: dict[bytes, int] = {}  # where these four bytes were seen last
    at = done = 0  # done: what is in out
    while at <= len(packet) - LAST_MATCH:
        four = packet[at : at + MIN_MATCH]
        place = newest.get(four, -1)
        newest[four] = at
        if place < 0 or at - place > WINDOW:
            at += 1
            continue
        length = MIN_MATCH
        while at + length < len(packet) - LAST_LITERALS and packet[at + length] == packet[place + length]:
            length += 1
        out += _sequence(packet[done:at], (at - place, length))
        at = done = at + length
    out += _sequence(packet[done:], None)
    return bytes(out) if len(out) <= room else None


def _sequence(literals: bytes, match: tuple[int, int] | None) -> bytes:
    offset, length = match or (0, MIN_MATCH)
    high, low = len(literals), length - MIN_MATCH
    head = bytes([min(high, MORE) << 4 | min(low, MORE)]) + _rest(high) + literals
    return head + offset.to_bytes(2, "little") + _rest(low) if match else head


def _rest(count: int) -> bytes:
    """The bytes of a count that its nibble does not hold."""
    if count < MORE:
        return b""
    full, last = divmod(count - MORE, 255)
    return b"\xff" * full + bytes([last])
