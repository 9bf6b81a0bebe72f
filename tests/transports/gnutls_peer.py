"""A DTLS peer of another make: Debian's libgnutls by ctypes, on a UDP socket of loopback, with all that ocserv speaks.

DTLS 0.9 and resumption of a forged session have no program to run, so the library is called (documented in the GnuTLS
manual: gnutls_init, gnutls_session_set_premaster, gnutls_psk_set_server_credentials_function).
"""

from __future__ import annotations

import ctypes
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER, CLIENT, DATAGRAM, NONBLOCK = 1, 2, 1 << 2, 1 << 3  # flags of gnutls_init
CRD_CERTIFICATE, CRD_PSK = 1, 4  # gnutls_credentials_type_t
X509_FMT_PEM = 1
E_AGAIN, E_TIMEDOUT = -28, -319
TIMEOUT = 60000  # milliseconds of a handshake
PAUSE = 50  # milliseconds between two looks whether the test is over
RETRANSMIT = 50  # milliseconds, where datagrams get lost
UNHURRIED = 30000  # milliseconds, where none does, so that a slow machine makes no second flight
MAX_DATAGRAM = 65535


class Datum(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_uint))


PskFunction = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Datum))


@dataclass(frozen=True, slots=True)
class Forged:
    """A session that never was.  cipher and mac as GnuTLS names them; version: "DTLS0.9", "DTLS1.2"."""

    version: str
    kx: str
    cipher: str
    mac: str
    session_id: bytes
    master: bytes


def library() -> ctypes.CDLL:
    gnutls = ctypes.CDLL("libgnutls.so.30")
    gnutls.gnutls_malloc = ctypes.c_void_p.in_dll(gnutls, "gnutls_malloc")
    for name in ("gnutls_record_recv", "gnutls_record_send"):
        getattr(gnutls, name).restype = ctypes.c_ssize_t
    gnutls.gnutls_strerror.restype = ctypes.c_char_p
    return gnutls


def datum(data: bytes) -> tuple[Datum, ctypes.Array[ctypes.c_char]]:
    held = ctypes.create_string_buffer(data, len(data))
    return Datum(ctypes.cast(held, ctypes.c_void_p), len(data)), held


class Peer:
    """One association, in a thread of its own.

    A server echoes each record.  A client (port: where to) sends `payloads`, each when the last has come back, then
    says goodbye.  certificate: files of its own and of the key.  Afterwards `error` is empty or says what failed;
    `identity` is what a client called itself.
    """

    def __init__(
        self,
        priority: str,
        *,
        psk: bytes = b"",
        forged: Forged | None = None,
        port: int = 0,
        payloads: Sequence[bytes] = (),
        retransmit: int = UNHURRIED,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.gnutls, self.priority, self.psk, self.forged = library(), priority, psk, forged
        self.role = CLIENT if port else SERVER
        self.payloads, self.retransmit, self.certificate = payloads, retransmit, certificate
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(TIMEOUT / 1000)
        if port:
            self.socket.connect(("127.0.0.1", port))
        self.port = int(self.socket.getsockname()[1])
        self.error = self.identity = ""
        self.lives = True
        self.session = ctypes.c_void_p()
        self.held: list[object] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def close(self) -> None:
        self.lives = False
        self.thread.join()
        self.socket.close()

    def _check(self, result: int, what: str) -> int:
        if result < 0:
            raise RuntimeError(f"{what}: {self.gnutls.gnutls_strerror(ctypes.c_int(result)).decode()}")
        return result

    def _run(self) -> None:
        gnutls = self.gnutls
        try:
            self._set_up()
            if self.role == SERVER:
                _first, address = self.socket.recvfrom(MAX_DATAGRAM, socket.MSG_PEEK)
                self.socket.connect(address)
            self.socket.setblocking(False)
            while (result := gnutls.gnutls_handshake(self.session)) < 0:
                if gnutls.gnutls_error_is_fatal(result):
                    self._check(result, "handshake")
                if not self.lives:
                    raise RuntimeError("the test is over")
                self._wait(gnutls.gnutls_dtls_get_timeout(self.session))
            if self.role == SERVER:
                self._echo()
            else:
                self._ask()
        except (OSError, RuntimeError) as exc:
            self.error = str(exc)
        finally:
            gnutls.gnutls_deinit(self.session)

    def _set_up(self) -> None:
        gnutls, session = self.gnutls, self.session
        self._check(gnutls.gnutls_init(ctypes.byref(session), self.role | DATAGRAM | NONBLOCK), "init")
        self._check(gnutls.gnutls_priority_set_direct(session, self.priority.encode(), None), "priority")
        kind = CRD_PSK if self.psk else CRD_CERTIFICATE
        self._check(gnutls.gnutls_credentials_set(session, kind, self._credentials()), "credentials")
        if self.forged:
            self._forge(self.forged)
        gnutls.gnutls_dtls_set_mtu(session, 1400)
        gnutls.gnutls_dtls_set_timeouts(session, self.retransmit, TIMEOUT)
        gnutls.gnutls_handshake_set_timeout(session, TIMEOUT)
        gnutls.gnutls_transport_set_int2(session, self.socket.fileno(), self.socket.fileno())

    def _credentials(self) -> ctypes.c_void_p:
        gnutls, credentials = self.gnutls, ctypes.c_void_p()
        place = ctypes.byref(credentials)
        if not self.psk:
            self._check(gnutls.gnutls_certificate_allocate_credentials(place), "credentials")
            if self.certificate:
                names = [str(path).encode() for path in self.certificate]
                set_file: Callable[..., int] = gnutls.gnutls_certificate_set_x509_key_file
                self._check(set_file(credentials, *names, X509_FMT_PEM), "certificate")
        elif self.role == CLIENT:
            self._check(gnutls.gnutls_psk_allocate_client_credentials(place), "credentials")
            key, held = datum(self.psk)
            self.held += [key, held]
            set_key: Callable[..., int] = gnutls.gnutls_psk_set_client_credentials
            self._check(set_key(credentials, b"somebody", ctypes.byref(key), 0), "key")
        else:
            self._check(gnutls.gnutls_psk_allocate_server_credentials(place), "credentials")
            callback = PskFunction(self._give_key)
            self.held.append(callback)
            gnutls.gnutls_psk_set_server_credentials_function(credentials, callback)
        return credentials

    def _give_key(self, _session: object, identity: bytes, key: ctypes._Pointer[Datum]) -> int:
        self.identity = identity.decode()
        malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(self.gnutls.gnutls_malloc.value or 0)
        room = malloc(len(self.psk))
        ctypes.memmove(room, self.psk, len(self.psk))
        key.contents.data, key.contents.size = room, len(self.psk)
        return 0

    def _forge(self, forged: Forged) -> None:
        gnutls = self.gnutls
        master, held = datum(forged.master)
        session_id, held_too = datum(forged.session_id)
        self.held += [held, held_too]
        numbers = [
            self._check(gnutls.gnutls_protocol_get_id(forged.version.encode()), "version"),
            self._check(gnutls.gnutls_kx_get_id(forged.kx.encode()), "kx"),
            self._check(gnutls.gnutls_cipher_get_id(forged.cipher.encode()), "cipher"),
            self._check(gnutls.gnutls_mac_get_id(forged.mac.encode()), "mac"),
            self._check(gnutls.gnutls_compression_get_id(b"NULL"), "compression"),
        ]
        set_premaster: Callable[..., int] = gnutls.gnutls_session_set_premaster
        done = set_premaster(self.session, self.role, *numbers, ctypes.byref(master), ctypes.byref(session_id))
        self._check(done, "set_premaster")

    def _wait(self, milliseconds: int) -> None:
        select.select([self.socket], [], [], milliseconds / 1000)

    def _receive(self) -> bytes | None:
        """A record; empty: the end; None: nothing came for a while."""
        self._wait(PAUSE)
        room = ctypes.create_string_buffer(MAX_DATAGRAM)
        got = self.gnutls.gnutls_record_recv(self.session, room, ctypes.c_size_t(MAX_DATAGRAM))
        if got >= 0:
            return room.raw[:got]
        if got not in (E_AGAIN, E_TIMEDOUT) and self.gnutls.gnutls_error_is_fatal(ctypes.c_int(got)):
            self._check(got, "receive")
        return None

    def _send(self, data: bytes) -> None:
        self._check(self.gnutls.gnutls_record_send(self.session, data, ctypes.c_size_t(len(data))), "send")

    def _echo(self) -> None:
        while self.lives and (data := self._receive()) != b"":
            if data:
                self._send(data)

    def _ask(self) -> None:
        for payload in self.payloads:
            self._send(payload)
            while self.lives and (data := self._receive()) != payload:
                if data is not None:
                    raise RuntimeError(f"got {len(data)} bytes, want the {len(payload)} that were sent")
        self.gnutls.gnutls_bye(self.session, 1)


@contextmanager
def peer(priority: str, **options: object) -> Iterator[Peer]:
    other = Peer(priority, **options)  # type: ignore[arg-type]
    try:
        yield other
    finally:
        other.close()
