"""Which host configuration a system gets."""

from __future__ import annotations

import sys

import pytest

from vpnclient import assembly
from vpnclient.host.linux import NativeHost
from vpnclient.host.script import ScriptHost
from vpnclient.host.windows.host import WindowsHost
from vpnclient.settings import Settings


@pytest.mark.parametrize(("platform", "kind"), [("win32", WindowsHost), ("linux", NativeHost)])
def test_the_systems_own(monkeypatch: pytest.MonkeyPatch, platform: str, kind: type) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert isinstance(assembly.make_host(Settings("https://vpn.example/")), kind)
    assert isinstance(assembly.make_host(Settings("https://vpn.example/", script="/bin/true")), ScriptHost)
