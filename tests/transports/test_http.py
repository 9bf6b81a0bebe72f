"""The client: reuse, redirects, cookies, deadlines; and the request that opens a tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http_doubles import HANG, FakeDialer, FakeStream, answer, chopped, redirect
from transports.errors import (
    ClientCertificateWanted,
    ConnectionLost,
    HttpError,
    TimedOut,
    TlsError,
    TransportError,
    Truncated,
)
from transports.http import MAX_REDIRECTS, HttpClient, Response, open_stream
from transports.http_exchange import GaveNoAnswer

T = TypeVar("T")
URL = "https://vpn.test/"


def client(*streams: FakeStream, **options: object) -> tuple[HttpClient, FakeDialer]:
    dialer = FakeDialer(*streams)
    return HttpClient(dialer, user_agent="AnyConnect test", **options), dialer  # type: ignore[arg-type]


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def get(http: HttpClient, url: str = URL, **options: object) -> Response:
    return run(http.request("GET", url, **options))  # type: ignore[arg-type]


# --- what is sent ----------------------------------------------------------------------------------------------


def test_default_headers_and_the_answer() -> None:
    stream = FakeStream(answer(b"hello", "X-A: b", "x-a: c"))
    http, dialer = client(stream)
    response = get(http, "https://vpn.test:8443/x?y=1")
    assert dialer.dialed == [("vpn.test", 8443)]
    assert stream.written == b"GET /x?y=1 HTTP/1.1\r\nHost: vpn.test:8443\r\nUser-Agent: AnyConnect test\r\n\r\n"
    assert (response.status, response.reason, response.body, response.http_version) == (200, "OK", b"hello", "1.1")
    assert response.header("X-A") == "b" and response.values("X-A") == ["b", "c"] and response.header("Z") is None
    assert response.url == http.url == "https://vpn.test:8443/x?y=1"
    assert http.stream_info is stream.info and http.peer_host == "192.0.2.1"


def test_given_headers_stay_as_they_are_and_win() -> None:
    stream = FakeStream(answer())
    http, _ = client(stream)
    run(http.request("POST", URL, headers=[("user-agent", "mine"), ("X-Pad", "000")], body=b"abc"))
    assert stream.written == (
        b"POST / HTTP/1.1\r\nHost: vpn.test\r\nuser-agent: mine\r\nX-Pad: 000\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_an_empty_post_has_a_length() -> None:
    stream = FakeStream(answer())
    run(client(stream)[0].request("POST", URL))
    assert b"\r\nContent-Length: 0\r\n" in stream.written


def test_injection_is_refused_before_anything_is_dialed() -> None:
    http, dialer = client()
    with pytest.raises(HttpError, match="header X-A"):
        get(http, headers=[("X-A", "b\r\nEvil: 1")])
    assert dialer.dialed == []


# --- keep-alive ------------------------------------------------------------------------------------------------


def test_the_connection_is_reused() -> None:
    stream = FakeStream(answer(b"1"), answer(b"2"))
    http, dialer = client(stream)

    async def work() -> list[bytes]:
        return [(await http.request("GET", URL)).body, (await http.request("GET", "next")).body]

    assert run(work()) == [b"1", b"2"]
    assert len(dialer.dialed) == 1 and stream.requests == [b"GET / HTTP/1.1", b"GET /next HTTP/1.1"]


@pytest.mark.parametrize(
    "first",
    [
        answer(b"1", "Connection: Keep-Alive", version="1.0"),  # Q5
        answer(b"1", "Connection: close"),
        answer(b"1") + b"unasked",
    ],
)
def test_a_connection_that_may_not_be_reused_is_closed(first: bytes) -> None:
    streams = FakeStream(first), FakeStream(answer(b"2"))
    http, dialer = client(*streams)
    assert get(http).body == b"1" and streams[0].closed
    assert get(http).body == b"2" and len(dialer.dialed) == 2


def test_keep_alive_can_be_turned_off_and_fresh_forces_a_new_connection() -> None:
    streams = FakeStream(answer()), FakeStream(answer())
    http, _ = client(*streams, keep_alive=False)
    get(http)
    assert streams[0].closed
    streams = FakeStream(answer(), answer()), FakeStream(answer())
    http, dialer = client(*streams)
    get(http)
    get(http, fresh=True)
    assert streams[0].closed and len(dialer.dialed) == 2


@pytest.mark.parametrize(
    "dead",
    [
        FakeStream(answer(b"1")),  # EOF
        FakeStream(answer(b"1"), ConnectionLost("reset")),
        FakeStream(answer(b"1"), Truncated("no close_notify")),
        FakeStream(answer(b"1"), b"HTTP/1.1 20", Truncated("no close_notify")),
        FakeStream(answer(b"1"), TlsError("bad record")),
    ],
)
def test_a_dead_kept_connection_is_replaced_once_and_silently(dead: FakeStream) -> None:  # Q8
    http, dialer = client(dead, FakeStream(answer(b"2")))
    get(http)
    assert get(http).body == b"2" and len(dialer.dialed) == 2 and dead.closed


def test_a_kept_connection_that_cannot_be_written_is_replaced() -> None:  # Q8
    dead = FakeStream(answer(b"1"))
    http, _ = client(dead, FakeStream(answer(b"2")))
    get(http)
    dead.write_error = ConnectionLost("broken pipe")
    assert get(http).body == b"2"


def test_a_fresh_connection_that_dies_is_not_repeated() -> None:
    stream = FakeStream(ConnectionLost("reset"))
    http, dialer = client(stream, FakeStream(answer()))
    with pytest.raises(GaveNoAnswer):
        get(http)
    assert len(dialer.dialed) == 1 and stream.closed


def test_a_kept_connection_that_dies_inside_its_answer_is_not_repeated() -> None:
    http, dialer = client(FakeStream(answer(b"1"), b"HTTP/1.1 200 OK\r\n"), FakeStream(answer()))
    get(http)
    with pytest.raises(ConnectionLost):
        get(http)
    assert len(dialer.dialed) == 1


def test_an_alert_on_a_fresh_connection_keeps_its_class() -> None:
    alert = ClientCertificateWanted("certificate required")
    stream = FakeStream(alert, write_error=ConnectionLost("broken pipe"))  # the alert was there before our request
    with pytest.raises(ClientCertificateWanted):
        get(client(stream)[0])


def test_missing_close_notify_ends_a_body_without_length_only() -> None:  # Q30
    cut = Truncated("no close_notify")
    assert get(client(FakeStream(b"HTTP/1.0 200 OK\r\n\r\nabc", cut))[0]).body == b"abc"
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nA: b"):
        with pytest.raises(ConnectionLost, match="ended inside"):
            get(client(FakeStream(data, cut))[0])
    with pytest.raises(ConnectionLost, match="reset"):  # a reset may have lost bytes
        get(client(FakeStream(b"HTTP/1.0 200 OK\r\n\r\nabc", ConnectionLost("reset")))[0])


# --- redirects -------------------------------------------------------------------------------------------------


def test_redirects_on_the_same_server_reuse_the_connection() -> None:
    stream = FakeStream(redirect("/a/b"), redirect("c?x=1"), redirect("https://VPN.test/d"), answer(b"end"))
    http, dialer = client(stream)
    response = get(http)
    assert response.body == b"end" and response.url == http.url == "https://VPN.test/d"
    assert [line.split()[1] for line in stream.requests] == [b"/", b"/a/b", b"/a/c?x=1", b"/d"]
    assert len(dialer.dialed) == 1


@pytest.mark.parametrize("there", ["https://node2.test/x", "https://vpn.test:444/x"])
def test_redirect_to_another_server_closes_and_drops_cookies(there: str) -> None:
    streams = FakeStream(redirect(there, "302 Found", "Set-Cookie: late=2")), FakeStream(answer(b"end"))
    http, dialer = client(*streams)
    http.cookies.set("webvpn", "SECRET")
    response = get(http, headers=[("Authorization", "Basic SECRET"), ("Host", "vpn.test"), ("X-Keep", "1")])
    assert response.url == there and streams[0].closed and len(dialer.dialed) == 2
    assert b"Cookie: webvpn=SECRET" in streams[0].written
    assert b"SECRET" not in streams[1].written and b"Cookie" not in streams[1].written
    assert b"X-Keep: 1" in streams[1].written and http.cookies.get("webvpn") is None
    assert streams[1].written.split(b"\r\n")[1] == b"Host: " + there.split("/")[2].encode()


def test_a_200_with_location_is_no_redirect() -> None:
    assert get(client(FakeStream(answer(b"x", "Location: /y")))[0]).redirect is None


def test_redirects_can_be_left_to_the_caller() -> None:
    response = get(client(FakeStream(redirect("/y")))[0], follow_redirects=False)
    assert response.status == 302 and response.redirect == "/y"


def test_redirect_loops_end() -> None:
    http, _ = client(FakeStream(*[redirect("/again")] * 50))
    with pytest.raises(HttpError, match=f"more than {MAX_REDIRECTS} redirects"):
        get(http)
    http, _ = client(FakeStream(*[redirect("/again")] * MAX_REDIRECTS, answer(b"end")))
    assert get(http).body == b"end"


@pytest.mark.parametrize("location", ["http://vpn.test/", "ftp://x/", "javascript:alert(1)"])
def test_redirects_to_other_schemes_are_refused(location: str) -> None:
    http, dialer = client(FakeStream(redirect(location)))
    with pytest.raises(HttpError, match="got scheme"):
        get(http)
    assert len(dialer.dialed) == 1


@pytest.mark.parametrize("location", ["", "#top"])
def test_an_empty_location_is_the_same_url_again(location: str) -> None:
    stream = FakeStream(redirect(location), answer(b"end"))
    assert get(client(stream)[0], "https://vpn.test/a?b").body == b"end"
    assert stream.requests == [b"GET /a?b HTTP/1.1"] * 2


def test_a_redirected_post_becomes_a_get_but_for_307_and_308() -> None:
    stream = FakeStream(redirect("/y"), answer(), redirect("/z", "307 Again"), answer())
    http, _ = client(stream)
    form = [("Content-Type", "application/x-www-form-urlencoded")]

    async def work() -> None:
        await http.request("POST", URL, headers=form, body=b"password=x")
        await http.request("POST", URL, headers=form, body=b"password=x")

    run(work())
    assert stream.requests == [b"POST / HTTP/1.1", b"GET /y HTTP/1.1", b"POST / HTTP/1.1", b"POST /z HTTP/1.1"]
    assert stream.written.count(b"password=x") == 3 and stream.written.count(b"Content-Type") == 3


def test_a_form_is_never_repeated_to_another_server() -> None:
    http, dialer = client(FakeStream(redirect("https://evil.test/", "307 Again")))
    with pytest.raises(HttpError, match=r"form sent to another server, evil\.test"):
        run(http.request("POST", URL, body=b"password=x"))
    assert len(dialer.dialed) == 1


# --- cookies ---------------------------------------------------------------------------------------------------


def test_cookies_are_kept_sent_and_deleted() -> None:
    stream = FakeStream(
        answer(b"", "Set-Cookie: a=1; path=/x", "Set-Cookie: b=2"), answer(b"", "Set-Cookie: a="), answer(), answer()
    )
    http, _ = client(stream)

    async def work() -> None:
        for cookies in (True, True, True, False):
            await http.request("GET", URL, cookies=cookies)

    run(work())
    sent = [line for line in stream.written.split(b"\r\n") if line.startswith(b"Cookie")]
    assert sent == [b"Cookie: a=1; b=2", b"Cookie: b=2"]


def test_cookies_of_a_redirect_go_with_the_next_request() -> None:
    stream = FakeStream(redirect("/y", "302 Found", "Set-Cookie: a=1"), answer())
    get(client(stream)[0])
    assert b"GET /y HTTP/1.1\r\nHost: vpn.test\r\nUser-Agent: AnyConnect test\r\nCookie: a=1\r\n" in stream.written


@pytest.mark.parametrize("headers", [["Set-Cookie: webvpn"], [f"Set-Cookie: c{n}=1" for n in range(1000)]])
def test_bad_or_endless_cookies_are_errors(headers: list[str]) -> None:
    stream = FakeStream(answer(b"", *headers))
    with pytest.raises(HttpError):
        get(client(stream)[0])
    assert stream.closed


# --- deadlines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [(HANG,), (b"HTTP/1.1 200 OK\r\nContent-", HANG), (answer(b"ab")[:-1], HANG)])
def test_a_gateway_that_hangs_is_named(script: tuple[object, ...]) -> None:
    stream = FakeStream(*script)
    with pytest.raises(TimedOut, match=r"vpn\.test: no answer within 0\.01 s") as caught:
        get(client(stream, timeout=0.01)[0])
    assert caught.value.seconds == 0.01 and stream.closed


def test_a_slow_drip_does_not_outrun_the_deadline() -> None:
    class Drip(FakeStream):
        async def read(self, limit: int = 65536) -> bytes:
            return b"x"  # for ever, and never waiting

    stream = Drip()
    stream.script = []
    with pytest.raises(TimedOut):
        get(client(stream)[0], timeout=0.05)


def test_a_kept_connection_that_hangs_is_not_repeated() -> None:
    http, dialer = client(FakeStream(answer(b"1"), HANG), FakeStream(answer(b"2")))
    get(http)
    with pytest.raises(TimedOut):
        get(http, timeout=0.01)
    assert len(dialer.dialed) == 1


def test_cancelling_closes_the_connection() -> None:
    stream = FakeStream(HANG)
    http, _ = client(stream)

    async def work() -> None:
        task = asyncio.create_task(http.request("GET", URL))
        while not stream.written:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())
    assert stream.closed


# --- dumps -----------------------------------------------------------------------------------------------------


def test_traffic_is_shown_without_secrets() -> None:
    lines: list[str] = []
    stream = FakeStream(answer(b"<session-token>SECRET</session-token>", "Set-Cookie: webvpn=SECRET"))
    http, _ = client(stream, on_traffic=lines.append)
    http.cookies.set("webvpn", "SECRET")
    response = run(http.request("POST", URL + "?tok=SECRET", body=b"password=SECRET"))
    assert "SECRET" not in "\n".join(lines) + repr(response) + repr(http.cookies)
    assert lines[0] == "> POST /?tok=<hidden> HTTP/1.1" and "> Cookie: webvpn=<hidden>" in lines
    assert "< HTTP/1.1 200 OK" in lines and "> (15 bytes of body)" in lines


# --- tunnels ---------------------------------------------------------------------------------------------------

TUNNEL = "https://vpn.test:8443/CSCOSSLC/tunnel"
CONNECTED = b"HTTP/1.1 200 CONNECTED\r\nX-CSTP-MTU: 1390\r\n  \r\n<piece of xml>\r\nX-CSTP-Address: 10.1.2.3\r\n\r\n"


def tunnel(*streams: FakeStream, **options: float) -> tuple[Response, FakeStream, bytes]:
    work = open_stream(FakeDialer(*streams), "CONNECT", TUNNEL, [("Cookie", "webvpn=x")], **options)  # type: ignore[arg-type]
    return run(work)  # type: ignore[return-value]


@pytest.mark.parametrize("sizes", [[], [1] * 60, [len(CONNECTED) - 1], [len(CONNECTED)], [len(CONNECTED) + 3]])
def test_a_tunnel_starts_at_the_first_byte_after_the_head(sizes: list[int]) -> None:  # Q29
    stream = FakeStream(*chopped(CONNECTED + b"STF\x01\x00\x05\x03\x00hello", sizes))
    response, got, unread = tunnel(stream)
    assert got is stream and not stream.closed
    assert unread + b"".join(stream.script) == b"STF\x01\x00\x05\x03\x00hello"
    assert response.headers == (("X-CSTP-MTU", "1390"), ("X-CSTP-Address", "10.1.2.3")) and response.body == b""
    assert stream.written == b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: vpn.test:8443\r\nCookie: webvpn=x\r\n\r\n"


def test_a_refusal_is_an_answer_too() -> None:
    response, stream, _ = tunnel(FakeStream(b"HTTP/1.1 503 Service Unavailable\r\nX-Reason: full\r\n\r\n"))
    assert (response.status, response.header("x-reason"), stream.closed) == (503, "full", False)


def test_a_tunnel_request_is_repeated_once_if_no_answer_began() -> None:
    lost = FakeStream(ConnectionLost("reset"))
    assert tunnel(lost, FakeStream(CONNECTED))[0].status == 200
    assert lost.closed
    streams = [FakeStream(), FakeStream(), FakeStream(CONNECTED)]
    with pytest.raises(GaveNoAnswer):
        tunnel(*streams)
    assert [stream.closed for stream in streams] == [True, True, False]


def test_a_tunnel_that_breaks_inside_the_head_is_not_repeated() -> None:
    stream = FakeStream(b"HTTP/1.1 200 CONNECTED\r\nX-", Truncated("cut"))
    with pytest.raises(ConnectionLost, match="inside the answer's head"):
        tunnel(stream, FakeStream(CONNECTED))
    assert stream.closed


def test_a_tunnel_request_has_a_deadline() -> None:
    stream = FakeStream(b"HTTP/1.1 200 ", HANG)
    with pytest.raises(TimedOut):
        tunnel(stream, timeout=0.01)
    assert stream.closed


# --- any bytes at all ------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    b"""HTTP/1.1 200 OK|HTTP/1.0 302 Found|Location: |/x|Content-Length: 0|Set-Cookie: a=b|Set-Cookie: a
    |Transfer-Encoding: chunked|0\r\n|""".split(b"|")
).map(lambda part: part + b"\r\n")


@given(st.lists(PARTS | st.binary(max_size=5), max_size=20).map(b"".join))
def test_any_answer_gives_a_response_or_a_transport_error(data: bytes) -> None:
    def outcome(pieces: list[bytes]) -> object:
        try:
            return get(client(FakeStream(*pieces), FakeStream(*pieces), FakeStream(answer()))[0])
        except TransportError as exc:
            return type(exc), str(exc)

    assert outcome([data])
    stream = FakeStream(data)
    try:
        run(open_stream(FakeDialer(stream, FakeStream(data)), "CONNECT", TUNNEL, []))  # type: ignore[arg-type]
    except TransportError:
        assert stream.closed
