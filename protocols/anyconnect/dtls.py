"""The DTLS channel beside CSTP: how it is opened (anyconnect.md section 6)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from protocols.anyconnect.dtls_ciphers import Version
from protocols.anyconnect.dtls_controller import DtlsController
from protocols.anyconnect.dtls_terms import DtlsOffer, DtlsTerms
from protocols.anyconnect.mtu import MIN_IPV6, MIN_TUNNEL
from protocols.base import DatagramChannel, TunnelConfig
from protocols.errors import DatagramsImpossible

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.dtls import DtlsSettings
    from transports.link import DatagramLink
    from transports.tls import TlsStream
    from transports.udp import UdpSocket

FRAMING = "cstp-dtls"
EXPORTER = "EXPORTER-openconnect-psk"
PSK_SIZE = 32  # bytes
PSK_IDENTITY = "psk"
MARK = 4  # random bytes with which a probe begins
PORT_TRIES, PORT_PAUSE = 10, 0.05  # tries at a local port that is in use; seconds between two
LARGEST = 16384 + 256  # bytes of a datagram: the largest record, whatever the path takes


def controller(terms: DtlsTerms, config: TunnelConfig, *, one_port: bool = False) -> DtlsController:
    """one_port: as DtlsController has it."""
    least = MIN_IPV6 if any(held.version == 6 for held in config.addresses) else MIN_TUNNEL
    # In the resumption modes the gateway has done the sum already (section 7).
    base = 0 if terms.mode.resumes else terms.base_mtu
    return DtlsController(
        terms.timers,
        mtu=config.mtu,
        least=min(least, config.mtu),
        base=base,
        mark=secrets.token_bytes(MARK),
        one_port=one_port,
    )


def channel(
    dialer: Dialer, stream: TlsStream, terms: DtlsTerms, offer: DtlsOffer, life: DtlsController, local_port: int
) -> DatagramChannel:
    """The channel that was agreed on; nothing is sent before it is opened."""

    async def open_link() -> DatagramLink:
        return await _open(dialer, stream, terms, offer, local_port)

    return DatagramChannel("DTLS", open_link, life)


async def _open(dialer: Dialer, stream: TlsStream, terms: DtlsTerms, offer: DtlsOffer, local_port: int) -> DatagramLink:
    """Raises TransportError, DatagramsImpossible."""
    from transports.dtls import Dtls, handshake
    from transports.errors import DtlsNotResumed
    from transports.link import DatagramLink, LinkDescription

    socket = await _socket(dialer, stream.peer_host, terms.port, local_port)
    try:
        dtls = Dtls(_settings(stream, terms, offer))
        try:
            await handshake(dtls, socket)
        except DtlsNotResumed as exc:
            raise DatagramsImpossible(str(exc)) from exc
        info = dtls.info
        description = LinkDescription(
            name="DTLS",
            host=stream.peer_host,
            port=terms.port,
            detail=f"{info.version}, {info.cipher}",
            overhead=dtls.overhead,
            path_mtu=socket.path_mtu(),
        )
        options = (("cstp.compression", terms.encoding.encode()),) if terms.encoding else ()
        return DatagramLink(socket, FRAMING, description=description, largest=LARGEST, dtls=dtls, options=options)
    finally:
        socket.close()


async def _socket(dialer: Dialer, host: str, port: int, local_port: int) -> UdpSocket:
    """A port of the user's choice may still be the link's before, which the pump is about to close."""
    from transports.errors import Unreachable

    for _ in range(PORT_TRIES if local_port else 0):
        try:
            return await dialer.datagrams(host, port, local_port=local_port)
        except Unreachable:
            await asyncio.sleep(PORT_PAUSE)
    return await dialer.datagrams(host, port, local_port=local_port)


def _settings(stream: TlsStream, terms: DtlsTerms, offer: DtlsOffer) -> DtlsSettings:
    """The key is made anew for each handshake: after a renegotiation it differs (section 6.3)."""
    from transports.dtls import DtlsSettings, Mode
    from transports.dtls import Version as WireVersion

    mode = terms.mode
    if mode.resumes:
        version = WireVersion.CISCO if mode.version is Version.CISCO else WireVersion.DTLS12
        return DtlsSettings(Mode.RESUME, offer.master_secret, mode.suites, terms.session_id, version=version)
    key = stream.export_keying_material(EXPORTER, PSK_SIZE)
    return DtlsSettings(Mode.PSK, key, mode.suites, terms.session_id, identity=PSK_IDENTITY)
