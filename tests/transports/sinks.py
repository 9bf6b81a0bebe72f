"""Every sink there is, behind one face, for the conformance suite: make it, and see what reached its device."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tests.wintun_double import double
from transports.sink import MemorySink, NativeSink
from transports.wintun import Adapter, WintunSession

AnySink = MemorySink | NativeSink
DEADLINE = 60.0  # seconds; far more than a driver's thread needs


class Place(Protocol):
    """A sink and its device."""

    sink: AnySink

    def arrived(self) -> list[bytes]:
        """Flush, and return what reached the device since the last call, in order."""


@dataclass(slots=True)
class MemoryPlace:
    sink: AnySink

    def arrived(self) -> list[bytes]:
        self.sink.flush()
        return list(iter(self.sink.take, None))


@dataclass(slots=True)
class TunPlace:
    """A socket that keeps packet borders, in the place of the device."""

    sink: AnySink
    device: socket.socket

    def arrived(self) -> list[bytes]:
        self.sink.flush()
        return received(self.device)


@dataclass(slots=True)
class WintunPlace:
    sink: AnySink
    driver: Any = None  # None: the usual double

    def arrived(self) -> list[bytes]:
        self.sink.flush()
        wait_for_driver(self.sink, self.driver)
        return double.taken(self.driver)


def wait_for_driver(sink: AnySink, driver: Any = None) -> None:
    """Until the driver has seen all that was published."""
    end = time.monotonic() + DEADLINE
    while (seen := double.stats(driver)).indicated < sink.stats().packets:
        assert time.monotonic() < end, f"the driver does not wake up: {seen}"
        if isinstance(sink, NativeSink):
            sink.idle()
        time.sleep(0.0002)


def received(sock: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(sock.recv(65536))
        except BlockingIOError:
            return packets


@contextmanager
def device_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A device's descriptor, and the kernel's side of it, with room for many packets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 23)
        yield ours, theirs


@contextmanager
def python_memory() -> Iterator[Place]:
    yield MemoryPlace(MemorySink(64))


@contextmanager
def native_memory() -> Iterator[Place]:
    yield MemoryPlace(NativeSink.memory(64))


@contextmanager
def tun() -> Iterator[Place]:
    with device_pair() as (ours, theirs):
        yield TunPlace(NativeSink.tun(ours.fileno(), 1400), theirs)


@contextmanager
def wintun() -> Iterator[Place]:
    with double.rings() as rings:
        yield WintunPlace(NativeSink.wintun(rings.receive.memory, rings.receive.event, 1400))
        seen = double.stats()
        assert (seen.discarded, seen.dead, seen.spoiled) == (0, False, 0)


def session(*, shrinking: bool) -> AbstractContextManager[Place]:
    """The session of wintun.dll: as it is released, or one that can shrink."""

    @contextmanager
    def running() -> Iterator[Place]:
        driver = double.shrinking_lib() if shrinking else double.lib()
        with Adapter.create(double.wintun_library(shrinking=shrinking), "lab") as adapter:
            session = WintunSession(adapter, mtu=1400, capacity=0x400000)
            try:
                yield WintunPlace(session.sink, driver)
                seen = double.stats(driver)
                assert (seen.discarded, seen.dead, seen.spoiled) == (0, False, 0)
            finally:
                session.close()
                double.taken(driver)

    return running()


EVERY = {
    "python": python_memory,
    "native": native_memory,
    "tun": tun,
    "wintun": wintun,
    "session": partial(session, shrinking=False),
    "shrinking session": partial(session, shrinking=True),
}
if sys.platform == "win32":
    del EVERY["tun"]
