"""A Wintun adapter that is open for packets: on Windows what Tun is on Linux.

    device = WintunDevice.open(system, "vpnclient", Way.AUTO)    administrator rights; may take 15 s and more
    device.sink, device.reader                                   for the engine
    device.close()                                               an adapter that was made here goes

Rings of our own are the way without copies; the library's session is for who wants to stay within wintun.h, and for
where the driver does not take our rings.  Source: Wintun notes, sections 1, 2 and 7.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from transports.errors import DeviceError, TransportError
from transports.reader import RingReader
from transports.sink import NativeSink
from transports.wintun import (
    RING_DEFAULT,
    TUNNEL_TYPE,
    Adapter,
    Events,
    Register,
    WintunLibrary,
    WintunRings,
    WintunSession,
    check_capacity,
    check_name,
)

NOT_FOUND = 1168  # ERROR_NOT_FOUND


class Way(StrEnum):
    """How packets reach the driver."""

    AUTO = "auto"  # rings where the driver takes ours, else a session
    RINGS = "rings"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class WintunSystem:
    """What Windows itself brings: transports.windows.SYSTEM; in tests the driver's double."""

    library_path: Callable[[], Path]  # raises LibraryError: it is in none of the usual places
    load: Callable[[Path], WintunLibrary]
    events: Callable[[], Events]
    register_on: Callable[[Adapter], Register]


class WintunDevice:
    """An open adapter.  way: rings or session, never auto.  One thread, as sink and reader are."""

    def __init__(self, adapter: Adapter, packets: WintunRings | WintunSession) -> None:
        self._adapter, self._packets, self._closed = adapter, packets, False

    @classmethod
    def open(
        cls,
        system: WintunSystem,
        name: str,
        way: Way = Way.AUTO,
        *,
        library: Path | None = None,
        guid: UUID | None = None,
        capacity: int = RING_DEFAULT,
        warn: Callable[[str], None] = lambda text: None,
    ) -> Self:
        """Open the adapter of that name, or create it, and a way for its packets.

        library: where wintun.dll is; None: one of the usual places.  guid: of a new adapter.  Call it on a thread.
        Raises DeviceError, LibraryError among them.
        """
        check_name("adapter name", name)
        check_capacity(capacity)
        loaded = system.load(library or system.library_path())
        adapter = _adapter(loaded, name, guid)
        try:
            return cls(adapter, _packets(system, adapter, way, capacity, warn))
        except TransportError:
            adapter.close()
            raise

    @property
    def name(self) -> str:
        return self._adapter.name

    @property
    def luid(self) -> int:
        """What Windows knows the interface by."""
        return self._adapter.luid

    @property
    def way(self) -> Way:
        return Way.RINGS if isinstance(self._packets, WintunRings) else Way.SESSION

    @property
    def sink(self) -> NativeSink:
        return self._packets.sink

    @property
    def reader(self) -> RingReader:
        return self._packets.reader

    @property
    def closed(self) -> bool:
        return self._closed

    def fileno(self) -> int:
        """The event that is set when there may be packets to read.  Raises DeviceError: it was closed."""
        if self._closed:
            raise DeviceError(f"the adapter {self.name!r} was closed")
        return self._packets.read_event

    def close(self) -> None:
        """Sink and reader are no longer of use: no thread may be at work on them."""
        if not self._closed:
            self._closed = True
            self._packets.close()
            self._adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _adapter(library: WintunLibrary, name: str, guid: UUID | None) -> Adapter:
    """One that is there, as creating a second of its name would rename it (Q11); or a new one."""
    handle = library.lib.WintunOpenAdapter(name)
    if handle:
        return Adapter(library, handle, name)
    if library.last_error() & 0xFFFF != NOT_FOUND:
        raise library.failure(f"cannot open the adapter {name!r}")
    return Adapter.create(library, name, kind=TUNNEL_TYPE, guid=guid)


def _packets(
    system: WintunSystem, adapter: Adapter, way: Way, capacity: int, warn: Callable[[str], None]
) -> WintunRings | WintunSession:
    if way is Way.SESSION:
        return WintunSession(adapter, mtu=0, capacity=capacity)
    try:
        return WintunRings(system.register_on(adapter), system.events(), mtu=0, capacity=capacity)
    except DeviceError as exc:
        if way is Way.RINGS:
            raise
        reason = str(exc)
    session = WintunSession(adapter, mtu=0, capacity=capacity)
    warn(f"packets take the way of wintun.dll's own session, by a copy each: {reason}")
    return session
