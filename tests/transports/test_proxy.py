"""Proxy URLs and environment; CONNECT and SOCKS5 against small proxies on loopback."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from tests.transports.proxy_doubles import Handler, HttpProxy, SocksProxy, serving
from transports import proxy
from transports.errors import ProxyAuthFailed, ProxyError, Unreachable
from transports.proxy import MAX_ROUNDS, BadProxyUrl, Proxy, excepted, from_environment

HOST, PORT = "vpn.example.com", 443
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"
ALICE = Proxy("http", "127.0.0.1", 1, "alice", "s3cr3t")
SOCKS_ALICE = replace(ALICE, scheme="socks5")


def wanted(*challenges: str, close: bool = False, body: bytes = b"go away") -> bytes:
    lines = ["HTTP/1.1 407 Proxy Authentication Required", f"Content-Length: {len(body)}"]
    lines += [f"Proxy-Authenticate: {challenge}" for challenge in challenges]
    lines += ["Connection: close"] * close
    return "\r\n".join([*lines, "", ""]).encode() + body


def through(
    handler: Handler,
    given: Proxy,
    host: str = HOST,
    port: int = PORT,
    timeout: float = 5,
    warnings: list[str] | None = None,
) -> bytes:
    """Open a connection through a proxy double, say hello and return the echo."""

    async def work() -> bytes:
        async with serving(handler) as proxy_port:
            warn = None if warnings is None else warnings.append
            sock = await proxy.open(replace(given, port=proxy_port), host, port, timeout, warn=warn)
            with sock:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, b"hello")
                return await loop.sock_recv(sock, 100)

    return asyncio.run(work())


# --- URLs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("proxy.test", Proxy("http", "proxy.test", 80)),
        ("proxy.test:3128", Proxy("http", "proxy.test", 3128)),
        ("http://proxy.test:3128/", Proxy("http", "proxy.test", 3128)),
        ("HTTP://[fd00::1]:3128", Proxy("http", "fd00::1", 3128)),
        ("socks://proxy.test", Proxy("socks5", "proxy.test", 1080)),
        ("socks5://192.0.2.1:9", Proxy("socks5", "192.0.2.1", 9)),
        ("http://DOM%5Cuser:p%40ss:w%3Ard@proxy.test", Proxy("http", "proxy.test", 80, "DOM\\user", "p@ss:w:rd")),
        ("http://a:b@c@proxy.test", Proxy("http", "proxy.test", 80, "a", "b@c")),
        ("alice@proxy.test:1", Proxy("http", "proxy.test", 1, "alice", "")),
    ],
)
def test_parse(url: str, parsed: Proxy) -> None:
    assert Proxy.parse(url) == parsed


@pytest.mark.parametrize(
    "url",
    ["", "http://", "https://h:1", "socks4://h", "ftp://h", "h:0", "h:70000", "h:x", "http://h/path", "http://[::1",
     "SECRET:x@h:99999", "a:SECRET://h", "http://u:%ff@h", "http://u:SECRET%0d@h", "http://u%00:p@h", "a b"],
)  # fmt: skip
def test_bad_urls_are_refused_without_quoting_them(url: str) -> None:
    with pytest.raises(BadProxyUrl) as caught:
        Proxy.parse(url)
    assert "secret" not in str(caught.value).lower()


def test_neither_repr_nor_str_show_credentials() -> None:
    assert str(ALICE) == "http://127.0.0.1:1" and "alice" not in repr(ALICE) and "s3cr3t" not in repr(ALICE)
    assert str(Proxy("socks5", "::1", 2)) == "socks5://[::1]:2"


def test_environment() -> None:
    a, b = Proxy("http", "a", 80), Proxy("http", "b", 80)
    assert from_environment({}, HOST) is None
    assert from_environment({"https_proxy": "a", "HTTPS_PROXY": "b"}, HOST) == a
    assert from_environment({"HTTPS_PROXY": "b", "ALL_PROXY": "c", "http_proxy": "d"}, HOST) == b
    assert from_environment({"all_proxy": "socks5://c"}, HOST) == Proxy("socks5", "c", 1080)
    assert from_environment({"https_proxy": "a", "NO_PROXY": "example.com"}, HOST) is None
    assert from_environment({"https_proxy": " ", "no_proxy": "x"}, HOST) is None


@pytest.mark.parametrize(
    ("entry", "host", "covered"),
    [
        ("*", "any.test", True),
        ("", "any.test", False),
        ("vpn.test", "VPN.test.", True),
        ("test", "vpn.test", True),
        (".test", "vpn.test", True),
        ("*.test", "vpn.test", True),
        ("pn.test", "vpn.test", False),
        ("a, b,vpn.test", "vpn.test", True),
        ("a vpn.test", "vpn.test", True),
        ("vpn.test:443", "vpn.test", True),
        ("vpn.test:444", "vpn.test", False),
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7:443", "192.0.2.7", True),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("192.0.3.0/24", "192.0.2.7", False),
        ("192.0.2.0/24", "vpn.test", False),
    ],
)
def test_no_proxy(entry: str, host: str, covered: bool) -> None:
    assert excepted(entry, host, 443) is covered


# --- HTTP CONNECT ----------------------------------------------------------------------------------------------


def test_connect_without_credentials() -> None:
    double = HttpProxy(OK)
    assert through(double, ALICE) == b"hello"
    assert double.heads == [
        "CONNECT vpn.example.com:443 HTTP/1.1\r\nHost: vpn.example.com\r\nUser-Agent: vpnclient\r\n"
        "Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\nAccept-Encoding: identity\r\n\r\n"
    ]


def test_connect_to_an_ipv6_literal_and_another_port() -> None:
    double = HttpProxy(OK)
    through(double, ALICE, "fd00::1", 8443)
    assert double.heads[0].startswith("CONNECT [fd00::1]:8443 HTTP/1.1\r\nHost: [fd00::1]:8443\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nno colon\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_odd_answers_that_mean_yes(answer: bytes) -> None:  # auth-helpers Q16
    double = HttpProxy(answer)
    if answer[9:10] == b"1":
        double.answers = [b"HTTP/1.1 200 OK\r\n\r\n"]
    assert through(double, ALICE) == b"hello"


def test_bytes_after_the_head_stay_in_the_socket() -> None:
    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 C\r\n\r\n" + OK + b"early")
        await reader.read(5)

    assert through(eager, ALICE) == b"early"


@pytest.mark.parametrize("close", [False, True])
def test_digest_is_answered_on_the_same_or_a_new_connection(close: bool) -> None:
    double = HttpProxy(wanted('Digest realm="proxy", nonce="n", qop="auth"', close=close), OK)
    assert through(double, ALICE) == b"hello"
    assert double.connections == 1 + close and double.authorization(0) == ""
    assert double.authorization(1).startswith(
        'Digest username="alice", realm="proxy", nonce="n", uri="vpn.example.com:443"'
    )
    assert "s3cr3t" not in double.authorization(1)


def test_a_stale_nonce_is_answered_once_more() -> None:
    first, stale = 'Digest realm="p", nonce="1"', 'Digest realm="p", nonce="2", stale=true'
    double = HttpProxy(wanted(first), wanted(stale), OK)
    assert through(double, ALICE) == b"hello"
    assert 'nonce="2"' in double.authorization(2)
    with pytest.raises(ProxyAuthFailed, match="refused what it got by digest"):
        through(HttpProxy(wanted(first), wanted(stale), wanted(stale), OK), ALICE)


def test_basic_is_used_when_nothing_better_is_offered_and_warned_about() -> None:
    double, warnings = HttpProxy(wanted('Negotiate, Basic realm="p"', "NTLM"), OK), list[str]()
    assert through(double, ALICE, warnings=warnings) == b"hello"
    assert double.authorization(1) == "Basic YWxpY2U6czNjcjN0"
    assert len(warnings) == 1 and "unencrypted" in warnings[0] and "s3cr3t" not in warnings[0]


def test_digest_comes_before_basic_and_each_is_tried_once() -> None:
    both = wanted('Basic realm="p", Digest realm="p", nonce="n"')
    double = HttpProxy(both, both, both, OK)
    with pytest.raises(ProxyAuthFailed, match="refused what it got by basic and digest") as caught:
        through(double, ALICE)
    assert [double.authorization(n).partition(" ")[0] for n in range(3)] == ["", "Digest", "Basic"]
    assert "s3cr3t" not in str(caught.value)


def test_without_credentials_the_error_says_what_is_offered() -> None:
    with pytest.raises(ProxyAuthFailed, match=r"it wants user and password \(offers: negotiate, ntlm\)"):
        through(HttpProxy(wanted("Negotiate", "NTLM")), replace(ALICE, user=""))


def test_schemes_we_cannot_do_are_named() -> None:
    with pytest.raises(
        ProxyAuthFailed, match=r"no way to sign in; it offers negotiate, ntlm, this client can do digest"
    ):
        through(HttpProxy(wanted("Negotiate, NTLM")), ALICE)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "no connection to vpn.example.com:443: 403 Forbidden"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n", "302 Found"),
        (b"HTTP/1.1 403 \x1b]0;x\x07\r\nContent-Length: 0\r\n\r\n", r"403 \\x1b\]0;x\\x07$"),
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-x\r\nclose", "want an HTTP/1 status line"),
        (b"HTTP/1.1 407 No\r\nA: close", "inside the answer's head"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000, "exceeds 65536 bytes"),
        (b"HTTP/1.1 407 No\r\nContent-Length: -1\r\n\r\n", "bad Content-Length"),
    ],
)
def test_refusals_and_nonsense_are_named(answer: bytes, text: str) -> None:
    with pytest.raises(ProxyError, match=text) as caught:
        through(HttpProxy(answer), ALICE)
    assert str(caught.value).startswith("proxy http://127.0.0.1:")


def test_endless_407_end() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wanted('Digest realm="p", nonce="n"', close=True))

    with pytest.raises(ProxyAuthFailed):
        through(closing, ALICE)
    assert MAX_ROUNDS == 8


@pytest.mark.parametrize("given", [ALICE, SOCKS_ALICE])
def test_a_proxy_that_hangs_is_named(given: Proxy) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(ProxyError, match=r"no connection to vpn\.example\.com port 443 within 0\.05 s"):
        through(silent, given, timeout=0.05)


@pytest.mark.parametrize("given", [ALICE, SOCKS_ALICE])
def test_a_proxy_that_is_not_there_is_named(given: Proxy) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}: cannot reach .*: connection refused"):
            asyncio.run(proxy.open(replace(given, port=port), HOST, PORT))


@pytest.mark.parametrize("given", [ALICE, SOCKS_ALICE])
def test_control_characters_never_reach_the_wire(given: Proxy) -> None:
    for bad in (replace(given, user="a\r\nb"), replace(given, password="a\0b")):
        with pytest.raises(ProxyError, match="control character"):
            asyncio.run(proxy.open(bad, HOST, PORT))
    with pytest.raises(ProxyError, match="control character"):
        asyncio.run(proxy.open(given, "a\r\nb", PORT))


# --- SOCKS5 ----------------------------------------------------------------------------------------------------

REQUEST = bytes.fromhex("050100030f76706e2e6578616d706c652e636f6d01bb")  # auth-helpers, section 11
GRANTED = bytes.fromhex("05000001000000000000")


def test_socks_without_credentials_sends_the_name() -> None:
    double = SocksProxy((3, b"\x05\x00"), (len(REQUEST), GRANTED))
    assert through(double, replace(SOCKS_ALICE, user="", password="")) == b"hello"
    assert double.got == [bytes.fromhex("050100"), REQUEST]


def test_socks_with_user_and_password() -> None:
    double = SocksProxy((4, b"\x05\x02"), (14, b"\x01\x00"), (len(REQUEST), GRANTED))
    assert through(double, SOCKS_ALICE) == b"hello"
    assert double.got == [bytes.fromhex("05020002"), bytes.fromhex("0105616c69636506733363723374"), REQUEST]


@pytest.mark.parametrize(
    ("host", "request_bytes"),
    [("192.0.2.1", "05010001c000020101bb"), ("fd00::1", "05010004fd0000000000000000000000000000010" + "1bb")],
)
def test_socks_sends_literals_as_addresses(host: str, request_bytes: str) -> None:
    wire = bytes.fromhex(request_bytes)
    double = SocksProxy((4, b"\x05\x00"), (len(wire), GRANTED))
    assert through(double, SOCKS_ALICE, host) == b"hello"
    assert double.got[1] == wire


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        (((4, b"\x05\xff"),), ProxyAuthFailed, "no acceptable authentication methods"),
        (((4, b"\x05\x02"), (14, b"\x01\x01")), ProxyAuthFailed, "authentication failure"),
        (((4, b"\x04\x00"),), ProxyError, "version number: 4"),
        (((4, b"\x05\x00"), (22, bytes.fromhex("05020001000000000000"))), ProxyError, "not allowed by ruleset"),
        (
            ((4, b"\x05\x00"), (22, bytes.fromhex("05050001000000000000"))),
            ProxyError,
            "connection refused by destination",
        ),
        (((4, b"\x05\x00"), (22, bytes.fromhex("05630001000000000000"))), ProxyError, "reply code: 0X63"),
        (((4, b"\x05\x00"), (22, bytes.fromhex("05000009000000000000"))), ProxyError, "invalid address type"),
        (((4, b"\x05\x00"), (22, bytes.fromhex("0500000301ff0000"))), ProxyError, "decode"),
    ],
)
def test_socks_refusals_and_nonsense_are_named(
    script: tuple[tuple[int, bytes], ...], error: type[Exception], text: str
) -> None:
    with pytest.raises(ProxyError, match=text) as caught:
        through(SocksProxy(*script), SOCKS_ALICE)
    assert type(caught.value) is error and "s3cr3t" not in str(caught.value)


def test_socks_proxy_that_closes_is_named() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)

    with pytest.raises(ProxyError, match="closed unexpectedly"):
        through(closing, SOCKS_ALICE)


@pytest.mark.parametrize("password", ["x" * 256, "pässword"])
def test_socks_credentials_that_do_not_fit_are_refused(password: str) -> None:
    with pytest.raises(ProxyError, match="255 bytes at most") as caught:
        asyncio.run(proxy.open(replace(SOCKS_ALICE, password=password), HOST, PORT))
    assert password not in str(caught.value)
