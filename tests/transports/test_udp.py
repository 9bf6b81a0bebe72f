"""UDP sockets and listeners, over loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from transports.errors import ConnectionLost, DatagramTooLarge, TimedOut, Unreachable
from transports.udp import MAX_STRAYS, RECEIVE_BUFFER, UdpListener, UdpSocket

LOCALHOST = ("127.0.0.1", "::1")
TIMEOUT = 30.0  # seconds; only a broken test waits that long


@contextmanager
def peer(address: str = "127.0.0.1") -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.settimeout(TIMEOUT)
        sock.bind((address, 0))
        yield sock


@contextmanager
def connected(address: str = "127.0.0.1") -> Iterator[tuple[UdpSocket, socket.socket]]:
    with peer(address) as other, closing(UdpSocket.open(address, other.getsockname()[1])) as udp:
        other.connect((address, udp.local_port))
        yield udp, other


class Failing:
    """A socket whose next calls fail as told; the rest is the real one's."""

    def __init__(self, sock: socket.socket, **errors: list[int]) -> None:
        self.sock, self.errors = sock, errors

    def __getattr__(self, name: str) -> Any:
        waiting = self.errors.get(name)
        if not waiting:
            return getattr(self.sock, name)
        number = waiting.pop(0)

        def fail(*args: object) -> None:
            raise OSError(number, os.strerror(number))

        return fail


def failing(udp: UdpSocket, **errors: list[int]) -> None:
    udp._sock = Failing(udp._sock, **errors)  # type: ignore[assignment]


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(4 * TIMEOUT):
            await body()

    asyncio.run(limited())


# --- one socket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", LOCALHOST)
def test_datagrams_go_both_ways(address: str) -> None:
    async def body() -> None:
        with connected(address) as (udp, other):
            assert udp.peer == (address, other.getsockname()[1])
            await udp.send(b"there")
            assert other.recv(100) == b"there"
            other.send(b"back")
            other.send(b"")
            assert [await udp.receive(TIMEOUT), await udp.receive(TIMEOUT)] == [b"back", b""]
            late = asyncio.create_task(udp.receive(TIMEOUT))
            await asyncio.sleep(0)
            other.send(b"late")
            assert await late == b"late"

    run(body)


def test_it_does_not_block_and_its_buffers_are_large() -> None:
    with connected() as (udp, _):
        assert not os.get_blocking(udp.fileno())
        with socket.socket(fileno=os.dup(udp.fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 400_000  # what any system allows
            assert same.getsockopt(socket.IPPROTO_IP, 10) == 2  # path MTU discovery: DO
        assert udp.path_mtu() >= 1500


def test_buffers_are_cut_to_the_limit_for_who_may_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = socket.socket.setsockopt

    def refuse(self: socket.socket, level: int, option: int, value: int) -> None:
        if level == socket.SOL_SOCKET:
            asked.append(option)
            if option in (32, 33):
                raise PermissionError(errno.EPERM, "no")
        real(self, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", refuse)
    with closing(UdpSocket.open("127.0.0.1", 9)) as udp:
        assert asked == [33, socket.SO_RCVBUF, 32, socket.SO_SNDBUF]
        assert udp.local_port


def test_a_local_port_can_be_chosen() -> None:
    with peer() as far, peer() as other:
        port = other.getsockname()[1]
        other.close()
        with closing(UdpSocket.open("127.0.0.1", far.getsockname()[1], local_port=port)) as udp:
            assert udp.local_port == port
            with pytest.raises(Unreachable, match=f"from any address port {port}: address already in use"):
                UdpSocket.open("127.0.0.1", 9, local_port=port)


@pytest.mark.parametrize(
    ("address", "port", "why"),
    [
        ("vpn.test", 443, "cannot open udp to vpn.test port 443: not a numeric address"),
        ("", 443, "not a numeric address"),
        ("127.0.0.1", 70000, "port 70000: "),
        ("255.255.255.255", 443, "permission denied"),
    ],
)
def test_what_cannot_be_opened_says_why(address: str, port: int, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        UdpSocket.open(address, port)


def test_silence_is_told_with_peer_and_seconds() -> None:
    async def body() -> None:
        with connected() as (udp, other):
            with pytest.raises(TimedOut, match=rf"port {other.getsockname()[1]}: no answer within 0\.01 s"):
                await udp.receive(0.01)

    run(body)


def test_nobody_listens_there() -> None:
    async def body() -> None:
        with connected() as (udp, other):
            port = other.getsockname()[1]
            other.close()
            await udp.send(b"one")
            with pytest.raises(ConnectionLost, match=rf"udp to 127\.0\.0\.1 port {port}: connection refused"):
                await udp.receive(TIMEOUT)
            await udp.send(b"two")  # it was told once
            with pytest.raises(ConnectionLost, match="connection refused"):
                await udp.send(b"three")

    run(body)


def test_too_large_for_the_path() -> None:
    async def body() -> None:
        with connected() as (udp, other):
            with pytest.raises(DatagramTooLarge, match="a datagram of 65530 bytes, the path takes") as caught:
                await udp.send(bytes(65530))
            assert caught.value.size == 65530 and caught.value.mtu == udp.path_mtu()
            await udp.send(b"small")
            assert other.recv(100) == b"small"

    run(body)


def test_icmp_about_an_earlier_datagram_costs_none() -> None:
    async def body() -> None:
        with connected() as (udp, other):
            failing(udp, send=[errno.EMSGSIZE], recv=[errno.EMSGSIZE, errno.EMSGSIZE])
            await udp.send(b"fits")
            assert other.recv(100) == b"fits"
            other.send(b"back")
            assert await udp.receive(TIMEOUT) == b"back"
            failing(udp, send=[errno.EMSGSIZE, errno.EMSGSIZE])
            with pytest.raises(DatagramTooLarge):  # the kernel insists
                await udp.send(b"fits")

    run(body)


def test_a_full_socket_is_waited_for() -> None:
    async def body() -> None:
        with connected() as (udp, other):
            failing(udp, send=[errno.EAGAIN, errno.EAGAIN])
            await udp.send(b"patience")
            assert other.recv(100) == b"patience"

    run(body)


def test_closing_ends_who_waits() -> None:
    async def body() -> None:
        with connected() as (udp, _):
            waiting = asyncio.create_task(udp.receive(TIMEOUT))
            await asyncio.sleep(0)
            udp.close()
            udp.close()
            with pytest.raises(ConnectionLost, match="closed on this side"):
                await waiting
            for late in (udp.fileno, udp.path_mtu):
                with pytest.raises(ConnectionLost, match="closed on this side"):
                    late()
            with pytest.raises(ConnectionLost, match="closed on this side"):
                await udp.send(b"x")
            assert udp.closed

    run(body)


# --- a listener ------------------------------------------------------------------------------------------------


@contextmanager
def listening(**options: int) -> Iterator[UdpListener]:
    with closing(UdpListener("127.0.0.1", **options)) as listener:
        yield listener


@pytest.mark.parametrize("address", LOCALHOST)
def test_each_peer_gets_a_socket_of_its_own(address: str) -> None:
    async def body() -> None:
        with closing(UdpListener(address)) as listener, peer(address) as one, peer(address) as two:
            for client, greeting in ((one, b"I am one"), (two, b"I am two")):
                client.connect((address, listener.port))
                client.send(greeting)
            sockets = []
            for client, greeting in ((one, b"I am one"), (two, b"I am two")):
                first, udp = await listener.accept()
                sockets.append(udp)
                assert (first, udp.peer, udp.local_port) == (greeting, client.getsockname()[:2], listener.port)
            assert listener.peers == 2
            for client, udp in zip((two, one), reversed(sockets), strict=True):
                client.send(b"question")
                assert await udp.receive(TIMEOUT) == b"question"
                await udp.send(b"answer")
                assert client.recv(100) == b"answer"
                udp.close()
            assert listener.peers == 0

    run(body)


def test_a_peer_is_accepted_once_and_again_after_its_socket_is_closed() -> None:
    async def body() -> None:
        with listening() as listener, peer() as client:
            client.connect(("127.0.0.1", listener.port))
            for greeting in (b"first", b"second", b"third"):  # all at the listener before there is another socket
                client.send(greeting)
            first, udp = await listener.accept()
            assert first == b"first"
            waiting = asyncio.create_task(listener.accept())
            client.send(b"fourth")
            assert await udp.receive(TIMEOUT) == b"fourth"
            async with asyncio.timeout(TIMEOUT):
                while listener.dropped < 2:
                    await asyncio.sleep(0.001)
            assert not waiting.done() and listener.dropped == 2
            udp.close()
            client.send(b"again")
            first, udp = await waiting
            assert first == b"again"
            udp.close()

    run(body)


def test_peers_beyond_the_cap_are_dropped() -> None:
    async def body() -> None:
        with listening(max_peers=1) as listener, peer() as one, peer() as two:
            one.sendto(b"one", ("127.0.0.1", listener.port))
            two.sendto(b"two", ("127.0.0.1", listener.port))
            _, udp = await listener.accept()
            waiting = asyncio.create_task(listener.accept())
            async with asyncio.timeout(TIMEOUT):
                while listener.dropped < 1:
                    await asyncio.sleep(0.001)
            assert listener.dropped == 1 and not waiting.done()
            udp.close()
            two.sendto(b"still here", ("127.0.0.1", listener.port))
            first, udp = await waiting
            assert first == b"still here"
            udp.close()

    run(body)


def test_what_came_to_a_new_socket_before_it_was_connected_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between bind and connect the kernel gives the new socket what is anybody's."""

    async def body() -> None:
        with listening() as listener, peer() as one, peer() as two, peer() as three:
            place = ("127.0.0.1", listener.port)
            real = listener._connect

            def racing(sock: socket.socket, address: Any) -> list[bytes]:
                monkeypatch.setattr(listener, "_connect", real)
                one.sendto(b"one's second", place)
                two.sendto(b"two's first", place)
                one.sendto(b"one's third", place)
                for _ in range(MAX_STRAYS + 5):
                    three.sendto(b"three's", place)
                return real(sock, address)

            monkeypatch.setattr(listener, "_connect", racing)
            one.sendto(b"one's first", place)
            first, udp = await listener.accept()
            assert (first, udp.peer) == (b"one's first", one.getsockname())
            assert [await udp.receive(TIMEOUT), await udp.receive(TIMEOUT)] == [b"one's second", b"one's third"]
            assert listener.dropped == 6
            first, other = await listener.accept()
            assert (first, other.peer) == (b"two's first", two.getsockname())
            udp.close()
            other.close()

    run(body)


def test_who_cannot_be_answered_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        with listening() as listener, peer() as one, peer() as two:
            real = listener._connect

            def refuse(sock: socket.socket, address: Any) -> list[bytes]:
                monkeypatch.setattr(listener, "_connect", real)
                raise OSError(errno.ENETUNREACH, "no way")

            monkeypatch.setattr(listener, "_connect", refuse)
            one.sendto(b"one", ("127.0.0.1", listener.port))
            two.sendto(b"two", ("127.0.0.1", listener.port))
            first, udp = await listener.accept()
            assert first == b"two" and listener.dropped == 1 and listener.peers == 1
            udp.close()

    run(body)


def test_a_closed_listener_ends_who_waits() -> None:
    async def body() -> None:
        with listening() as listener:
            waiting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            listener.close()
            listener.close()
            for later in (waiting, asyncio.create_task(listener.accept())):
                with pytest.raises(ConnectionLost, match="closed on this side"):
                    await later

    run(body)


def test_where_one_cannot_listen() -> None:
    with peer() as other:
        port = other.getsockname()[1]
        with pytest.raises(Unreachable, match=rf"listen at udp 127\.0\.0\.1 port {port}: address already in use"):
            UdpListener("127.0.0.1", port)
    with pytest.raises(Unreachable, match="not a numeric address"):
        UdpListener("localhost")
