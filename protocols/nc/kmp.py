"""What is inside KMP messages 301, 302 and 303: groups of attributes.

    group      BE16 number, BE32 length, attributes
    attribute  BE16 number, BE32 length, value          lengths are those of the value alone

Source: juniper.md section 5.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.errors import ConfigurationRefused

HEAD = struct.Struct("!HI")
MAX_ATTRIBUTES = 4096  # of one message


@dataclass(frozen=True, slots=True)
class Attribute:
    group: int
    number: int
    value: bytes = field(repr=False)  # there are keys among them

    @property
    def name(self) -> str:
        """As the specification writes it: group/attribute."""
        return f"{self.group}/{self.number}"


def read(payload: bytes) -> list[Attribute]:
    """All attributes of a message, in order.  Raises ConfigurationRefused."""
    found: list[Attribute] = []
    for group, inside in _split(payload, "group"):
        for number, value in _split(inside, f"attribute of group {group}"):
            if len(found) >= MAX_ATTRIBUTES:
                raise bad(f"more than {MAX_ATTRIBUTES} attributes")
            found.append(Attribute(group, number, value))
    return found


def write(groups: Iterable[tuple[int, Iterable[tuple[int, bytes]]]]) -> bytes:
    """The payload of a message."""
    return b"".join(
        _one(group, b"".join(_one(number, value) for number, value in attributes)) for group, attributes in groups
    )


def number(attribute: Attribute, size: int) -> int:
    """An attribute that is a number of just so many bytes.  Raises ConfigurationRefused."""
    if len(attribute.value) != size:
        raise bad(f"attribute {attribute.name}: got {len(attribute.value)} bytes, want {size}")
    return int.from_bytes(attribute.value, "big")


def bad(text: str) -> ConfigurationRefused:
    return ConfigurationRefused("oncp-bad-config", text)


def _split(data: bytes, what: str) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < HEAD.size:
            raise bad(f"{what}: got {len(data) - at} bytes at byte {at}, want a head of {HEAD.size}")
        number, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        if length > len(data) - at:
            raise bad(f"{what} {number}: got a length of {length} at byte {at}, want at most {len(data) - at}")
        yield number, data[at : at + length]
        at += length


def _one(number: int, value: bytes) -> bytes:
    return HEAD.pack(number, len(value)) + value
