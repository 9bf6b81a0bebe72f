"""The dialer: addresses that stick, proxies, and real TLS on loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.transports.dtls_certified import echoing
from tests.transports.http_doubles import answer
from tests.transports.proxy_doubles import Handler, HttpProxy, serving
from tests.transports.test_tcp import names
from tests.transports.tls_doubles import HOST, run, trusting
from transports import tcp
from transports.dialer import Dialer, DialSettings
from transports.dtls import Version
from transports.errors import (
    ClientCertificateWanted,
    DtlsError,
    DtlsTimedOut,
    NotTrusted,
    ProxyError,
    TransportError,
    Unreachable,
)
from transports.http import HttpClient, open_stream
from transports.pins import Pin, pin_of
from transports.proxy import Proxy
from transports.tls import ServerContext, TlsSettings, TlsStream

SETTINGS = DialSettings(TlsSettings(system_trust=False))


class FakeContext:
    """Stands for TLS: hands the socket back."""

    async def client(self, sock: socket.socket, host: str) -> tuple[socket.socket, str]:
        return sock, host


def fake_network(monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, list[int]]) -> list[str]:
    """Replace connecting: per address a list of errnos, 0 for success, one per attempt.  Returns what was tried."""
    tried: list[str] = []

    class Socket:
        def __init__(self, address: str) -> None:
            self.address = address

        def close(self) -> None:
            pass

    async def connect_one(address: str, _port: int, _timeout: float) -> Socket:
        tried.append(address)
        number = outcomes[address].pop(0)
        if number:
            raise OSError(number, "x")
        return Socket(address)

    monkeypatch.setattr(tcp, "_connect_one", connect_one)
    return tried


def dialer(settings: DialSettings = SETTINGS) -> Dialer:
    return Dialer(settings, context=FakeContext())  # type: ignore[arg-type]


def dial(dialer: Dialer, times: int = 1, host: str = "vpn.test") -> None:
    async def work() -> None:
        for _ in range(times):
            await dialer.dial(host, 443)

    asyncio.run(work())


# --- addresses -------------------------------------------------------------------------------------------------


def test_a_name_is_resolved_once_and_its_address_kept(monkeypatch: pytest.MonkeyPatch) -> None:  # Q16
    asked = names(monkeypatch, {"vpn.test": ["192.0.2.1", "192.0.2.2"]})
    tried = fake_network(monkeypatch, {"192.0.2.1": [errno.ECONNREFUSED], "192.0.2.2": [0, 0, 0]})
    one = dialer()
    assert one.address_of("vpn.test") is None
    dial(one, 2)
    dial(one, host="VPN.test")
    assert asked == ["vpn.test"] and tried == ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2"]
    assert one.address_of("vpn.test") == one.address_of("VPN.TEST") == "192.0.2.2" and not one.through_proxy


def test_the_kept_address_is_not_left_for_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch, {"vpn.test": ["192.0.2.1", "192.0.2.2"]})
    tried = fake_network(monkeypatch, {"192.0.2.1": [0, errno.ECONNREFUSED], "192.0.2.2": [0]})
    one = dialer()
    dial(one)
    with pytest.raises(Unreachable, match=r"vpn\.test port 443: 192\.0\.2\.1: connection refused$"):
        dial(one)
    assert tried == ["192.0.2.1", "192.0.2.1"]


def test_without_a_route_the_other_family_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"vpn.test": ["fd00::1", "192.0.2.1"]})
    fake_network(monkeypatch, {"fd00::1": [0, errno.ENETUNREACH], "192.0.2.1": [0]})
    one = dialer()
    dial(one)
    assert one.address_of("vpn.test") == "fd00::1"
    dial(one)
    assert one.address_of("vpn.test") == "192.0.2.1"


def test_forget_resolves_again_and_survives_dns_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"vpn.test": ["192.0.2.1"]}
    asked = names(monkeypatch, table)
    tried = fake_network(monkeypatch, {"192.0.2.1": [0, 0], "192.0.2.9": [0]})
    one = dialer()
    one.forget("vpn.test")  # not known yet: nothing to forget
    dial(one)
    one.forget("vpn.test")
    assert one.address_of("vpn.test") == "192.0.2.1"
    del table["vpn.test"]
    dial(one)  # DNS fails: the cached address serves
    table["vpn.test"] = ["192.0.2.9"]
    dial(one)
    assert tried == ["192.0.2.1", "192.0.2.1", "192.0.2.9"] and len(asked) == 3
    assert one.address_of("vpn.test") == "192.0.2.9"


def test_resolve_overrides_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, {})
    tried = fake_network(monkeypatch, {"fd00::1": [0]})
    dial(dialer(replace(SETTINGS, resolve={"VPN.test": ("fd00::1",)})))
    assert asked == [] and tried == ["fd00::1"]


def test_a_name_that_does_not_resolve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {})
    with pytest.raises(Unreachable, match=r"cannot resolve vpn\.test"):
        dial(dialer())


@pytest.mark.parametrize(("wish", "protocol", "idle"), [(30, 0, 30), (0, 60, 60), (30, 60, 30), (0, 0, 0)])
def test_keep_alive_is_set_where_the_user_or_the_protocol_wants_it(wish: int, protocol: int, idle: int) -> None:
    async def work() -> None:
        async with serving(HttpProxy(b"")) as port:
            made = dialer(replace(SETTINGS, tcp_keepalive=wish))
            sock, _host = await made.dial("127.0.0.1", port, keep_alive=protocol)  # type: ignore[misc]
            with sock:
                assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(idle)
                assert not idle or sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle

    asyncio.run(work())


# --- real TLS --------------------------------------------------------------------------------------------------

AUTHORITY = Authority("Test CA")
SERVER = AUTHORITY.issue("vpn.test", names=("vpn.test", "127.0.0.1"))
PINNED = DialSettings(TlsSettings(pins=(Pin.parse(pin_of(SERVER.der)),)), resolve={"vpn.test": ("127.0.0.1",)})


class Gateway:
    """A TLS server on loopback; each connection answers the requests of its script, then closes."""

    def __init__(self, *scripts: list[bytes], orderly: bool = True, client_required: bool = False) -> None:
        self.scripts = list(scripts)
        self.orderly = orderly
        self.got = b""
        self._context = ServerContext(SERVER.identity, client_required=client_required)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])

    async def __aenter__(self) -> Gateway:
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._listener.close()

    async def _serve(self) -> None:
        for script in self.scripts:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            try:
                stream = await self._context.server(sock)
                await self._play(stream, script)
            except TransportError:
                continue

    async def _play(self, stream: TlsStream, script: list[bytes]) -> None:
        for reply in script:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                data = await stream.read()
                if not data:
                    break
                request += data
            self.got += request
            await stream.write(reply)
        if self.orderly:
            await stream.close()
        else:
            stream.abort()  # no close_notify


@pytest.mark.parametrize("orderly", [True, False])
def test_http_over_real_tls(orderly: bool) -> None:  # Q8 and Q30 among it
    async def work() -> None:
        async with Gateway([answer(b"1"), answer(b"2")], [b"HTTP/1.0 200 OK\r\n\r\nrest"], orderly=orderly) as gateway:
            one = Dialer(PINNED)
            http = HttpClient(one, user_agent="test")
            url = f"https://vpn.test:{gateway.port}/"
            assert [(await http.request("GET", url)).body for _ in range(3)] == [b"1", b"2", b"rest"]
            assert http.stream_info is not None and http.stream_info.version == "TLSv1.3"
            assert http.peer_host == one.address_of("vpn.test") == "127.0.0.1"
            await http.close()
            assert gateway.got.startswith(f"GET / HTTP/1.1\r\nHost: vpn.test:{gateway.port}\r\n".encode())

    asyncio.run(work())


def test_a_tunnel_over_real_tls_loses_no_byte() -> None:
    async def work() -> None:
        packet = b"STF\x01\x00\x05\x03\x00hello"
        async with Gateway([b"HTTP/1.1 200 CONNECTED\r\nX-CSTP-MTU: 1390\r\n\r\n" + packet]) as gateway:
            url = f"https://vpn.test:{gateway.port}/CSCOSSLC/tunnel"
            response, stream, unread = await open_stream(Dialer(PINNED), "CONNECT", url, [])
            assert response.header("x-cstp-mtu") == "1390" and unread == packet
            assert await stream.read() == b""
            await stream.close()

    asyncio.run(work())


def test_trust_is_decided_before_anything_is_sent() -> None:
    async def work() -> None:
        async with Gateway([answer(b"1")]) as gateway:
            http = HttpClient(Dialer(replace(PINNED, tls=SETTINGS.tls)), user_agent="test")
            with pytest.raises(NotTrusted):
                await http.request("GET", f"https://vpn.test:{gateway.port}/")
            assert gateway.got == b""

    asyncio.run(work())


def test_a_gateway_that_wants_a_certificate_is_told_from_one_that_hangs_up() -> None:
    async def work() -> None:
        async with Gateway([answer(b"1")], client_required=True) as gateway:
            http = HttpClient(Dialer(PINNED), user_agent="test")
            with pytest.raises(ClientCertificateWanted):  # under TLS 1.3 its alert comes after our request
                await http.request("GET", f"https://vpn.test:{gateway.port}/")

    asyncio.run(work())


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_tls_through_a_proxy(scheme: str) -> None:
    async def work() -> None:
        async with Gateway([answer(b"through")]) as gateway, serving(relay(scheme, gateway.port)) as port:
            one = Dialer(replace(PINNED, proxy=Proxy(scheme, "127.0.0.1", port), resolve={}))
            http = HttpClient(one, user_agent="test")
            assert (await http.request("GET", "https://vpn.test/")).body == b"through"
            assert one.through_proxy and one.address_of("vpn.test") is None
            await http.close()

    asyncio.run(work())


def relay(scheme: str, port: int) -> Handler:
    """A proxy that lets everyone through to one port of this machine, whatever was asked."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if scheme == "http":
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT vpn.test:443 ")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            await reader.readexactly(3)
            writer.write(b"\x05\x00")
            assert await reader.readexactly(15) == b"\x05\x01\x00\x03\x08vpn.test\x01\xbb"
            writer.write(bytes.fromhex("05000001000000000000"))
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        finally:
            inner_writer.close()

    return handler


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.write_eof()


def test_a_proxy_that_refuses_is_a_proxy_error() -> None:
    async def work() -> None:
        double = HttpProxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        async with serving(double) as port:
            with pytest.raises(ProxyError, match="403 Forbidden"):
                await Dialer(replace(PINNED, proxy=Proxy("http", "127.0.0.1", port))).dial("vpn.test", 443)
            assert double.heads[0].startswith("CONNECT 127.0.0.1:443 ")  # --resolve holds behind a proxy too

    asyncio.run(work())


# --- DTLS ---


def test_dtls_to_a_name_at_an_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with echoing() as echo:
            dialer = Dialer(DialSettings(trusting(tmp_path)))
            records = await dialer.dtls(HOST, echo.port, address="127.0.0.1")
            await records.send(b"payload")
            assert await records.receive(5.0) == b"payload"
            assert records.peer == ("127.0.0.1", echo.port) and records.info.version == "DTLSv1.2"
            records.close()
            with pytest.raises(DtlsError, match="protocol version"):
                await dialer.dtls(HOST, echo.port, address="127.0.0.1", version=Version.DTLS10)
            with pytest.raises(NotTrusted):
                await dialer.dtls("other.test", echo.port, address="127.0.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            with pytest.raises(DtlsTimedOut, match=r"no handshake within 0\.1 s"):
                await dialer.dtls(HOST, silent.getsockname()[1], address="127.0.0.1", limit=0.1)

    run(main())


def test_dtls_does_not_go_through_a_proxy() -> None:
    dialer = Dialer(DialSettings(TlsSettings(), proxy=Proxy("http", "proxy.test", 8080)))
    with pytest.raises(Unreachable, match="UDP does not go through the proxy"):
        asyncio.run(dialer.dtls(HOST, 443, address="127.0.0.1"))
