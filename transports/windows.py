"""What Wintun needs of Windows itself: events, the device behind an adapter, and the registration of our rings.

Loads kernel32, setupapi and cfgmgr32, so it is imported on Windows only.  Structures are those of 64-bit processes.
Source: Wintun notes, sections 4 and 5.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from uuid import UUID

from cffi import FFI

from transports.engine import CData
from transports.errors import DeviceError
from transports.wintun import (
    ERROR_BUSY,
    Adapter,
    AlreadyRegistered,
    LibraryError,
    Register,
    WintunLibrary,
    error_text,
    luid_parts,
)
from transports.wintun_device import WintunSystem

REGISTER_RINGS = 0xCA6CE5C0  # the control code
INTERFACE_PATIENCE = 15.0  # seconds until a new adapter has its device path
MAX_PATH_UNITS = 4096  # UTF-16 units of a device path list
MAX_INSTANCE = 201  # UTF-16 units with the closing zero
MAX_DEVICES = 1024
NET_CLASS = UUID("4d36e972-e325-11ce-bfc1-08002be10318").bytes_le
INTERFACE_CLASS = UUID("cac88484-7515-4c03-82e6-71a87abac361").bytes_le
NO_MORE_ITEMS = 259
INVALID_HANDLE = 2**64 - 1

ffi = FFI()
ffi.cdef("""
typedef struct { uint32_t size; uint8_t class_guid[16]; uint32_t instance; uintptr_t reserved; } device_info;
void *CreateEventW(void *security, int manual, int initial, const wchar_t *name);
int SetEvent(void *event);
int ResetEvent(void *event);
int CloseHandle(void *handle);
void *CreateFileW(const wchar_t *path, uint32_t access, uint32_t share, void *security, uint32_t how, uint32_t flags,
                  void *template);
int DeviceIoControl(void *device, uint32_t code, const void *in, uint32_t in_size, void *out, uint32_t out_size,
                    uint32_t *got, void *overlapped);
uint32_t GetLastError(void);
void *SetupDiGetClassDevsExW(const uint8_t *guid, const wchar_t *enumerator, void *parent, uint32_t flags, void *set,
                             const wchar_t *machine, void *reserved);
int SetupDiEnumDeviceInfo(void *set, uint32_t index, device_info *info);
void *SetupDiOpenDevRegKey(void *set, device_info *info, uint32_t scope, uint32_t profile, uint32_t kind,
                           uint32_t access);
int SetupDiGetDeviceInstanceIdW(void *set, device_info *info, wchar_t *id, uint32_t size, uint32_t *needed);
int SetupDiDestroyDeviceInfoList(void *set);
int32_t RegQueryValueExW(void *key, const wchar_t *name, uint32_t *reserved, uint32_t *kind, uint8_t *data,
                         uint32_t *size);
int32_t RegCloseKey(void *key);
uint32_t CM_Get_Device_Interface_List_SizeW(uint32_t *length, const uint8_t *guid, const wchar_t *id, uint32_t flags);
uint32_t CM_Get_Device_Interface_ListW(const uint8_t *guid, const wchar_t *id, wchar_t *out, uint32_t length,
                                       uint32_t flags);
""")
kernel32: CData = ffi.dlopen("kernel32.dll")
setupapi: CData = ffi.dlopen("setupapi.dll")
cfgmgr32: CData = ffi.dlopen("cfgmgr32.dll")
advapi32: CData = ffi.dlopen("advapi32.dll")


def last_error() -> int:
    code: int = ffi.getwinerror()[0]  # cffi keeps it from being overwritten between a call and this
    return code


class WindowsEvents:
    """Auto-reset events that no child inherits."""

    def create(self) -> int:
        handle = kernel32.CreateEventW(ffi.NULL, 0, 0, ffi.NULL)
        if not handle:
            raise DeviceError(f"cannot create an event: {error_text(last_error())}")
        return int(ffi.cast("uintptr_t", handle))

    def reset(self, event: int) -> None:
        kernel32.ResetEvent(ffi.cast("void *", event))

    def close(self, event: int) -> None:
        kernel32.CloseHandle(ffi.cast("void *", event))


def library_path() -> Path:
    """Where wintun.dll may lie: beside the program, or in System32; nowhere else.  Raises LibraryError."""
    places = [Path(sys.executable).parent, Path(os.environ.get("SystemRoot", r"C:\Windows")) / "System32"]
    for place in places:
        if (place / "wintun.dll").is_file():
            return place / "wintun.dll"
    raise LibraryError(f"wintun.dll not usable: it is neither in {places[0]} nor in {places[1]}")


def load_library(path: Path) -> WintunLibrary:
    address = int(ffi.cast("uintptr_t", ffi.addressof(kernel32, "GetLastError")))
    return WintunLibrary.load(path, last_error, address)


# --- from an adapter to its device -------------------------------------------------------------------------------


def device_path(luid: int, patience: float | None = None) -> str:
    """Path of the device behind an adapter.  Waits for an interface that is just coming up.  Raises DeviceError."""
    deadline = time.monotonic() + (INTERFACE_PATIENCE if patience is None else patience)
    while not (path := _find_path(luid)):
        if time.monotonic() >= deadline:
            raise DeviceError(f"the tunnel adapter with the LUID {luid:#x} has no device: it was removed, or is not up")
        time.sleep(0.05)
    return path


def _find_path(luid: int) -> str:
    devices = setupapi.SetupDiGetClassDevsExW(NET_CLASS, "SWD\\Wintun", ffi.NULL, 2, ffi.NULL, ffi.NULL, ffi.NULL)
    if int(ffi.cast("uintptr_t", devices)) == INVALID_HANDLE:
        return ""
    try:
        info = ffi.new("device_info *", {"size": ffi.sizeof("device_info")})
        for index in range(MAX_DEVICES):
            if not setupapi.SetupDiEnumDeviceInfo(devices, index, info):
                if last_error() == NO_MORE_ITEMS:
                    break
                continue
            if _luid_of(devices, info) == luid_parts(luid):
                return _interface_path(devices, info)
        return ""
    finally:
        setupapi.SetupDiDestroyDeviceInfoList(devices)


def _luid_of(devices: CData, info: CData) -> tuple[int, int]:
    key = setupapi.SetupDiOpenDevRegKey(devices, info, 1, 0, 2, 1)
    if int(ffi.cast("uintptr_t", key)) == INVALID_HANDLE:
        return 0, 0
    try:
        return _registry_number(key, "NetLuidIndex"), _registry_number(key, "*IfType")
    finally:
        advapi32.RegCloseKey(key)


def _registry_number(key: CData, name: str) -> int:
    data, size = ffi.new("uint32_t *"), ffi.new("uint32_t *", 4)
    failed = advapi32.RegQueryValueExW(key, name, ffi.NULL, ffi.NULL, ffi.cast("uint8_t *", data), size)
    return 0 if failed else int(data[0])


def _interface_path(devices: CData, info: CData) -> str:
    instance, length = ffi.new("wchar_t[]", MAX_INSTANCE), ffi.new("uint32_t *")
    if not setupapi.SetupDiGetDeviceInstanceIdW(devices, info, instance, MAX_INSTANCE, ffi.NULL):
        return ""
    if cfgmgr32.CM_Get_Device_Interface_List_SizeW(length, INTERFACE_CLASS, instance, 0) or length[0] > MAX_PATH_UNITS:
        return ""
    paths = ffi.new("wchar_t[]", max(2, length[0]))
    if cfgmgr32.CM_Get_Device_Interface_ListW(INTERFACE_CLASS, instance, paths, len(paths), 0):
        return ""
    path: str = ffi.string(paths)
    return path


# --- registration ------------------------------------------------------------------------------------------------


class DeviceRegistration:
    """An open device on which rings were registered."""

    def __init__(self, handle: CData) -> None:
        self._handle = handle

    def close(self) -> None:
        """Once, and its error means nothing: the driver may have closed the handle itself (Q9)."""
        handle, self._handle = self._handle, None
        if handle:
            kernel32.CloseHandle(handle)


def register_on(adapter: Adapter) -> Register:
    """How rings of ours are registered on this adapter."""

    def register(descriptor: bytes) -> DeviceRegistration:
        path = device_path(adapter.luid)
        handle = kernel32.CreateFileW(path, 0xC0000000, 7, ffi.NULL, 3, 0, ffi.NULL)
        if int(ffi.cast("uintptr_t", handle)) == INVALID_HANDLE:
            raise DeviceError(f"cannot open the device of the adapter {adapter.name!r}: {error_text(last_error())}")
        got = ffi.new("uint32_t *")
        if kernel32.DeviceIoControl(handle, REGISTER_RINGS, descriptor, len(descriptor), ffi.NULL, 0, got, ffi.NULL):
            return DeviceRegistration(handle)
        code = last_error()
        kernel32.CloseHandle(handle)
        kind = AlreadyRegistered if code == ERROR_BUSY else DeviceError
        raise kind(f"the driver refused our rings on the adapter {adapter.name!r}: {error_text(code)}")

    return register


SYSTEM = WintunSystem(library_path, load_library, WindowsEvents, register_on)
