"""The protocol-neutral part of a lab gateway: listener, TLS, HTTP, sessions, and a TUN device per session.

    accept -> TLS -> HTTP request -> Site -> page
                                          -> tunnel: device (kept over reconnects), link (one pump)

A session's device lives from its first tunnel to its end, so a client that comes back finds its flows intact.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from protocols.errors import ProtocolError
from transports.errors import DeviceError, TransportError
from transports.link import DatagramLink
from transports.tls import ServerContext, TlsStream
from transports.tun import Tun
from vpnclient.lab.certificate import pin_of
from vpnclient.lab.device import configure
from vpnclient.lab.door import DatagramDoor
from vpnclient.lab.link import Link
from vpnclient.lab.netns import LabError
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import (
    Exporter,
    Hangup,
    Negotiates,
    OpenDatagrams,
    Opening,
    OpensTunnels,
    OpenTunnel,
    Page,
    Records,
    Site,
    TakesDatagrams,
)
from vpnclient.lab.store import LabSession, Store
from vpnclient.lab.web import HttpServer, Refused

MAX_CONNECTIONS = 256
BACKLOG = 64
SWEEP_EVERY = 1.0  # seconds between two looks for expired sessions
ACCEPT_PAUSE = 0.1  # seconds after a failed accept
OPENING_LIMIT = 10.0  # seconds for what is said before the framing
CLOSE_LIMIT = 5.0  # seconds for all links to say goodbye

Log = Callable[[str], None]


@dataclass(slots=True)
class _Tunnel:
    """What a session has open."""

    session: LabSession
    tun: Tun | None = None
    link: Link | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class Gateway:
    """One listening gateway.  `start`, then `facts`; `close` ends every session and removes every device."""

    def __init__(self, settings: LabSettings, site: Site, store: Store, tls: ServerContext, log: Log) -> None:
        self._settings, self._site, self._store, self._tls, self._log = settings, site, store, tls, log
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._carrying: set[asyncio.Task[None]] = set()  # those of _tasks that have a tunnel open
        self._tunnels: dict[str, _Tunnel] = {}
        self._door: DatagramDoor | None = None  # of sites that take datagrams
        if isinstance(site, TakesDatagrams):
            self._door = DatagramDoor(site, tls, self._exporter_of, self._attach, self._spawn, log)

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.  Raises LabError."""
        host, port = self._settings.listen_host, self._settings.listen_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as exc:
            listener.close()
            raise LabError(f"--listen {host}:{port}: {exc.strerror}") from exc
        self._listener = listener
        if self._door is not None:
            self._door.open(host, self._settings.udp_port or listener.getsockname()[1])
            self._spawn(self._door.serve())
        self._spawn(self._accept(listener))
        self._spawn(self._sweep())

    def facts(self, certificate: bytes) -> dict[str, str]:
        """What a client needs to know, for the first line of output.  certificate: DER of the server's."""
        assert self._listener is not None, "facts before start"
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        facts = {
            "url": f"https://{shown}:{port}/",
            "pin": pin_of(certificate),
            "tunnel_address": str(self._store.gateway_v4),
            "protocol": self._site.name,
        }
        if self._store.gateway_v6 is not None:
            facts["tunnel_address6"] = str(self._store.gateway_v6)
        return facts

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._door is not None:
            self._door.close()
        self.terminate_all("the lab gateway is closing")
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=CLOSE_LIMIT)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tunnel in list(self._tunnels.values()):
            self._forget(tunnel)

    def terminate_all(self, reason: str) -> None:
        """Tell every client that its session is over."""
        for tunnel in self._tunnels.values():
            if tunnel.link is not None:
                tunnel.link.farewell(reason)

    def drop_all(self) -> None:
        """Drop every link without a word; the cookies stay good."""
        for tunnel in self._tunnels.values():
            if tunnel.link is not None:
                tunnel.link.end(Hangup("dropped on request", forget=False))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._carrying.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._log(f"internal error: {type(failure).__name__}: {failure}")  # a bug; the others go on

    # --- connections -----------------------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as exc:  # out of descriptors, or the client has gone already
                self._log(f"accept: {exc.strerror}")
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            if len(self._tasks) >= MAX_CONNECTIONS:
                self._log(f"{address[0]}: refused, {MAX_CONNECTIONS} connections are open")
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._connection(sock, f"{address[0]} port {address[1]}"))

    async def _connection(self, sock: socket.socket, peer: str) -> None:
        try:
            stream = await self._tls.server(sock)
        except TransportError as exc:
            self._log(f"{peer}: {exc}")
            sock.close()
            return
        try:
            await self._converse(stream, peer)
        except (TransportError, ProtocolError, LabError) as exc:
            self._log(f"{peer}: {exc}")
        finally:
            with contextlib.suppress(TransportError):
                await stream.close()

    async def _converse(self, stream: TlsStream, peer: str) -> None:
        site = self._site
        hook = (site.opens_tunnel,) if isinstance(site, OpensTunnels) else ()
        server = HttpServer(stream, stream.peer_certificate, *hook)
        try:
            while (request := await server.next_request()) is not None:
                answer = self._site.respond(request, time.monotonic())
                self._reap()
                if isinstance(answer, OpenTunnel):
                    self._log(f"{peer}: {request.method}: tunnel for {answer.session!r}")
                    await self._open(server, stream, answer)
                    return
                path = request.target.partition("?")[0]  # the query may hold a cookie
                self._log(f"{peer}: {request.method} {path}: {answer.status} {answer.reason}")
                if not await server.answer(answer):
                    return
        except Refused as refused:
            self._log(f"{peer}: {refused.page.status} {refused.page.reason}")
            await server.answer(refused.page)

    # --- tunnels ---------------------------------------------------------------------------------------------

    async def _open(self, server: HttpServer, stream: TlsStream, opened: OpenTunnel) -> None:
        task = asyncio.current_task()
        assert task is not None  # run by _spawn
        self._carrying.add(task)
        session = opened.session
        tunnel = self._tunnels.setdefault(session.cookie, _Tunnel(session))
        async with tunnel.opening:
            await self._take_over(tunnel)
            try:
                if session not in tuple(self._store):
                    raise LabError(f"{session!r} ended while its new connection waited")
                if tunnel.tun is None:
                    tunnel.tun = await self._device(session, opened.mtu)
            except (DeviceError, LabError) as exc:
                await server.answer(Page(503, "Service Unavailable", (("X-Reason", str(exc)),), close=True))
                raise
            first = await server.switch(opened.reason, opened.headers, opened.head)
            if opened.opening is not None:
                first = await _go_through(opened.opening, stream, first)
                if isinstance(opened.opening, Negotiates):
                    opened = replace(opened, options=opened.opening.options())
            session.connected += 1
            link = tunnel.link = Link(tunnel.tun, stream, opened, self._log)
        self._ended(tunnel, link, await link.run(first))

    def _exporter_of(self, offer: OpenDatagrams) -> Exporter:
        tunnel = self._tunnels.get(offer.session.cookie)

        def export(label: str, length: int) -> bytes:
            if tunnel is None or tunnel.link is None:
                raise LabError(f"{offer.session!r} has no stream")
            return tunnel.link.export(label, length)

        return export

    async def _attach(self, offer: OpenDatagrams, link: DatagramLink) -> None:
        """A datagram link is open: it joins the session's stream, or is its tunnel from now on.  Raises LabError."""
        tunnel = self._tunnels.setdefault(offer.session.cookie, _Tunnel(offer.session))
        if not offer.alone:
            if tunnel.link is None:
                raise LabError(f"{offer.session!r} has no tunnel that datagrams could join")
            tunnel.link.attach(link, offer.controller)
            return
        async with tunnel.opening:
            await self._take_over(tunnel)
            if offer.session not in tuple(self._store):
                raise LabError(f"{offer.session!r} ended while its datagram link was opened")
            if tunnel.tun is None:
                tunnel.tun = await self._device(offer.session, offer.mtu)
            offer.session.connected += 1
            opened = OpenTunnel(offer.session, "", (), "", offer.mtu, offer.controller)
            alone = tunnel.link = Link(tunnel.tun, None, opened, self._log)
            alone.attach(link, offer.controller)
        self._spawn(self._carry_alone(tunnel, alone))
        await alone.opened.wait()  # the link is the caller's until the pump has it

    async def _carry_alone(self, tunnel: _Tunnel, link: Link) -> None:
        task = asyncio.current_task()
        assert task is not None  # run by _spawn
        self._carrying.add(task)
        self._ended(tunnel, link, await link.run(b""))

    async def _take_over(self, tunnel: _Tunnel) -> None:
        if tunnel.link is not None:
            tunnel.link.end(Hangup("taken over by a new connection", forget=False))
            await tunnel.link.closed.wait()

    def _ended(self, tunnel: _Tunnel, link: Link, hangup: Hangup) -> None:
        if tunnel.link is link:
            tunnel.link = None
        session = tunnel.session
        over = hangup.forget or session not in tuple(self._store)  # logged out, before we knew that the link had gone
        self._log(f"{session!r}: {hangup.reason}; cookie {'dead' if over else 'kept'}")
        if over:
            self._forget(tunnel)

    async def _device(self, session: LabSession, mtu: int) -> Tun:
        tun = Tun.open("lab%d")
        own = [self._store.gateway_v4, self._store.gateway_v6]
        peer = [session.v4.ip, session.v6.ip if session.v6 is not None else None]
        try:
            await asyncio.to_thread(
                configure,
                tun.name,
                mtu,
                tuple(ip_address(str(address)) for address in own if address is not None),
                tuple(str(address) for address in peer if address is not None),
            )
        except BaseException:
            tun.close()
            raise
        return tun

    def _forget(self, tunnel: _Tunnel) -> None:
        """End a session: its cookie is dead, its device gone."""
        self._store.drop(tunnel.session)
        self._tunnels.pop(tunnel.session.cookie, None)
        if tunnel.tun is not None:
            tunnel.tun.close()
            tunnel.tun = None

    def _reap(self) -> None:
        """End the tunnels whose session the site has dropped: a client has logged out."""
        alive = {id(session) for session in self._store}
        for tunnel in [tunnel for tunnel in self._tunnels.values() if id(tunnel.session) not in alive]:
            if tunnel.link is not None:
                tunnel.link.end(Hangup("logged out", forget=True))
            else:
                self._log(f"{tunnel.session!r}: logged out; cookie dead")
                self._forget(tunnel)

    async def _sweep(self) -> None:
        """Forget sessions that expired while nobody was connected; a link ends its own in time."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            for session in self._store.expired(time.monotonic()):
                tunnel = self._tunnels.get(session.cookie, _Tunnel(session))
                if tunnel.link is None:
                    self._log(f"{session!r}: expired; cookie dead")
                    self._forget(tunnel)


async def _go_through(opening: Opening, stream: TlsStream, first: bytes) -> bytes:
    """What both sides say before the framing; the bytes that are the framing's already.  Raises LabError."""
    await _write(stream, opening.begin())
    try:
        async with asyncio.timeout(OPENING_LIMIT):
            while True:
                if first and (answer := opening.feed(first)):
                    await _write(stream, answer)
                if (rest := opening.rest()) is not None:
                    return rest
                if not (first := await stream.read()):
                    raise LabError("the client left before the tunnel was open")
    except TimeoutError as exc:
        raise LabError(f"the client did not open its tunnel within {OPENING_LIMIT:.0f} s") from exc


async def _write(stream: TlsStream, records: Records) -> None:
    for record in (records,) if isinstance(records, bytes) else records:
        await stream.write(record)
