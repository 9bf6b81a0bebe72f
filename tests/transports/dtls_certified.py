"""DTLS with certificates on loopback: a server of ours that echoes, and clients on a network that may misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.transports.dtls_sockets import PATIENCE, Fate, Udp, next_payload, untouched
from tests.transports.tls_doubles import HOST, SERVER
from transports.dtls import Dtls, Version
from transports.errors import ConnectionLost, TransportError
from transports.records import DtlsRecords
from transports.tls import ServerContext, TlsContext
from transports.udp import UdpListener, UdpSocket


class Echo:
    """ends: of the clients that came, in order.  errors: of handshakes that failed."""

    def __init__(self, context: ServerContext, version: Version, ciphers: tuple[str, ...]) -> None:
        self._context, self._version, self._ciphers = context, version, ciphers
        self._listener = UdpListener("127.0.0.1")
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = self._listener.port
        self.ends: list[DtlsRecords] = []
        self.errors: list[TransportError] = []

    async def run(self) -> None:
        with suppress(ConnectionLost):
            while True:
                first, socket = await self._listener.accept()
                self._tasks.add(asyncio.ensure_future(self._serve(first, socket)))

    async def close(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, first: bytes, socket: UdpSocket) -> None:
        try:
            dtls = await self._context.datagrams(socket, first, version=self._version, ciphers=self._ciphers)
            records = DtlsRecords(socket, dtls)
            self.ends.append(records)
            with suppress(TransportError):
                while True:
                    await records.send(await records.receive(60.0))
        except TransportError as exc:
            self.errors.append(exc)
        finally:
            socket.close()


@asynccontextmanager
async def echoing(
    context: ServerContext | None = None, version: Version = Version.DTLS12, ciphers: tuple[str, ...] = ()
) -> AsyncIterator[Echo]:
    echo = Echo(context or ServerContext(SERVER.identity), version, ciphers)
    running = asyncio.ensure_future(echo.run())
    try:
        yield echo
    finally:
        await echo.close()
        await running


async def associate(
    context: TlsContext,
    port: int,
    fate: Fate = untouched,
    *,
    host: str = HOST,
    version: Version = Version.DTLS12,
    ciphers: tuple[str, ...] = (),
    payloads: tuple[bytes, ...] = (b"a payload",),
) -> Dtls:
    """Handshake and echoes, then the goodbye."""
    udp = Udp.to(port, fate)
    try:
        dtls = await context.datagrams(udp, host, version=version, ciphers=ciphers, limit=PATIENCE * 2)
        for payload in payloads:
            await echoed(dtls, udp, payload)
        await udp.send(dtls.close())
        return dtls
    finally:
        udp.close()


async def echoed(dtls: Dtls, udp: Udp, payload: bytes) -> None:
    """Sends it until it comes back."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await udp.send(dtls.seal(payload))
            with suppress(TimeoutError):
                if await next_payload(dtls, udp, 0.2) == payload:
                    return
