"""Two ends of a TLS connection in one loop: ours on both sides, or Python's own ssl module on one."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.certificates import Authority, Issued
from transports.tls import ServerContext, TlsContext, TlsSettings, TlsStream

DEADLINE = 120.0  # seconds for one test, which only a broken one takes
HOST = "vpn.test"

CA = Authority("Test CA")
SERVER = CA.issue(HOST, names=(HOST, "*.wild.test", "127.0.0.1", "::1"))

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(main: Coroutine[object, object, None]) -> None:
    """Run a test's coroutine; it fails if it hangs or leaves a descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(asyncio.wait_for(main, DEADLINE))
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


def cafile(folder: Path, authority: Authority = CA) -> Path:
    path = folder / "ca.pem"
    path.write_bytes(authority.pem)
    return path


def trusting(folder: Path, **more: object) -> TlsSettings:
    """Settings that trust CA alone."""
    return TlsSettings(system_trust=False, cafile=cafile(folder), **more)  # type: ignore[arg-type]


def loopback() -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets: the server's and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _address = listener.accept()
    return server, client


@asynccontextmanager
async def pair(
    client: TlsContext, server: ServerContext, host: str = HOST
) -> AsyncIterator[tuple[TlsStream, TlsStream]]:
    """Both ends of a connection between our own two sides: the client's, the server's."""
    far, near = loopback()
    ends = await asyncio.gather(client.client(near, host), server.server(far), return_exceptions=True)
    try:
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        ours, theirs = ends
        assert isinstance(ours, TlsStream) and isinstance(theirs, TlsStream)
        yield ours, theirs
    finally:
        for end in ends:
            if isinstance(end, TlsStream):
                end.abort()


def python_server(folder: Path, issued: Issued = SERVER) -> ssl.SSLContext:
    """The server side of another implementation of the handshake's driver."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write(folder))
    return context


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextmanager
def blocking(context: ssl.SSLContext) -> Iterator[Callable[[], socket.socket]]:
    """An echo server for one connection, in a thread.  Unlike asyncio's, it sends the alert of a failed handshake."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            sock, _address = listener.accept()
            sock.settimeout(DEADLINE)
            with sock, suppress(OSError), context.wrap_socket(sock, server_side=True) as secured:
                while data := secured.recv(65536):
                    secured.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield lambda: socket.create_connection(listener.getsockname())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None, talk: Talk = echo) -> AsyncIterator[Callable[[], socket.socket]]:
    """An asyncio server; yields what connects to it."""
    done: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.append(task)
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    address = server.sockets[0].getsockname()
    try:
        yield lambda: socket.create_connection(address)
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*done, return_exceptions=True)
        await asyncio.sleep(0)  # transports that failed in their handshake close in the next turn
