"""The lab's HTTP server on a stream of bytes in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from vpnclient.lab.site import Page, Request
from vpnclient.lab.web import MAX_BODY, HttpServer, Refused


class MemoryStream:
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks, self.sent = list(chunks), b""

    async def read(self, limit: int = 65536) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    async def write(self, data: bytes) -> None:
        self.sent += data


def converse(*chunks: bytes, page: Page | None = None) -> tuple[list[Request], bytes]:
    """Every request answered with `page`, until the server has enough."""

    async def talk() -> tuple[list[Request], bytes]:
        stream = MemoryStream(chunks)
        server, seen = HttpServer(stream, b"DER"), []
        while (request := await server.next_request()) is not None:
            seen.append(request)
            if not await server.answer(page or Page(200, "OK", body=b"hello")):
                break
        return seen, stream.sent

    return asyncio.run(talk())


GET = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
POST = b"POST /auth HTTP/1.1\r\nHost: lab\r\nX-Aggregate-Auth: 1\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("chunks", [[GET + POST], [GET, POST], [bytes([b]) for b in GET + POST]])
def test_requests_arrive_in_any_chunking(chunks: list[bytes]) -> None:
    seen, sent = converse(*chunks)
    assert [(r.method, r.target, r.body) for r in seen] == [("GET", "/", b""), ("POST", "/auth", b"body")]
    assert seen[1].header("X-aggregate-AUTH") == "1"
    assert seen[1].certificate == b"DER"
    assert sent.count(b"HTTP/1.1 200 OK") == 2 and sent.count(b"Content-Length: 5") == 2


def test_a_closing_page_ends_the_connection() -> None:
    seen, sent = converse(GET + GET, page=Page(401, "Authentication failed", close=True))
    assert len(seen) == 1
    assert sent.startswith(b"HTTP/1.1 401 Authentication failed\r\n") and b"Connection: close" in sent


def test_connect_leaves_the_bytes_after_it_alone() -> None:
    async def talk() -> tuple[Request | None, bytes, bytes]:
        stream = MemoryStream([b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: lab\r\n\r\nSTF\x01rest"])
        server = HttpServer(stream)
        request = await server.next_request()
        first = await server.switch("CONNECTED", (("X-CSTP-MTU", "1400"),))
        return request, first, stream.sent

    request, first, sent = asyncio.run(talk())
    assert request is not None and request.method == "CONNECT" and request.target == "/CSCOSSLC/tunnel"
    assert first == b"STF\x01rest"
    assert sent == b"HTTP/1.1 200 CONNECTED\r\nServer: vpnclient-lab\r\nX-CSTP-MTU: 1400\r\n\r\n"


def test_a_connect_can_be_refused_with_a_page() -> None:
    connect = b"CONNECT /x HTTP/1.1\r\nHost: lab\r\n\r\n"
    _, sent = converse(connect, page=Page(401, "Cookie is not acceptable", close=True))
    assert sent.startswith(b"HTTP/1.1 401 Cookie is not acceptable\r\n")


@pytest.mark.parametrize(
    "data, status",
    [
        (b"\x16\x03\x01garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nX: " + b"x" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 9999999\r\n\r\n" + b"x" * (MAX_BODY + 1), 413),
    ],
)
def test_hostile_requests_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refused) as caught:
        converse(data)
    assert caught.value.page.status == status and caught.value.page.close


@pytest.mark.parametrize("data", [b"", b"GET / HT"])
def test_a_client_that_leaves(data: bytes) -> None:
    try:
        seen, _ = converse(data)
    except Refused as refused:  # cut off inside a request
        assert refused.page.status == 400
    else:
        assert seen == []


def test_requests_per_connection_are_capped() -> None:
    seen, _ = converse(GET * 100)
    assert len(seen) == 64


def test_continue_is_sent_when_it_is_waited_for() -> None:
    head = b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    seen, sent = converse(head, b"ok")
    assert seen[0].body == b"ok" and sent.startswith(b"HTTP/1.1 100 ")


def test_header_values_are_one_line_of_ascii_whatever_they_quote() -> None:
    _, sent = converse(GET, page=Page(400, "Bad Request", (("X-Reason", "é\r\nSet-Cookie: x=y\x00"),), close=True))
    assert b"X-Reason: ...Set-Cookie: x=y.\r\n" in sent


def test_a_tunnel_may_be_opened_by_another_method_whose_length_means_nothing() -> None:
    """Network Connect sends a Content-Length of 256, and no body."""

    async def talk(page: Page | None) -> tuple[Request | None, bytes, bytes, Request | None]:
        stream = MemoryStream([b"POST /tunnel?a=b HTTP/1.1\r\nHost: lab\r\nContent-Length: 256\r\n\r\nfirst", b"more"])
        server = HttpServer(stream, b"", lambda method, target: (method, target) == ("POST", "/tunnel?a=b"))
        request = await server.next_request()
        if page is None:
            return request, await server.switch("OK", (("NCP-Version", "3"),)), stream.sent, None
        await server.answer(page)
        return request, b"", stream.sent, await server.next_request()

    request, first, sent, _ = asyncio.run(talk(None))
    assert request is not None and request.body == b"" and request.header("content-length") == "256"
    assert first == b"first"
    assert sent == b"HTTP/1.1 200 OK\r\nServer: vpnclient-lab\r\nNCP-Version: 3\r\n\r\n"
    _, _, sent, after = asyncio.run(talk(Page(302, "Found", close=True)))
    assert sent.startswith(b"HTTP/1.1 302 Found\r\n") and after is None


@pytest.mark.parametrize("cut", [0, 1, 20, 29, 30])
def test_a_request_without_any_header_is_taken(cut: int) -> None:
    """GlobalProtect's GET for its tunnel; and what answers it is no HTTP."""
    get = b"GET /tunnel?user=u HTTP/1.1\r\n\r\n"

    async def talk() -> tuple[Request | None, bytes, bytes]:
        stream = MemoryStream(list(filter(None, (get[:cut], get[cut:] + b"frames"))))
        server = HttpServer(stream, b"", lambda method, target: True)
        request = await server.next_request()
        return request, await server.switch("OK", (), b"START"), stream.sent

    request, first, answer = asyncio.run(talk())
    assert request is not None and request.target == "/tunnel?user=u"
    assert (first, answer) == (b"frames", b"START")


def test_a_tunnel_may_be_opened_in_silence() -> None:
    """Fortinet says nothing at all."""

    async def talk() -> tuple[bytes, bytes]:
        stream = MemoryStream([b"GET /tunnel HTTP/1.1\r\nHost: lab\r\n\r\nframes"])
        server = HttpServer(stream, b"", lambda method, target: True)
        await server.next_request()
        return await server.switch("", (), b""), stream.sent

    assert asyncio.run(talk()) == (b"frames", b"")
