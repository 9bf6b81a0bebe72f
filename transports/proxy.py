"""Connections through a proxy: HTTP CONNECT (Basic, Digest) and SOCKS5 (user and password).

SOCKS5 is python-socks, on a TCP connection of ours (so that every address of the proxy is tried).  It resolves no
names here: the proxy does.  HTTP CONNECT is our own, because python-socks answers no Digest challenge, sends Basic
unasked, has no caps on the answer and may read beyond its head; ours reads not one byte past it.

NTLM and Negotiate are not spoken yet; the error names what the proxy offered.
Times: seconds.  Source: auth-helpers.md section 5; RFC 1928, 1929, RFC 9110 section 9.3.6.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from transports import proxy_auth, tcp
from transports.errors import HttpError, ProxyAuthFailed, ProxyError, TransportError, Unreachable
from transports.redact import printable

if TYPE_CHECKING:
    from transports.http_exchange import Exchange
    from transports.proxy_auth import Challenge

MAX_ROUNDS = 8  # requests of one CONNECT, all attempts at authentication included
MAX_HEAD = 65536  # bytes of an answer's head
MAX_SOCKS_FIELD = 255  # bytes of user or password (RFC 1929)
PEEK = 4096  # bytes
TIMEOUT = 30.0  # seconds, from the first packet to the open connection
CNONCE_BYTES = 32
USER_AGENT = "vpnclient"

_PORTS = {"http": 80, "socks5": 1080}
_SCHEMES = {"http": "http", "socks": "socks5", "socks5": "socks5", "socks5h": "socks5"}
_SCHEME = re.compile(r"[a-z][a-z0-9+]{0,15}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]/?#\s]+))(?::([0-9]{1,5}))?")

Warn = Callable[[str], None]


class BadProxyUrl(ProxyError, ValueError):
    """A proxy URL that cannot be used; nothing was contacted.  The text never quotes user or password."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.  `str` gives its URL without credentials."""

    scheme: str  # http or socks5
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """From [scheme://][user[:password]@]host[:port][/]; user and password percent-encoded.  Raises BadProxyUrl."""
        scheme, mark, rest = url.strip().partition("://")
        if not mark:
            scheme, rest = "http", scheme
        scheme = scheme.lower()
        if scheme not in _SCHEMES:
            got = f"scheme {scheme!r}" if _SCHEME.fullmatch(scheme) else "no scheme"  # might be a password
            raise BadProxyUrl(f"proxy URL: got {got}, want http or socks5")
        credentials, _, address = rest.rpartition("@")
        match = _ADDRESS.fullmatch(address.removesuffix("/"))
        if match is None:
            raise BadProxyUrl("proxy URL: no usable host and port, want scheme://[user:password@]host[:port]")
        kind = _SCHEMES[scheme]
        port = int(match[3] or _PORTS[kind])
        if not 1 <= port <= 65535:
            raise BadProxyUrl(f"proxy URL: got port {port}, want 1 to 65535")
        user, _, password = credentials.partition(":")
        return cls(kind, match[1] or match[2], port, _decoded(user), _decoded(password))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def from_environment(environ: Mapping[str, str], host: str, port: int = 443) -> Proxy | None:
    """The proxy that https_proxy, else all_proxy, names for a host, unless no_proxy excepts it.  Raises BadProxyUrl.

    Lower-case names win over upper-case ones.  no_proxy: commas or blanks between names (which cover their
    subdomains), addresses, networks, each with an optional port; `*` is everything.
    """

    def named(name: str) -> str:
        return (environ.get(name) or environ.get(name.upper()) or "").strip()

    url = named("https_proxy") or named("all_proxy")
    if not url or excepted(named("no_proxy"), host, port):
        return None
    return Proxy.parse(url)


def excepted(no_proxy: str, host: str, port: int) -> bool:
    """The host is to be reached without a proxy, says a no_proxy list."""
    return any(_covers(entry, host.lower().rstrip("."), port) for entry in re.split(r"[,\s]+", no_proxy.lower()))


def _covers(entry: str, host: str, port: int) -> bool:
    from ipaddress import ip_address, ip_network

    if entry == "*":
        return True
    if tcp.is_numeric(host):
        try:
            return ip_address(host.partition("%")[0]) in ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # a name, or an address with a port
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        return int(wanted) == port and _covers(name, host, port)
    entry = entry.removeprefix("*").lstrip(".").rstrip(".")
    return bool(entry) and (host == entry or host.endswith("." + entry))


async def open(
    proxy: Proxy, host: str, port: int, timeout: float = TIMEOUT, *, warn: Warn | None = None
) -> socket.socket:
    """A non-blocking socket to host:port, through the proxy.  Raises ProxyError, ProxyAuthFailed, Unreachable.

    timeout: for the whole.  warn: gets a text if the password has to be sent in the clear.
    """
    for text in (host, proxy.user, proxy.password):
        if _CONTROL.search(text):
            raise ProxyError(f"proxy {proxy}: host, user or password holds a control character")
    try:
        async with asyncio.timeout(timeout):
            if proxy.scheme == "http":
                return await _Tunnel(proxy, host, port, warn).open()
            return await _socks(proxy, host, port, timeout)
    except TimeoutError as exc:
        raise ProxyError(f"proxy {proxy}: no connection to {host} port {port} within {timeout:g} s") from exc


async def _first_hop(proxy: Proxy, timeout: float) -> socket.socket:
    try:
        addresses = await tcp.resolve(proxy.host, proxy.port, timeout)
        sock, _address = await tcp.connect(proxy.host, addresses, proxy.port, timeout)
        return sock
    except Unreachable as exc:
        raise Unreachable(f"proxy {proxy}: {exc}") from exc


# --- SOCKS5 ----------------------------------------------------------------------------------------------------


async def _socks(proxy: Proxy, host: str, port: int, timeout: float) -> socket.socket:
    from python_socks import ProxyError as SocksError
    from python_socks import ProxyType
    from python_socks.async_.asyncio import Proxy as SocksProxy

    for text in (proxy.user, proxy.password):
        if not text.isascii() or len(text) > MAX_SOCKS_FIELD:
            raise ProxyError(f"proxy {proxy}: user and password must be ASCII, {MAX_SOCKS_FIELD} bytes at most")

    class FirstHop(SocksProxy):
        """Stands where python-socks would chain to another proxy, and connects our way."""

        async def connect(
            self, dest_host: str, dest_port: int, timeout: float | None = None, **kwargs: object
        ) -> socket.socket:
            return await _first_hop(proxy, TIMEOUT)

    through = SocksProxy(
        ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        username=proxy.user or None,
        password=proxy.password or None,
        rdns=True,
        forward=FirstHop(ProxyType.SOCKS5, proxy.host, proxy.port),
    )
    try:
        return await through.connect(host, port, timeout=timeout)
    except TransportError:
        raise
    except SocksError as exc:
        raise _socks_error(proxy, host, port, str(exc)) from exc
    except (OSError, ValueError) as exc:
        if isinstance(exc, TimeoutError):
            raise
        raise ProxyError(f"proxy {proxy}: {tcp.reason_of(exc)}") from exc


def _socks_error(proxy: Proxy, host: str, port: int, text: str) -> ProxyError:
    text = text[:1].lower() + text[1:]
    if "authentication failure" in text or "authentication method" in text:
        given = "the user and password given" if proxy.user else "no user and password"
        return ProxyAuthFailed(f"proxy {proxy}: {text} (it got {given})")
    return ProxyError(f"proxy {proxy}: no connection to {host} port {port}: {text}")


# --- HTTP CONNECT ----------------------------------------------------------------------------------------------


class _Tunnel:
    """One CONNECT: as many requests as authentication takes, on one connection or on several.

    Credentials are sent only once the proxy has asked.  Digest before Basic; each is tried once, a Digest whose
    nonce was stale once more.
    """

    def __init__(self, proxy: Proxy, host: str, port: int, warn: Warn | None) -> None:
        name = f"[{host}]" if ":" in host else host
        self._proxy, self._warn = proxy, warn
        self._target = f"{name}:{port}"
        self._host = name if port == 443 else self._target
        self._authorization = ""
        self._tried: set[str] = set()

    async def open(self) -> socket.socket:
        sock: socket.socket | None = None
        try:
            for _round in range(MAX_ROUNDS):
                fresh = sock is None
                sock = sock or await _first_hop(self._proxy, TIMEOUT)
                exchange = await self._ask(sock)
                if exchange is not None and exchange.head.status < 300:
                    opened, sock = sock, None
                    return opened
                if exchange is None and fresh:
                    raise ProxyError(f"proxy {self._proxy}: it closed the connection without an answer")
                if exchange is not None:
                    self._judge(exchange)
                if exchange is None or not exchange.reusable:
                    sock.close()
                    sock = None
        finally:
            if sock is not None:
                sock.close()
        raise ProxyAuthFailed(f"proxy {self._proxy}: still not satisfied after {MAX_ROUNDS} requests")

    async def _ask(self, sock: socket.socket) -> Exchange | None:
        """One request, one answer; None: the proxy closed without one."""
        from transports.http_exchange import Exchange, GaveNoAnswer, Request

        headers = [
            ("Host", self._host),
            ("User-Agent", USER_AGENT),
            ("Proxy-Connection", "keep-alive"),
            ("Connection", "keep-alive"),
            ("Accept-Encoding", "identity"),
        ]
        if self._authorization:
            headers.append(("Proxy-Authorization", self._authorization))
        try:
            request = Request("CONNECT", self._target, tuple(headers))
            exchange = Exchange(request, f"proxy {self._proxy}", max_head=MAX_HEAD)
            await asyncio.get_running_loop().sock_sendall(sock, exchange.to_send())
            while not exchange.done:
                await _feed_from(sock, exchange)
        except GaveNoAnswer:
            return None
        except (HttpError, TransportError) as exc:
            raise ProxyError(str(exc)) from exc
        except OSError as exc:
            if isinstance(exc, TimeoutError) and exc.errno is None:
                raise
            return None
        return exchange

    def _judge(self, exchange: Exchange) -> None:
        """What to send next, after an answer that is not 2xx.  Raises ProxyError: give up."""
        head = exchange.head
        if head.status != 407:
            reason = f" {printable(head.reason[:80])}" if head.reason else ""
            raise ProxyError(f"proxy {self._proxy}: no connection to {self._target}: {head.status}{reason}")
        challenges = proxy_auth.parse_challenges(head.values("Proxy-Authenticate"))
        offered = ", ".join(dict.fromkeys(one.scheme for one in challenges)) or "nothing"
        if not self._proxy.user:
            raise ProxyAuthFailed(f"proxy {self._proxy}: it wants user and password (offers: {offered})")
        if not self._answer(challenges):
            done = f"refused what it got by {' and '.join(sorted(self._tried))}" if self._tried else "no way to sign in"
            raise ProxyAuthFailed(
                f"proxy {self._proxy}: {done}; it offers {offered}, this client can do digest and basic"
            )

    def _answer(self, challenges: list[Challenge]) -> bool:
        proxy = self._proxy
        strongest = proxy_auth.best_digest(challenges)
        if strongest is not None and ("digest" not in self._tried or self._may_repeat(strongest)):
            cnonce = secrets.token_urlsafe(CNONCE_BYTES)
            self._tried.add("digest")
            self._authorization = proxy_auth.digest(
                strongest, proxy.user, proxy.password, method="CONNECT", uri=self._target, cnonce=cnonce
            )
            return True
        if "basic" not in self._tried and any(one.scheme == "basic" for one in challenges):
            self._tried.add("basic")
            self._authorization = proxy_auth.basic(proxy.user, proxy.password)
            if self._warn is not None:
                self._warn(f"proxy {proxy}: user and password are sent to it unencrypted (Basic)")
            return True
        return False

    def _may_repeat(self, challenge: Challenge) -> bool:
        if not challenge.stale or "stale digest" in self._tried:
            return False
        self._tried.add("stale digest")
        return True


async def _feed_from(sock: socket.socket, exchange: Exchange) -> None:
    """Give the exchange what waits in the socket, but take from the socket only what belongs to the answer."""
    data = await _peek(sock)
    if not data:
        exchange.feed_eof()
        return
    exchange.feed(data)
    taken = len(data) - len(exchange.unread)
    while taken > 0 and (data := sock.recv(taken)):
        taken -= len(data)


async def _peek(sock: socket.socket) -> bytes:
    while True:
        try:
            return sock.recv(PEEK, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(sock)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


def _decoded(text: str) -> str:
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise BadProxyUrl("proxy URL: user or password is not UTF-8 once percent-decoded") from None
    if _CONTROL.search(plain):
        raise BadProxyUrl("proxy URL: user or password holds a control character")
    return plain
