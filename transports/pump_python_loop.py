"""The thread of a PythonPump, turn for turn what pump_loop.c does.

    poll {wake, link, device}
    up     link -> decoder -> sink     at most RX_RECORDS reads a turn
    down   device -> encoder -> link   at most TX_BATCH packets a turn, a record each, one send for all
    publish

Back-pressure: while the link holds ciphertext back, or cannot take a record, the device is not read.  Control frames
go before packets.  A fatal event ends the flow; the thread then sleeps until it is stopped.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial

from transports.engine import CData, ffi, lib, text
from transports.errors import DeviceError
from transports.framing import FEED_SIZE, MAX_FRAME, Framing
from transports.offload import SUPER_PACKET, VNET_SIZE, BadVnet, Offload, Vnet, finished, segments
from transports.pump import Device, PumpEventKind, PumpStats, offload_of
from transports.pump_mailbox import Mailbox
from transports.sink import NativeSink, ip_length
from transports.tls_stream import TlsStream

RX_RECORDS = 16  # reads of the link a turn
TX_BATCH = 64  # packets read from the device before one send
MAX_DEVICE_FAILURES = 16  # reads that fail in a row before the device counts as gone
FAULT = select.POLLERR | select.POLLHUP | select.POLLNVAL


@dataclass(slots=True)
class Counts:
    """The fields of PumpStats that the thread counts itself."""

    tx_packets: int = 0
    tx_bytes: int = 0
    rx_controls: int = 0
    tx_controls: int = 0
    last_rx: float = 0.0
    last_tx: float = 0.0
    device_reads: int = 0
    device_read_errors: int = 0
    link_reads: int = 0
    link_writes: int = 0
    wakeups: int = 0
    dropped_tx_oversize: int = 0
    dropped_tx_not_ip: int = 0
    dropped_controls_up: int = 0
    super_packets: int = 0
    tun_bad_vnet: int = 0


COUNTED = tuple(field.name for field in fields(Counts))


class Loop:
    """All that the thread owns.  The device and the stream are borrowed."""

    def __init__(
        self,
        device: Device,
        stream: TlsStream,
        framing: Framing,
        sink: NativeSink,
        box: Mailbox,
        first: bytes,
        malformed: type[Exception],
    ) -> None:
        self._name, self._malformed, self._first = framing.name, malformed, first
        self._decoder, self._encoder = framing.decoder(sink), framing.encoder()
        self._sink, self._box, self._counts = sink, box, Counts()
        self._kept = (device, stream)  # as long as the descriptors are used
        self._device, self._link, self._tls = device.fileno(), stream.fileno(), stream.native
        self._offload = offload_of(device)
        self._segments: Iterator[bytes] = iter(())  # of the super-packet that was read last
        self._segment = b""  # the next of them; empty: none is left
        self._plain: CData = ffi.new("uint8_t[]", lib.VE_TLS_RECORD)
        self._failed = False
        self._link_dead = False  # nothing can be sent any more
        self._rekeying = False
        self._rx_dry = False  # reading the link again would find nothing
        self._rx_wants_write = False  # a handshake of the peer waits for room to answer
        self._link_writable = True  # False: wait for POLLOUT before the next send
        self._tx_waits = False  # the pending frame or a control frame waits: the device is left alone
        self._device_failures = 0  # in a row
        self._pending: tuple[bytes, int] | None = None  # a frame that TLS did not take yet, bytes of the packet in it
        self._publish()

    def run(self) -> None:
        self._guarded(self._begin)
        self._guarded(self._publish)
        while self._box.stop_at is None:
            ready = self._wait()
            self._guarded(partial(self._turn, ready))
            self._guarded(self._publish)
        self._guarded(self._linger)
        self._guarded(self._publish)
        self._box.post_event(PumpEventKind.STOPPED, "")

    # --- failures

    def _guarded(self, work: Callable[[], None]) -> None:
        """A framing is somebody else's code: whatever it raises ends the flow, and is named."""
        try:
            work()
        except self._malformed as exc:
            self._fail(PumpEventKind.STREAM_BROKEN, str(exc))
        except Exception as exc:
            self._fail(PumpEventKind.STREAM_BROKEN, f"framing {self._name}: {type(exc).__name__}: {exc}")

    def _fail(self, kind: PumpEventKind, what: str) -> None:
        if kind in (PumpEventKind.LINK_EOF, PumpEventKind.LINK_ERROR):
            self._link_dead = True
        if self._failed:
            return
        self._failed = True
        if self._link_dead and self._rekeying:
            self._box.post_event(PumpEventKind.REKEY_FAILED, what)
        self._rekeying = False
        self._box.post_event(kind, what)

    def _fail_link(self) -> None:
        self._fail(PumpEventKind.LINK_ERROR, text(lib.ve_tls_error(self._tls)))

    def _fail_device(self) -> None:
        self._fail(PumpEventKind.DEVICE_GONE, "the tunnel interface was removed")

    # --- up: link to device

    def _receive(self) -> None:
        """What was decoded is handed over before an end or an error is told."""
        rc = lib.VE_OK
        try:
            rc = self._pull()
        finally:
            self._flush_sink()
        if rc == lib.VE_EOF:
            self._fail(PumpEventKind.LINK_EOF, "the gateway closed the connection")
        elif rc != lib.VE_OK:
            self._fail_link()

    def _pull(self) -> int:
        self._rx_wants_write = False
        for _ in range(RX_RECORDS):
            got: int = lib.ve_tls_read(self._tls, self._plain, lib.VE_TLS_RECORD)
            self._counts.link_reads += 1
            if got in (lib.VE_WANT_READ, lib.VE_WANT_WRITE):
                self._rx_wants_write = got == lib.VE_WANT_WRITE
                self._rx_dry = True
                break
            if got <= 0:
                return got if got == lib.VE_EOF else int(lib.VE_ERROR)
            self._counts.last_rx = time.monotonic()
            self._feed(bytes(ffi.buffer(self._plain, got)))
        return int(lib.VE_OK)

    def _feed(self, data: bytes) -> None:
        for at in range(0, len(data), FEED_SIZE):
            try:
                self._decoder.feed(data[at : at + FEED_SIZE])
            finally:
                self._take_controls()  # the owner hears a goodbye before the end that follows it

    def _take_controls(self) -> None:
        while (frame := self._decoder.next_control()) is not None:
            self._counts.rx_controls += 1
            if not self._box.post_frame(frame.kind, bytes(frame.payload)):
                self._counts.dropped_controls_up += 1

    def _flush_sink(self) -> None:
        try:
            self._sink.flush()
        except DeviceError:
            self._fail_device()

    # --- down: device to link

    def _drain(self) -> bool:
        """True: the kernel has everything; False: wait for POLLOUT, or failed."""
        before = lib.ve_tls_buffered_out(self._tls)
        if not before:
            return True
        if not self._link_writable:
            return False
        rc = lib.ve_tls_flush(self._tls)
        self._counts.link_writes += 1
        if lib.ve_tls_buffered_out(self._tls) < before:
            self._counts.last_tx = time.monotonic()
        if rc == lib.VE_OK:
            return True
        self._link_writable = False
        if rc != lib.VE_WANT_WRITE:
            self._fail_link()
        return False

    def _push(self, frame: bytes) -> bool:
        """One record.  False: try again later, or failed."""
        rc = lib.ve_tls_write(self._tls, frame, len(frame))
        if rc in (lib.VE_WANT_WRITE, lib.VE_FULL) and self._drain():
            rc = lib.ve_tls_write(self._tls, frame, len(frame))
        if rc in (lib.VE_ERROR, lib.VE_EOF):
            self._fail_link()
        return bool(rc > 0)

    def _push_pending(self) -> bool:
        if self._pending is None:
            return True
        frame, length = self._pending
        if not self._push(frame):
            return False
        self._counts.tx_packets += 1
        self._counts.tx_bytes += length
        self._pending = None
        return True

    def _push_controls(self) -> bool:
        """A frame leaves the queue when it is taken.  True: none waits."""
        while (control := self._box.next_to_send()) is not None:
            try:
                frame = self._encoder.encode_control(*control)
            except ValueError:
                frame = b""
            fits = 0 < len(frame) <= MAX_FRAME
            if fits and not self._push(frame):
                return False
            self._counts.tx_controls += fits
            self._box.sent()
        return True

    def _push_packets(self) -> None:
        for _ in range(TX_BATCH):
            packet = self._next_packet()
            if packet is None:
                return
            if not packet:
                continue
            frame = self._encode(packet)
            if not frame:
                self._counts.dropped_tx_not_ip += 1
                continue
            self._pending = (frame, len(packet))
            if not self._push_pending():
                return

    def _encode(self, packet: bytes) -> bytes:
        """Empty: the framing does not carry it."""
        try:
            frame = self._encoder.encode(packet)
        except ValueError:
            return b""
        return frame if len(frame) <= MAX_FRAME else b""

    def _next_packet(self) -> bytes | None:
        """The next segment, or the next packet from the device; as _read_packet."""
        if not self._segment:
            return self._read_packet()
        packet, self._segment = self._segment, next(self._segments, b"")
        return packet

    def _read_packet(self) -> bytes | None:
        """The next packet from the device; empty: nothing usable came; None: nothing waits, or failed."""
        counts = self._counts
        counts.device_reads += 1
        try:
            data = os.read(self._device, VNET_SIZE + SUPER_PACKET + 1)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._on_unread_device()
            return None
        self._device_failures = 0
        if self._offload & Offload.VNET:
            try:
                data = self._without_vnet(data)
            except BadVnet:
                counts.tun_bad_vnet += 1
                return b""
            if not data:
                return b""
        if len(data) > self._box.mtu:
            counts.dropped_tx_oversize += 1
            return b""
        length = ip_length(data)
        counts.dropped_tx_not_ip += not length
        return data[:length]

    def _without_vnet(self, data: bytes) -> bytes:
        """An ordinary packet made whole; empty: a super-packet, to be cut by and by.  Raises BadVnet."""
        vnet, packet = Vnet.parse(data[:VNET_SIZE]), data[VNET_SIZE:]
        if not vnet.is_super:
            return finished(vnet, packet)
        sizes = vnet.sizes(packet)
        self._counts.super_packets += 1
        if sizes.largest > self._box.mtu:
            self._counts.dropped_tx_oversize += sizes.count
            return b""
        self._segments = segments(vnet, packet)
        self._segment = next(self._segments)
        return b""

    def _on_unread_device(self) -> None:
        """A deleted interface is told by poll; reads may fail for a while, while it is down."""
        self._counts.device_read_errors += 1
        self._device_failures += 1
        if self._device_failures >= MAX_DEVICE_FAILURES:
            self._fail_device()

    def _transmit(self, device_ready: bool) -> None:
        self._tx_waits = not (self._drain() and self._push_pending() and self._push_controls())
        if not self._tx_waits and (device_ready or self._segment) and not self._failed:
            self._push_packets()
        if not self._link_dead:
            self._drain()

    # --- turns

    def _begin(self) -> None:
        now = time.monotonic()
        self._counts.last_rx = self._counts.last_tx = now
        try:
            self._feed(self._first)
        finally:
            self._flush_sink()
        self._receive()  # also what TLS holds already, of which poll cannot tell

    def _wait(self) -> dict[int, int]:
        """Sleep until something can be done; not at all while TLS may hold input.  Descriptor -> what poll says."""
        poll = select.poll()
        poll.register(self._box.wake_fd, select.POLLIN)
        timeout = None
        if not self._failed:
            buffered = lib.ve_tls_buffered_out(self._tls) > 0
            blocked = self._tx_waits or self._pending is not None or buffered
            # Input is left alone while nothing can be made of it.
            link = (0 if self._rx_wants_write else select.POLLIN) | (select.POLLOUT if buffered else 0)
            poll.register(self._link, link)
            poll.register(self._device, 0 if blocked else select.POLLIN)
            timeout = None if self._rx_dry and (blocked or not self._segment) else 0
        ready = dict(poll.poll(timeout))
        self._counts.wakeups += 1
        return ready

    def _turn(self, ready: dict[int, int]) -> None:
        link, device = ready.get(self._link, 0), ready.get(self._device, 0)
        if ready.get(self._box.wake_fd):
            self._on_wake()
        if device & FAULT:
            self._fail_device()
        if self._failed:
            return
        if link & select.POLLOUT:
            self._link_writable = True
            self._rx_dry &= not self._rx_wants_write  # a handshake that waited for room goes on by reading
        if link & ~select.POLLOUT:
            self._rx_dry = False
        if not self._rx_dry:
            self._receive()
        if not self._failed:
            self._transmit(bool(device & select.POLLIN))
        if self._rx_wants_write and not lib.ve_tls_buffered_out(self._tls):
            self._rx_dry = False  # there is room by now, and no POLLOUT will tell
        if self._rekeying and lib.ve_tls_rekey_done(self._tls):
            self._rekeying = False
            self._box.post_event(PumpEventKind.REKEYED, "")

    def _on_wake(self) -> None:
        self._box.woken()
        if self._box.rekey_wanted:
            self._box.rekey_wanted = False
            self._begin_rekey()

    def _begin_rekey(self) -> None:
        if self._rekeying or self._failed:
            return
        if lib.ve_tls_rekey(self._tls) == lib.VE_OK:
            self._rekeying = True
            self._rx_dry = False  # reading drives it
            return
        self._box.post_event(PumpEventKind.REKEY_FAILED, text(lib.ve_tls_error(self._tls)))
        if lib.ve_tls_failure(self._tls) != lib.VE_TLS_NO_FAILURE:
            self._fail_link()

    def _linger(self) -> None:
        """Stopped: what is queued for the link still leaves, while there is time."""
        stop_at = self._box.stop_at or 0.0
        self._link_writable = True
        while not self._link_dead:
            if self._drain() and self._push_pending() and self._push_controls() and self._drain():
                return
            # With nothing buffered it is a handshake that is waited for.
            wanted = select.POLLOUT if lib.ve_tls_buffered_out(self._tls) else select.POLLIN
            left = stop_at - time.monotonic()
            if self._link_dead or left <= 0 or (self._failed and wanted == select.POLLIN):
                return
            poll = select.poll()
            poll.register(self._link, wanted)
            if poll.poll(left * 1000 + 1) and wanted == select.POLLIN:
                self._receive()
            self._link_writable = True

    def _publish(self) -> None:
        sink = self._sink.stats()
        counts = {name: getattr(self._counts, name) for name in COUNTED}
        self._box.stats = PumpStats(rx_packets=sink.packets, rx_bytes=sink.bytes, sink=sink, **counts)
        self._box.counters = self._decoder.counters()
