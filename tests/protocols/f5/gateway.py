"""An F5 gateway for the client's tunnel: HTTP answers from a script, then PPP by the engine of the other end."""

from __future__ import annotations

from types import SimpleNamespace

from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.opening import Opening
from tests.protocols.ppp.peers import counting
from tests.transports.http_doubles import FakeDialer, FakeStream


class PppStream(FakeStream):
    """Answers the request for a tunnel with `head`, then negotiates; `behind` follows the last of it."""

    def __init__(self, head: bytes, wishes: Wishes, framing: str = "ppp-f5", *, behind: bytes = b"") -> None:
        super().__init__()
        self.info = SimpleNamespace(version="TLSv1.3")
        self.engine = Engine(wishes, counting(1000), 0.0)
        self._opening = Opening(framing, self.engine)
        self._head, self._behind = head, behind
        self.records: list[bytes] = []
        self._out: list[bytes] = []

    async def write(self, data: bytes) -> None:
        await super().write(data)
        if self._head:
            head, self._head = self._head, b""
            self._out.append(head + b"".join(self._opening.begin(0.0)))  # the first packet comes with the head
            return
        self.records.append(data)
        was_done = self._opening.done
        self._out += self._opening.feed(data, 1.0)
        if self._opening.done and not was_done and self._behind:
            self._out.append(self._behind)

    async def read(self, limit: int = 65536) -> bytes:
        return self._out.pop(0) if self._out else b""


class Dialer(FakeDialer):
    through_proxy = False

    def address_of(self, host: str) -> str | None:
        return None
