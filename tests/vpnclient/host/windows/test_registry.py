"""The real Registry on a winreg of dictionaries that encodes as Windows does."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from vpnclient.host.windows.registry import WindowsRegistry

PATH = r"SOFTWARE\vpnclient test"
VIEW_64 = 0x0100


class Key:
    def __init__(self, path: str) -> None:
        self.path = path

    def Close(self) -> None:
        pass


class Winreg(ModuleType):
    HKEY_LOCAL_MACHINE, KEY_READ, KEY_WRITE, KEY_WOW64_64KEY = 0x80000002, 0x20019, 0x20006, VIEW_64
    REG_SZ, REG_DWORD, REG_MULTI_SZ = 1, 4, 7

    def __init__(self) -> None:
        super().__init__("winreg")
        self.keys: dict[str, dict[str, tuple[int, bytes]]] = {}

    def OpenKeyEx(self, key: int, path: str, reserved: int, access: int) -> Key:
        assert access & VIEW_64
        if path not in self.keys:
            raise FileNotFoundError(2, path)
        return Key(path)

    def CreateKeyEx(self, key: int, path: str, reserved: int, access: int) -> Key:
        assert access & VIEW_64
        self.keys.setdefault(path, {})
        return Key(path)

    def DeleteKeyEx(self, key: int, path: str, access: int, reserved: int) -> None:
        assert access & VIEW_64
        if path not in self.keys:
            raise FileNotFoundError(2, path)
        del self.keys[path]

    def QueryInfoKey(self, key: Key) -> tuple[int, int, int]:
        return len(self._below(key)), 0, 0

    def EnumKey(self, key: Key, index: int) -> str:
        return self._below(key)[index]

    def QueryValueEx(self, key: Key, name: str) -> tuple[object, int]:
        if name not in self.keys[key.path]:
            raise FileNotFoundError(2, name)
        kind, data = self.keys[key.path][name]
        return int.from_bytes(data, "little") if kind == self.REG_DWORD else data.decode("utf-16-le")[:-1], kind

    def SetValueEx(self, key: Key, name: str, reserved: int, kind: int, value: int | str | list[str]) -> None:
        if isinstance(value, int):
            data = value.to_bytes(4, "little")
        else:
            texts = [value] if isinstance(value, str) else [*value, ""]
            data = "".join(f"{text}\0" for text in texts).encode("utf-16-le")
        self.keys[key.path][name] = kind, data

    def _below(self, key: Key) -> list[str]:
        return [path.removeprefix(key.path + "\\") for path in self.keys if path.startswith(key.path + "\\")]


@pytest.fixture
def winreg(monkeypatch: pytest.MonkeyPatch) -> Winreg:
    module = Winreg()
    monkeypatch.setitem(sys.modules, "winreg", module)
    return module


def test_values_are_written_with_their_types(winreg: Winreg) -> None:
    registry = WindowsRegistry()
    registry.write(PATH, {"Version": 1, "Name": (".corp.example",), "GenericDNSServers": "10.8.0.53"})
    values = winreg.keys[PATH]
    assert values["Version"] == (4, bytes.fromhex("01000000"))
    assert values["Name"] == (7, ".corp.example".encode("utf-16-le") + bytes(4))  # host-config notes, section 13
    assert values["GenericDNSServers"] == (1, "10.8.0.53\0".encode("utf-16-le"))
    assert (registry.read(PATH, "Version"), registry.read(PATH, "GenericDNSServers")) == (1, "10.8.0.53")


def test_what_is_not_there(winreg: Winreg) -> None:
    registry = WindowsRegistry()
    assert registry.subkeys(PATH) is None and registry.read(PATH, "x") is None and not registry.delete(PATH)
    registry.write(PATH, {})
    assert registry.subkeys(PATH) == () and registry.read(PATH, "x") is None
    registry.write(rf"{PATH}\below", {})
    assert registry.subkeys(PATH) == ("below",)
    assert registry.delete(rf"{PATH}\below") and registry.subkeys(PATH) == ()
