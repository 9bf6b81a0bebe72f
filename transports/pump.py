"""The engine's pump: joins a TUN device and its links in a thread of its own, without the interpreter's lock.

A link is a TLS stream, a datagram link that comes and goes beside it, or a datagram link alone.

Python sees control frames, events and statistics, never a packet.  One owner drives a Pump; it may live on asyncio's
thread: `fileno` is readable while control frames or events wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import EngineError
from transports.offload import Offload
from transports.sink import SinkStats

if TYPE_CHECKING:
    from transports.link import DatagramLink
    from transports.tls import TlsStream

EVENT_TEXT = 256  # bytes
NANOSECONDS = 1e9
UDP_DROPS = ("too_large", "no_buffers", "firewalled", "truncated")


class Device(Protocol):
    """What the pump needs of a device: Tun, or a socket in its place.  A device may have an `offload`, as Tun has."""

    def fileno(self) -> int: ...


def offload_of(device: Device) -> Offload:
    """What a device was opened with; a socket has plain packets."""
    offload = getattr(device, "offload", Offload.NONE)
    return offload if isinstance(offload, Offload) else Offload.NONE


class PumpEventKind(IntEnum):
    """Why a pump stopped by itself, or what it tells besides control frames; VE_EVENT_* of engine.h."""

    LINK_EOF = 1
    LINK_ERROR = 2
    STREAM_BROKEN = 3
    DEVICE_GONE = 4
    REKEYED = 5
    REKEY_FAILED = 6
    STOPPED = 7
    DATAGRAMS_LOST = 8
    OPTION_REFUSED = 9
    PATH_MTU = 10

    @property
    def fatal(self) -> bool:
        """No packet moves any more."""
        return self in _FATAL


_FATAL = frozenset(
    {
        PumpEventKind.LINK_EOF,
        PumpEventKind.LINK_ERROR,
        PumpEventKind.STREAM_BROKEN,
        PumpEventKind.DEVICE_GONE,
        PumpEventKind.STOPPED,
    }
)


@dataclass(frozen=True, slots=True)
class PumpEvent:
    """text: for people; of PATH_MTU: the largest IP packet that the way to the gateway takes, bytes."""

    kind: PumpEventKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class PumpStats:
    """Totals since the start, in packets and bytes of inner IP.  Times: monotonic seconds of the last link traffic."""

    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    rx_controls: int
    tx_controls: int
    last_rx: float
    last_tx: float
    device_reads: int
    device_read_errors: int
    link_reads: int
    link_writes: int
    wakeups: int
    dropped_tx_oversize: int
    dropped_tx_not_ip: int
    dropped_controls_up: int
    super_packets: int
    tun_bad_vnet: int
    sink: SinkStats
    links: int = 0  # datagram links that were attached
    last_rx_datagram: float = 0.0
    last_tx_datagram: float = 0.0
    dropped_tx_switched: int = 0
    udp: Mapping[str, int] = field(default_factory=dict)  # struct ve_datagram_stats of engine.h, by name
    dtls: Mapping[str, int] = field(default_factory=dict)  # struct ve_dtls_stats

    @property
    def dropped(self) -> int:
        """Packets lost here, both ways."""
        sink = self.sink
        lost = sink.dropped_full + sink.refused + sink.not_ip + sink.oversize
        unsent = sum(self.udp.get(cause, 0) for cause in UDP_DROPS) + self.dropped_tx_switched
        return lost + unsent + self.dropped_tx_oversize + self.dropped_tx_not_ip + self.tun_bad_vnet


class Pump:
    """One device, one stream or none, one datagram link or none.

    The stream must be detached from asyncio; it is the caller's again after `stop`.  Without a stream a datagram link
    is attached before the start.
    """

    def __init__(self, tun: Device, stream: TlsStream | None, framing: str, *, mtu: int, first: bytes = b"") -> None:
        """framing: of the stream, a name the engine knows.  mtu: largest packet taken from the device, bytes.

        first: bytes of framing that were read with the HTTP answer.  Raises EngineError.
        """
        error = errbuf()
        tls = ffi.NULL if stream is None else stream.native
        native = lib.ve_pump_new(tun.fileno(), tls, framing.encode(), mtu, first, len(first), error, ERROR_SIZE)
        if not native:
            raise EngineError(text(error))
        borrowed = (tun, stream, tls)  # by the thread, so they are kept until it is joined
        self._native = ffi.gc(native, lambda pump, _kept=borrowed: lib.ve_pump_free(pump))
        if lib.ve_pump_offload(self._native, offload_of(tun)) != lib.VE_OK:
            raise EngineError("the pump: out of memory for the device's offloads")
        self._control = ffi.new("struct ve_control *")

    def set(self, option: str, value: bytes) -> None:
        """An option of the framing, before the start.  Raises EngineError: refused."""
        error = errbuf()
        if lib.ve_pump_set(self._native, option.encode(), value, len(value), error, ERROR_SIZE) != lib.VE_OK:
            raise EngineError(text(error))

    def start(self) -> None:
        """Once.  Raises EngineError."""
        if lib.ve_pump_start(self._native) != lib.VE_OK:
            raise EngineError("the pump's thread cannot be started, or was started before")

    def fileno(self) -> int:
        """Readable while control frames or events wait."""
        return int(lib.ve_pump_event_fd(self._native))

    def attach(self, link: DatagramLink) -> None:
        """Take a datagram link over, in the place of the one before.  Raises EngineError: it is still the caller's."""
        error = errbuf()
        if lib.ve_pump_attach(self._native, link.native, error, ERROR_SIZE) != lib.VE_OK:
            raise EngineError(text(error))
        link.given_away()

    def detach(self) -> None:
        """Say goodbye on the datagram link, if there is one."""
        lib.ve_pump_detach(self._native)

    def use_datagrams(self, yes: bool) -> None:
        """Packets leave by the datagram link while there is one, or by the stream."""
        lib.ve_pump_use_datagrams(self._native, lib.VE_BY_DATAGRAMS if yes else lib.VE_BY_STREAM)

    def follow(self) -> None:
        """Packets leave by the link from which packets came last: a gateway that lets its client choose."""
        lib.ve_pump_use_datagrams(self._native, lib.VE_BY_FOLLOWING)

    def set_datagrams(self, option: str, value: bytes) -> bool:
        """An option of the datagram link's framing, while it runs.  False: too many wait, or it is too long."""
        return bool(lib.ve_pump_set_datagrams(self._native, option.encode(), value, len(value)) == lib.VE_OK)

    def controls(self, *, datagrams: bool = False) -> list[tuple[int, bytes]]:
        """The control frames that came, (kind, payload); at most a full queue of them, so a flood ends.

        Call it after `events` and act on the frames first: a goodbye that preceded an end is then among them.
        """
        frames: list[tuple[int, bytes]] = []
        while len(frames) < lib.VE_PUMP_QUEUE:
            if lib.ve_pump_next_control(self._native, datagrams, self._control) != lib.VE_OK:
                break
            payload = bytes(ffi.buffer(self._control.payload, self._control.length))
            frames.append((int(self._control.kind), payload))
        return frames

    def events(self) -> list[PumpEvent]:
        events: list[PumpEvent] = []
        kind, what = ffi.new("int *"), ffi.new("char[]", EVENT_TEXT)
        while lib.ve_pump_next_event(self._native, kind, what, EVENT_TEXT) == lib.VE_OK:
            events.append(PumpEvent(PumpEventKind(kind[0]), text(what)))
        return events

    def send_control(self, kind: int, payload: bytes = b"", *, datagrams: bool = False) -> bool:
        """Queue a frame, ahead of packets.  False: the queue is full, or the payload too large."""
        return bool(lib.ve_pump_send_control(self._native, datagrams, kind, payload, len(payload)) == lib.VE_OK)

    def set_mtu(self, mtu: int) -> None:
        """The largest packet taken from the device from now on, bytes.  Raises EngineError."""
        if lib.ve_pump_set_mtu(self._native, mtu) != lib.VE_OK:
            raise EngineError(f"the pump cannot use an mtu of {mtu} bytes")

    def rekey(self) -> None:
        """Ask for new keys on the link; REKEYED or REKEY_FAILED tells the outcome."""
        lib.ve_pump_rekey(self._native)

    def export(self, label: str, length: int) -> bytes:
        """Keying material of the stream (RFC 5705), which the pump's thread has.  Raises EngineError."""
        out = ffi.new("uint8_t[]", length)
        if lib.ve_pump_export(self._native, label.encode(), out, length) != lib.VE_OK:
            raise EngineError(f"no keying material for {label!r}: the connection cannot give it")
        return bytes(ffi.buffer(out))

    def stats(self) -> PumpStats:
        out = ffi.new("struct ve_pump_stats *")
        lib.ve_pump_stats(self._native, out)
        return _stats(out)

    def counters(self) -> dict[str, int]:
        """The framings' counters by name, and those of UDP and DTLS."""
        name, value = ffi.new("const char **"), ffi.new("uint64_t *")
        counters: dict[str, int] = {}
        for datagrams in (False, True):
            index = 0
            while lib.ve_pump_counter(self._native, datagrams, index, name, value) == lib.VE_OK:
                counters[text(name[0])] = int(value[0])
                index += 1
        return counters

    def stop(self, linger: float = 0.2) -> None:
        """End the thread, waiting at most `linger` seconds for queued control frames to leave.  May be repeated."""
        lib.ve_pump_stop(self._native, round(linger * 1000))


def _stats(s: CData) -> PumpStats:
    return PumpStats(
        rx_packets=int(s.rx_packets),
        rx_bytes=int(s.rx_bytes),
        tx_packets=int(s.tx_packets),
        tx_bytes=int(s.tx_bytes),
        rx_controls=int(s.rx_controls),
        tx_controls=int(s.tx_controls),
        last_rx=s.last_rx_ns / NANOSECONDS,
        last_tx=s.last_tx_ns / NANOSECONDS,
        device_reads=int(s.device_reads),
        device_read_errors=int(s.device_read_errors),
        link_reads=int(s.link_reads),
        link_writes=int(s.link_writes),
        wakeups=int(s.wakeups),
        dropped_tx_oversize=int(s.dropped_tx_oversize),
        dropped_tx_not_ip=int(s.dropped_tx_not_ip),
        dropped_controls_up=int(s.dropped_controls_up),
        super_packets=int(s.super_packets),
        tun_bad_vnet=int(s.tun_bad_vnet),
        sink=SinkStats.from_struct(s.sink),
        links=int(s.links),
        last_rx_datagram=s.last_rx_datagram_ns / NANOSECONDS,
        last_tx_datagram=s.last_tx_datagram_ns / NANOSECONDS,
        dropped_tx_switched=int(s.dropped_tx_switched),
        udp=_counts(s.datagrams),
        dtls=_counts(s.dtls),
    )


def _counts(struct: CData) -> dict[str, int]:
    """A struct of counters by name."""
    return {name: int(getattr(struct, name)) for name, _field in ffi.typeof(struct).fields}
