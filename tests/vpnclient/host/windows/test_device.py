"""From a profile to packets: the device that the settings wish for, on the driver's double."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.transports.test_wintun_device import decodes_into_the_drivers_ring, pass_packets, refusing
from tests.vpnclient.host.windows.fake import FakeInterface, FakeWindows
from tests.wintun_double import double
from transports.errors import DeviceError
from transports.wintun import LibraryError
from transports.wintun_device import Way
from vpnclient.auth.lines import Lines
from vpnclient.errors import Exit, NotPermitted
from vpnclient.host.windows.device import WindowsDevice, WintunNotUsable, adapter_guid, open_device
from vpnclient.host.windows.rows import FAMILY, InterfaceRow
from vpnclient.merge import Given, settle
from vpnclient.schema import Value
from vpnclient.settings import Settings

SYSTEM = double.SYSTEM


def settings_of(tmp_path: Path, profile: str, **options: Value) -> Settings:
    (tmp_path / "work.yaml").write_text(f"server: vpn.example.com\n{profile}", encoding="utf-8")
    told: list[str] = []
    environ = {"VPNCLIENT_PROFILE_DIR": str(tmp_path)}
    settings = settle(Given("work", options, ()), environ, Lines(io.BytesIO()), told.append)
    assert not told
    return settings


@pytest.mark.parametrize(
    ("profile", "options", "used"),
    [
        ("", {}, Way.RINGS),
        ("wintun: auto", {}, Way.RINGS),
        ("wintun: rings", {}, Way.RINGS),
        ("wintun: session", {}, Way.SESSION),
        ("wintun: session", {"wintun": "rings"}, Way.RINGS),
        ("wintun: rings", {"wintun": "session"}, Way.SESSION),
    ],
)
def test_the_profile_chooses_the_way(tmp_path: Path, profile: str, options: dict[str, Value], used: Way) -> None:
    settings = settings_of(tmp_path, profile, **options)
    warnings: list[str] = []
    device = open_device(settings, warn=warnings.append, system=SYSTEM)
    try:
        assert (device.name, device.way, warnings) == ("vpnclient", used, [])
        assert decodes_into_the_drivers_ring(device) == (used is Way.RINGS)
        pass_packets(device)
    finally:
        device.close()
    assert not double.stats().active


def test_a_fallback_is_told(tmp_path: Path) -> None:
    warnings: list[str] = []
    device = open_device(settings_of(tmp_path, ""), "Lab", warn=warnings.append, system=refusing())
    device.close()
    assert (device.name, device.way, len(warnings)) == ("Lab", Way.SESSION, 1)


def test_a_driver_that_refuses_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotPermitted, match="the driver refused our rings") as caught:
        open_device(settings_of(tmp_path, "wintun: rings"), warn=print, system=refusing())
    assert "administrator" in caught.value.hint and caught.value.exit_code == Exit.NOT_PERMITTED


def test_a_missing_library_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise LibraryError("wintun.dll not usable: it is neither in here nor in there")

    with pytest.raises(WintunNotUsable, match="it is neither in here nor in there") as caught:
        open_device(settings_of(tmp_path, ""), warn=print, system=replace(SYSTEM, library_path=nowhere))
    assert "www.wintun.net" in caught.value.hint and "--wintun-library" in caught.value.hint
    assert (caught.value.code, caught.value.exit_code) == ("wintun", Exit.NOT_PERMITTED)


def test_the_profile_names_the_library(tmp_path: Path) -> None:
    asked: list[Path] = []

    def load(path: Path) -> None:
        asked.append(path)
        raise LibraryError("wintun.dll not usable: no")

    mine = tmp_path / "wintun.dll"
    with pytest.raises(WintunNotUsable):
        open_device(settings_of(tmp_path, f"wintun-library: {mine}"), warn=print, system=replace(SYSTEM, load=load))
    assert asked == [mine]


@pytest.fixture
def with_fake(tmp_path: Path) -> Iterator[tuple[WindowsDevice, FakeWindows]]:
    fake = FakeWindows()
    device = open_device(settings_of(tmp_path, ""), "Lab", warn=print, system=SYSTEM)
    device.windows = fake.windows
    fake.ip.interfaces[device.luid] = FakeInterface("Lab", 24, mtu=65535)
    yield device, fake
    device.close()


@pytest.mark.parametrize(
    ("versions", "mtu", "families"), [((4, 6), 1280, [4, 6]), ((4, 6), 1279, [4]), ((4,), 1400, [4])]
)
def test_the_mtu_changes_while_it_is_open(
    with_fake: tuple[WindowsDevice, FakeWindows], versions: tuple[int, ...], mtu: int, families: list[int]
) -> None:
    device, fake = with_fake
    interface = fake.ip.interfaces[device.luid]
    interface.versions = versions
    device.set_mtu(mtu)
    assert sorted(interface.row) == sorted(FAMILY[version] for version in families)
    for family, raw in interface.row.items():
        row = InterfaceRow()
        row.data[:] = raw
        assert (row.nl_mtu, row.family, row.luid) == (mtu, family, device.luid)


@pytest.mark.parametrize("fail_at", [0, 1])
def test_an_mtu_that_windows_refuses_is_told(with_fake: tuple[WindowsDevice, FakeWindows], fail_at: int) -> None:
    device, fake = with_fake
    fake.fake.fail_at, fake.fake.code = fake.fake.changes + fail_at, 5
    with pytest.raises(DeviceError, match=r"the MTU of Lab cannot be set to 1400 bytes: .* \(error 5\)"):
        device.set_mtu(1400)


def test_adapters_keep_their_guid() -> None:
    assert str(adapter_guid("vpnclient")) == "e20e824c-9bbc-57ad-a2ec-44980f42a6a6"
    assert adapter_guid("a") != adapter_guid("b")
