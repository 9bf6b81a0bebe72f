"""The UDP side of a lab gateway, over loopback: whose datagram it is, what becomes of strangers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from transports.errors import DtlsError
from vpnclient.lab.door import DatagramDoor
from vpnclient.lab.netns import LabError
from vpnclient.lab.site import Introduction, OpenDatagrams

TLS: Any = object()


class Link:
    closed = False

    def __init__(self) -> None:
        from transports.link import LinkDescription

        self.description = LinkDescription("ESP", "127.0.0.1", 1, "AES")

    def close(self) -> None:
        self.closed = True


class Site:
    def __init__(self, failure: Exception | None = None) -> None:
        self.port, self.failure = 0, failure
        self.link = Link()
        self.firsts: list[bytes] = []

    def listens(self, port: int) -> None:
        self.port = port

    def on_datagram(self, first: bytes, now: float) -> OpenDatagrams | Introduction | None:
        self.firsts.append(first)
        if first.startswith(b"stranger"):
            return Introduction(self.meet)
        if not first.startswith(b"known"):
            return None
        return self.offer(first)

    async def meet(self, sock: Any, first: bytes, tls: Any) -> OpenDatagrams:
        assert tls is TLS and sock.peer[0] == "127.0.0.1"
        if first == b"stranger":
            raise LabError("refused: it has no name")
        return self.offer(first)

    def offer(self, first: bytes) -> OpenDatagrams:
        async def open_link(sock: Any, hello: bytes, export: Any) -> Any:
            assert hello == first and sock.peer[0] == "127.0.0.1"
            if self.failure is not None:
                raise self.failure
            return self.link

        controller: Any = None
        session: Any = "a session"
        return OpenDatagrams(session, open_link, controller, 1400)


def run(site: Site, *sent: bytes) -> tuple[list[object], list[str]]:
    """What was attached, and the log."""
    attached: list[object] = []
    log: list[str] = []

    async def attach(offer: OpenDatagrams, link: object) -> None:
        attached.append(link)

    async def go() -> None:
        tasks: set[asyncio.Task[None]] = set()
        exporter: Any = lambda offer: lambda label, length: bytes(length)  # noqa: E731
        attach_any: Any = attach
        spawn: Any = lambda work: tasks.add(asyncio.ensure_future(work))  # noqa: E731
        door = DatagramDoor(site, TLS, exporter, attach_any, spawn, log.append)
        door.open("127.0.0.1", 0)
        serving = asyncio.ensure_future(door.serve())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.connect(("127.0.0.1", site.port))
            for datagram in sent:
                peer.send(datagram)
            async with asyncio.timeout(60):
                while not log:
                    await asyncio.sleep(0.005)
        door.close()
        await serving
        await asyncio.gather(*tasks)

    asyncio.run(go())
    return attached, log


def test_a_datagram_of_a_session_becomes_its_link() -> None:
    site = Site()
    attached, log = run(site, b"known hello")
    assert attached == [site.link] and site.link.closed  # closed here: whoever took it has what it needs
    assert "ESP for 'a session': AES" in log[0]


def test_a_stranger_is_ignored_and_never_answered() -> None:
    attached, log = run(Site(), b"who am I")
    assert attached == [] and "nobody's datagram of 8 bytes" in log[0]


def test_a_handshake_that_fails_costs_that_peer_alone() -> None:
    attached, log = run(Site(DtlsError("no shared cipher")), b"known hello")
    assert attached == [] and log[0].endswith("no shared cipher")


def test_a_peer_may_say_later_who_it_is() -> None:
    site = Site()
    attached, log = run(site, b"stranger with a name")
    assert attached == [site.link] and "ESP for 'a session'" in log[0]


def test_one_that_does_not_is_logged() -> None:
    attached, log = run(Site(), b"stranger")
    assert attached == [] and log[0].endswith("refused: it has no name")
