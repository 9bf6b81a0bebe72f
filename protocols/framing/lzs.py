"""LZS compression of one packet, whose history is the packet itself: the reference; the twin is lzs.c.

Bits are taken from the most significant bit of each byte:
    0 + 8 bits            literal byte
    11 + 7 bits, 1..127   match: offset, then a length
    10 + 11 bits, 1..2047 match: offset, then a length
    11 + 0000000          end marker; zero bits up to a byte; what follows is ignored
Lengths: 00 2, 01 3, 10 4, 1100 5, 1101 6, 1110 7, 1111 then nibbles: 8 + their sum, going on while a nibble is 1111.
Source: AnyConnect notes, section 8.2; RFC 1974.
"""

from __future__ import annotations

from protocols.errors import MalformedFrame

WINDOW = 2047  # bytes back that an offset reaches
SHORT_OFFSETS = 128  # offsets below take 7 bits
NIBBLE = 15  # a nibble of length after which another follows
LONG_LENGTH = 8  # the shortest length that is written in nibbles
MAX_CANDIDATES = 32  # places looked at for a match
MAX_PACKET = 16384  # bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0  # at: bits

    def take(self, n: int) -> int:
        """The next n (1..11) bits."""
        first, last = self.at >> 3, (self.at + n + 7) >> 3
        if last > len(self.data):
            raise MalformedFrame("lzs packet", got="its end", want="an end marker", at=len(self.data))
        bits = int.from_bytes(self.data[first:last], "big") >> (8 * last - self.at - n)
        self.at += n
        return bits & ((1 << n) - 1)

    def take_length(self, room: int) -> int:
        """Of a match; as soon as it is beyond `room` it may be less than it would be."""
        code = self.take(2)
        if code < 3:
            return 2 + code
        code = self.take(2)
        if code < 3:
            return 5 + code
        length, nibble = LONG_LENGTH, NIBBLE
        while nibble == NIBBLE and length <= room:
            nibble = self.take(4)
            length += nibble
        return length


def expand(data: bytes, room: int) -> bytes:
    """Raises MalformedFrame: no end marker, an offset that leads nowhere, more than `room` bytes."""
    reader, out = _Reader(data), bytearray()
    while True:
        if not reader.take(1):
            literal = reader.take(8)
            _check_room(1, room - len(out), reader)
            out.append(literal)
            continue
        short = reader.take(1)
        offset = reader.take(7 if short else 11)
        if short and not offset:
            return bytes(out)
        if not 1 <= offset <= len(out):
            raise MalformedFrame("lzs offset", got=offset, want=f"1..{len(out)}", at=reader.at >> 3)
        length = reader.take_length(room - len(out))
        _check_room(length, room - len(out), reader)
        for _ in range(length):  # byte by byte: a match may repeat itself
            out.append(out[-offset])


def _check_room(length: int, room: int, reader: _Reader) -> None:
    if length > room:
        raise MalformedFrame("lzs length", got=length, want=f"<= {room}", at=reader.at >> 3)


class _Writer:
    def __init__(self) -> None:
        self.out, self.bits, self.have = bytearray(), 0, 0

    def put(self, value: int, n: int) -> None:
        self.bits, self.have = self.bits << n | value, self.have + n
        while self.have >= 8:
            self.have -= 8
            self.out.append(self.bits >> self.have & 0xFF)
        self.bits &= (1 << self.have) - 1

    def put_match(self, offset: int, length: int) -> None:
        if offset < SHORT_OFFSETS:
            self.put(0b11 << 7 | offset, 9)
        else:
            self.put(0b10 << 11 | offset, 13)
        if length < 5:
            self.put(length - 2, 2)
        elif length < LONG_LENGTH:
            self.put(0b1100 | length - 5, 4)
        else:
            self.put(0b1111, 4)
            nibbles, last = divmod(length - LONG_LENGTH, NIBBLE)
            for _ in range(nibbles):
                self.put(NIBBLE, 4)
            self.put(last, 4)

    def finish(self) -> bytes:
        self.put(0b11 << 7, 9)
        self.put(0, -self.have % 8)
        return bytes(self.out)


def shrink(packet: bytes, room: int) -> bytes | None:
    """At most `room` bytes, or None.  The longest match of the last MAX_CANDIDATES, the nearest of equals."""
    if len(packet) > MAX_PACKET:
        return None
    writer = _Writer()
    places: dict[bytes, list[int]] = {}  # of each pair of bytes, in order
    at = 0
    while at < len(packet):
        if len(writer.out) > room:
            return None
        offset, length = _longest(packet, at, places.get(packet[at : at + 2], []))
        if length:
            writer.put_match(offset, length)
        else:
            writer.put(packet[at], 9)
        for place in range(at, min(at + max(length, 1), len(packet) - 1)):
            places.setdefault(packet[place : place + 2], []).append(place)
        at += max(length, 1)
    out = writer.finish()
    return out if len(out) <= room else None


def _longest(packet: bytes, at: int, places: list[int]) -> tuple[int, int]:
    """Offset and length of the best match for what is at `at`; (0, 0): none."""
    best = offset = 0
    for place in reversed(places[-MAX_CANDIDATES:]):
        if at - place > WINDOW:
            break
        same = 2
        while at + same < len(packet) and packet[at + same] == packet[place + same]:
            same += 1
        if same > best:
            best, offset = same, at - place
    return offset, best
