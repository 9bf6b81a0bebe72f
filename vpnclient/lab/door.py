"""The UDP side of a lab gateway: each new peer is brought to the session that its first datagram names.

Where that names nobody, the peer is met first: a handshake with the gateway's certificate, and what it says then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine

from protocols.errors import ProtocolError
from transports.errors import ConnectionLost, TransportError, Unreachable
from transports.link import DatagramLink
from transports.tls import ServerContext
from transports.udp import UdpListener, UdpSocket
from vpnclient.lab.netns import LabError
from vpnclient.lab.site import Exporter, Introduction, OpenDatagrams, TakesDatagrams

OPENING_LIMIT = 15.0  # seconds for a handshake, and what is said behind it

Log = Callable[[str], None]
Attach = Callable[[OpenDatagrams, DatagramLink], Awaitable[None]]


class DatagramDoor:
    """exporter_of: what the stream of an offer's session exports.  attach: takes the open link over."""

    def __init__(
        self,
        site: TakesDatagrams,
        tls: ServerContext,
        exporter_of: Callable[[OpenDatagrams], Exporter],
        attach: Attach,
        spawn: Callable[[Coroutine[object, object, None]], None],
        log: Log,
    ) -> None:
        self._site, self._tls = site, tls
        self._exporter_of, self._attach, self._spawn, self._log = exporter_of, attach, spawn, log
        self._listener: UdpListener | None = None

    def open(self, host: str, port: int) -> None:
        """Listen, best at the port that TCP has.  Raises LabError."""
        try:
            self._listener = UdpListener(host, port)
        except Unreachable as exc:
            raise LabError(f"--listen: {exc}") from exc
        self._site.listens(self._listener.port)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    async def serve(self) -> None:
        """Until it is closed."""
        assert self._listener is not None, "serve before open"
        while True:
            try:
                first, socket = await self._listener.accept()
            except ConnectionLost:
                return
            self._spawn(self._admit(first, socket))

    async def _admit(self, first: bytes, socket: UdpSocket) -> None:
        peer = f"{socket.peer[0]} udp port {socket.peer[1]}"
        try:
            offer = self._site.on_datagram(first, time.monotonic())
            if offer is None:
                self._log(f"{peer}: nobody's datagram of {len(first)} bytes")
                return
            async with asyncio.timeout(OPENING_LIMIT):
                if isinstance(offer, Introduction):
                    offer = await offer.meet(socket, first, self._tls)
                link = await offer.open(socket, first, self._exporter_of(offer))
            try:
                await self._attach(offer, link)
            finally:
                link.close()  # a pump has what it needs
            self._log(f"{peer}: {link.description.name} for {offer.session!r}: {link.description.detail}")
        except (TransportError, ProtocolError, LabError, TimeoutError) as exc:
            self._log(f"{peer}: {exc or f'no link within {OPENING_LIMIT:.0f} s'}")
        finally:
            socket.close()
