"""PPP over DTLS from a lab gateway's side: nobody knows whose an association is until its first record has come.

handshake -> first record -> judge -> Refusal    its answer is sent, the association ends
                                   -> Welcome    its answer is sent, PPP is negotiated, the link is the tunnel
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protocols.ppp.engine import Engine
from protocols.ppp.link import Records, negotiate_records
from transports.dtls import Version
from transports.records import DtlsRecords
from vpnclient.lab.netns import LabError
from vpnclient.lab.site import Exporter, Introduction, OpenDatagrams, ServerController
from vpnclient.lab.store import LabSession

if TYPE_CHECKING:
    from transports.link import DatagramLink
    from transports.tls import ServerContext
    from transports.udp import UdpSocket

FIRST_LIMIT = 10.0  # seconds for the first record
LARGEST = 16384 + 256  # bytes of a datagram


class Association(Records, Protocol):
    """What is needed of a DTLS association, as transports.records has it."""

    def link(self, framing: str, *, largest: int, options: tuple[tuple[str, bytes], ...] = ()) -> DatagramLink: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first record names a session.  engine: of PPP, not begun yet.

    answer: a record in reply, once; empty: none.  Clients repeat their first record until they have heard something.
    """

    session: LabSession
    framing: str
    engine: Engine
    controller: ServerController
    mtu: int
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """answer: a record in reply; empty: none.  reason: for the log, without what the record says."""

    reason: str
    answer: bytes = b""


Judge = Callable[[bytes, float], Welcome | Refusal]  # the first record, monotonic seconds
Handshake = Callable[["UdpSocket", bytes, "ServerContext"], Awaitable[Association]]


def by_certificate(version: Version) -> Handshake:
    """The gateway shows the certificate that it shows over TLS."""

    async def handshake(socket: UdpSocket, first: bytes, tls: ServerContext) -> Association:
        return DtlsRecords(socket, await tls.datagrams(socket, first, version=version))

    return handshake


def introduction(judge: Judge, handshake: Handshake) -> Introduction:
    """For a site whose `on_datagram` was given a ClientHello."""

    async def meet(socket: UdpSocket, first: bytes, tls: ServerContext) -> OpenDatagrams:
        return await accept(await handshake(socket, first, tls), judge)

    return Introduction(meet)


async def accept(association: Association, judge: Judge) -> OpenDatagrams:
    """Until PPP is open.  Raises LabError, ProtocolError, TransportError; the association is closed then."""
    try:
        request = await association.receive(FIRST_LIMIT)
        verdict = judge(request, time.monotonic())
        if verdict.answer:
            await association.send(verdict.answer)
        if isinstance(verdict, Refusal):
            raise LabError(f"refused by DTLS: {verdict.reason}")
        records = _Repeated(association, request)
        opening = await negotiate_records(records, verdict.framing, verdict.engine, peer="the client")
    except BaseException:
        association.close()
        raise

    async def open_link(socket: UdpSocket, first: bytes, export: Exporter) -> DatagramLink:
        return association.link(verdict.framing, largest=LARGEST, options=opening.options())

    return OpenDatagrams(verdict.session, open_link, verdict.controller, verdict.mtu, alone=True)


class _Repeated:
    """Records without those that repeat the first one."""

    def __init__(self, records: Records, first: bytes) -> None:
        self._records, self._first = records, first

    async def send(self, payload: bytes) -> None:
        await self._records.send(payload)

    async def receive(self, timeout: float) -> bytes:
        """An empty one stands for one that was dropped: the clock of who waits goes on."""
        record = await self._records.receive(timeout)
        return record if record != self._first else b""
