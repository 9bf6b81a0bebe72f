"""Two ends of one TLS connection over a socket pair, straight on the engine, for tests of what lies above TLS."""

from __future__ import annotations

import datetime
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text

TIMEOUT = 60.0  # seconds; only a broken test waits that long


@cache
def self_signed() -> tuple[bytes, bytes]:
    """A certificate and its key, both DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    der = serialization.Encoding.DER
    pkcs8 = serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(der), key.private_bytes(der, pkcs8, serialization.NoEncryption())


class End:
    """One end.  `native` is what a Pump takes; read and write are for the end that a test plays itself."""

    def __init__(self, sock: socket.socket, *, server: bool, version: int, identity: bool = False) -> None:
        sock.setblocking(False)
        self.sock = sock
        error = errbuf()
        context = lib.ve_tls_context_new(server, 0, error, ERROR_SIZE)
        assert context, text(error)
        assert lib.ve_tls_context_versions(context, version, version) == lib.VE_OK
        if server or identity:
            certificate, key = self_signed()
            rc = lib.ve_tls_context_identity(context, certificate, len(certificate), key, len(key))
            assert rc == lib.VE_OK, text(lib.ve_tls_context_error(context))
        name = ffi.NULL if server else b"gateway.example"
        native = lib.ve_tls_new(context, sock.fileno(), name, name, error, ERROR_SIZE)
        lib.ve_tls_context_free(context)
        assert native, text(error)
        self.native: CData = ffi.gc(native, lib.ve_tls_free)

    def fileno(self) -> int:
        return self.sock.fileno()

    def shake(self) -> bool:
        """One step of the handshake; True: done."""
        rc = lib.ve_tls_handshake(self.native)
        if rc == lib.VE_WANT_TRUST:
            lib.ve_tls_trust(self.native, 1)
            rc = lib.ve_tls_handshake(self.native)
        assert rc in (lib.VE_OK, lib.VE_WANT_READ, lib.VE_WANT_WRITE), text(lib.ve_tls_error(self.native))
        lib.ve_tls_flush(self.native)
        return bool(rc == lib.VE_OK)

    def write(self, data: bytes) -> None:
        """One record, flushed."""
        assert lib.ve_tls_write(self.native, data, len(data)) == len(data), text(lib.ve_tls_error(self.native))
        while lib.ve_tls_flush(self.native) == lib.VE_WANT_WRITE:
            select.select([], [self.sock], [], TIMEOUT)

    def read_once(self) -> bytes | None:
        """What one read gives now; None: nothing yet; b"": the end."""
        out = ffi.new("uint8_t[]", 16384)
        got = lib.ve_tls_read(self.native, out, 16384)
        if got in (lib.VE_WANT_READ, lib.VE_WANT_WRITE):
            return None
        assert got > 0 or got == lib.VE_EOF, text(lib.ve_tls_error(self.native))
        return bytes(ffi.buffer(out, got)) if got > 0 else b""

    def read(self) -> bytes:
        """The next record; waits."""
        while (data := self.read_once()) is None:
            assert select.select([self.sock], [], [], TIMEOUT)[0], "nothing came"
        return data

    def end(self) -> None:
        lib.ve_tls_shutdown(self.native)
        lib.ve_tls_flush(self.native)


@contextmanager
def tls_pair(version: int = 0x0304) -> Iterator[tuple[End, End]]:
    """(client, server), the handshake done."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client, server = End(ours, server=False, version=version), End(theirs, server=True, version=version)
        for _step in range(20):
            done = [client.shake(), server.shake()]
            if all(done):
                break
        assert all(done)
        yield client, server
