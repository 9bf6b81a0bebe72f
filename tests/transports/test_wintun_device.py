"""The Wintun device, opened each way on the driver's double; which way it was is asked at the driver's side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.transports.packets import ipv4, ipv6
from tests.transports.sinks import wait_for_driver
from tests.wintun_double import double
from transports.engine import ffi
from transports.errors import DeviceError
from transports.wintun import Adapter, LibraryError, Registration
from transports.wintun_device import Way, WintunDevice, WintunSystem

SMALL = 0x20000
SYSTEM = double.SYSTEM


def refusing(system: WintunSystem = SYSTEM) -> WintunSystem:
    """A driver that takes no rings of ours; those of its library's session it takes."""

    def refuse(descriptor: bytes) -> Registration:
        raise DeviceError("the driver refused our rings")

    return replace(system, register_on=lambda adapter: refuse)


def decodes_into_the_drivers_ring(device: WintunDevice) -> bool:
    """Whether a reservation of the sink lies in the memory that the driver has as its Receive ring."""
    room = device.sink.reserve(1500)
    assert room is not None
    at = int(ffi.cast("uintptr_t", room.at))
    room.abort()
    return at in double.stats().receive_ring


def pass_packets(device: WintunDevice) -> None:
    room = device.sink.reserve(1500)
    assert room is not None
    room.data[:84] = ipv4()
    room.commit(84)
    device.sink.flush()
    wait_for_driver(device.sink)
    assert double.taken() == [ipv4()]
    assert double.inject(ipv6(), ipv4(1400)) == 0
    assert device.reader.wait(5000)
    assert device.reader.batch() == [ipv6(), ipv4(1400)]


@pytest.mark.parametrize(("way", "used"), [(Way.RINGS, Way.RINGS), (Way.SESSION, Way.SESSION), (Way.AUTO, Way.RINGS)])
def test_packets_both_ways(way: Way, used: Way) -> None:
    warnings: list[str] = []
    with WintunDevice.open(SYSTEM, "Lab", way, capacity=SMALL, warn=warnings.append) as device:
        assert (device.name, device.way, device.closed, warnings) == ("Lab", used, False, [])
        assert device.luid >> 48 == 53 and device.fileno()
        assert decodes_into_the_drivers_ring(device) == (used is Way.RINGS)
        pass_packets(device)
        assert double.stats().active
    assert not double.stats().active
    with pytest.raises(DeviceError, match="no such adapter"):
        Adapter.open(double.wintun_library(), "Lab")


def test_without_rings_it_is_the_session_and_somebody_hears_why() -> None:
    warnings: list[str] = []
    with WintunDevice.open(refusing(), "Lab", warn=warnings.append) as device:
        assert device.way is Way.SESSION and not decodes_into_the_drivers_ring(device)
        pass_packets(device)
    assert warnings == [
        "packets take the way of wintun.dll's own session, by a copy each: the driver refused our rings"
    ]


def test_who_wants_rings_gets_no_session() -> None:
    with pytest.raises(DeviceError, match="the driver refused our rings"):
        WintunDevice.open(refusing(), "Lab", Way.RINGS)
    with pytest.raises(DeviceError, match="no such adapter"):  # nothing is left of it
        Adapter.open(double.wintun_library(), "Lab")


def test_an_adapter_in_use_is_named() -> None:
    with (
        WintunDevice.open(SYSTEM, "Lab", Way.SESSION),
        pytest.raises(DeviceError, match="cannot start a session on the adapter 'Lab': another program"),
    ):
        WintunDevice.open(refusing(), "Lab")
    with WintunDevice.open(SYSTEM, "Lab", Way.SESSION) as device:
        pass_packets(device)


def test_an_adapter_that_is_there_is_used_and_stays() -> None:
    """A second one of its name would rename it (Q11)."""
    with Adapter.create(double.wintun_library(), "Lab") as prepared:
        with WintunDevice.open(SYSTEM, "lab") as device:
            assert device.luid == prepared.luid
        other = Adapter.open(double.wintun_library(), "Lab")
        assert other.luid == prepared.luid
        other.close()


def test_closed_once() -> None:
    device = WintunDevice.open(SYSTEM, "Lab", guid=UUID(int=7))
    device.close()
    device.close()
    assert device.closed
    with pytest.raises(DeviceError, match="the adapter 'Lab' was closed"):
        device.fileno()


@pytest.mark.parametrize(
    ("name", "capacity", "said"),
    [("", SMALL, "adapter name: got 0 characters"), ("Lab", 1000, "ring capacity: got 1000 bytes")],
)
def test_wishes_are_checked_before_anything_is_loaded(name: str, capacity: int, said: str) -> None:
    def load(path: Path) -> None:
        raise AssertionError("loaded")

    with pytest.raises(DeviceError, match=said):
        WintunDevice.open(replace(SYSTEM, load=load), name, capacity=capacity)


def test_the_library_is_taken_from_where_it_is_wanted() -> None:
    asked: list[Path] = []

    def load(path: Path) -> None:
        asked.append(path)
        raise LibraryError("not usable")

    system = replace(SYSTEM, load=load, library_path=lambda: Path("/usual/wintun.dll"))
    for library in (None, Path("/mine/wintun.dll")):
        with pytest.raises(LibraryError):
            WintunDevice.open(system, "Lab", library=library)
    assert asked == [Path("/usual/wintun.dll"), Path("/mine/wintun.dll")]
