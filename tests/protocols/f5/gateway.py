"""An F5 gateway for the client's tunnel: HTTP answers from a script, then PPP by the engine of the other end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.opening import Opening
from tests.protocols.ppp.peers import counting
from tests.protocols.ppp.records import FakeRecords
from tests.transports.http_doubles import FakeDialer, FakeStream
from transports.errors import DtlsRefused


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


class PppRecords(FakeRecords):
    """A DTLS association with a gateway that answers the request with `head`; empty: the answer is lost.

    deaf: requests that are lost before.
    """

    def __init__(self, head: bytes, wishes: Wishes | None, *, deaf: int = 0, path: int = 1500) -> None:
        super().__init__()
        self.peer, self.path = ("192.0.2.1", 4433), path
        self.info = SimpleNamespace(version="DTLSv1.2", cipher="ECDHE-RSA-AES128-GCM-SHA256")
        self.requests: list[bytes] = []
        self._opening = Opening("ppp-f5", Engine(wishes, counting(1000), 0.0)) if wishes is not None else None
        self._head, self._deaf = head, deaf

    def path_mtu(self) -> int:
        return self.path

    async def send(self, payload: bytes) -> None:
        await super().send(payload)
        if payload.startswith(b"GET "):
            self.requests.append(payload)
            if len(self.requests) == self._deaf + 1:
                self._out([self._head] if self._head else [])
                self._out(self._opening.begin(0.0) if self._opening is not None else [])
        elif self._opening is not None:
            self._out(self._opening.feed_datagram(payload, 1.0))

    def _out(self, records: list[bytes]) -> None:
        for record in records:
            self.waiting.put_nowait(record)


class Dialer(FakeDialer):
    """associations: records, or what is raised instead; out of them: nobody is there."""

    through_proxy = False

    def __init__(self, *streams: FakeStream, associations: tuple[PppRecords | Exception, ...] = ()) -> None:
        super().__init__(*streams)
        self.associations = list(associations)
        self.asked: list[dict[str, Any]] = []

    def address_of(self, host: str) -> str | None:
        return "192.0.2.1" if self.dialed else None

    async def dtls(self, host: str, port: int, **wishes: Any) -> PppRecords:
        self.asked.append({"host": host, "port": port, **wishes})
        found = self.associations.pop(0) if self.associations else DtlsRefused("the network says: refused")
        if isinstance(found, Exception):
            raise found
        return found
