"""One TLS connection on asyncio, over the engine's ve_tls.

    handshaking -> open <-> detached (a pump owns it) -> closed

Everything is done in the loop's thread but while detached.  One task may read while another writes; two readers or
two writers would mix their bytes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from transports.certificates import summarize
from transports.engine import CData, ffi, lib, text
from transports.errors import (
    CertificateSummary,
    ClientCertificateWanted,
    ConnectionLost,
    TlsError,
    TransportError,
    Truncated,
    Unreachable,
)
from transports.pins import pin_of
from transports.readiness import Readiness

HANDSHAKE_TIMEOUT = 30.0  # seconds, without the time that a person takes to judge
LINGER = 0.2  # seconds that close() waits for the peer to end in order
MAX_DRAIN = 1024 * 1024  # bytes read and dropped while lingering
MAX_CERTIFICATE = 64 * 1024  # bytes
MAX_STASH = 64 * 1024  # bytes that a peer may send while it owes us the end of a renegotiation

_CERTIFICATE_REQUIRED = 116
# Alerts that a peer sends for want of a good client certificate, if it asked for one (RFC 8446, section 6.2).
_ABOUT_OUR_CERTIFICATE = {40, 42, 43, 44, 45, 46, 48, 49, _CERTIFICATE_REQUIRED}


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed on, for the log.  pin: of the peer's key, empty if it sent no certificate."""

    version: str
    cipher: str
    pin: str
    peer_certificate: bytes
    client_certificate_asked: bool
    client_certificate_sent: bool

    @property
    def certificate(self) -> CertificateSummary | None:
        """Parsed on demand: it costs an import."""
        return summarize(self.peer_certificate) if self.peer_certificate else None


Exporter = Callable[[str, int], bytes]  # label, length -> keying material


class TlsStream:
    """An open connection; made by TlsContext.client and ServerContext.server.

    native: the engine's connection, for a pump; it lives until `close`.  peer_host: numeric address, empty for a
    socket without one; peername: with its port.
    """

    info: TlsInfo

    def __init__(self, native: CData, sock: socket.socket, host: str) -> None:
        self._native: CData = ffi.gc(native, lib.ve_tls_free)
        self._sock, self._host = sock, host
        self._ready = Readiness(sock.fileno())
        self._room: CData = ffi.new("uint8_t[]", lib.VE_TLS_RECORD)
        self._stash = bytearray()  # read while writing, when the peer wanted a handshake first
        self._heard = False  # application data has come
        self._detached = False
        self._exporter: Exporter | None = None
        self._condemned = False  # to be freed once the pump gives it back
        self.peer_host, self.peername = _peer(sock)

    @property
    def native(self) -> CData:
        if self._native is None:
            raise ConnectionLost(f"{self._host}: the connection was closed on this side")
        return self._native

    @property
    def peer_certificate(self) -> bytes:
        """DER; empty if the peer sent none."""
        return self.info.peer_certificate

    def fileno(self) -> int:
        return self._sock.fileno()

    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte, at most `limit` or a record; b"" after the peer's close_notify.

        Raises Truncated, ConnectionLost, TlsError, ClientCertificateWanted.
        """
        while not self._stash:
            got = lib.ve_tls_read(self._usable(), self._room, min(limit, lib.VE_TLS_RECORD))
            if got > 0:
                self._heard = True
                return bytes(ffi.buffer(self._room, got))
            if got == lib.VE_EOF:
                return b""
            await self._wait(got)
        taken = bytes(self._stash[:limit])
        del self._stash[:limit]
        return taken

    async def write(self, data: bytes) -> None:
        """Send all of it, as records of up to 16384 bytes; one record if it fits.  Raises as `read`."""
        left = memoryview(data)
        while left:
            took = lib.ve_tls_write(self._usable(), ffi.from_buffer(left), len(left))
            if took > 0:
                left = left[took:]
            elif took == lib.VE_WANT_READ:
                await self._read_ahead()
            else:
                await self._wait(took)
        await self._flush()

    def export_keying_material(self, label: str, length: int) -> bytes:
        """RFC 5705 and RFC 8446, section 7.5, without a context; of the current keys.  Raises TlsError, EngineError."""
        if self._exporter is not None:
            return self._exporter(label, length)
        out = ffi.new("uint8_t[]", length)
        if lib.ve_tls_export(self._usable(), label.encode(), out, length) != lib.VE_OK:
            raise TlsError(f"{self._host}: {text(lib.ve_tls_error(self.native))}")
        return bytes(ffi.buffer(out))

    def finished(self) -> bytes:
        """Our own Finished message: tls-unique of a TLS 1.2 client (RFC 5929); 12, 32 or 48 bytes."""
        length = lib.ve_tls_finished(self._usable(), self._room, lib.VE_TLS_RECORD)
        return bytes(ffi.buffer(self._room, length)) if length > 0 else b""

    async def rekey(self) -> None:
        """Renew the keys (TLS 1.2: renegotiate, 1.3: KeyUpdate); data that comes meanwhile waits for `read`."""
        if lib.ve_tls_rekey(self._usable()) != lib.VE_OK:
            raise TlsError(f"{self._host}: {text(lib.ve_tls_error(self.native))}")
        await self._flush()
        await self._read_ahead()

    def detach(self, exporter: Exporter | None = None) -> None:
        """Stop using the descriptor here: a pump owns the connection until `reattach`.

        exporter: how to get keying material meanwhile, as only the pump's thread may touch the connection.
        """
        self._ready.close()
        self._detached, self._exporter = True, exporter

    def reattach(self) -> None:
        """The pump has stopped: reading and writing go on, or the stream is freed, if that was wished meanwhile."""
        self._detached, self._exporter = False, None
        if self._condemned:
            self.abort()

    async def close(self, linger: float = LINGER) -> None:
        """End in order: close_notify, FIN, then wait up to `linger` seconds for the peer to end.

        Without that wait, input that nobody read would make the kernel reset the connection, and the peer would
        lose what we said last.  Never raises; call it twice, or after an error.
        """
        if self._native is None:
            return
        if self._detached:  # interrupted between `detach` and `reattach`: the pump's thread may still be at it
            self.abort()
            return
        try:
            with suppress(TransportError, OSError, TimeoutError):
                async with asyncio.timeout(linger):
                    await self._say_goodbye()
        finally:
            self.abort()

    def abort(self) -> None:
        """Free everything at once, without a word to the peer; while a pump uses it: once the pump gives it back."""
        if self._detached:
            self._condemned = True
            return
        native, self._native = self._native, None
        if native is not None:
            self._ready.close()
            ffi.release(native)
            self._sock.close()

    def __del__(self) -> None:
        self._detached = False  # a pump would keep it alive
        self.abort()

    # --- the handshake ---

    async def handshake(self, on_certificate: Callable[[bytes, tuple[int, ...]], Awaitable[None]] | None) -> None:
        """For the contexts.  on_certificate gets the peer's leaf and the faults found, and raises to refuse it.

        Raises Unreachable, TlsError, NotTrusted, ClientCertificateWanted; the stream is closed then.
        """
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT) as clock:
                while (result := lib.ve_tls_handshake(self._usable())) != lib.VE_OK:
                    if result == lib.VE_WANT_TRUST and on_certificate is not None:
                        clock.reschedule(None)
                        await self._judge(on_certificate)
                        clock.reschedule(asyncio.get_running_loop().time() + HANDSHAKE_TIMEOUT)
                    else:
                        await self._wait(result)
        except TimeoutError as exc:
            self.abort()
            seconds = f"{HANDSHAKE_TIMEOUT:g} s"
            raise Unreachable(f"{self._host} ({self.peername}): no TLS handshake within {seconds}") from exc
        except ConnectionLost as exc:
            self.abort()
            raise Unreachable(str(exc)) from exc
        except BaseException:
            self.abort()
            raise
        self.info = self._agreed()

    async def _judge(self, on_certificate: Callable[[bytes, tuple[int, ...]], Awaitable[None]]) -> None:
        faults: list[int] = []
        while (fault := lib.ve_tls_verify_fault(self.native, len(faults))) > 0:
            faults.append(fault)
        try:
            await on_certificate(self._certificate(), tuple(faults))
        except BaseException:
            lib.ve_tls_trust(self.native, 0)
            lib.ve_tls_handshake(self.native)  # sends the alert
            raise
        lib.ve_tls_trust(self.native, 1)

    def _certificate(self) -> bytes:
        out = ffi.new("uint8_t[]", MAX_CERTIFICATE)
        length = lib.ve_tls_peer_certificate(self.native, 0, out, MAX_CERTIFICATE)
        return bytes(ffi.buffer(out, length)) if length > 0 else b""

    def _agreed(self) -> TlsInfo:
        info = ffi.new("struct ve_tls_info *")
        lib.ve_tls_info(self.native, info)
        leaf = self._certificate()
        return TlsInfo(
            version=text(info.version),
            cipher=text(info.cipher),
            pin=pin_of(leaf) if leaf else "",
            peer_certificate=leaf,
            client_certificate_asked=bool(info.client_certificate_asked),
            client_certificate_sent=bool(info.client_certificate_sent),
        )

    # --- waiting, failing ---

    def _usable(self) -> CData:
        if self._detached:
            raise ConnectionLost(f"{self._host}: the connection is in use by a pump")
        return self.native

    async def _wait(self, result: int) -> None:
        """Until the engine can go on after `result`.  Raises what VE_ERROR was."""
        if result not in (lib.VE_WANT_READ, lib.VE_WANT_WRITE):
            raise self._failure()
        if result == lib.VE_WANT_READ and not lib.ve_tls_buffered_out(self.native):
            await self._ready.readable()
            return
        # Waiting to write alone would block both sides for ever, if each has more to send than the other reads.
        await (self._ready.writable() if result == lib.VE_WANT_WRITE else self._ready.either())
        if lib.ve_tls_flush(self._usable()) == lib.VE_ERROR:
            self._raise_write_failure()

    async def _flush(self) -> None:
        while (result := lib.ve_tls_flush(self._usable())) != lib.VE_OK:
            if result == lib.VE_ERROR:
                self._raise_write_failure()
            await self._ready.writable()

    async def _read_ahead(self) -> None:
        """Let a renegotiation, ours or the peer's, come to its end; application data on the way is kept."""
        while not lib.ve_tls_rekey_done(self._usable()):
            got = lib.ve_tls_read(self.native, self._room, lib.VE_TLS_RECORD)
            if got > 0:
                self._keep(got)
                await asyncio.sleep(0)  # who reads may take it
                if len(self._stash) > MAX_STASH:
                    raise TlsError(f"{self._host}: got over {MAX_STASH} bytes, want the end of a renegotiation")
            elif got == lib.VE_EOF:
                raise ConnectionLost(f"{self._host}: the peer closed the connection")
            elif got == lib.VE_ERROR or not lib.ve_tls_rekey_done(self.native):
                await self._wait(got)

    def _keep(self, got: int) -> None:
        self._heard = True
        self._stash += ffi.buffer(self._room, got)
        self._ready.wake_reader()

    def _raise_write_failure(self) -> None:
        """A refused send: the peer may have said why before it went, so look for its alert first."""
        error = ConnectionLost(f"{self._host}: {text(lib.ve_tls_error(self.native))}")
        got = lib.ve_tls_read(self.native, self._room, lib.VE_TLS_RECORD)
        if got > 0:
            self._keep(got)  # an answer that came early
        elif got == lib.VE_ERROR and lib.ve_tls_failure(self.native) == lib.VE_TLS_ALERT:
            raise self._failure()
        raise error

    def _failure(self) -> TransportError:
        """What ended the connection, as an error to raise."""
        native = self.native
        said = f"{self._host}: {text(lib.ve_tls_error(native))}"
        kind = lib.ve_tls_failure(native)
        if kind == lib.VE_TLS_TRUNCATED:
            return Truncated(said)
        if kind in (lib.VE_TLS_RESET, lib.VE_TLS_SOCKET):
            return ConnectionLost(said)
        if kind == lib.VE_TLS_ALERT and self._wants_certificate(lib.ve_tls_alert(native)):
            return ClientCertificateWanted(said)
        return TlsError(said)

    def _wants_certificate(self, alert: int) -> bool:
        """TLS 1.3 tells a client only after its handshake; once data has come, an alert is about something else."""
        info = ffi.new("struct ve_tls_info *")
        lib.ve_tls_info(self.native, info)
        asked = bool(info.client_certificate_asked) and not self._heard
        return alert == _CERTIFICATE_REQUIRED or (asked and alert in _ABOUT_OUR_CERTIFICATE)

    async def _say_goodbye(self) -> None:
        if lib.ve_tls_failure(self.native) != lib.VE_TLS_NO_FAILURE:
            return
        lib.ve_tls_shutdown(self.native)
        await self._flush()
        self._sock.shutdown(socket.SHUT_WR)
        for _read in range(MAX_DRAIN // lib.VE_TLS_RECORD):
            try:
                if not self._sock.recv(lib.VE_TLS_RECORD):
                    return
            except BlockingIOError:
                await self._ready.readable()


def _peer(sock: socket.socket) -> tuple[str, str]:
    """Numeric address, and address with port, of the other end."""
    try:
        name = sock.getpeername()
    except OSError:
        return "", "an unconnected socket"
    if sock.family == socket.AF_INET6:
        return name[0], f"[{name[0]}]:{name[1]}"
    return (name[0], f"{name[0]}:{name[1]}") if sock.family == socket.AF_INET else ("", "a local socket")
