"""The first record each way of a DTLS tunnel (section 6): whose it is, and whether the gateway lets it be.

    length16 of the whole record, these two bytes included | GFtype 00 | clthello 00 SVPNCOOKIE 00 cookie 00
                                                                       | svrhello 00 handshake 00 ok|fail [00]
                                                                       | heartbeat 00

The answer is sent once only: where it was lost, the gateway's first PPP record says the same.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from protocols.framing.ppp_prefixed import CONTROL_MARK, FORTINET_PREFIX, HEARTBEAT, RECORD_HEADER, fortinet_length

if TYPE_CHECKING:
    from protocols.base import Secret

MAX_COOKIE = 1150  # bytes; a longer one may not fit a record of the path
HELLO = CONTROL_MARK + b"clthello\0SVPNCOOKIE\0"
ANSWER = CONTROL_MARK + b"svrhello\0handshake\0"


class Answer(Enum):
    """OK: PPP may begin.  PPP: it has begun, the record belongs to it.  FAIL: no, or not to be understood.
    NOTHING: a sign of life, and no answer yet.
    """

    OK = auto()
    PPP = auto()
    FAIL = auto()
    NOTHING = auto()


def fits(cookie: Secret) -> bool:
    return len(cookie.reveal()) <= MAX_COOKIE


def encode(cookie: Secret) -> bytes:
    """What we say.  cookie: printable ASCII that fits."""
    return record(HELLO + cookie.reveal().encode("ascii") + b"\0")


def decode(data: bytes) -> Answer:
    """What the first record from the gateway means (Q17, Q18)."""
    if _is_ppp(data):
        return Answer.PPP
    if int.from_bytes(data[:RECORD_HEADER], "big") != len(data):
        return Answer.FAIL
    if data[RECORD_HEADER:] == HEARTBEAT:
        return Answer.NOTHING
    return Answer.OK if data[RECORD_HEADER:] in (ANSWER + b"ok", ANSWER + b"ok\0") else Answer.FAIL


def record(text: bytes) -> bytes:
    """A control record: its length counts itself.  text: short enough for 16 bits."""
    return (len(text) + RECORD_HEADER).to_bytes(RECORD_HEADER, "big") + text


def cookie_of(data: bytes) -> str:
    """The cookie of a client's hello, as a gateway reads it; empty: it is none."""
    text = data[RECORD_HEADER:]
    if (
        int.from_bytes(data[:RECORD_HEADER], "big") != len(data)
        or not text.startswith(HELLO)
        or not text.endswith(b"\0")
    ):
        return ""
    cookie = text[len(HELLO) : -1]
    return cookie.decode("ascii") if cookie.isascii() and b"\0" not in cookie else ""


def _is_ppp(data: bytes) -> bool:
    """A whole packet at the beginning, at least."""
    length = fortinet_length(data[:FORTINET_PREFIX]) if len(data) > FORTINET_PREFIX else None
    return length is not None and length <= len(data) - FORTINET_PREFIX
