"""Handshakes over a socket: timers, the limit, ICMP, floods."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from dataclasses import replace

import pytest

from tests.transports.dtls_doubles import KINDS, PSK_SUITES, ends, settings
from tests.transports.dtls_sockets import EchoServer, Udp, ask, connected
from transports import dtls as dtls_module
from transports.dtls import Dtls, DtlsSettings, Mode, handshake
from transports.errors import DtlsError, DtlsRefused, DtlsTimedOut


def client_settings() -> DtlsSettings:
    return settings(Mode.PSK, PSK_SUITES[0])


@pytest.mark.parametrize(("mode", "cipher"), KINDS)
def test_our_client_with_our_server(mode: Mode, cipher: str) -> None:
    async def main() -> None:
        server = EchoServer(settings(mode, cipher, server=True))
        serving = asyncio.create_task(server.run())
        async with connected(server.port, settings(mode, cipher)) as (dtls, udp):
            await ask(dtls, udp, b"payload")
        await serving

    asyncio.run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        async with connected(port, client_settings()):
            pass

    with pytest.raises(DtlsRefused, match="the network says: connection refused"):
        asyncio.run(main())


def test_nobody_answers() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            async with connected(silent.getsockname()[1], client_settings(), limit=0.2):
                pass

    began = time.monotonic()
    with pytest.raises(DtlsTimedOut, match=r"no handshake within 0\.2 s"):
        asyncio.run(main())
    assert 0.2 <= time.monotonic() - began


def test_the_timer_of_the_library() -> None:
    """What was set, doubling up to the most: no answer is waited for longer, and nothing is sent sooner."""
    asked: list[float] = []

    class Silent:
        sent = 0

        async def send(self, datagram: bytes) -> None:
            self.sent += 1
            if self.sent == 5:
                raise EnoughError

        async def receive(self, timeout: float) -> bytes:
            asked.append(timeout)
            await asyncio.sleep(timeout)
            raise TimeoutError

    began = time.monotonic()
    with pytest.raises(EnoughError):
        wish = replace(client_settings(), retransmit=0.05, retransmit_most=0.1)
        asyncio.run(handshake(Dtls(wish), Silent(), limit=60))
    assert time.monotonic() - began >= 0.34  # 0.05 + 3 * 0.1, less what a clock of milliseconds cuts off
    assert asked[0] <= 0.05 and 0.05 < max(asked) <= 0.1


class EnoughError(Exception):
    """Of a double that has seen what it wanted."""


class Scripted:
    """A socket that answers with the same for ever."""

    def __init__(self, answer: bytes | OSError, refuse: OSError | None = None) -> None:
        self.answer, self.refuse = answer, refuse
        self.received = 0

    async def send(self, datagram: bytes) -> None:
        if self.refuse:
            raise self.refuse

    async def receive(self, timeout: float) -> bytes:
        self.received += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def shake(scripted: Scripted, limit: float = 0.3) -> None:
    asyncio.run(handshake(Dtls(client_settings()), scripted, limit=limit))


def test_a_flood_of_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls_module, "MAX_IGNORED", 500)
    scripted = Scripted(b"\x16\xfe\xfd garbage")
    with pytest.raises(DtlsError, match="got 500 datagrams without an end of the handshake"):
        shake(scripted, limit=10)
    assert scripted.received == 500


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_icmp_on_receiving_and_sending(number: int) -> None:
    with pytest.raises(DtlsRefused):
        shake(Scripted(OSError(number, "x")))
    with pytest.raises(DtlsRefused):
        shake(Scripted(b"", OSError(number, "x")))


def test_another_error_of_the_socket() -> None:
    with pytest.raises(DtlsError, match="the network says: bad file descriptor") as caught:
        shake(Scripted(OSError(errno.EBADF, "x")))
    assert not isinstance(caught.value, DtlsRefused)


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EMSGSIZE, errno.EAGAIN])
def test_a_datagram_that_could_not_be_sent_is_lost(number: int) -> None:
    class Silent(Scripted):
        async def receive(self, timeout: float) -> bytes:
            await asyncio.sleep(timeout)
            raise TimeoutError

    with pytest.raises(DtlsTimedOut):
        shake(Silent(b"", OSError(number, "x")))


def test_the_alert_is_sent_before_the_error() -> None:
    """A server that shares no suite with the client tells it so."""

    async def main() -> None:
        server = EchoServer(settings(Mode.PSK, PSK_SUITES[1], server=True))
        serving = asyncio.create_task(server.run())
        with pytest.raises(DtlsError, match="the peer sent alert 40, handshake failure"):
            async with connected(server.port, client_settings()):
                pass
        with pytest.raises(DtlsError, match="no shared cipher"):
            await serving

    asyncio.run(main())


def test_a_cancelled_handshake_leaves_nothing() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            udp = Udp.to(silent.getsockname()[1])
            client, _server = ends(Mode.PSK, PSK_SUITES[0])
            task = asyncio.create_task(handshake(client, udp))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            udp.close()
            assert not client.established

    asyncio.run(main())
