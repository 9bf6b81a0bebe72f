"""A gateway whose consent to a tunnel is silence."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from types import SimpleNamespace

from protocols.fortinet import hello
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import Kind, LcpWishes
from protocols.ppp.opening import Opening
from tests.protocols.f5.gateway import PppStream
from tests.protocols.ppp.peers import counting
from tests.transports.http_doubles import FakeDialer

PEER = Wishes(
    LcpWishes(refused=frozenset({Kind.ACCM, Kind.PFC, Kind.ACFC})),
    IpcpWishes(address=IPv4Address("10.11.1.1"), peer=IPv4Address("10.11.1.2")),
    Ip6cpWishes(bytes(7) + b"\1", bytes(7) + b"\2"),
)


class QuietStream(PppStream):
    """Answers the request with PPP at once, or waits for our first packet."""

    def __init__(self, wishes: Wishes = PEER, *, waits: bool = False) -> None:
        super().__init__(b"", wishes, "ppp-fortinet")
        self._asked, self._waits = False, waits

    async def read(self, limit: int = 65536) -> bytes:
        if self._waits:
            await asyncio.get_running_loop().create_future()
        return await super().read(limit)

    async def write(self, data: bytes) -> None:
        if self._asked:
            if self._waits:
                self._waits = False
                self._out += self._opening.begin(0.0)
            await super().write(data)
            return
        self._asked = True
        self.written += data
        if not self._waits:
            self._out += self._opening.begin(0.0)


ACCEPTED = hello.record(hello.ANSWER + b"ok\0")
REFUSED = hello.record(hello.ANSWER + b"fail\0")
HEARTBEAT = hello.record(b"GFtype\0heartbeat\0")


class TlsDialer(FakeDialer):
    """No way by UDP."""

    through_proxy = False

    def address_of(self, host: str) -> str | None:
        return None


class QuietRecords:
    """A DTLS association: a hello is answered by these records, once, then PPP is spoken unless it was refused.

    deaf: hellos that are lost before.
    """

    overhead = 37
    info = SimpleNamespace(version="DTLSv1.2", cipher="ECDHE-RSA-AES128-GCM-SHA256")
    peer = ("192.0.2.1", 10443)
    path = 1500  # bytes

    def __init__(self, *answers: bytes | Exception, wishes: Wishes | None = PEER, deaf: int = 0) -> None:
        self._deaf = deaf
        self.sent: list[bytes] = []
        self.linked: dict[str, object] = {}
        self.closed = False
        self._answers = answers
        self._waiting: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._opening = Opening("ppp-fortinet", Engine(wishes, counting(1000), 0.0)) if wishes else None

    def path_mtu(self) -> int:
        return self.path

    async def send(self, payload: bytes) -> None:
        first, ppp = len(self.sent) == self._deaf, self._opening
        self.sent.append(payload)
        if hello.cookie_of(payload):
            said = [*self._answers, *(ppp.begin(0.0) if ppp else ())] if first else []
        else:
            said = ppp.feed_datagram(payload, 1.0) if ppp else []
        for record in said:
            self._waiting.put_nowait(record)

    async def receive(self, timeout: float) -> bytes:
        async with asyncio.timeout(timeout):
            came = await self._waiting.get()
        if isinstance(came, Exception):
            raise came
        return came

    def link(self, framing: str, **told: object) -> str:
        self.linked = {"framing": framing, **told}
        return "the link"

    def close(self) -> None:
        self.closed = True
