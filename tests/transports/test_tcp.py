"""Resolving and connecting: every address is tried, and the error says why each failed."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from typing import Any

import pytest

from tests.transports.proxy_doubles import echo, serving
from transports import tcp
from transports.errors import Unreachable


def names(monkeypatch: pytest.MonkeyPatch, table: dict[str, list[str]]) -> list[str]:
    """Replace DNS; returns the list of names that were asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_args: object, **_options: object) -> list[Any]:
        asked.append(host)
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_families_alternate_and_nothing_comes_twice() -> None:
    found = tcp.interleave(["fd00::1", "fd00::2", "192.0.2.1", "fd00::1", "192.0.2.2", "192.0.2.3"])
    assert found == ("fd00::1", "192.0.2.1", "fd00::2", "192.0.2.2", "192.0.2.3")
    assert tcp.interleave([]) == ()


@pytest.mark.parametrize("host", ["192.0.2.1", "fd00::1", "fe80::1%eth0"])
def test_addresses_need_no_dns(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, {})
    assert asyncio.run(tcp.resolve(host, 443, 1)) == (host,)
    assert asked == []


def test_resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    names(
        monkeypatch,
        {"vpn.test": ["192.0.2.1", "192.0.2.1"], "empty.test": [], "many.test": [f"10.0.0.{n}" for n in range(99)]},
    )
    assert asyncio.run(tcp.resolve("vpn.test", 443, 1)) == ("192.0.2.1",)
    assert len(asyncio.run(tcp.resolve("many.test", 443, 1))) == tcp.MAX_ADDRESSES
    with pytest.raises(Unreachable, match=r"cannot resolve empty\.test: the name has no address"):
        asyncio.run(tcp.resolve("empty.test", 443, 1))
    with pytest.raises(Unreachable, match=r"cannot resolve nope\.test: name or service not known"):
        asyncio.run(tcp.resolve("nope.test", 443, 1))


@pytest.mark.parametrize("host", ["", "a" * 300, "a\0b", "a\nb"])
def test_what_is_no_name_is_not_asked_for(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, {})
    with pytest.raises(Unreachable, match="not a host name"):
        asyncio.run(tcp.resolve(host, 443, 1))
    assert asked == []


def test_a_resolver_that_hangs_is_named_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the loop once waited for its thread: Ctrl-C did nothing for as long as the resolver hung."""
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: hang.wait(60))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer from DNS within 0\.01 s"):
        asyncio.run(tcp.resolve("vpn.test", 443, 0.01))
    assert time.monotonic() - began < 30
    hang.set()


def test_the_next_address_is_tried_when_one_fails() -> None:
    async def work() -> None:
        async with serving(echo) as port:
            sock, address = await tcp.connect("vpn.test", ["127.0.0.2", "127.0.0.1"], port, 5)
            with sock:
                assert address == "127.0.0.1"
                assert sock.getpeername() == ("127.0.0.1", port) and not sock.getblocking()
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    asyncio.run(work())


def test_each_failure_is_told() -> None:
    port = closed_port()
    with pytest.raises(tcp.NoAddressWorked) as caught:
        asyncio.run(tcp.connect("vpn.test", ["127.0.0.1", "127.0.0.2"], port, 5))
    assert str(caught.value) == (
        f"cannot reach vpn.test port {port}: 127.0.0.1: connection refused; 127.0.0.2: connection refused"
    )
    assert [failure.no_route for failure in caught.value.failures] == [False, False]


def scripted(monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, object]) -> list[str]:
    """Replace the connecting of sockets: an error, None for success, or a future's wait for ever."""
    tried: list[str] = []

    async def sock_connect(_sock: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        outcome = outcomes[address[0]]
        if isinstance(outcome, Exception):
            raise outcome
        if outcome == "hang":
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
    return tried


def test_an_address_that_hangs_delays_the_next_by_the_stagger_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        tried = scripted(monkeypatch, {"fd00::1": "hang", "192.0.2.1": None, "192.0.2.2": None})
        sock, _ = await tcp.connect("vpn.test", ["fd00::1", "192.0.2.1", "192.0.2.2"], 443, 60, stagger=0.01)
        assert sock.family == socket.AF_INET and tried == ["fd00::1", "192.0.2.1"]
        sock.close()

    asyncio.run(work())


def test_time_out_and_missing_route_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        scripted(monkeypatch, {"fd00::1": OSError(errno.ENETUNREACH, "x"), "192.0.2.1": "hang"})
        with pytest.raises(tcp.NoAddressWorked) as caught:
            await tcp.connect("vpn.test", ["fd00::1", "192.0.2.1"], 443, 0.01)
        assert [(one.reason, one.no_route) for one in caught.value.failures] == [
            ("network is unreachable", True),
            ("no answer within 0.01 s", False),
        ]

    asyncio.run(work())


def test_cancelling_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        tried = scripted(monkeypatch, {"192.0.2.1": "hang"})
        task = asyncio.create_task(tcp.connect("vpn.test", ["192.0.2.1"], 443, 60))
        while not tried:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())  # an open socket would be a ResourceWarning, and thus an error


def test_keep_alive() -> None:
    with socket.socket() as sock:
        tcp.keep_alive(sock, 30)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 70_000
        tcp.keep_alive(sock, 10**9)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == tcp.MAX_KEEPALIVE_IDLE
