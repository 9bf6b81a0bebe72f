"""DTLS: one association over datagrams that somebody else moves; the engine's ve_dtls with a Python face.

    shaking -> open -> ended (close_notify) or dead (a failure)

`Dtls` does no I/O.  `handshake` drives one over a socket; data then goes through a pump (native), or through `seal` and
`open`, a record a datagram.  New keys are a new association.  A server needs the ClientHello's session id before it has
the key: dtls_hello.py.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from transports.dtls_hello import client_hello_session_id
from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import (
    ConnectionLost,
    DatagramTooLarge,
    DtlsEnded,
    DtlsError,
    DtlsNotResumed,
    DtlsRefused,
    DtlsTimedOut,
    TimedOut,
    TransportError,
)
from transports.tcp import reason_of

__all__ = [
    "Certificates",
    "Datagrams",
    "Dtls",
    "DtlsInfo",
    "DtlsSettings",
    "Mode",
    "Version",
    "client_hello_session_id",
    "handshake",
]

HANDSHAKE_TIMEOUT = 12.0  # seconds
RETRANSMIT = 0.25  # seconds; doubles up to ...
RETRANSMIT_MOST = 1.0
HANDSHAKE_MTU = 1200  # bytes of a datagram: fits wherever IPv6 does
MAX_DATAGRAM = 65535  # bytes
MAX_IGNORED = 10_000  # datagrams within a handshake that did not end it: whoever floods us gets no more of our time

_ICMP = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
# A full queue, and a datagram larger than a link takes: the retransmission tries again, or fails by the clock.
_LOST = {errno.ENOBUFS, errno.EAGAIN, errno.EMSGSIZE}


class Mode(IntEnum):
    """How the peers know each other: a pre-shared key, the master secret of a session that never was, certificates."""

    PSK = lib.VE_DTLS_PSK
    RESUME = lib.VE_DTLS_RESUME
    CERTIFICATE = lib.VE_DTLS_CERTIFICATE


class Version(IntEnum):
    """On the wire; no other than the one wanted is agreed on.

    DTLS10: with certificates alone.  CISCO is from before RFC 4347, and for clients that resume alone.
    """

    DTLS12 = lib.VE_DTLS_12
    DTLS10 = lib.VE_DTLS_10
    CISCO = lib.VE_DTLS_CISCO


@dataclass(frozen=True, slots=True)
class Certificates:
    """context: a ve_tls_context for datagrams.  Of clients: server_name: SNI.  verify_name: whom they want."""

    context: CData = field(repr=False)
    server_name: str | None = None
    verify_name: str | None = None


@dataclass(frozen=True, slots=True)
class DtlsSettings:
    """One association.  ciphers: OpenSSL's names, best first; one name to resume.

    secret: the pre-shared key, or the 48 bytes of master secret.  session_id: of the ClientHello; a server with a key
    needs none.  identity: what a client with a key calls itself.  certificates: of that mode, which has neither secret
    nor session.  retransmit: seconds.
    """

    mode: Mode
    secret: bytes = field(repr=False)
    ciphers: tuple[str, ...]
    session_id: bytes = b""
    server: bool = False
    version: Version = Version.DTLS12
    identity: str = "psk"
    mtu: int = HANDSHAKE_MTU
    retransmit: float = RETRANSMIT
    retransmit_most: float = RETRANSMIT_MOST
    certificates: Certificates | None = None


@dataclass(frozen=True, slots=True)
class DtlsInfo:
    """What was agreed on.  own_records: the engine makes the records itself; otherwise libssl does, slower."""

    version: str
    cipher: str
    resumed: bool
    own_records: bool


class Datagrams(Protocol):
    """What a handshake needs of a connected UDP socket."""

    async def send(self, datagram: bytes) -> object:
        """Raises OSError, or what transports.udp raises."""

    async def receive(self, timeout: float) -> bytes:
        """One datagram.  Raises TimeoutError or TimedOut after `timeout` seconds, otherwise as `send`."""


class Dtls:
    """native: for a pump; it lives as long as this object."""

    def __init__(self, settings: DtlsSettings) -> None:
        """Raises DtlsError for settings that cannot be."""
        error = errbuf()
        held = [ffi.new("char[]", ":".join(settings.ciphers).encode()), ffi.new("char[]", settings.identity.encode())]
        held += [ffi.from_buffer(settings.secret), ffi.from_buffer(settings.session_id)]
        wishes = ffi.new("struct ve_dtls_settings *")
        wishes.server, wishes.mode, wishes.version = int(settings.server), settings.mode, settings.version
        wishes.ciphers, wishes.identity = held[0], held[1]
        wishes.secret, wishes.secret_length = ffi.cast("uint8_t *", held[2]), len(settings.secret)
        wishes.session_id, wishes.session_id_length = ffi.cast("uint8_t *", held[3]), len(settings.session_id)
        wishes.mtu = settings.mtu
        wishes.retransmit_ms = round(settings.retransmit * 1000)
        wishes.retransmit_most_ms = round(settings.retransmit_most * 1000)
        if (certificates := settings.certificates) is not None:
            held += [_chars(certificates.server_name), _chars(certificates.verify_name)]
            wishes.context, wishes.server_name, wishes.verify_name = certificates.context, held[-2], held[-1]
        native = lib.ve_dtls_new(wishes, error, ERROR_SIZE)
        if native == ffi.NULL:
            raise DtlsError(text(error))
        self.native: CData = ffi.gc(native, lib.ve_dtls_free)
        self._room: CData = ffi.new("uint8_t[]", MAX_DATAGRAM)
        self.established = False
        self.parked = False  # a certificate waits for `trust`

    def given_away(self) -> None:
        """Something of the engine owns `native` from now on."""
        ffi.gc(self.native, None)

    # --- the handshake ---

    def start(self) -> None:
        """Begin; a client then has datagrams to send.  Raises DtlsError."""
        self._judge(lib.ve_dtls_start(self.native))

    def feed(self, datagram: bytes) -> bool:
        """A datagram that came; True: the handshake is done.  Raises DtlsError."""
        self._judge(lib.ve_dtls_feed(self.native, datagram, len(datagram)))
        return self.established

    def trust(self, accept: bool) -> bool:
        """The peer's certificate is judged: the handshake goes on, or ends.  As `feed`."""
        self.parked = False
        self._judge(lib.ve_dtls_trust(self.native, int(accept)))
        return self.established

    def outgoing(self) -> Iterator[bytes]:
        """What is to be sent now."""
        while (length := lib.ve_dtls_outgoing(self.native, self._room, MAX_DATAGRAM)) > 0:
            yield bytes(ffi.buffer(self._room, length))

    def timeout(self) -> float | None:
        """Seconds until `expired` is to be called; None: no need."""
        left = lib.ve_dtls_timeout(self.native)
        return None if left == lib.VE_EMPTY else left / 1000

    def expired(self) -> None:
        """Puts the last flight out again, if it is time.  Raises DtlsError."""
        self._judge(lib.ve_dtls_expired(self.native))

    # --- data ---

    def seal(self, payload: bytes) -> bytes:
        """A datagram of one record.  Raises DtlsEnded, DtlsError; ValueError: the payload is too long."""
        head = lib.ve_dtls_head(self.native)
        size = head + len(payload) + lib.ve_dtls_tail(self.native)
        if size > MAX_DATAGRAM:
            raise ValueError(f"payload: got {len(payload)} bytes, want at most {lib.VE_DTLS_PAYLOAD}")
        ffi.memmove(self._room + head, payload, len(payload))
        length = lib.ve_dtls_seal(self.native, self._room, len(payload), size)
        if length == lib.VE_FULL:
            raise ValueError(f"payload: got {len(payload)} bytes, want 1..{lib.VE_DTLS_PAYLOAD}")
        if length < 0:
            raise self._failure()
        return bytes(ffi.buffer(self._room, length))

    def open(self, datagram: bytes) -> list[bytes]:
        """The payloads of a datagram, maybe none.  Raises DtlsEnded (close_notify came), DtlsError (an alert came)."""
        payloads: list[bytes] = []
        used, payload = ffi.new("size_t *"), ffi.new("uint8_t **")
        room = ffi.new("uint8_t[]", datagram)
        at = 0
        while at < len(datagram):
            length = lib.ve_dtls_open(self.native, room + at, len(datagram) - at, used, payload)
            if length >= 0:
                payloads.append(bytes(ffi.buffer(payload[0], length)))
            elif length != lib.VE_EMPTY and payloads:
                return payloads  # what came before the end; the next call tells of it
            elif length != lib.VE_EMPTY:
                raise self._failure()
            at += used[0]
        return payloads

    def reply(self) -> bytes:
        """What the association itself has to send after datagrams were opened; mostly nothing."""
        return bytes(ffi.buffer(self._room, lib.ve_dtls_reply(self.native, self._room, MAX_DATAGRAM)))

    def close(self) -> bytes:
        """The goodbye to send; empty: there is none.  Nothing is sealed after it."""
        return bytes(ffi.buffer(self._room, lib.ve_dtls_close(self.native, self._room, MAX_DATAGRAM)))

    # --- questions ---

    @property
    def peer_certificate(self) -> bytes:
        """DER; empty: the peer has shown none."""
        room = ffi.new("uint8_t[]", lib.VE_TLS_CERTIFICATE)
        length = lib.ve_dtls_peer_certificate(self.native, room, lib.VE_TLS_CERTIFICATE)
        return bytes(ffi.buffer(room, length)) if length > 0 else b""

    @property
    def faults(self) -> tuple[int, ...]:
        """What verification found wrong with it: X509_V_ERR_*, in the order found."""
        found: list[int] = []
        while (fault := lib.ve_dtls_verify_fault(self.native, len(found))) > 0:
            found.append(fault)
        return tuple(found)

    @property
    def info(self) -> DtlsInfo:
        info = ffi.new("struct ve_dtls_info *")
        lib.ve_dtls_info(self.native, info)
        return DtlsInfo(text(info.version), text(info.cipher), bool(info.resumed), bool(info.own_records))

    @property
    def overhead(self) -> int:
        """Bytes that a record adds to its payload at most."""
        return int(lib.ve_dtls_head(self.native) + lib.ve_dtls_tail(self.native))

    def stats(self) -> dict[str, int]:
        """Counters by cause, as engine.h names them."""
        stats = ffi.new("struct ve_dtls_stats *")
        lib.ve_dtls_stats(self.native, stats)
        return {name: int(getattr(stats, name)) for name, _field in ffi.typeof(stats[0]).fields}

    def _judge(self, result: int) -> None:
        if result == lib.VE_ERROR:
            raise DtlsError("the handshake is over") if self.established else self._failure()
        self.established = self.established or result == lib.VE_OK
        self.parked = result == lib.VE_WANT_TRUST

    def _failure(self) -> DtlsError:
        kind, said = lib.ve_dtls_failure(self.native), text(lib.ve_dtls_error(self.native))
        if kind == lib.VE_DTLS_NO_FAILURE:
            return DtlsEnded("the association has ended" if self.established else "the association is not there yet")
        if kind == lib.VE_DTLS_NOT_RESUMED:
            return DtlsNotResumed(f"dtls-not-resumed: {said}")
        if kind == lib.VE_DTLS_TIMED_OUT:
            return DtlsTimedOut("handshake: no answer")  # libssl says that its timer has expired
        return DtlsError(said)


# Gets the peer's certificate (DER) and the faults found, and raises to refuse it.
OnCertificate = Callable[[bytes, tuple[int, ...]], Awaitable[None]]


async def _nobody(_certificate: bytes, _faults: tuple[int, ...]) -> None:
    raise DtlsError("certificate: nobody is there to judge it")


async def handshake(
    dtls: Dtls,
    socket: Datagrams,
    *,
    limit: float = HANDSHAKE_TIMEOUT,
    first: bytes = b"",
    on_certificate: OnCertificate = _nobody,
) -> None:
    """Drive a handshake to its end.  first: a datagram that a server has taken from the socket already.

    Raises DtlsTimedOut, DtlsRefused (ICMP), DtlsNotResumed, DtlsError, and what on_certificate raises.
    """
    deadline = asyncio.get_running_loop().time() + limit
    try:
        dtls.start()
        if first:
            dtls.feed(first)
        await _send(dtls, socket)
        for _datagram in range(MAX_IGNORED):
            if dtls.established:
                return
            await _turn(dtls, socket, deadline, limit)
            if dtls.parked:
                await _ask(dtls, on_certificate)
                await _send(dtls, socket)
        raise DtlsError(f"got {MAX_IGNORED} datagrams without an end of the handshake")
    except TransportError:
        with suppress(TransportError):
            await _send(dtls, socket)  # our alert, if libssl made one
        raise


async def _ask(dtls: Dtls, on_certificate: OnCertificate) -> None:
    try:
        await on_certificate(dtls.peer_certificate, dtls.faults)
    except BaseException:
        with suppress(DtlsError):
            dtls.trust(False)
        raise
    dtls.trust(True)


async def _turn(dtls: Dtls, socket: Datagrams, deadline: float, limit: float) -> None:
    """One datagram, or one expiry of the timer."""
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise DtlsTimedOut(f"no handshake within {limit:g} s")
    wait = dtls.timeout()
    try:
        datagram = await socket.receive(left if wait is None else min(wait, left))
    except (TimeoutError, TimedOut):
        dtls.expired()
    except ConnectionLost as exc:
        raise DtlsRefused(str(exc)) from exc
    except OSError as exc:
        raise _refused(exc) from exc
    else:
        dtls.feed(datagram)
    await _send(dtls, socket)


async def _send(dtls: Dtls, socket: Datagrams) -> None:
    for datagram in dtls.outgoing():
        try:
            await socket.send(datagram)
        except DatagramTooLarge:
            continue  # as _LOST
        except ConnectionLost as exc:
            raise DtlsRefused(str(exc)) from exc
        except OSError as exc:
            if exc.errno not in _LOST:
                raise _refused(exc) from exc


def _refused(error: OSError) -> DtlsError:
    kind = DtlsRefused if error.errno in _ICMP else DtlsError
    return kind(f"the network says: {reason_of(error)}")


def _chars(text: str | None) -> CData:
    return ffi.NULL if text is None else ffi.new("char[]", text.encode("ascii"))
