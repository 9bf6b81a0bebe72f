"""The pump for framings that exist in Python only: the same calls and events as pump.Pump, the same native sink.

Its thread runs under the interpreter's lock and Python sees every packet, so it costs many times what the engine's
does.  The thread is in pump_python_loop.py; it leaves out nothing but recv and send counts: link_reads and link_writes
count calls of the engine.
"""

from __future__ import annotations

import threading
import time

from transports.errors import EngineError
from transports.framing import Framing
from transports.pump import Device, PumpEvent, PumpStats, offload_of
from transports.pump_mailbox import Mailbox
from transports.pump_python_loop import Loop
from transports.sink import NativeSink
from transports.tls_stream import TlsStream

MIN_MTU = 68  # bytes; the least IPv4 allows


class PythonPump:
    """One device, one link.  The stream must be detached from asyncio; it is the caller's again after `stop`."""

    def __init__(
        self,
        tun: Device,
        stream: TlsStream,
        framing: Framing,
        *,
        mtu: int,
        first: bytes = b"",
        malformed: type[Exception] = Exception,
    ) -> None:
        """mtu: largest packet taken from the device, bytes.  first: framing that was read with the HTTP answer.

        malformed: what the framing raises of a stream that cannot go on; its text is for users.  Anything else is a
        mistake in the framing, and named as that.  Raises EngineError.
        """
        self._framing = framing
        self._thread: threading.Thread | None = None
        self._started = False
        self._check_mtu(mtu, f"mtu: got {mtu}, want {MIN_MTU}..{framing.max_payload}")
        sink = NativeSink.tun(tun.fileno(), mtu, offload_of(tun))
        self._box = box = Mailbox(mtu)
        # The thread knows the loop and not the pump, so that a pump nobody holds any more is stopped.
        self._loop = Loop(tun, stream, framing, sink, box, first, malformed)

    def start(self) -> None:
        """Once.  Raises EngineError."""
        if self._started:
            raise EngineError("the pump's thread cannot be started, or was started before")
        self._started = True
        self._thread = threading.Thread(target=self._loop.run, name=f"pump {self._framing.name}", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Readable while control frames or events wait."""
        return self._box.event_fd

    def controls(self, *, datagrams: bool = False) -> list[tuple[int, bytes]]:
        """The control frames that came, (kind, payload).  Call it after `events`, as with Pump.  No datagrams come."""
        return [] if datagrams else self._box.frames()

    def events(self) -> list[PumpEvent]:
        return self._box.events()

    def send_control(self, kind: int, payload: bytes = b"", *, datagrams: bool = False) -> bool:
        """Queue a frame, ahead of packets.  False: the queue is full, the payload too large, or a datagram wanted."""
        return not datagrams and len(payload) <= self._framing.max_payload and self._box.send(kind, payload)

    def set_mtu(self, mtu: int) -> None:
        """The largest packet taken from the device from now on, bytes.  Raises EngineError."""
        self._check_mtu(mtu, f"the pump cannot use an mtu of {mtu} bytes")
        self._box.mtu = mtu

    def rekey(self) -> None:
        """Ask for new keys on the link; REKEYED or REKEY_FAILED tells the outcome."""
        self._box.rekey_wanted = True
        self._box.wake()

    def stats(self) -> PumpStats:
        return self._box.stats

    def counters(self) -> dict[str, int]:
        """The framing's counters by name."""
        return dict(self._box.counters)

    def stop(self, linger: float = 0.2) -> None:
        """End the thread, waiting at most `linger` seconds for queued control frames to leave.  May be repeated."""
        if self._thread is None:
            return
        self._box.stop_at = time.monotonic() + linger
        self._box.wake()
        self._thread.join()
        self._thread = None

    def _check_mtu(self, mtu: int, text: str) -> None:
        if not MIN_MTU <= mtu <= self._framing.max_payload:
            raise EngineError(text)

    def __del__(self) -> None:
        if hasattr(self, "_box"):
            self.stop(0)
            self._box.close()
