"""A Wintun adapter: wintun.dll, its adapters, and packets by rings of our own or by the library's session.

    library = WintunLibrary.load(path)          the user's wintun.dll; it is never shipped with this program
    adapter = Adapter.create(library, "VPN")    vanishes with this process
    rings = WintunRings(register, events)       rings that we register with the driver: packets shrink in place
    session = WintunSession(adapter)            the library's own rings: one copy a packet

What only Windows has stands behind `register` and `events` (transports/windows.py); tests give both from the driver's
double.  A 64-bit process is assumed.  Source: Wintun notes, sections 2 to 5, 7.5 and 8.
"""

from __future__ import annotations

import mmap
import re
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol
from uuid import UUID

from cffi import FFI

from transports.engine import CData
from transports.engine import ffi as engine_ffi
from transports.errors import DeviceError, TransportError
from transports.reader import RingReader
from transports.sink import RING_OVERHEAD, NativeSink

MAX_NAME = 127  # UTF-16 units
RING_MIN, RING_MAX = 0x20000, 0x4000000  # bytes of capacity
RING_DEFAULT = 0x800000  # bytes; below 8 MiB the 0.14.1 driver overruns its ring under parallel senders (Q2)
TUNNEL_TYPE = "vpnclient"
REGISTER_PATIENCE = 5.0  # seconds in which the previous registration may drain
REGISTER_INTERVAL = 0.01  # seconds
MAX_RENEWALS = 3  # within RENEWAL_WINDOW
RENEWAL_WINDOW = 60.0  # seconds
ERROR_BUSY = 1247
ERROR_TEXTS = {
    2: "the driver is not loaded",
    5: "administrator rights needed",
    8: "out of memory",
    38: "the adapter is being removed",
    50: "this Windows does not support it",
    87: "a parameter was refused",
    111: "its name is too long",
    258: "Windows did not bring the interface up in time",
    1168: "there is no such adapter",
    ERROR_BUSY: "another program or session uses it",
    1455: "out of memory",
    4319: "the device is not available",
}

_DECLARATIONS = """
typedef void (*wintun_logger)(int level, uint64_t time, const wchar_t *text);
void *WintunCreateAdapter(const wchar_t *name, const wchar_t *type, const void *guid);
void *WintunOpenAdapter(const wchar_t *name);
void WintunCloseAdapter(void *adapter);
int WintunDeleteDriver(void);
void WintunGetAdapterLUID(void *adapter, uint64_t *luid);
uint32_t WintunGetRunningDriverVersion(void);
void WintunSetLogger(wintun_logger callback);
void *WintunStartSession(void *adapter, uint32_t capacity);
void WintunEndSession(void *session);
void *WintunGetReadWaitEvent(void *session);
uint8_t *WintunReceivePacket(void *session, uint32_t *size);
void WintunReleaseReceivePacket(void *session, const uint8_t *packet);
uint8_t *WintunAllocateSendPacket(void *session, uint32_t size);
void WintunSendPacket(void *session, const uint8_t *packet);
"""
_SHRINKING = "int WintunShrinkAndSendPacket(void *session, const uint8_t *packet, uint32_t size);"

ffi = FFI()
ffi.cdef(_DECLARATIONS + _SHRINKING)
EXPORTS = tuple(re.findall(r"(Wintun\w+)\(", _DECLARATIONS))


class AlreadyRegistered(DeviceError):
    """Another registration of rings on this adapter lives, or has not drained yet."""


class LibraryError(DeviceError):
    """wintun.dll is missing, or is none that can be used."""


def error_text(code: int) -> str:
    """What a Windows error means here.  Wintun also hands HRESULTs on (Q10)."""
    code &= 0xFFFFFFFF
    code = code & 0xFFFF if code >> 16 == 0x8007 else code
    return f"{ERROR_TEXTS.get(code, 'Windows refused')} (error {code})"


class WintunLibrary:
    """The loaded library.  last_error: of the thread's last call; address: of its C form, for the engine."""

    def __init__(self, lib: CData, last_error: Callable[[], int], last_error_address: int) -> None:
        self.lib, self.last_error, self.last_error_address = lib, last_error, last_error_address
        self._logger: CData = None

    @classmethod
    def load(cls, path: Path, last_error: Callable[[], int], last_error_address: int) -> WintunLibrary:
        """Load it from an absolute path, so that nobody else's is found.  Raises LibraryError."""
        if not path.is_absolute():
            raise LibraryError(f"wintun.dll not usable: got the path {str(path)!r}, want an absolute one")
        try:
            lib = ffi.dlopen(str(path))
        except OSError as exc:
            raise LibraryError(f"wintun.dll not usable: {exc}") from exc
        for name in EXPORTS:
            if not hasattr(lib, name):
                raise LibraryError(f"wintun.dll not usable: {path} has no {name}")
        return cls(lib, last_error, last_error_address)

    @property
    def can_shrink(self) -> bool:
        """Whether it exports what no release has yet: sending less than was allocated."""
        return hasattr(self.lib, "WintunShrinkAndSendPacket")

    def driver_version(self) -> tuple[int, int] | None:
        """Major and minor of the running driver; None: it is not loaded."""
        version = self.lib.WintunGetRunningDriverVersion()
        return (version >> 16, version & 0xFFFF) if version else None

    def set_logger(self, log: Callable[[int, str], None] | None) -> None:
        """Level (0 info, 1 warning, 2 error) and text, from any thread."""
        if log is None:
            self.lib.WintunSetLogger(ffi.NULL)
            self._logger = None
            return

        def forward(level: int, _time: int, text: CData) -> None:
            log(level, ffi.string(text))

        callback = ffi.callback("wintun_logger", forward)
        self.lib.WintunSetLogger(callback)
        self._logger = callback  # it must live as long as it may be called

    def failure(self, what: str) -> DeviceError:
        return DeviceError(f"{what}: {error_text(self.last_error())}")


def check_name(what: str, text: str) -> None:
    """Raises DeviceError."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if not 0 < units <= MAX_NAME or "\0" in text:
        raise DeviceError(f"{what}: got {units} characters, want 1 to {MAX_NAME}")


class Adapter:
    """An adapter of this library.  Closing it removes it, if it was created here."""

    def __init__(self, library: WintunLibrary, handle: CData, name: str) -> None:
        self.library, self.handle, self.name = library, handle, name

    @classmethod
    def create(cls, library: WintunLibrary, name: str, *, kind: str = TUNNEL_TYPE, guid: UUID | None = None) -> Adapter:
        """May take 15 s and more: call it on a thread.  A foreign interface of that name is renamed (Q11).

        A fixed guid keeps Windows' network profile.  Raises DeviceError.
        """
        check_name("adapter name", name)
        check_name("tunnel type", kind)
        raw = ffi.from_buffer(guid.bytes_le) if guid else ffi.NULL
        handle = library.lib.WintunCreateAdapter(name, kind, raw)
        if not handle:
            raise library.failure(f"cannot create the adapter {name!r}")
        return cls(library, handle, name)

    @classmethod
    def open(cls, library: WintunLibrary, name: str) -> Adapter:
        handle = library.lib.WintunOpenAdapter(name)
        if not handle:
            raise library.failure(f"cannot open the adapter {name!r}")
        return cls(library, handle, name)

    @property
    def luid(self) -> int:
        out = ffi.new("uint64_t *")
        self.library.lib.WintunGetAdapterLUID(self.handle, out)
        return int(out[0])

    def close(self) -> None:
        if self.handle:
            handle, self.handle = self.handle, None
            self.library.lib.WintunCloseAdapter(handle)

    def __enter__(self) -> Adapter:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def luid_parts(luid: int) -> tuple[int, int]:
    """NetLuidIndex and interface type of a NET_LUID."""
    return luid >> 24 & 0xFFFFFF, luid >> 48


# --- rings of our own ------------------------------------------------------------------------------------------


class Registration(Protocol):
    """Rings that the driver knows; ended by close(), once, which may wait for the network stack (Q7)."""

    def close(self) -> None: ...


Register = Callable[[bytes], Registration]  # of a descriptor; raises AlreadyRegistered, DeviceError


class Events(Protocol):
    """Auto-reset events of the system."""

    def create(self) -> int: ...
    def reset(self, event: int) -> None: ...
    def close(self, event: int) -> None: ...


def ring_descriptor(send: tuple[int, int, int], receive: tuple[int, int, int]) -> bytes:
    """What the driver is told: size in bytes, address and event of both rings (64-bit form)."""
    return b"".join(struct.pack("<IxxxxQQ", *ring) for ring in (send, receive))


def check_capacity(capacity: int) -> None:
    if not RING_MIN <= capacity <= RING_MAX or capacity & (capacity - 1):
        raise DeviceError(f"ring capacity: got {capacity} bytes, want a power of two in {RING_MIN}..{RING_MAX}")


class _Ring:
    def __init__(self, capacity: int, events: Events) -> None:
        self.memory = mmap.mmap(-1, capacity + RING_OVERHEAD)
        self.address = int(engine_ffi.cast("uintptr_t", engine_ffi.from_buffer(self.memory)))
        self.event = events.create()

    def entry(self) -> tuple[int, int, int]:
        return len(self.memory), self.address, self.event


class WintunRings:
    """Both rings of an adapter, registered by us.  `sink` and `reader` are for the engine.  One thread.

    After a DeviceError of either: renew(), or close().
    """

    def __init__(
        self,
        register: Register,
        events: Events,
        *,
        mtu: int,
        capacity: int = RING_DEFAULT,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_capacity(capacity)
        self._register, self._events, self._now, self._sleep = register, events, now, sleep
        self._send, self._receive = _Ring(capacity, events), _Ring(capacity, events)
        self._renewals: deque[float] = deque(maxlen=MAX_RENEWALS)
        self._registration: Registration | None = None
        try:
            self.sink = NativeSink.wintun(self._receive.memory, self._receive.event, mtu)
            self.reader = RingReader.ring(self._send.memory, self._send.event)
            self._registration = self._patiently()
        except TransportError:
            self.close()
            raise

    @property
    def read_event(self) -> int:
        """Set when there may be packets to read."""
        return self._send.event

    def renew(self) -> None:
        """End the registration that failed, and register again.  Open reservations stay.  Raises DeviceError."""
        self._unregister()
        now = self._now()
        if len(self._renewals) == MAX_RENEWALS and now - self._renewals[0] < RENEWAL_WINDOW:
            raise DeviceError(
                f"the tunnel adapter failed more than {MAX_RENEWALS} times within {RENEWAL_WINDOW:g} s: giving up"
            )
        self._renewals.append(now)
        self.sink.restart()
        self.reader.restart()
        for ring in (self._send, self._receive):
            self._events.reset(ring.event)
        self._registration = self._patiently()

    def close(self) -> None:
        """End the registration.  The sink and the reader are no longer of use."""
        self._unregister()
        for ring in (self._send, self._receive):
            if ring.event:
                event, ring.event = ring.event, 0
                self._events.close(event)

    def _unregister(self) -> None:
        if self._registration is not None:
            registration, self._registration = self._registration, None
            registration.close()

    def _patiently(self) -> Registration:
        """Register; the previous registration may still drain (Q6)."""
        descriptor = ring_descriptor(self._send.entry(), self._receive.entry())
        deadline = self._now() + REGISTER_PATIENCE
        while True:
            try:
                return self._register(descriptor)
            except AlreadyRegistered:
                if self._now() >= deadline:
                    raise
            self._sleep(REGISTER_INTERVAL)


# --- the library's session ---------------------------------------------------------------------------------------


class WintunSession:
    """The library's own rings: exact sizes and one copy a packet, unless the library can shrink."""

    def __init__(self, adapter: Adapter, *, mtu: int, capacity: int = RING_DEFAULT) -> None:
        check_capacity(capacity)
        self._library = adapter.library
        self._session: CData = self._library.lib.WintunStartSession(adapter.handle, capacity)
        if not self._session:
            raise self._library.failure(f"cannot start a session on the adapter {adapter.name!r}")
        try:
            calls = self._calls()
            self.sink = NativeSink.session(calls, mtu)
            self.reader = RingReader.session(calls, self.read_event)
        except TransportError:
            self.close()
            raise

    @property
    def read_event(self) -> int:
        """Set when there may be packets to read; the library's, not to be closed.

        It tells of new packets only: after a batch as large as a session lends, `reader.wait` knows of the rest.
        """
        return int(ffi.cast("uintptr_t", self._library.lib.WintunGetReadWaitEvent(self._session)))

    def close(self) -> None:
        if self._session:
            session, self._session = self._session, None
            self._library.lib.WintunEndSession(session)

    def _calls(self) -> CData:
        calls = engine_ffi.new("struct ve_wintun_calls *")
        calls.session = self._pointer("void *", self._session)
        calls.receive = self._function("receive", "WintunReceivePacket")
        calls.release = self._function("release", "WintunReleaseReceivePacket")
        calls.allocate = self._function("allocate", "WintunAllocateSendPacket")
        calls.send = self._function("send", "WintunSendPacket")
        if self._library.can_shrink:
            calls.shrink = self._function("shrink", "WintunShrinkAndSendPacket")
        calls.last_error = engine_ffi.cast("uint32_t (*)(void)", self._library.last_error_address)
        return calls

    def _function(self, field: str, name: str) -> CData:
        types = dict(engine_ffi.typeof("struct ve_wintun_calls").fields)
        return self._pointer(types[field].type, ffi.addressof(self._library.lib, name))

    @staticmethod
    def _pointer(kind: CData, value: CData) -> CData:
        return engine_ffi.cast(kind, int(ffi.cast("uintptr_t", value)))
