"""The request for a tunnel and what may come behind it (sections 5 and 11)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConnectRefused, CookieRejected, NegotiationFailed, ProtocolError
from protocols.fortinet import request
from protocols.fortinet.request import Carrier
from tests.protocols.refusals import refused
from tests.transports.http_doubles import HANG, FakeStream, chopped
from transports.errors import ConnectionLost, HttpError, Truncated
from transports.http_url import Url

LCP = bytes.fromhex("001650500010c0210101000e01040569050611223344")
REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"


def first_of(*script: object) -> bytes:
    async def work() -> bytes:
        return await Carrier(FakeStream(*script)).read()  # type: ignore[arg-type]

    return asyncio.run(work())


def test_the_request() -> None:
    assert request.encode(Url.parse("https://vpn.test:10443/"), "A 1", "SVPNCOOKIE=a%0a==") == (
        b"GET /remote/sslvpn-tunnel HTTP/1.1\r\nHost: vpn.test:10443\r\nUser-Agent: A 1\r\n"
        b"Cookie: SVPNCOOKIE=a%0a==\r\n\r\n"
    )
    with pytest.raises(HttpError):
        request.encode(Url.parse("https://vpn.test/"), "A\r\nX: 1", "a=b")


@pytest.mark.parametrize("sizes", [[22], [1], [2, 1], [1, 1, 1]])
def test_ppp(sizes: list[int]) -> None:  # 00.. and 48 55: PPP
    got = first_of(*[piece for piece in chopped(LCP, sizes) if piece])
    assert LCP.startswith(got) and got
    assert first_of(b"H", b"U") == b"HU"


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (REFUSAL, CookieRejected, r"session-rejected: .*tunnel mode \(403 Forbidden\)"),
        (b"HTTP/1.1 401 No\n", CookieRejected, r"session-rejected: .*\(401 No\)"),
        (b"HTTP/1.0 404", CookieRejected, "session-rejected"),
        (b"HTTP/1.1 302 Found\r\n", ConnectRefused, "tunnel-refused: got HTTP status 302 Found, want PPP"),
        (b"HTTP/1.1 200 OK\r\n", ConnectRefused, "tunnel-refused: got HTTP status 200"),
        (b"HTTP/1.1 503 \x1b[1m\r\n", ConnectRefused, "tunnel-refused: got HTTP status 503"),
        (b"HTTP/nonsense\n", ConnectRefused, "tunnel-refused: got 'HTTP/nonsense'"),
        (b"HTTP/" + b"x" * 9000, ConnectRefused, "tunnel-refused"),
        (b"", ConnectRefused, "tunnel-refused: .*without an answer"),
    ],
)
def test_refusals_in_any_pieces(answer: bytes, error: type[ProtocolError], text: str) -> None:
    for pieces in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        with refused(error, text):
            first_of(*[piece for piece in pieces if piece])
    with refused(error, text):
        first_of(*[piece for piece in (answer,) if piece], Truncated("x"))


def test_what_ends_early_and_what_is_lost() -> None:
    assert first_of(b"HT") == b"HT"  # neither: PPP's reader says what is wrong with it
    with pytest.raises(ConnectionLost):
        first_of(ConnectionLost("reset"))


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(*script: object) -> bytes:
        return await Carrier(FakeStream(*script)).listen()  # type: ignore[arg-type]

    monkeypatch.setattr(request, "LISTEN", 0.01)
    assert asyncio.run(listen(HANG)) == b""
    assert asyncio.run(listen(LCP)) == LCP
    monkeypatch.setattr(request, "SILENCE", 0.0)
    with refused(NegotiationFailed, "tunnel-timeout"):
        asyncio.run(listen(HANG))


@given(st.binary(min_size=1, max_size=40), st.lists(st.integers(1, 5), max_size=6))
def test_anything_is_ppp_or_a_named_refusal(data: bytes, sizes: list[int]) -> None:
    try:
        got = first_of(*[piece for piece in chopped(data, sizes) if piece])
    except ProtocolError as exc:
        assert data.startswith(b"HTTP/") and exc.code in ("session-rejected", "tunnel-refused")
    else:
        assert data.startswith(got) and not got.startswith(b"HTTP/")
