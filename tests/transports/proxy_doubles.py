"""Small proxies on loopback sockets, scripted, for the tests of proxies and of the dialer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server for as long as the block lasts; gives its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(guarded, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class HttpProxy:
    """Answers each CONNECT with the next of its scripted answers; after a 2xx it echoes what comes.

    An empty answer closes the connection, as does one that says `Connection: close`.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = self.answers.pop(0)
            writer.write(answer)
            if answer[9:10] == b"2":
                await echo(reader, writer)
                return
            if not answer or b"close" in answer:
                return

    def authorization(self, index: int) -> str:
        """The Proxy-Authorization of a request; empty: it had none."""
        name = "Proxy-Authorization: "
        return next((line[len(name) :] for line in self.heads[index].split("\r\n") if line.startswith(name)), "")


class SocksProxy:
    """Plays a script of (bytes to wait for, answer); then echoes.  What came is in `got`."""

    def __init__(self, *script: tuple[int, bytes]) -> None:
        self.script = script
        self.got: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size, answer in self.script:
            self.got.append(await reader.readexactly(size))
            writer.write(answer)
        await echo(reader, writer)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
