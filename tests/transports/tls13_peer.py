"""A peer of another make: Python's ssl shakes hands, then records are made by hand, with `cryptography`.

Secrets come by ssl's key log.  RFC 8446 sections 5.2, 5.3 and 7.1 to 7.3.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509 import load_der_x509_certificate

from tests.transports.tlspair import End, self_signed

ALERT, HANDSHAKE, DATA = 21, 22, 23
KEY_UPDATE, ASKING = b"\x18\0\0\1\0", b"\x18\0\0\1\1"
CLOSE_NOTIFY = b"\1\0"
SUITES = {
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, hashes.SHA256()),
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, hashes.SHA384()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, hashes.SHA256()),
}


def ticket(length: int = 60) -> bytes:
    """A NewSessionTicket, of which nobody reads the inside."""
    return b"\x04" + length.to_bytes(3, "big") + bytes(length)


@dataclass(slots=True)
class Direction:
    suite: str
    secret: bytes
    sequence: int = 0
    key: AESGCM | ChaCha20Poly1305 = field(init=False)
    iv: bytes = field(init=False)

    def __post_init__(self) -> None:
        cipher, size, _digest = SUITES[self.suite]
        self.key, self.iv = cipher(self._expand("key", size)), self._expand("iv", 12)

    def _expand(self, label: str, length: int) -> bytes:
        name = b"tls13 " + label.encode()
        info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
        return HKDFExpand(SUITES[self.suite][2], length, info).derive(self.secret)

    def update(self) -> None:
        self.secret = self._expand("traffic upd", len(self.secret))
        self.sequence = 0
        self.__post_init__()

    def _nonce(self) -> bytes:
        number = int.from_bytes(self.iv, "big") ^ self.sequence
        self.sequence += 1
        return number.to_bytes(12, "big")

    def seal(self, content: bytes, kind: int = DATA, padding: int = 0) -> bytes:
        return self.seal_inner(content + bytes([kind]) + bytes(padding))

    def seal_inner(self, inner: bytes) -> bytes:
        header = b"\x17\3\3" + (len(inner) + 16).to_bytes(2, "big")
        return header + self.key.encrypt(self._nonce(), inner, header)

    def open(self, record: bytes) -> tuple[int, bytes]:
        inner = self.key.decrypt(self._nonce(), record[5:], record[:5]).rstrip(b"\0")
        return inner[-1], inner[:-1]


@dataclass(slots=True)
class Peer:
    """The other end of `end`.  out: what it sends; back: what it gets."""

    end: End
    sock: socket.socket
    out: Direction
    back: Direction
    late: bytes  # tickets that were not handed over yet
    buffer: bytearray = field(default_factory=bytearray)

    def send(self, *records: bytes) -> None:
        self.sock.sendall(b"".join(records))

    def write(self, data: bytes) -> None:
        self.send(self.out.seal(data))

    def receive(self) -> tuple[int, bytes]:
        """The next record that came, opened."""
        while len(self.buffer) < 5 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            data = self.sock.recv(65536)
            assert data, "the end"
            self.buffer += data
        size = 5 + int.from_bytes(self.buffer[3:5], "big")
        record = bytes(self.buffer[:size])
        del self.buffer[:size]
        return self.back.open(record)


def _identity(context: ssl.SSLContext, folder: Path) -> None:
    certificate, key = self_signed()
    pem = load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    private = serialization.load_der_private_key(key, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "identity.pem").write_bytes(pem + private)
    context.load_cert_chain(folder / "identity.pem")


def _secret(log: Path, label: str) -> bytes:
    (found,) = [line.split()[2] for line in log.read_text().splitlines() if line.startswith(label + " ")]
    return bytes.fromhex(found)


@contextmanager
def handmade(
    folder: Path, *, server: bool = True, tickets: int = 0, curve: str = "", certificate: bool = False
) -> Iterator[Peer]:
    """The peer is the server, or the client.  tickets: how many the server sends; curve: the only one that it takes, so
    that it retries the hello; certificate: the client has to show one."""
    log = folder / "keys"
    log.unlink(missing_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.keylog_filename = str(log)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if server:
        _identity(context, folder)
        context.num_tickets = tickets
    if curve:
        context.set_ecdh_curve(curve)
    if certificate:
        context.load_verify_locations(folder / "identity.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = context.wrap_bio(come, go, server_side=server)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        end = End(ours, server=not server, version=0x0304, identity=server and certificate)
        theirs.setblocking(False)
        late = _shake(end, theirs, shaking, come, go)
        theirs.settimeout(10)
        cipher = shaking.cipher()
        assert cipher is not None
        yield _peer(end, theirs, cipher[0], log, server, late, tickets)


def _shake(end: End, sock: socket.socket, shaking: ssl.SSLObject, come: ssl.MemoryBIO, go: ssl.MemoryBIO) -> bytes:
    """What ssl had to say when both were done."""
    done = [False, False]
    for _turn in range(20):
        done[0] = done[0] or end.shake()
        try:
            come.write(sock.recv(65536))
        except BlockingIOError:
            pass
        if not done[1]:
            try:
                shaking.do_handshake()
                done[1] = True
            except ssl.SSLWantReadError:
                pass
        if all(done):
            return go.read()
        sock.sendall(go.read())
    raise AssertionError("no handshake")


def _peer(end: End, sock: socket.socket, suite: str, log: Path, server: bool, late: bytes, tickets: int) -> Peer:
    secrets = [_secret(log, f"{name}_TRAFFIC_SECRET_0") for name in ("CLIENT", "SERVER")]
    return Peer(
        end,
        sock,
        Direction(suite, secrets[server], tickets if server else 0),
        Direction(suite, secrets[not server]),
        late,
    )
