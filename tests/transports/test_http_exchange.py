"""Framing of requests and answers, without sockets."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http_doubles import answer
from transports.errors import ConnectionLost, HttpError, TransportError
from transports.http_exchange import MAX_BODY, MAX_INTERIM, MAX_OVERHEAD, Exchange, GaveNoAnswer, Request

HOST = (("Host", "gw"),)


def exchanged(*pieces: bytes, method: str = "GET", eof: bool = False, head_only: bool = False) -> Exchange:
    exchange = Exchange(Request(method, "/", HOST), "gw", head_only=head_only)
    exchange.to_send()
    for piece in pieces:
        exchange.feed(piece)
    if eof:
        exchange.feed_eof()
    return exchange


def outcome(pieces: list[bytes]) -> object:
    try:
        exchange = exchanged(*pieces, eof=False)
        if not exchange.done:
            exchange.feed_eof()
    except TransportError as exc:
        return type(exc), str(exc)
    assert exchange.done
    return exchange.head, exchange.body, exchange.unread


# --- requests --------------------------------------------------------------------------------------------------


def test_a_request_is_written_as_given() -> None:
    request = Request(
        "POST", "/x?y=1", (("Host", "gw:8443"), ("X-Aggregate-Auth", "1"), ("Content-Length", "3")), b"abc"
    )
    assert Exchange(request, "gw").to_send() == (
        b"POST /x?y=1 HTTP/1.1\r\nHost: gw:8443\r\nX-Aggregate-Auth: 1\r\nContent-Length: 3\r\n\r\nabc"
    )


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\ud800"])
def test_header_injection_is_refused_without_showing_the_value(text: str) -> None:
    with pytest.raises(HttpError) as caught:
        Request("GET", "/", (*HOST, ("Cookie", text)))
    assert "Evil" not in str(caught.value) and "Cookie" in str(caught.value)


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nX: y", "/\0", "/ü"])
def test_target_injection_is_refused(target: str) -> None:
    with pytest.raises(HttpError):
        Request("GET", target, HOST)


@pytest.mark.parametrize(
    ("method", "name"), [("GET /x", "A"), ("get", "A"), ("", "A"), ("GET", "A:b"), ("GET", "A\r\nB")]
)
def test_bad_methods_and_names_are_refused(method: str, name: str) -> None:
    with pytest.raises(HttpError):
        Request(method, "/", (*HOST, (name, "b")))


def test_a_wrong_length_is_refused_without_quoting_headers() -> None:
    request = Request("POST", "/", (*HOST, ("Cookie", "TOPSECRET"), ("Content-Length", "5")), b"abc")
    with pytest.raises(HttpError) as caught:
        Exchange(request, "gw").to_send()
    assert "TOPSECRET" not in str(caught.value)


def test_repr_shows_neither_headers_nor_body() -> None:
    assert "SECRET" not in repr(Request("POST", "/", (("Cookie", "SECRET"),), b"SECRET"))


# --- where a body ends -----------------------------------------------------------------------------------------


def test_content_length_and_reuse() -> None:
    exchange = exchanged(answer(b"abc"))
    assert exchange.body == b"abc" and exchange.reusable


def test_chunked_with_extensions_blanks_and_trailers() -> None:
    exchange = exchanged(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3  \r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX: y\r\n\r\n"
    )
    assert exchange.body == b"abcde" and exchange.reusable


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n"])
def test_read_to_eof_only_where_the_connection_closes(head: bytes) -> None:  # Q30
    exchange = exchanged(head + b"abc", b"def", eof=True)
    assert exchange.body == b"abcdef" and not exchange.reusable


def test_http11_without_length_and_without_close_is_an_error() -> None:
    with pytest.raises(HttpError, match="without length that does not close"):
        exchanged(b"HTTP/1.1 200 OK\r\n\r\n")


def test_http10_is_never_reused_even_if_it_says_keep_alive() -> None:  # Q5
    exchange = exchanged(answer(b"abc", "Connection: Keep-Alive", version="1.0"))
    assert exchange.body == b"abc" and not exchange.reusable


def test_connection_close_is_not_reused() -> None:
    assert not exchanged(answer(b"abc", "Connection: close")).reusable


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_that_never_have_a_body(status: str) -> None:
    assert exchanged(f"HTTP/1.1 {status}\r\n\r\n".encode()).reusable


def test_head_requests_have_no_body() -> None:
    exchange = exchanged(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", method="HEAD")
    assert exchange.body == b"" and exchange.reusable


def test_bytes_after_the_answer_prevent_reuse() -> None:
    exchange = exchanged(answer(b"abc") + b"HTTP/1.1 200 smuggled\r\n")
    assert exchange.body == b"abc" and not exchange.reusable and exchange.unread.startswith(b"HTTP")


@pytest.mark.parametrize("status", ["200 CONNECTED", "401 Unauthorized"])
def test_head_only_leaves_every_byte_after_the_head(status: str) -> None:  # Q29
    exchange = exchanged(f"HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\n".encode() + b"STF\x01", head_only=True)
    assert exchange.done and exchange.unread == b"STF\x01" and not exchange.reusable


def test_a_length_in_a_2xx_to_connect_means_nothing() -> None:  # auth-helpers Q16
    exchange = exchanged(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", method="CONNECT")
    assert exchange.done and exchange.unread == b"xyz"


def test_interim_answers_are_skipped() -> None:
    exchange = exchanged(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + answer(b"abc"))
    assert exchange.head.status == 200 and exchange.body == b"abc" and exchange.reusable


@pytest.mark.parametrize("head", [b"HTTP/1.1 100 C\r\n\r\n" * (MAX_INTERIM + 1), b"HTTP/1.1 101 Switching\r\n\r\n"])
def test_endless_interim_answers_and_upgrades_are_refused(head: bytes) -> None:
    with pytest.raises(HttpError, match="got interim answer"):
        exchanged(head)


# --- hostile answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: -1",
        "Content-Length: abc",
        "Content-Length: 1e3",
        "Content-Length:",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 99999999999999999999999",
        f"Content-Length: {MAX_BODY + 1}",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
    ],
)
def test_bad_lengths_are_refused_on_the_head_alone(headers: str) -> None:
    with pytest.raises(HttpError):
        exchanged(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "chunks", [b"-1\r\n", b"xyz\r\n", b"\r\n", b"3\r\nabcd\r\n", b"f" * 30 + b"\r\n", b"0x3\r\nabc\r\n"]
)
def test_bad_chunks_are_refused(chunks: bytes) -> None:
    with pytest.raises(HttpError, match="breaks HTTP"):
        exchanged(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)


def test_a_chunk_line_without_end_is_refused() -> None:
    with pytest.raises(HttpError, match="breaks HTTP"):
        exchanged(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", *[b"x" * 10000] * 10)


def test_a_body_without_end_is_refused() -> None:
    with pytest.raises(HttpError, match=f"body exceeds {MAX_BODY} bytes"):
        exchanged(b"HTTP/1.0 200 OK\r\n\r\n", *[b"x" * 1048576] * 17)


@pytest.mark.parametrize("chunk", [b"1;" + b"x" * 60000 + b"\r\na\r\n", b"1\r\na\r\n" * 10000])
def test_chunk_framing_without_end_is_refused(chunk: bytes) -> None:
    """Chunks of a byte each could once keep a processor busy for half a minute."""
    with pytest.raises(HttpError, match=f"more than {MAX_OVERHEAD} bytes of chunk framing"):
        exchanged(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            *[chunk] * (2 * MAX_OVERHEAD // len(chunk) + 1),
        )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", GaveNoAnswer),
        (b"HTTP/1.1 200 O", GaveNoAnswer),
        (b"HTTP/1.1 200 OK\r\nA: b", ConnectionLost),
        (b"HTTP/1.1 100 C\r\n\r\n", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", ConnectionLost),
    ],
)
def test_an_early_end_is_named(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(ConnectionLost) as caught:
        exchanged(data, eof=True)
    assert type(caught.value) is error


def test_errors_never_quote_the_answer() -> None:
    for text in (b"3\r\nTOPSECRET", b"TOPSECRET\r\n", b"0\r\nTOPSECRET\r\n\r\n"):
        with pytest.raises(HttpError) as caught:
            exchanged(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text)
        assert "TOPSECRET" not in str(caught.value)
        assert caught.value.__cause__ is None


# --- gzip ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "X-GZIP", "identity, gzip"])
def test_gzip_is_unpacked(coding: str) -> None:
    assert exchanged(answer(gzip.compress(b"abc" * 1000), f"Content-Encoding: {coding}")).body == b"abc" * 1000


def test_an_empty_body_needs_no_unpacking() -> None:
    assert exchanged(answer(b"", "Content-Encoding: gzip")).body == b""


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(65536)) for _ in range(size // 65536)) + packer.flush()


def test_a_gzip_bomb_is_refused() -> None:
    with pytest.raises(HttpError, match=f"exceeds {MAX_BODY} bytes once unpacked"):
        exchanged(answer(bomb(MAX_BODY * 2), "Content-Encoding: gzip"))
    assert len(exchanged(answer(bomb(MAX_BODY), "Content-Encoding: gzip")).body) == MAX_BODY


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"abc")[:-3], gzip.compress(b"abc") + b"x"])
def test_damaged_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(HttpError, match="gzip data"):
        exchanged(answer(data, "Content-Encoding: gzip"))


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "deflate"])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(HttpError, match="want gzip or none"):
        exchanged(answer(b"abc", f"Content-Encoding: {coding}"))


# --- any bytes at all ------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    b"""HTTP/1.1 200 OK|HTTP/1.0 302 Found|HTTP/1.1 100 C\r\n|Content-Length: 3||abc|Transfer-Encoding: chunked
    |3\r\nabc|0\r\n|Connection: close|Set-Cookie: a|Content-Encoding: gzip
    |Content-Length: -1| folded|no colon""".split(b"|")
).map(lambda part: part + b"\r\n") | st.just(gzip.compress(b"x"))
ANSWERS = st.lists(PARTS | st.binary(max_size=6), max_size=14).map(b"".join)


@given(ANSWERS | ANSWERS.map(b"HTTP/1.1 200 OK\r\n".__add__))
def test_any_bytes_give_an_answer_or_a_named_error_in_any_chunking(data: bytes) -> None:
    assert outcome([data]) == outcome([data[i : i + 1] for i in range(len(data))])
