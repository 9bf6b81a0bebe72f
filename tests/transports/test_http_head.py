"""The head reader: lenient where gateways need it, bounded everywhere, indifferent to chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.errors import HttpError
from transports.http_head import MAX_EMPTY_LINES, MAX_HEAD, MAX_HEADERS, MAX_LINE, Head, HeadReader


def read(*pieces: bytes) -> tuple[Head | None, bytes]:
    reader = HeadReader("gw")
    for piece in pieces:
        reader.feed(piece)
        head = reader.next_head()
        if head is not None:
            rest = reader.unread + b"".join(pieces[pieces.index(piece) + 1 :])
            return head, rest
    return None, b""


def outcome(pieces: list[bytes]) -> object:
    reader = HeadReader("gw")
    fed = b""
    try:
        for piece in pieces:
            reader.feed(piece)
            fed += piece
            head = reader.next_head()
            if head is not None:
                return head, b"".join(pieces)[len(fed) - len(reader.unread) :]
    except HttpError as exc:
        return str(exc)
    return None


def test_status_line_headers_and_the_bytes_after() -> None:
    head, rest = read(b"HTTP/1.1 200 CONNECTED\r\nX-CSTP-MTU: 1390\r\nx-cstp-mtu:  9 \r\n\r\nSTF\x01")
    assert head == Head("1.1", 200, "CONNECTED", (("X-CSTP-MTU", "1390"), ("x-cstp-mtu", "9")))
    assert head.values("X-Cstp-Mtu") == ["1390", "9"]
    assert rest == b"STF\x01"


def test_bare_line_feeds_and_a_missing_reason() -> None:
    head, rest = read(b"HTTP/1.0 302\nA: b\n\n\n")
    assert head == Head("1.0", 302, "", (("A", "b"),))
    assert rest == b"\n"


def test_continuation_lines_are_joined() -> None:
    head, _ = read(b"HTTP/1.1 200 OK\r\nA: one\r\n \t two\r\n\tthree\r\nB: x\r\n\r\n")
    assert head is not None and head.headers == (("A", "one two three"), ("B", "x"))


def test_continuation_of_the_status_line_is_ignored() -> None:
    head, _ = read(b"HTTP/1.1 200 OK\r\n oops: 1\r\nB: x\r\n\r\n")
    assert head is not None and head.headers == (("B", "x"),)


@pytest.mark.parametrize("line", [b"no colon here", b'<a xmlns:b="c">', b": empty name", b"two words: x"])
def test_lines_that_are_no_headers_are_ignored(line: bytes) -> None:
    head, _ = read(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n  its continuation\r\nB: x\r\n\r\n")
    assert head is not None and head.headers == (("B", "x"),)
    assert head.ignored == 1


def test_blank_before_the_colon_is_dropped() -> None:
    head, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n")
    assert head is not None and head.values("content-length") == ["5"]


def test_control_characters_in_a_value_become_spaces() -> None:
    head, _ = read(b"HTTP/1.1 200 OK\r\nA: b\0c\rd\r\n\r\n")
    assert head is not None and head.values("A") == ["b c d"]


def test_values_are_utf8_else_latin1() -> None:
    head, _ = read("HTTP/1.1 200 OK\r\nA: ü\r\n".encode() + b"B: \xfc\r\n\r\n")
    assert head is not None and head.headers == (("A", "ü"), ("B", "ü"))


@pytest.mark.parametrize(
    "line",
    [b"SSH-2.0-OpenSSH", b"HTTP/2 200", b"HTTP/1.2 200 OK", b"HTTP/1.1 99 x", b"HTTP/1.1 600 x", b"HTTP/1.1 2000 x",
     b"HTTP/1.1 \xb2\xb2\xb2 x", b"http/1.1 200 OK", b"\x15\x03\x01\x00\x02\x02"],
)  # fmt: skip
def test_what_is_not_http_is_refused_at_its_first_line(line: bytes) -> None:
    with pytest.raises(HttpError, match="want an HTTP/1 status line"):
        read(line + b"\r\n")


def test_stray_empty_lines_before_the_status_line() -> None:
    assert read(b"\r\n" * MAX_EMPTY_LINES + b"HTTP/1.1 200 OK\r\n\r\n")[0] is not None
    with pytest.raises(HttpError, match="got empty lines"):
        read(b"\r\n" * (MAX_EMPTY_LINES + 1))


def test_an_interim_head_is_followed_by_the_next() -> None:
    reader = HeadReader("gw")
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nrest")
    first, second = reader.next_head(), reader.next_head()
    assert first is not None and first.status == 100 and first.headers == ()
    assert second is not None and second.status == 200
    assert reader.unread == b"rest"


def test_a_line_without_end_is_refused() -> None:
    reader = HeadReader("gw")
    reader.feed(b"HTTP/1.1 200 OK\r\nA: " + b"x" * (MAX_LINE - 3))
    assert reader.next_head() is None
    reader.feed(b"x")
    with pytest.raises(HttpError, match=f"exceeds {MAX_LINE} bytes"):
        reader.next_head()


def test_continuations_count_for_the_line() -> None:
    piece = b" " + b"x" * 999 + b"\r\n"
    with pytest.raises(HttpError, match=f"exceeds {MAX_LINE} bytes"):
        read(b"HTTP/1.1 200 OK\r\nA: b\r\n" + piece * (MAX_LINE // 1000 + 1))


def test_a_head_without_end_is_refused() -> None:
    reader = HeadReader("gw")
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    line = b"A: " + b"x" * 60000 + b"\r\n"
    with pytest.raises(HttpError, match=f"head exceeds {MAX_HEAD} bytes"):
        for _ in range(MAX_HEAD // len(line) + 1):
            reader.feed(line)
            assert reader.next_head() is None


def test_too_many_headers_are_refused() -> None:
    assert read(b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * MAX_HEADERS + b"\r\n")[0] is not None
    with pytest.raises(HttpError, match=f"more than {MAX_HEADERS} headers"):
        read(b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * (MAX_HEADERS + 1))


def test_no_error_shows_a_header_value() -> None:
    with pytest.raises(HttpError) as caught:
        read(b"HTTP/1.1 200 OK\r\nSet-Cookie: webvpn=TOPSECRET" + b"x" * MAX_LINE)
    assert "TOPSECRET" not in str(caught.value)
    head, _ = read(b"HTTP/1.1 200 OK\r\nSet-Cookie: webvpn=TOPSECRET\r\n\r\n")
    assert "TOPSECRET" not in repr(head)


LINES = st.sampled_from([b"\r\n", b"\n", b" ", b":", b"A", b"A: b", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 100\n", b"\0"])


@given(st.lists(LINES | st.binary(max_size=8), max_size=30).map(b"".join))
def test_chunking_never_changes_the_meaning(data: bytes) -> None:
    assert outcome([data]) == outcome([data[i : i + 1] for i in range(len(data))])
