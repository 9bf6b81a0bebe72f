"""The first record each way of a DTLS tunnel; vectors of section 11."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.fortinet import hello
from protocols.fortinet.hello import Answer

OK = bytes.fromhex("001f4746747970650073767268656c6c6f0068616e647368616b65006f6b00")
FAIL = bytes.fromhex("00214746747970650073767268656c6c6f0068616e647368616b65006661696c00")
HEARTBEAT = bytes.fromhex("00134746747970650068656172746265617400")
LCP = bytes.fromhex("001650500010c0210101000e01040569050611223344")


def told(status: bytes) -> bytes:
    return hello.record(hello.ANSWER + status)


def test_what_we_say() -> None:
    said = "002647467479706500636c7468656c6c6f005356504e434f4f4b4945006131423263333d3d00"
    assert hello.encode(Secret("a1B2c3==")).hex() == said
    opaque = hello.encode(Secret("ab%0acd=="))  # Q12, Q17: as it is, and the length counts itself
    assert opaque[:2] == b"\x00\x27" and len(opaque) == 0x27 and opaque.endswith(b"\0ab%0acd==\0")


@pytest.mark.parametrize("size", [1, hello.MAX_COOKIE, hello.MAX_COOKIE + 1])
def test_a_cookie_that_is_too_long(size: int) -> None:
    assert hello.fits(Secret("x" * size)) is (size <= hello.MAX_COOKIE)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (OK, Answer.OK),
        (b"\x00\x1e" + OK[2:-1], Answer.OK),  # Q17: without the final NUL
        (FAIL, Answer.FAIL),
        (told(b"fail"), Answer.FAIL),
        (OK[:-1], Answer.FAIL),  # 001f in 30 bytes
        (OK + b"\0", Answer.FAIL),
        (bytes.fromhex("001c4746747970650073767268656c6c6f0068616e647368616b6500"), Answer.FAIL),
        (told(b"okay\0"), Answer.FAIL),
        (told(b"ok\0\0"), Answer.FAIL),
        (told(b"OK\0"), Answer.FAIL),
        (hello.record(b"ok\0"), Answer.FAIL),
        (hello.encode(Secret("a")), Answer.FAIL),
        (b"", Answer.FAIL),
        (b"\0", Answer.FAIL),
        (HEARTBEAT, Answer.NOTHING),
        (HEARTBEAT[:-1], Answer.FAIL),
        (LCP, Answer.PPP),  # Q18: the answer was lost
        (LCP + LCP, Answer.PPP),
        (LCP[:-1], Answer.FAIL),
        (b"\x00\x06PP\x00\x00", Answer.FAIL),  # no packet at all
        (bytes.fromhex("001750500010c0210101000e01040569050611223344"), Answer.FAIL),  # total is not len + 6
    ],
)
def test_what_the_gateway_says(data: bytes, answer: Answer) -> None:
    assert hello.decode(data) is answer


@given(st.binary(max_size=64) | st.binary(max_size=16).map(told) | st.binary(max_size=16).map(lambda end: OK + end))
def test_anything_has_a_meaning(data: bytes) -> None:
    answer = hello.decode(data)
    assert (answer is Answer.OK) is (data in (OK, told(b"ok")))
    assert answer is not Answer.PPP or (data[2:4] == b"PP" and data[:2] == (data[5] + 6).to_bytes(2, "big"))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";"), min_size=1))
def test_a_gateway_reads_what_we_say(cookie: str) -> None:
    said = hello.encode(Secret(cookie))
    assert hello.cookie_of(said) == cookie
    for bad in (said[:-1], said + b"\0", b"\0" + said, hello.record(said[2:-1]), OK, b""):
        assert hello.cookie_of(bad) == ""
    assert hello.cookie_of(hello.record(hello.HELLO + b"a\0b\0")) == ""
    assert hello.cookie_of(hello.record(hello.HELLO + b"\xff\0")) == ""
