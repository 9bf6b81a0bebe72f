"""UDP with asyncio: a socket connected to one peer, and the server's side that makes one for each peer.

Nothing is resolved here: addresses are numeric text.  Every datagram leaves with DF (linux-tun notes, section 8).  What
moves packets in bulk is `transports.datagrams`, on the descriptor of such a socket.

ICMP about an earlier datagram is told by the next call: ConnectionLost for "nobody listens there", after which the
socket goes on working, and a lower `path_mtu` for "too large for the path".

Times: seconds.  Ports: 1..65535.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from transports.errors import ConnectionLost, DatagramTooLarge, TimedOut, Unreachable
from transports.pathmtu import mtu_of
from transports.readiness import Readiness
from transports.tcp import reason_of

MAX_DATAGRAM = 65535  # bytes
RECEIVE_BUFFER = 4 * 1024 * 1024  # bytes: some milliseconds at 10 Gbit/s while the reader is busy
SEND_BUFFER = 2 * 1024 * 1024  # bytes
MAX_PEERS = 64  # of a listener, at a time
MAX_STRAYS = 64  # datagrams that came to the wrong socket, kept for the right one
MAX_DRAINED = 4096  # datagrams looked at for that

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h; the socket module does not name them
_MTU_DISCOVER = {socket.AF_INET: (0, 10), socket.AF_INET6: (41, 23)}  # level and option, linux-tun notes, section 8
_PMTUDISC_DO = 2
_OVERHEAD = {socket.AF_INET: 28, socket.AF_INET6: 48}  # bytes of IP and UDP header

Address = tuple[str, int] | tuple[str, int, int, int]  # as the socket module has them


class UdpSocket:
    """Connected to one peer; its descriptor does not block and may be lent to the engine."""

    def __init__(self, sock: socket.socket, on_close: Callable[[], None] | None = None) -> None:
        """Takes a connected socket over.  on_close: called once."""
        self._sock = sock
        self._ready = Readiness(sock.fileno())
        self._on_close = on_close
        self._early: deque[bytes] = deque()
        self._peer: Address = sock.getpeername()
        self._name = f"udp to {self._peer[0]} port {self._peer[1]}"

    @classmethod
    def open(cls, address: str, port: int, *, local_port: int = 0, local_address: str = "") -> UdpSocket:
        """Connect; nothing is sent.  local_port: 0 for any.  Raises Unreachable."""
        what = f"cannot open udp to {address} port {port}"
        family = _family(address, what)
        sock = _socket(family)
        try:
            if local_port or local_address:
                what += f" from {local_address or 'any address'} port {local_port}"
                sock.bind((local_address, local_port))
            sock.connect((address, port))
        except (OSError, OverflowError) as exc:
            sock.close()
            raise Unreachable(f"{what}: {reason_of(exc)}") from exc
        return cls(sock)

    @property
    def peer(self) -> tuple[str, int]:
        return self._peer[0], self._peer[1]

    @property
    def local_port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def __repr__(self) -> str:
        return f"<{self._name}>"

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    async def send(self, datagram: bytes) -> None:
        """Waits while the socket is full.  Raises DatagramTooLarge, ConnectionLost."""
        forgiven = False  # one report about an earlier datagram
        while True:
            try:
                self._open().send(datagram)
                return
            except BlockingIOError:
                await self._ready.writable()
            except OSError as exc:
                if exc.errno != errno.EMSGSIZE:
                    raise self._lost(exc) from exc
                mtu = self.path_mtu()
                if forgiven or len(datagram) + _OVERHEAD[self._sock.family] > mtu:
                    raise DatagramTooLarge(self._name, len(datagram), mtu) from exc
                forgiven = True

    def say(self, datagram: bytes) -> None:
        """Send it if that takes no waiting; nobody is told what became of it."""
        with suppress(OSError):
            self._open().send(datagram)

    async def receive(self, timeout: float) -> bytes:
        """The next datagram.  Raises TimedOut, ConnectionLost."""
        if self._early:
            return self._early.popleft()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return self._open().recv(MAX_DATAGRAM)
                    except BlockingIOError:
                        await self._ready.readable()
                    except OSError as exc:
                        if exc.errno != errno.EMSGSIZE:
                            raise self._lost(exc) from exc
        except TimeoutError as exc:
            raise TimedOut(self._name, timeout) from exc

    def path_mtu(self) -> int:
        """Bytes of the largest outer IP packet that the kernel believes the path takes; 0: unknown."""
        return mtu_of(self._open())

    def fileno(self) -> int:
        """Lent: who watches it stops before `close`.  Raises ConnectionLost when closed."""
        return self._open().fileno()

    def close(self) -> None:
        """Who waits gets ConnectionLost."""
        if self._sock.fileno() < 0:
            return
        self._ready.close()
        self._sock.close()
        if self._on_close is not None:
            self._on_close()

    def came_early(self, datagram: bytes) -> None:
        """Of the peer, but read elsewhere: handed out before what comes."""
        self._early.append(datagram)

    def _open(self) -> socket.socket:
        if self._sock.fileno() < 0:
            raise ConnectionLost(f"{self._name}: closed on this side")
        return self._sock

    def _lost(self, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"{self._name}: {reason_of(error)}")


class UdpListener:
    """Waits for peers at a port; each gets a connected socket on the same port, and the kernel tells them apart.

    Bind to the address that peers use: from a wildcard the system chooses with which to answer.
    """

    def __init__(self, address: str, port: int = 0, *, max_peers: int = MAX_PEERS) -> None:
        """port: 0 for any.  max_peers: first datagrams of more are dropped.  Raises Unreachable."""
        what = f"cannot listen at udp {address} port {port}"
        self._sock = _socket(_family(address, what))
        self._max_peers = max_peers
        self._peers: dict[Address, UdpSocket] = {}
        self._strays: deque[tuple[bytes, Address]] = deque()
        self.dropped = 0  # datagrams: beyond a cap, or behind the first one of a peer
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind((address, port))
        except (OSError, OverflowError) as exc:
            self._sock.close()
            raise Unreachable(f"{what}: {reason_of(exc)}") from exc
        self._ready = Readiness(self._sock.fileno())

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    @property
    def peers(self) -> int:
        """Whose sockets are open."""
        return len(self._peers)

    async def accept(self) -> tuple[bytes, UdpSocket]:
        """The first datagram of a new peer, and a socket connected to it.  A peer is new again once that is closed.

        Raises ConnectionLost when the listener is closed.
        """
        while True:
            first, peer = await self._next()
            if peer in self._peers or len(self._peers) >= self._max_peers:
                self.dropped += 1
                continue
            try:
                return first, self._adopt(peer)
            except OSError:  # a source address to which there is no way back, or one that cannot be
                self.dropped += 1

    def close(self) -> None:
        """Who waits gets ConnectionLost.  Accepted sockets stay."""
        if self._sock.fileno() >= 0:
            self._ready.close()
            self._sock.close()

    async def _next(self) -> tuple[bytes, Address]:
        while True:
            if self._sock.fileno() < 0:
                raise ConnectionLost("the listener was closed on this side")
            if self._strays:
                return self._strays.popleft()
            try:
                return self._sock.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                await self._ready.readable()
            except OSError:  # about what was sent from here: nothing ever is
                self.dropped += 1

    def _adopt(self, peer: Address) -> UdpSocket:
        sock = _socket(self._sock.family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._sock.getsockname())
            early = self._connect(sock, peer)
        except OSError:
            sock.close()
            raise
        udp = self._peers[peer] = UdpSocket(sock, lambda: self._forget(peer))
        for datagram in early:
            udp.came_early(datagram)
        return udp

    def _connect(self, sock: socket.socket, peer: Address) -> list[bytes]:
        """Between bind and connect the new socket was sent what is anybody's; returns what is the peer's."""
        sock.connect(peer)
        early: list[bytes] = []
        with suppress(BlockingIOError):
            for _ in range(MAX_DRAINED):
                datagram, source = sock.recvfrom(MAX_DATAGRAM)
                if source == peer and len(early) < MAX_STRAYS:
                    early.append(datagram)
                elif source != peer and len(self._strays) < MAX_STRAYS:
                    self._strays.append((datagram, source))
                else:
                    self.dropped += 1
        return early

    def _forget(self, peer: Address) -> None:
        del self._peers[peer]


def _family(address: str, what: str) -> socket.AddressFamily:
    try:
        six = ip_address(address).version == 6
    except ValueError:
        raise Unreachable(f"{what}: not a numeric address") from None
    return socket.AF_INET6 if six else socket.AF_INET


def _socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    sock.setsockopt(*_MTU_DISCOVER[socket.AddressFamily(family)], _PMTUDISC_DO)
    for force, name, size in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, size)  # beyond the system's limit, for who may
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, name, size)  # cut to that limit
    return sock
