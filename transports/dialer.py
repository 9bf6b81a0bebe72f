"""TLS connections to gateways by name: one place for addresses, proxies and trust.

A name is resolved once and its address kept, because a sign-in and its tunnel must reach the same machine behind a
round-robin name (anyconnect.md section 1, Q16).  Another address of the name is tried later only when this host has
no route to the kept one (it moved to a network without that family): then the gateway was not even asked.

Times: seconds.  Addresses: numeric text.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transports import tcp
from transports.errors import Unreachable

if TYPE_CHECKING:
    from transports.dtls import Version
    from transports.proxy import Proxy
    from transports.records import DtlsRecords
    from transports.tls import Judge, TlsContext, TlsSettings, TlsStream
    from transports.udp import UdpSocket

DIAL_TIMEOUT = 20.0  # seconds for each address
MAX_HOSTS = 64  # names remembered; more mean a redirect gone wild, and are resolved again each time


@dataclass(frozen=True, slots=True)
class DialSettings:
    """resolve: name -> addresses that stand for DNS.  tcp_keepalive: seconds idle before probes, 0: off."""

    tls: TlsSettings
    proxy: Proxy | None = None
    resolve: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    timeout: float = DIAL_TIMEOUT
    tcp_keepalive: int = 0


@dataclass(slots=True)
class _Known:
    """What is known of a name.  chosen: the address that worked; empty: none yet."""

    addresses: tuple[str, ...]
    chosen: str = ""
    again: bool = False  # resolve anew before the next use


class Dialer:
    """Opens TLS connections; remembers per host which address worked."""

    def __init__(
        self,
        settings: DialSettings,
        judge: Judge | None = None,
        *,
        warn: Callable[[str], None] | None = None,
        context: TlsContext | None = None,
    ) -> None:
        """judge: asked about certificates that fail.  warn: gets texts for the user.  context: instead of a new one."""
        self.settings = settings
        self._judge, self._warn = judge, warn
        self._context = context
        self._known: dict[str, _Known] = {}

    @property
    def through_proxy(self) -> bool:
        """Connections go through a proxy: then UDP is not for us."""
        return self.settings.proxy is not None

    def address_of(self, host: str) -> str | None:
        """The address this host was reached at; None: not reached yet, or the proxy chose it."""
        known = self._known.get(host.lower())
        return (known.chosen or None) if known and not self.through_proxy else None

    def forget(self, host: str) -> None:
        """Resolve this host again before the next connection (dynamic DNS).  If that fails, what was known serves."""
        known = self._known.get(host.lower())
        if known is not None:
            known.again = True

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Where the next connection will be tried; empty behind a proxy.  Raises Unreachable."""
        if self.through_proxy:
            return ()
        known = await self._lookup(host, port)
        return (known.chosen,) if known.chosen else known.addresses

    async def dial(self, host: str, port: int, *, keep_alive: int = 0) -> TlsStream:
        """A new connection.  keep_alive: idle seconds before TCP probes, if the user has no other wish; 0: none.

        Raises Unreachable, ProxyError, TlsError, NotTrusted.
        """
        sock = await self._connect(host, port)
        try:
            if idle := self.settings.tcp_keepalive or keep_alive:
                tcp.keep_alive(sock, idle)
            return await self._tls().client(sock, host)
        except BaseException:
            sock.close()
            raise

    async def datagrams(self, address: str, port: int, *, local_port: int = 0) -> UdpSocket:
        """A UDP socket to a numeric address; there is no way through a proxy.  Raises Unreachable."""
        from transports.udp import UdpSocket

        if self.through_proxy:
            raise Unreachable(f"{address} port {port}: UDP does not go through the proxy")
        return UdpSocket.open(address, port, local_port=local_port)

    async def dtls(
        self,
        host: str,
        port: int,
        *,
        address: str,
        local_port: int = 0,
        version: Version | None = None,
        ciphers: tuple[str, ...] = (),
        limit: float = 0.0,
    ) -> DtlsRecords:
        """A DTLS association with certificates: `dial`'s trust and names, but nobody is asked.

        address: numeric, where TLS reached the host.  version: default 1.2.  ciphers: as TlsContext.datagrams has it.
        limit: seconds for the handshake; 0: the usual.  Raises Unreachable (also behind a proxy), DtlsError and what is
        below it, NotTrusted, TlsError.
        """
        from transports.dtls import HANDSHAKE_TIMEOUT
        from transports.dtls import Version as Versions
        from transports.records import DtlsRecords

        socket = await self.datagrams(address, port, local_port=local_port)
        try:
            association = await self._tls().datagrams(
                socket, host, version=version or Versions.DTLS12, ciphers=ciphers, limit=limit or HANDSHAKE_TIMEOUT
            )
            return DtlsRecords(socket, association)
        except BaseException:
            socket.close()
            raise

    def _tls(self) -> TlsContext:
        if self._context is None:
            from transports.tls import TlsContext  # loads the engine: only when something is dialed

            self._context = TlsContext(self.settings.tls, judge=self._judge)
        return self._context

    async def _connect(self, host: str, port: int) -> socket.socket:
        if self.settings.proxy is not None:
            from transports import proxy

            named = self._overridden(host)
            return await proxy.open(
                self.settings.proxy, named[0] if named else host, port, proxy.TIMEOUT, warn=self._warn
            )
        known = await self._lookup(host, port)
        first = (known.chosen,) if known.chosen else known.addresses
        try:
            sock, known.chosen = await tcp.connect(host, first, port, self.settings.timeout)
        except tcp.NoAddressWorked as exc:
            others = tuple(one for one in known.addresses if one not in first)
            if not others or not all(failure.no_route for failure in exc.failures):
                raise
            sock, known.chosen = await tcp.connect(host, others, port, self.settings.timeout)
        return sock

    async def _lookup(self, host: str, port: int) -> _Known:
        key = host.lower()
        known = self._known.get(key)
        if known is not None and not known.again:
            return known
        try:
            addresses = self._overridden(host) or await tcp.resolve(host, port, self.settings.timeout)
        except Unreachable:
            if known is None:
                raise
            return known  # DNS fails: the address that worked before is the better guess
        fresh = _Known(addresses)
        if known is not None or len(self._known) < MAX_HOSTS:
            self._known[key] = fresh
        return fresh

    def _overridden(self, host: str) -> tuple[str, ...]:
        wanted = host.lower()
        return next((found for name, found in self.settings.resolve.items() if name.lower() == wanted), ())
