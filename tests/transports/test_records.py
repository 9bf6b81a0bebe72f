"""Records over DTLS before a pump has them, over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.transports.tls_doubles import HOST, SERVER, run, trusting
from transports.dtls import Version
from transports.errors import ConnectionLost, DtlsEnded, DtlsError, EngineError
from transports.records import DtlsRecords
from transports.tls import ServerContext, TlsContext
from transports.udp import UdpListener, UdpSocket

BOTH = pytest.mark.parametrize("version", [Version.DTLS12, Version.DTLS10])
PATIENCE = 5.0  # seconds; only a broken test waits that long


@asynccontextmanager
async def ends(folder: Path, version: Version = Version.DTLS12) -> AsyncIterator[tuple[DtlsRecords, DtlsRecords]]:
    """(client, server)"""
    listener = UdpListener("127.0.0.1")

    async def serve() -> DtlsRecords:
        first, peer = await listener.accept()
        return DtlsRecords(peer, await ServerContext(SERVER.identity).datagrams(peer, first, version=version))

    serving = asyncio.ensure_future(serve())
    socket = UdpSocket.open("127.0.0.1", listener.port)
    client = DtlsRecords(socket, await TlsContext(trusting(folder)).datagrams(socket, HOST, version=version))
    server = await serving
    try:
        yield client, server
    finally:
        client.close()
        server.close()
        listener.close()


def with_ends(
    folder: Path,
    test: Callable[[DtlsRecords, DtlsRecords], Awaitable[None]],
    version: Version = Version.DTLS12,
) -> None:
    async def main() -> None:
        async with ends(folder, version) as (client, server):
            await test(client, server)

    run(main())


@BOTH
def test_a_payload_a_record(tmp_path: Path, version: Version) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        for payload in (b"x", bytes(1200), b"GET / HTTP/1.1\r\n\r\n"):
            await client.send(payload)
            await client.send(payload[:1])
            assert await server.receive(PATIENCE) == payload
            assert await server.receive(PATIENCE) == payload[:1]
            await server.send(payload)
            assert await client.receive(PATIENCE) == payload
        assert client.peer[0] == "127.0.0.1" and client.path_mtu() >= 1280
        assert (client.overhead == 37) is (version is Version.DTLS12)
        assert client.info == server.info and client.peer_certificate == SERVER.der
        assert repr(client) == f"<dtls to 127.0.0.1 port {client.peer[1]}>"

    with_ends(tmp_path, test, version)


def test_several_records_of_a_datagram_come_one_by_one_and_empty_ones_never(tmp_path: Path) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        dtls = client._ours()
        sealed = [dtls.seal(payload) for payload in (b"one", b"", b"two", b"", b"three")]
        await client._socket.send(sealed[1])
        await client._socket.send(b"".join(sealed[0:1] + sealed[2:]))
        assert [await server.receive(PATIENCE) for _ in range(3)] == [b"one", b"two", b"three"]
        with pytest.raises(TimeoutError):
            await server.receive(0.05)

    with_ends(tmp_path, test)


@BOTH
def test_garbage_is_waited_past_and_does_not_move_the_deadline(tmp_path: Path, version: Version) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        async def flood() -> None:
            while True:
                await client._socket.send(b"\x17\xfe\xfd" + bytes(40))
                await asyncio.sleep(0)

        flooding = asyncio.ensure_future(flood())
        with pytest.raises(TimeoutError):
            await server.receive(0.1)
        flooding.cancel()
        await client.send(b"genuine")
        assert await server.receive(PATIENCE) == b"genuine"

    with_ends(tmp_path, test, version)


@BOTH
def test_the_goodbye(tmp_path: Path, version: Version) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        client.close()
        client.close()
        with pytest.raises(DtlsEnded):
            await server.receive(PATIENCE)
        with pytest.raises(DtlsEnded):
            await server.send(b"too late")
        for ended in (client.send(b"x"), client.receive(1)):
            with pytest.raises(DtlsEnded, match="closed on this side"):
                await ended

    with_ends(tmp_path, test, version)


def test_what_came_before_the_goodbye_is_delivered(tmp_path: Path) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        await client.send(b"last words")
        client.close()
        assert await server.receive(PATIENCE) == b"last words"
        with pytest.raises(DtlsEnded):
            await server.receive(PATIENCE)

    with_ends(tmp_path, test)


def test_nobody_is_there_any_more(tmp_path: Path) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        server._socket.close()
        with pytest.raises(ConnectionLost):
            for _ in range(100):
                await client.send(b"anybody")
                await asyncio.sleep(0)
                await client.receive(PATIENCE)

    async def main() -> None:
        listener = UdpListener("127.0.0.1")
        first: list[tuple[bytes, UdpSocket]] = []

        async def serve() -> DtlsRecords:
            first.append(await listener.accept())
            datagram, peer = first[0]
            return DtlsRecords(peer, await ServerContext(SERVER.identity).datagrams(peer, datagram))

        serving = asyncio.ensure_future(serve())
        socket = UdpSocket.open("127.0.0.1", listener.port)
        client = DtlsRecords(socket, await TlsContext(trusting(tmp_path)).datagrams(socket, HOST))
        listener.close()
        try:
            await test(client, await serving)
        finally:
            client.close()

    run(main())


@BOTH
def test_a_link_takes_the_association(tmp_path: Path, version: Version) -> None:
    async def test(client: DtlsRecords, server: DtlsRecords) -> None:
        link = client.link("cstp-dtls", largest=2000)
        description = link.description
        assert (description.name, description.host, description.port) == ("DTLS", *client.peer)
        assert description.detail == f"{client.info.version}, {client.info.cipher}"
        assert description.overhead == client.overhead and description.path_mtu >= 1280
        for spent in (client.send(b"x"), client.receive(1)):
            with pytest.raises(DtlsEnded, match="a pump has it"):
                await spent
        with pytest.raises(DtlsEnded):
            client.link("cstp-dtls")
        client.close()
        with pytest.raises(TimeoutError):  # the goodbye is the link's
            await server.receive(0.05)
        link.close()

    with_ends(tmp_path, test, version)


@pytest.mark.parametrize(("framing", "options"), [("nonsense", ()), ("cstp-dtls", (("nonsense", b""),))])
def test_a_link_that_cannot_be(tmp_path: Path, framing: str, options: tuple[tuple[str, bytes], ...]) -> None:
    async def test(client: DtlsRecords, _server: DtlsRecords) -> None:
        with pytest.raises(EngineError):
            client.link(framing, options=options)
        with pytest.raises(DtlsError):
            await client.send(b"x")

    with_ends(tmp_path, test)
