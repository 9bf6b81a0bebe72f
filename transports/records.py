"""Records over DTLS, before a pump has them: a UDP socket and an association whose handshake is done.

A protocol that speaks before its tunnel does (a request, PPP) sends and receives here, a payload a record and a record
a datagram; then `link` hands the association over to a pump.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from transports.dtls import Dtls
from transports.errors import DtlsEnded, TimedOut, TransportError
from transports.link import DatagramLink, LinkDescription
from transports.udp import MAX_DATAGRAM, UdpSocket


class DtlsRecords:
    """Takes socket and association over.  info: what was agreed on.  overhead: bytes around a payload, at most."""

    def __init__(self, socket: UdpSocket, dtls: Dtls) -> None:
        self._socket = socket
        self._dtls: Dtls | None = dtls
        self._waiting: deque[bytes] = deque()  # of the last datagram
        self.peer: tuple[str, int] = socket.peer
        self.info = dtls.info
        self.overhead = dtls.overhead
        self.peer_certificate = dtls.peer_certificate  # DER; empty: a client that has shown none

    def __repr__(self) -> str:
        return f"<dtls to {self.peer[0]} port {self.peer[1]}>"

    def path_mtu(self) -> int:
        """Bytes of the largest IP packet that the path takes, as far as is known; 0: not.  Raises ConnectionLost."""
        return self._socket.path_mtu()

    async def send(self, payload: bytes) -> None:
        """One record, one datagram.  Raises DtlsEnded, DtlsError, DatagramTooLarge, ConnectionLost, ValueError."""
        await self._socket.send(self._ours().seal(payload))

    async def receive(self, timeout: float) -> bytes:
        """The payload of the next record that has one.  timeout: seconds.

        Raises TimeoutError, DtlsEnded (the peer's close_notify), DtlsError, ConnectionLost.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        while not self._waiting:
            dtls, left = self._ours(), deadline - now()
            if left <= 0:
                raise TimeoutError
            try:
                datagram = await self._socket.receive(left)
            except TimedOut:
                raise TimeoutError from None
            self._waiting.extend(filter(None, dtls.open(datagram)))  # an empty record says nothing
            if reply := dtls.reply():
                await self._socket.send(reply)
            await asyncio.sleep(0)  # whoever floods us stops nobody else
        return self._waiting.popleft()

    def link(
        self,
        framing: str,
        *,
        name: str = "DTLS",
        largest: int = MAX_DATAGRAM,
        options: Iterable[tuple[str, bytes]] = (),
    ) -> DatagramLink:
        """For a pump, which has the association from now on; what is left to do here is `close`.

        framing: a name of the engine's, and its options.  largest: bytes of the largest datagram.  Raises EngineError,
        DtlsEnded, ConnectionLost.
        """
        dtls = self._ours()
        host, port = self.peer
        description = LinkDescription(
            name=name,
            host=host,
            port=port,
            detail=f"{self.info.version}, {self.info.cipher}",
            overhead=self.overhead,
            path_mtu=self.path_mtu(),
        )
        self._dtls = None
        return DatagramLink(self._socket, framing, description=description, largest=largest, dtls=dtls, options=options)

    def close(self) -> None:
        """Say goodbye, if the association is still ours, and close the socket.  May be repeated."""
        dtls, self._dtls = self._dtls, None
        if dtls is not None and not self._socket.closed and (goodbye := dtls.close()):
            with suppress(TransportError):
                self._socket.say(goodbye)
        self._socket.close()

    def _ours(self) -> Dtls:
        if self._dtls is None:
            raise DtlsEnded(f"{self!r}: closed on this side, or a pump has it")
        return self._dtls
