"""The DTLS channel of AnyConnect from the gateway's side: what the CONNECT answers, and whose ClientHello came.

Source: anyconnect.md sections 3.3, 6 and 12.
"""

from __future__ import annotations

import math
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.anyconnect.dtls_ciphers import PSK_NEGOTIATE, PSK_SUITES
from protocols.base import Control, Send, Traffic
from transports.dtls import Dtls, DtlsSettings, Mode, client_hello_session_id, handshake
from transports.link import DatagramLink, LinkDescription
from transports.udp import UdpSocket
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Exporter, Headers, OpenDatagrams, Request, ServerAction
from vpnclient.lab.store import LabSession

FRAMING = "cstp-dtls"
EXPORTER, PSK_SIZE = "EXPORTER-openconnect-psk", 32
MASTER_SECRET = 48  # bytes
ID_SIZE = 32  # bytes
MAX_AWAITED = 1000  # tunnels whose ClientHello may come; the oldest gives way
RESUMED = "AES128-GCM-SHA256"  # the name in X-DTLS12-CipherSuite is OpenSSL's too
LARGEST = 16384 + 256  # bytes of a datagram
DPD_REQ, DPD_RESP = 3, 4


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A tunnel that may get a DTLS channel.  master_secret: of the resumption mode; empty: a shared key."""

    session: LabSession
    master_secret: bytes = field(repr=False)


class DtlsSide:
    """What one gateway knows of its clients' DTLS channels."""

    def __init__(self, settings: LabSettings) -> None:
        self._settings = settings
        self._port = 0
        self._awaited: OrderedDict[bytes, _Awaited] = OrderedDict()

    def listens(self, port: int) -> None:
        self._port = port

    def headers(self, session: LabSession, request: Request) -> Headers:
        """Of the answer to a CONNECT; empty: the client wants no DTLS, or none of what is there."""
        settings = self._settings
        master_secret = self._agree(request)
        if master_secret is None or not settings.udp or not self._port:
            return ()
        name = secrets.token_bytes(ID_SIZE)
        self._awaited[name] = _Awaited(session, master_secret)
        while len(self._awaited) > MAX_AWAITED:
            self._awaited.popitem(last=False)
        resumes = settings.dtls == "resume"
        return (
            ("X-DTLS-Session-ID" if resumes else "X-DTLS-App-ID", name.hex()),
            ("X-DTLS12-CipherSuite", RESUMED) if resumes else ("X-DTLS-CipherSuite", PSK_NEGOTIATE),
            ("X-DTLS-Port", str(self._port)),
            ("X-DTLS-DPD", str(settings.dpd)),
            ("X-DTLS-Keepalive", str(settings.keepalive)),
            ("X-DTLS-Rekey-Time", str(settings.rekey_time)),
            ("X-DTLS-Rekey-Method", "new-tunnel" if settings.rekey_time else "none"),
        )

    def _agree(self, request: Request) -> bytes | None:
        """The master secret to use; empty: none is needed.  None: the client offers nothing that we speak."""
        if self._settings.dtls == "psk":
            return b"" if PSK_NEGOTIATE in request.header("x-dtls-ciphersuite").split(":") else None
        secret = request.header("x-dtls-master-secret")
        if RESUMED not in request.header("x-dtls12-ciphersuite").split(":") or len(secret) != 2 * MASTER_SECRET:
            return None
        try:
            return bytes.fromhex(secret)
        except ValueError:
            return None

    def on_datagram(self, first: bytes) -> OpenDatagrams | None:
        name = client_hello_session_id(first)
        awaited = self._awaited.get(name)
        if awaited is None:
            return None

        async def open_link(socket: UdpSocket, hello: bytes, export: Exporter) -> DatagramLink:
            return await self._open(awaited, name, socket, hello, export)

        return OpenDatagrams(awaited.session, open_link, DtlsEcho(), self._settings.mtu)

    async def _open(
        self, awaited: _Awaited, name: bytes, socket: UdpSocket, hello: bytes, export: Exporter
    ) -> DatagramLink:
        if awaited.master_secret:
            settings = DtlsSettings(Mode.RESUME, awaited.master_secret, (RESUMED,), name, server=True)
        else:
            settings = DtlsSettings(Mode.PSK, export(EXPORTER, PSK_SIZE), PSK_SUITES, server=True)
        dtls = Dtls(settings)
        await handshake(dtls, socket, first=hello)
        info = dtls.info
        description = LinkDescription("DTLS", *socket.peer, f"{info.version}, {info.cipher}", dtls.overhead)
        return DatagramLink(socket, FRAMING, description=description, largest=LARGEST, dtls=dtls)


class DtlsEcho:
    """Answers DPD requests with their payload: the client measures the path by that.  The last of a turn counts."""

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        asked = [frame for frame in frames if frame.kind == DPD_REQ]
        return [Send(Control(DPD_RESP, asked[-1].payload), datagrams=True)] if asked else []

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        return []

    def deadline(self) -> float:
        return math.inf

    def farewell(self, reason: str) -> list[ServerAction]:
        return []  # the stream says it
