"""The double of the Wintun driver, in this process: build it, load it, drive it.

`Rings` is what an adapter would be: two rings, two events, registered with the double.  Source: twd.h.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

from transports.errors import DeviceError
from transports.sink import RING_OVERHEAD
from transports.wintun import AlreadyRegistered, Events, WintunLibrary, error_text
from transports.wintun_device import WintunSystem

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCES = ("twd.c", "dll.c")
STALE_ALERTABLE, ZERO_PACKET, HEAD_BACK, CORRUPT_SIZE, SLOW_UNREGISTER, LOST_EOF = 1, 2, 4, 8, 16, 32
ALREADY_REGISTERED, BAD_PARAMETER, BAD_HANDLE = 1247, 87, 6
HOLD_NONE, HOLD_UNTIL_TOLD, HOLD_A_WHILE, HOLD_SEVEN = range(4)
FOLDER_VARIABLE = "VPNCLIENT_WINTUN_DOUBLE"  # where wintun.dll was built for the tests on Windows


def library(*, shrinking: bool = False) -> Path:
    """Build the shared library, if its sources are newer."""
    if sys.platform == "win32":
        return Path(os.environ[FOLDER_VARIABLE]) / ("wintun-shrink.dll" if shrinking else "wintun.dll")
    target = ROOT / "build" / "wintun_double" / ("libtwd-shrink.so" if shrinking else "libtwd.so")
    newest = max(path.stat().st_mtime for path in HERE.glob("*.[ch]"))
    if target.exists() and target.stat().st_mtime >= newest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"]
    defines = ["-DTWD_SHRINK"] if shrinking else []
    subprocess.run(["cc", *flags, *defines, *(str(HERE / name) for name in SOURCES), "-o", str(fresh)], check=True)
    fresh.replace(target)
    return target


ffi = FFI()
_HEADER = re.sub(r"^\s*#(?!\s*define TWD_[A-Z_]+ \d).*$", "", (HERE / "twd.h").read_text("utf-8"), flags=re.MULTILINE)
ffi.cdef(re.sub(r"/\*.*?\*/", "", _HEADER, flags=re.DOTALL).replace("TWD_API ", ""))


@cache
def lib() -> Any:
    return ffi.dlopen(str(library()))


@cache
def shrinking_lib() -> Any:
    """A second driver, in a library that has the export of section 8.1."""
    return ffi.dlopen(str(library(shrinking=True)))


class LinuxEvents:
    """eventfd descriptors, as the double and the engine take them there."""

    def create(self) -> int:
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def reset(self, event: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(event)

    def close(self, event: int) -> None:
        os.close(event)


def events() -> Events:
    if sys.platform == "win32":
        from transports.windows import WindowsEvents

        return WindowsEvents()
    return LinuxEvents()


class DoubleRegistration:
    def close(self) -> None:
        lib().TwdUnregister()


def register(descriptor: bytes) -> DoubleRegistration:
    """In the place of the driver's control code."""
    code = lib().TwdRegisterRings(descriptor, len(descriptor))
    if code == ALREADY_REGISTERED:
        raise AlreadyRegistered(error_text(code))
    if code:
        raise DeviceError(error_text(code))
    return DoubleRegistration()


def wintun_library(*, shrinking: bool = False) -> WintunLibrary:
    """The double as wintun.dll."""
    path = library(shrinking=shrinking)
    if sys.platform == "win32":
        from transports.windows import load_library

        return load_library(path)
    own = lib() if not shrinking else shrinking_lib()
    address = int(ffi.cast("uintptr_t", ffi.addressof(own, "TwdLastError")))
    return WintunLibrary.load(path, own.TwdLastError, address)


SYSTEM = WintunSystem(library, lambda path: wintun_library(), events, lambda adapter: register)


@dataclass(slots=True)
class Stats:
    indicated: int
    discarded: int
    sleeps: int
    dead: bool
    dead_reason: int
    active: bool
    spoiled: int
    receive_ring: range  # addresses of the registered one


class Ring:
    """Memory of a ring and its event, fresh."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.memory = mmap.mmap(-1, capacity + RING_OVERHEAD)
        self.event = events().create()

    def words(self) -> tuple[int, int, int]:
        """Head, Tail, Alertable."""
        head, tail, alertable = struct.unpack_from("<III", self.memory)
        return head, tail, alertable


class Rings:
    """Both rings of an adapter, and the driver behind them."""

    def __init__(self, capacity: int = 0x400000) -> None:
        self.send, self.receive = Ring(capacity), Ring(capacity)

    def register(self) -> int:
        """0, or the Win32 error."""
        error: int = lib().TwdRegisterRings(self.descriptor(), len(self.descriptor()))
        return error

    def descriptor(self) -> bytes:
        """Section 4 of the notes, as laid out on a 64-bit machine."""
        return b"".join(
            struct.pack("<IxxxxQQ", len(ring.memory), self._address(ring), ring.event)
            for ring in (self.send, self.receive)
        )

    def close(self) -> None:
        """Unregister; the next test begins with a driver without faults."""
        lib().TwdSetFault(0)
        lib().TwdSetHold(HOLD_NONE)
        lib().TwdUnregister()
        lib().TwdSetRunning(1)
        lib().TwdSetSpin(100)
        taken()
        for ring in (self.send, self.receive):
            events().close(ring.event)

    @staticmethod
    def _address(ring: Ring) -> int:
        return int(ffi.cast("uintptr_t", ffi.from_buffer(ring.memory)))


@contextmanager
def rings(capacity: int = 0x400000) -> Iterator[Rings]:
    """Registered rings."""
    both = Rings(capacity)
    try:
        assert both.register() == 0
        yield both
    finally:
        both.close()


def taken(driver: Any = None) -> list[bytes]:
    """What the driver handed to the stack since the last call."""
    driver = driver or lib()
    out = ffi.new("uint8_t[65536]")
    found = []
    while (length := driver.TwdTake(out, 65536)) >= 0:
        found.append(bytes(ffi.buffer(out, length)))
    return found


def inject(*packets: bytes) -> int:
    """The stack sends; 0, or why not."""
    kept = [ffi.from_buffer("uint8_t[]", packet) for packet in packets]
    rc: int = lib().TwdInject(ffi.new("uint8_t *[]", kept), [len(packet) for packet in packets], len(packets))
    return rc


def stats(driver: Any = None) -> Stats:
    out = ffi.new("struct twd_stats *")
    (driver or lib()).TwdGetStats(out)
    receive_ring = range(out.receive_ring, out.receive_ring + out.receive_size)
    flags = bool(out.dead), out.dead_reason, bool(out.active)
    return Stats(out.indicated, out.discarded, out.sleeps, *flags, out.spoiled, receive_ring)
