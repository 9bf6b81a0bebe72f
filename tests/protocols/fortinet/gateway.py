"""A gateway whose consent to a tunnel is silence."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

from protocols.ppp.engine import Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import Kind, LcpWishes
from tests.protocols.f5.gateway import PppStream

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
