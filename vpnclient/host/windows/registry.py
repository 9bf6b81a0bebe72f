"""The real Registry: winreg, below HKEY_LOCAL_MACHINE, in its 64-bit view whatever this process is.

winreg exists on Windows alone, so it is loaded when a registry is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from vpnclient.host.windows.api import RegistryValue

MAX_SUBKEYS = 100_000  # of one key


class _Key(Protocol):
    def Close(self) -> None: ...


class _Winreg(Protocol):
    """What we use of the module winreg."""

    HKEY_LOCAL_MACHINE: int
    KEY_READ: int
    KEY_WRITE: int
    KEY_WOW64_64KEY: int
    REG_DWORD: int
    REG_SZ: int
    REG_MULTI_SZ: int

    def OpenKeyEx(self, key: int, path: str, reserved: int, access: int) -> _Key: ...

    def CreateKeyEx(self, key: int, path: str, reserved: int, access: int) -> _Key: ...

    def DeleteKeyEx(self, key: int, path: str, access: int, reserved: int) -> None: ...

    def EnumKey(self, key: _Key, index: int) -> str: ...

    def QueryInfoKey(self, key: _Key) -> tuple[int, int, int]: ...

    def QueryValueEx(self, key: _Key, name: str) -> tuple[object, int]: ...

    def SetValueEx(self, key: _Key, name: str, reserved: int, kind: int, value: int | str | list[str]) -> None: ...


class WindowsRegistry:
    def __init__(self) -> None:
        self._winreg = cast(_Winreg, importlib.import_module("winreg"))
        self._view = self._winreg.KEY_WOW64_64KEY

    def subkeys(self, path: str) -> tuple[str, ...] | None:
        key = self._open(path)
        if key is None:
            return None
        try:
            count = min(self._winreg.QueryInfoKey(key)[0], MAX_SUBKEYS)
            return tuple(self._winreg.EnumKey(key, index) for index in range(count))
        finally:
            key.Close()

    def read(self, path: str, name: str) -> object:
        key = self._open(path)
        if key is None:
            return None
        try:
            return self._winreg.QueryValueEx(key, name)[0]
        except FileNotFoundError:
            return None
        finally:
            key.Close()

    def write(self, path: str, values: Mapping[str, RegistryValue]) -> None:
        winreg = self._winreg
        key = winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_WRITE | self._view)
        try:
            for name, value in values.items():
                if isinstance(value, int):
                    winreg.SetValueEx(key, name, 0, winreg.REG_DWORD, value)
                elif isinstance(value, str):
                    winreg.SetValueEx(key, name, 0, winreg.REG_SZ, value)
                else:
                    winreg.SetValueEx(key, name, 0, winreg.REG_MULTI_SZ, list(value))
        finally:
            key.Close()

    def delete(self, path: str) -> bool:
        try:
            self._winreg.DeleteKeyEx(self._winreg.HKEY_LOCAL_MACHINE, path, self._view, 0)
        except FileNotFoundError:
            return False
        return True

    def _open(self, path: str) -> _Key | None:
        winreg = self._winreg
        try:
            return winreg.OpenKeyEx(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_READ | self._view)
        except FileNotFoundError:
            return None
