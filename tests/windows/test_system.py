"""What only Windows has, as far as Wine has it: events, the library's place, and the search for an adapter's device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.transports.test_wintun_device import decodes_into_the_drivers_ring, pass_packets
from tests.wintun_double import double
from transports import windows
from transports.engine import ffi, lib
from transports.errors import DeviceError
from transports.reader import RingReader
from transports.wintun import Adapter, LibraryError, WintunRings
from transports.wintun_device import Way
from vpnclient.host.windows.device import WintunNotUsable, open_device
from vpnclient.settings import Settings

SMALL = 0x20000


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    with Adapter.create(double.wintun_library(), "Lab") as adapter:
        yield adapter


def test_events_are_auto_reset() -> None:
    events = windows.WindowsEvents()
    event = events.create()
    reader = RingReader.ring(bytearray(SMALL + lib.VE_RING_OVERHEAD), event)
    assert not reader.wait(0)
    windows.kernel32.SetEvent(ffi.cast("void *", event))
    assert reader.wait(0) and not reader.wait(0)
    windows.kernel32.SetEvent(ffi.cast("void *", event))
    events.reset(event)
    assert not reader.wait(0)
    events.close(event)


def test_this_systems_own_parts_open_a_session() -> None:
    """The DLL that a profile names, its events and its adapter: no double but the driver itself."""
    settings = Settings("https://vpn.example/", wintun="session", wintun_library=str(double.library()))
    device = open_device(settings, "Lab", warn=print)
    try:
        assert (device.way, device.name) == (Way.SESSION, "Lab")
        pass_packets(device)
    finally:
        device.close()


def test_our_rings_with_this_systems_memory_and_events() -> None:
    """Only the control code to the driver is the double's."""
    settings = Settings("https://vpn.example/", wintun="rings", wintun_library=str(double.library()))
    system = replace(windows.SYSTEM, register_on=double.SYSTEM.register_on)
    device = open_device(settings, "Lab", warn=print, system=system)
    try:
        assert device.way is Way.RINGS and decodes_into_the_drivers_ring(device)
        pass_packets(device)
    finally:
        device.close()


def test_an_adapter_that_takes_no_rings_gets_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The double has no device for the control code."""
    monkeypatch.setattr(windows, "INTERFACE_PATIENCE", 0.1)
    settings = Settings("https://vpn.example/", wintun_library=str(double.library()))
    warnings: list[str] = []
    device = open_device(settings, "Lab", warn=warnings.append)
    try:
        assert device.way is Way.SESSION
        assert "a copy each: the tunnel adapter with the LUID 0x35" in warnings[0]
        pass_packets(device)
    finally:
        device.close()


def test_a_missing_library_is_told_with_what_to_do() -> None:
    with pytest.raises(WintunNotUsable, match=r"it is neither in .* nor in .*System32") as caught:
        open_device(Settings("https://vpn.example/"), warn=print)
    assert "www.wintun.net" in caught.value.hint
    with pytest.raises(WintunNotUsable, match=r"not usable: got the path 'wintun\.dll', want an absolute one"):
        open_device(Settings("https://vpn.example/", wintun_library="wintun.dll"), warn=print)


def test_a_missing_library_names_the_places() -> None:
    with pytest.raises(LibraryError, match=r"it is neither in .* nor in .*System32"):
        windows.library_path()


def test_an_adapter_without_a_device_is_named(adapter: Adapter) -> None:
    """The double has no driver: the search goes through all of Windows' lists and finds nothing."""
    with pytest.raises(DeviceError, match=r"LUID 0x35[0-9a-f]+ has no device"):
        windows.device_path(adapter.luid, 0.1)


def test_rings_of_an_adapter_without_a_device_are_an_error(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "device_path", lambda luid: r"\\?\no such device")
    with pytest.raises(DeviceError, match="cannot open the device of the adapter 'Lab'"):
        WintunRings(windows.register_on(adapter), windows.WindowsEvents(), mtu=1400, capacity=SMALL)


def test_a_device_that_is_no_driver_refuses_our_rings(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "device_path", lambda luid: r"\\.\NUL")
    with pytest.raises(DeviceError, match=r"the driver refused our rings on the adapter 'Lab': .* \(error \d+\)"):
        WintunRings(windows.register_on(adapter), windows.WindowsEvents(), mtu=1400, capacity=SMALL)
