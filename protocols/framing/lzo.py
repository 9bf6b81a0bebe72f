"""Expands LZO1X streams, as in Juniper's compressed ESP packets: the reference; the twin is lzo.c.

We never compress so.

x is the next byte; count(m): the low bits x & m, or if they are 0 255 for each zero byte, the first other byte, and m;
D: the next two bytes, little-endian; next: the next byte.  After a match come `t` literals, and t becomes the state.

    first byte > 17   x - 17 literals; state = their number, 4 if there are more
    00-0f, state 0    count(15) + 3 literals; state 4
    00-0f, state 1-3  match of 2, distance (x >> 2) + (next << 2) + 1; t = x & 3
    00-0f, state 4    match of 3, distance (x >> 2) + (next << 2) + 2049; t = x & 3
    10-1f             match of count(7) + 2, distance 16384 + ((x & 8) << 11) + (D >> 2); t = D & 3; the end: 11 00 00
    20-3f             match of count(31) + 2, distance (D >> 2) + 1; t = D & 3
    40-7f             match of 3 + (x >> 5 & 1), distance (next << 3) + (x >> 2 & 7) + 1; t = x & 3
    80-ff             match of 5 + (x >> 5 & 3), same distance; t = x & 3
Source: Juniper notes, section 8.5; the kernel's lzo.rst.
"""

from __future__ import annotations

from protocols.errors import MalformedFrame

FAR = 16384  # distances beyond have their own instruction; itself: the end marker
AFTER_LITERALS = 4  # state after a run of literals of four or more


def expand(data: bytes, room: int) -> bytes:
    """Raises MalformedFrame: damaged, more than `room` bytes, or bytes after the end marker."""
    return _Expander(data, room).run()


class _Expander:
    def __init__(self, data: bytes, room: int) -> None:
        self.data, self.room = data, room
        self.at, self.state = 0, 0
        self.out = bytearray()

    def run(self) -> bytes:
        if self.data and self.data[0] > 17:
            n = self.byte() - 17
            self.literals(n)
            self.state = min(n, AFTER_LITERALS)
        while self.step():
            pass
        return bytes(self.out)

    def step(self) -> bool:
        """One instruction; False: the end marker."""
        x = self.byte()
        if x < 0x10 and self.state == 0:
            self.literals(self.count(x, 15) + 3)
            self.state = AFTER_LITERALS
            return True
        if 0x10 <= x < 0x40:
            if not self.far_match(x):
                return False
        else:
            self.near_match(x)
        self.literals(self.state)
        return True

    def far_match(self, x: int) -> bool:
        length = self.count(x, 7 if x < 0x20 else 31) + 2
        d = self.byte() | self.byte() << 8
        distance = FAR + ((x & 8) << 11) + (d >> 2) if x < 0x20 else (d >> 2) + 1
        if x < 0x20 and distance == FAR:
            if x != 0x11 or d or self.at != len(self.data):
                raise MalformedFrame("lzo end marker", got=f"{x:02x}", want="110000 as the last bytes", at=self.at)
            return False
        self.match(distance, length)
        self.state = d & 3
        return True

    def near_match(self, x: int) -> None:
        following = self.byte()
        if x >= 0x10:
            length = 3 + (x >> 5 & 1) if x < 0x80 else 5 + (x >> 5 & 3)
            self.match((following << 3) + (x >> 2 & 7) + 1, length)
        elif self.state == AFTER_LITERALS:
            self.match((x >> 2) + (following << 2) + 2049, 3)
        else:
            self.match((x >> 2) + (following << 2) + 1, 2)
        self.state = x & 3

    def byte(self) -> int:
        if self.at == len(self.data):
            raise MalformedFrame("lzo stream", got="its end", want="an end marker", at=self.at)
        self.at += 1
        return self.data[self.at - 1]

    def count(self, x: int, mask: int) -> int:
        if x & mask:
            return x & mask
        n = mask
        while not (byte := self.byte()):
            n += 255
            self.check_room(n)
        return n + byte

    def literals(self, n: int) -> None:
        self.check_room(n)
        if n > len(self.data) - self.at:
            raise MalformedFrame("lzo literals", got=len(self.data) - self.at, want=n, at=self.at)
        self.out += self.data[self.at : self.at + n]
        self.at += n

    def match(self, distance: int, length: int) -> None:
        self.check_room(length)
        if distance > len(self.out):
            raise MalformedFrame("lzo distance", got=distance, want=f"1..{len(self.out)}", at=self.at)
        for _ in range(length):  # byte by byte: a match may repeat itself
            self.out.append(self.out[-distance])

    def check_room(self, n: int) -> None:
        if n > self.room - len(self.out):
            raise MalformedFrame("lzo output", got="more", want=f"<= {self.room} bytes", at=self.at)
