"""What only Windows has, as far as Wine has it: events, the library's place, and the search for an adapter's device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wintun_double import double
from transports import windows
from transports.engine import ffi, lib
from transports.errors import DeviceError
from transports.reader import RingReader
from transports.wintun import Adapter, LibraryError, WintunRings

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
