"""Form data as gateways want it: every other byte as %xx, a blank as %20, no field twice (section 2.1, Q10)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")

Pairs = Iterable[tuple[str, str]]


def encode(value: str | bytes) -> str:
    """In lower-case hex, as the reference client does: the HIP checksum is made over encoded text (section 10)."""
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in data)


def decode(value: str) -> bytes:
    """Once; `+` is a blank, a bad sequence stays as it is (section 8)."""
    return unquote_to_bytes(value.replace("+", " ").encode("utf-8", "surrogateescape"))


def form(pairs: Pairs) -> str:
    """A body.  A later value of a name takes the place of the earlier one (Q10)."""
    return "&".join(f"{name}={encode(value)}" for name, value in dict(pairs).items())
