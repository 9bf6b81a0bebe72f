"""UDP sockets of loopback for tests of DTLS: with a network that may misbehave, and a server of ours that echoes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from transports.dtls import Dtls, DtlsSettings, handshake
from transports.errors import DtlsEnded, DtlsError
from transports.readiness import Readiness

PATIENCE = 60.0  # seconds; only a broken test waits that long
AGAIN = 0.1  # seconds without an answer, where datagrams get lost
MAX_DATAGRAM = 65535

# What becomes of a datagram: (ours, its number in that direction, itself) -> what arrives.
Fate = Callable[[bool, int, bytes], Iterable[bytes]]


def untouched(_ours: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
    return (datagram,)


class Udp:
    """A connected socket."""

    def __init__(self, sock: socket.socket, fate: Fate = untouched) -> None:
        sock.setblocking(False)
        self.socket, self.fate, self.ready = sock, fate, Readiness(sock.fileno())
        self.numbers = {True: 0, False: 0}
        self.waiting: list[bytes] = []

    @classmethod
    def to(cls, port: int, fate: Fate = untouched) -> Udp:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", port))
        return cls(sock, fate)

    async def send(self, datagram: bytes) -> None:
        for arriving in self._suffer(True, datagram):
            self.socket.send(arriving)

    async def receive(self, timeout: float) -> bytes:
        """Nothing is received and then lost to a timeout: the waiting is for readability alone."""
        async with asyncio.timeout(timeout):
            while not self.waiting:
                try:
                    datagram = self.socket.recv(MAX_DATAGRAM)
                except BlockingIOError:
                    await self.ready.readable()
                else:
                    self.waiting += self._suffer(False, datagram)
        return self.waiting.pop(0)

    def close(self) -> None:
        self.socket.close()

    def _suffer(self, ours: bool, datagram: bytes) -> Iterable[bytes]:
        number = self.numbers[ours]
        self.numbers[ours] += 1
        return self.fate(ours, number, datagram)


@asynccontextmanager
async def connected(
    port: int, settings: DtlsSettings, fate: Fate = untouched, limit: float = PATIENCE
) -> AsyncIterator[tuple[Dtls, Udp]]:
    """Our client, the handshake done."""
    udp, dtls = Udp.to(port, fate), Dtls(settings)
    try:
        await handshake(dtls, udp, limit=limit)
        yield dtls, udp
        if goodbye := dtls.close():
            await udp.send(goodbye)
    finally:
        udp.close()


async def ask(dtls: Dtls, udp: Udp, payload: bytes) -> None:
    """Send it until it comes back; once, where nothing gets lost."""
    again = PATIENCE if udp.fate is untouched else AGAIN
    async with asyncio.timeout(PATIENCE):
        while True:
            await udp.send(dtls.seal(payload))
            try:
                if await next_payload(dtls, udp, again) == payload:
                    return
            except TimeoutError:
                continue


async def next_payload(dtls: Dtls, udp: Udp, timeout: float = PATIENCE) -> bytes:
    while True:
        payloads = dtls.open(await udp.receive(timeout))
        if reply := dtls.reply():
            await udp.send(reply)
        if payloads:
            return payloads[0]


class EchoServer:
    """Our server: takes one client, and echoes until it goes."""

    def __init__(self, settings: DtlsSettings) -> None:
        self.settings = replace(settings, server=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self.dtls = Dtls(self.settings)

    async def run(self) -> None:
        """Raises DtlsError if the handshake fails, or the client goes without a word."""
        udp = Udp(self.socket)
        try:
            async with asyncio.timeout(PATIENCE):
                first, address = await asyncio.get_running_loop().sock_recvfrom(self.socket, MAX_DATAGRAM)
                self.socket.connect(address)
                await handshake(self.dtls, udp, first=first)
                while True:
                    await udp.send(self.dtls.seal(await next_payload(self.dtls, udp)))
        except DtlsEnded:
            return
        except TimeoutError as exc:
            raise DtlsError(f"stopped short: {self.dtls.stats()}") from exc
        finally:
            udp.close()
