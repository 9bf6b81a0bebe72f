"""Which host configuration and which device a system gets."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from transports import tun
from vpnclient import assembly
from vpnclient.host.linux import NativeHost
from vpnclient.host.script import ScriptHost
from vpnclient.host.windows import device
from vpnclient.host.windows.host import WindowsHost
from vpnclient.settings import Settings

SETTINGS = Settings("https://vpn.example/", wintun="session")


@pytest.mark.parametrize(("platform", "kind"), [("win32", WindowsHost), ("linux", NativeHost)])
def test_the_systems_own(monkeypatch: pytest.MonkeyPatch, platform: str, kind: type) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert isinstance(assembly.make_host(Settings("https://vpn.example/")), kind)
    assert isinstance(assembly.make_host(Settings("https://vpn.example/", script="/bin/true")), ScriptHost)


def test_windows_opens_an_adapter_as_the_settings_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, ...]] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(device, "open_device", lambda settings, name, *, warn: opened.append((settings, name, warn)))
    assembly.make_device(SETTINGS, print)("Lab")
    assert opened == [(SETTINGS, "Lab", print)]


def test_linux_opens_a_tun_by_its_name_or_the_next_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, bool]] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(tun.Tun, "open", lambda name, *, offload: opened.append((name, offload)))
    assembly.make_device(SETTINGS, print)("work0")
    assembly.make_device(replace(SETTINGS, offload=False), print)("")
    assert opened == [("work0", True), ("tun%d", False)]
