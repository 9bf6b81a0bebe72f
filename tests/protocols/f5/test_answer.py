"""What comes by DTLS after the request for a tunnel (section 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import CookieRejected, DatagramsImpossible, MalformedAnswer, ProtocolError
from protocols.f5 import answer
from tests.protocols.refusals import refused

PPP = bytes.fromhex("f5000016ff03c021010100120104057805061122334407020802")  # section 12
HEAD = b"HTTP/1.0 200 OK\r\nContent-length: 0\r\nX-VPN-client-IP: 10.11.1.2\r\n\r\n"


def test_an_answer() -> None:
    found = answer.parse(HEAD)
    assert found is not None and (found.status, found.reason, found.http_version) == (200, "OK", "1.0")
    assert found.header("x-vpn-client-ip") == "10.11.1.2" and found.body == b""
    answer.judge(found)


def test_what_follows_in_the_record_is_kept() -> None:
    found = answer.parse(HEAD + PPP)
    assert found is not None and found.body == PPP


@pytest.mark.parametrize("record", [b"HTTP/1.1 201 Created", b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 OK\r\nA:b\r\n"])
def test_the_end_of_the_record_ends_the_head(record: bytes) -> None:
    found = answer.parse(record)
    assert found is not None and found.status in (200, 201)
    answer.judge(found)


@pytest.mark.parametrize(
    "record",
    [
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1. 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\n\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX:" + b" " * 16000 + b"\n\r\n\r\n",  # once took hours: the cube of the spaces
    ],
)
def test_what_is_no_head_has_a_name(record: bytes) -> None:
    with refused(MalformedAnswer, "dtls-bad-answer"):
        answer.parse(record)


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        ("403 Forbidden", CookieRejected, r"session-rejected: .*403 Forbidden, by DTLS"),
        ("404 Not Found", CookieRejected, "session-rejected"),
        ("504 Gateway Timeout", DatagramsImpossible, "got HTTP status 504 Gateway Timeout by DTLS, want 200"),
        ("302 Found", DatagramsImpossible, "302"),
        ("503 Busy", DatagramsImpossible, "503"),
    ],
)
def test_what_a_status_means(status: str, error: type[ProtocolError], text: str) -> None:
    found = answer.parse(f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert found is not None
    with refused(error, text):
        answer.judge(found)


@pytest.mark.parametrize(
    ("record", "good"),
    [
        (PPP, True),
        (PPP + b"more", True),
        (PPP[:-1], False),
        (b"\xf5\0\0\0", False),
        (b"\xf5\0\0", False),
        (b"\xf5\1" + PPP[2:], False),
        (b"", False),
        (HEAD, False),
    ],
)
def test_a_packet_of_ppp_counts_as_an_answer(record: bytes, good: bool) -> None:
    assert answer.is_ppp(record) is good
    assert (answer.parse(record) is None) is (record != HEAD)


PARTS = [b"HTTP/1.", b"1 200 OK", b"\r\n", b"X: y", b":", b"\xf5\0", b"403", b" "]
HEADS = st.lists(st.sampled_from(PARTS), max_size=12)


@given(st.binary(max_size=200) | HEADS.map(b"".join) | HEADS.map(lambda parts: b"HTTP/1." + b"".join(parts)))
def test_anything_is_an_answer_nothing_or_a_named_error(record: bytes) -> None:
    try:
        found = answer.parse(record)
        if found is not None:
            answer.judge(found)
    except ProtocolError as exc:
        assert isinstance(exc, MalformedAnswer | CookieRejected | DatagramsImpossible)
    else:
        assert found is None or found.status in (200, 201)
