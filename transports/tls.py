"""TLS: who we trust, who we are, and the streams that follow from it.  Trust is decided here alone.

TlsContext is for clients, ServerContext for the lab's gateways; both hand out TlsStream (tls_stream.py), and Dtls
(dtls.py) after a handshake with the same certificates.  The rest of the subject: pins.py, identity.py, trust.py,
certificates.py.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from transports import dtls
from transports.dtls import Certificates, Datagrams, Dtls, DtlsSettings, Mode, Version
from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import DtlsError, EngineError, TlsError
from transports.identity import Identity, load_identity
from transports.pins import Pin
from transports.tls_stream import HANDSHAKE_TIMEOUT, TlsInfo, TlsStream
from transports.trust import Judge, Verdict

__all__ = [
    "HANDSHAKE_TIMEOUT",
    "Identity",
    "Judge",
    "Pin",
    "ServerContext",
    "TlsContext",
    "TlsInfo",
    "TlsSettings",
    "TlsStream",
    "load_identity",
]

MAX_CAFILE = 4 * 1024 * 1024  # bytes; a whole system's bundle has about 200 KiB
MAX_CERTIFICATES = 2000  # in a CA file

_VERSIONS = {"": 0, "1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}
# Best first: AES-128-GCM costs least.  DHE and plain RSA are for gateways that have nothing better, as are CBC suites,
# whose records libssl makes; DTLS 1.0 has no others.
_OLD_SUITES = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "DHE-RSA-AES128-SHA",
    "DHE-RSA-AES256-SHA",
    "AES128-SHA",
    "AES256-SHA",
)
_DTLS_SUITES = {
    Version.DTLS10: _OLD_SUITES,
    Version.DTLS12: (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        *_OLD_SUITES,
    ),
}
_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a client decides whom to trust and what it shows.

    pins: then the system's CAs are not used, and what else is wrong with a certificate does not matter; with a cafile
    too, both must hold.  sni: told to the server and verified, instead of the host name.
    ciphers: in OpenSSL's notation, for TLS 1.2 and older.
    """

    system_trust: bool = True
    cafile: Path | None = None
    pins: tuple[Pin, ...] = ()
    identity: Identity | None = None
    sni: str = ""
    ciphers: str = ""
    minimum: str = "1.2"
    maximum: str = ""


class TlsContext:
    """Clients that share settings.  judge: asked about a certificate that failed, unless there are pins."""

    def __init__(self, settings: TlsSettings, *, judge: Judge | None = None) -> None:
        """Raises TlsError for a setting, CA file or identity that cannot be used."""
        self._settings = settings
        self._verdict = Verdict(settings.pins, settings.cafile, judge)
        self._cas = read_certificates(settings.cafile) if settings.cafile is not None else ()
        self._datagrams: _Native | None = None
        self._native = self._prepared(datagrams=False)
        self._native.versions(settings.minimum, settings.maximum)
        if settings.ciphers:
            self._native.do("ciphers", lib.ve_tls_context_ciphers, settings.ciphers.encode())

    async def client(self, sock: socket.socket, host: str) -> TlsStream:
        """Takes the connected socket over, and closes it on failure.

        Raises Unreachable, TlsError, NotTrusted, ClientCertificateWanted.
        """
        try:
            name, sni = _names(self._settings.sni or host)
        except TlsError:
            sock.close()
            raise
        stream = self._native.stream(sock, host, sni, name)
        place = (host, stream.peername.rpartition(":")[2])

        async def judge(certificate: bytes, faults: tuple[int, ...]) -> None:
            await self._verdict.check(name, place, certificate, faults)

        await stream.handshake(judge)
        return stream

    async def datagrams(
        self,
        socket: Datagrams,
        host: str,
        *,
        version: Version = Version.DTLS12,
        ciphers: tuple[str, ...] = (),
        limit: float = dtls.HANDSHAKE_TIMEOUT,
    ) -> Dtls:
        """A DTLS association on a socket that stays the caller's, with as much trust as `client` has.

        Nobody is asked about a certificate: one that failed is good if a person accepted it for TLS to this host.
        ciphers: OpenSSL's names, best first; empty: ours.  limit: seconds for the handshake.
        Raises DtlsTimedOut, DtlsRefused, DtlsError, NotTrusted, TlsError.
        """
        if self._settings.minimum == "1.3":
            raise DtlsError("this gateway's DTLS is older than 1.3, the least that is wanted (tls.minimum)")
        name, sni = _names(self._settings.sni or host)
        self._datagrams = self._datagrams or self._prepared(datagrams=True)
        association = self._datagrams.association(version, ciphers, sni, name)

        async def judge(certificate: bytes, faults: tuple[int, ...]) -> None:
            await self._verdict.check(name, (host, ""), certificate, faults, ask=False)

        await dtls.handshake(association, socket, limit=limit, on_certificate=judge)
        return association

    def _prepared(self, *, datagrams: bool) -> _Native:
        """With trust and identity."""
        settings, native = self._settings, _Native(server=False, datagrams=datagrams)
        if settings.system_trust and not settings.pins:
            native.do("system trust", lib.ve_tls_context_system_trust)
        native.trust(self._cas, str(settings.cafile))
        if settings.identity is not None:
            native.identify(settings.identity)
        return native


class ServerContext:
    """A gateway's side.  client_cas: DER; their names are told to clients, who are asked for a certificate.

    client_required with no CAs: any certificate will do, the caller judges it (TlsStream.peer_certificate).
    """

    def __init__(
        self,
        identity: Identity,
        *,
        client_cas: Sequence[bytes] = (),
        client_required: bool = False,
        maximum: str = "",
    ) -> None:
        self._identity, self._client_cas, self._client_required = identity, tuple(client_cas), client_required
        self._datagrams: _Native | None = None
        self._native = self._prepared(datagrams=False)
        self._native.versions("1.2", maximum)

    async def server(self, sock: socket.socket) -> TlsStream:
        """Takes the accepted socket over, and closes it on failure.  Raises Unreachable, TlsError."""
        stream = self._native.stream(sock, "client", None, None)
        await stream.handshake(None)
        return stream

    async def datagrams(
        self,
        socket: Datagrams,
        first: bytes,
        *,
        version: Version = Version.DTLS12,
        ciphers: tuple[str, ...] = (),
        limit: float = dtls.HANDSHAKE_TIMEOUT,
    ) -> Dtls:
        """A DTLS association with the peer of a socket, which stays the caller's.  first: what came of it already.

        Raises DtlsTimedOut, DtlsRefused, DtlsError.
        """
        self._datagrams = self._datagrams or self._prepared(datagrams=True)
        association = self._datagrams.association(version, ciphers, None, None)
        await dtls.handshake(association, socket, limit=limit, first=first)
        return association

    def _prepared(self, *, datagrams: bool) -> _Native:
        native = _Native(server=True, datagrams=datagrams)
        native.identify(self._identity)
        native.trust(self._client_cas, "client CA")
        if self._client_cas or self._client_required:
            native.do("client certificates", lib.ve_tls_context_ask_client, int(self._client_required))
        return native


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """DER of all certificates in a PEM file, or of the one in a DER file.  Raises TlsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CAFILE + 1)
    except OSError as exc:
        raise TlsError(f"{path}: {exc.strerror}") from exc
    if len(data) > MAX_CAFILE:
        raise TlsError(f"{path}: larger than {MAX_CAFILE} bytes")
    blocks = _PEM.findall(data)
    if len(blocks) > MAX_CERTIFICATES:
        raise TlsError(f"{path}: got {len(blocks)} certificates, want at most {MAX_CERTIFICATES}")
    try:
        found = tuple(base64.b64decode(b"".join(block.split()), validate=True) for block in blocks)
    except binascii.Error as exc:
        raise TlsError(f"{path}: tls-certificate-invalid: {exc}") from exc
    return found or (data,)


class _Native:
    """A ve_tls_context and its errors."""

    def __init__(self, *, server: bool, datagrams: bool) -> None:
        error = errbuf()
        native = lib.ve_tls_context_new(int(server), int(datagrams), error, ERROR_SIZE)
        if native == ffi.NULL:
            raise EngineError(text(error))
        self._server = server
        self._native: CData = ffi.gc(native, lib.ve_tls_context_free)

    def do(self, what: str, call: CData, *args: object) -> None:
        if call(self._native, *args) != lib.VE_OK:
            raise TlsError(f"{what}: {text(lib.ve_tls_context_error(self._native))}")

    def versions(self, minimum: str, maximum: str) -> None:
        for version in (minimum, maximum):
            if version not in _VERSIONS:
                raise TlsError(f"tls version: got {version!r}, want one of {', '.join(filter(None, _VERSIONS))}")
        self.do("tls versions", lib.ve_tls_context_versions, _VERSIONS[minimum], _VERSIONS[maximum])

    def trust(self, certificates: Sequence[bytes], source: str) -> None:
        for number, der in enumerate(certificates, 1):
            self.do(f"{source}, certificate {number}", lib.ve_tls_context_add_ca, der, len(der))

    def identify(self, identity: Identity) -> None:
        self.do(
            "own certificate",
            lib.ve_tls_context_identity,
            identity.certificate,
            len(identity.certificate),
            identity.key,
            len(identity.key),
        )
        for der in identity.chain:
            self.do("own certificate chain", lib.ve_tls_context_add_chain, der, len(der))

    def stream(self, sock: socket.socket, host: str, sni: str | None, name: str | None) -> TlsStream:
        error = errbuf()
        sock.setblocking(False)
        native = lib.ve_tls_new(self._native, sock.fileno(), _chars(sni), _chars(name), error, ERROR_SIZE)
        if native == ffi.NULL:
            sock.close()
            raise TlsError(f"{host}: {text(error)}")
        return TlsStream(native, sock, host)

    def association(self, version: Version, ciphers: tuple[str, ...], sni: str | None, name: str | None) -> Dtls:
        """Of a context for datagrams.  Raises DtlsError."""
        certificates = Certificates(self._native, sni, name)
        wanted = ciphers or _DTLS_SUITES[version]
        return Dtls(
            DtlsSettings(Mode.CERTIFICATE, b"", wanted, server=self._server, version=version, certificates=certificates)
        )


def _chars(string: str | None) -> CData:
    return ffi.NULL if string is None else ffi.new("char[]", string.encode("ascii"))


def _names(host: str) -> tuple[str, str | None]:
    """The name to verify and the server name to send: none for addresses (anyconnect.md section 1)."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return str(ip_address(bare)), None
    except ValueError:
        pass
    try:
        name = host.rstrip(".").encode("idna" if not host.isascii() else "ascii").decode()
    except UnicodeError as exc:
        raise TlsError(f"host name {host!r} cannot be encoded: {exc}") from exc
    if not name or "\0" in name:
        raise TlsError(f"host name {host!r} is not usable")
    return name, name
