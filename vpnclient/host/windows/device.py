"""The tunnel's device on Windows: a Wintun adapter, opened as the settings wish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid5

from transports.errors import DeviceError
from transports.wintun import LibraryError
from transports.wintun_device import Way, WintunDevice, WintunSystem
from vpnclient.errors import NotPermitted
from vpnclient.host.windows.api import Windows, open_windows
from vpnclient.host.windows.library import FunctionMissing
from vpnclient.host.windows.stack import IpFailure, IpStack
from vpnclient.settings import Settings

DEFAULT_NAME = "vpnclient"
IPV6_MTU = 1280  # bytes; an interface with less has no IPv6
_NAMESPACE = UUID("0c9b0f0a-5d0f-4b58-9d7e-3a6de1b4f2c5")  # ours, for the GUIDs of adapters
_INSTALL = (
    "download it from www.wintun.net, and put the wintun.dll of your processor (bin\\amd64 on most machines) beside "
    "python.exe or into C:\\Windows\\System32, or name it with --wintun-library"
)
_ADMINISTRATOR = 'start it in a terminal that was opened with "Run as administrator"; docs/windows.md tells more'


class WintunNotUsable(NotPermitted):
    """wintun.dll is missing, or is none that can be used."""

    code = "wintun"


class WindowsDevice(WintunDevice):
    """The adapter as a session needs it.  windows: None: this one."""

    windows: Windows | None = None

    def set_mtu(self, mtu: int) -> None:
        """Raises DeviceError."""
        try:
            stack = IpStack(self.windows or open_windows())
            stack.set_up(self.luid, 4, mtu)
            if mtu >= IPV6_MTU:
                self._set_up_ipv6(stack, mtu)
        except (IpFailure, FunctionMissing) as exc:
            raise DeviceError(f"the MTU of {self.name} cannot be set to {mtu} bytes: {exc}") from exc

    def _set_up_ipv6(self, stack: IpStack, mtu: int) -> None:
        try:
            stack.set_up(self.luid, 6, mtu)
        except IpFailure as exc:
            if not exc.missing:  # switched off on this host
                raise


def adapter_guid(name: str) -> UUID:
    """Always the same, so that Windows knows the network again."""
    return uuid5(_NAMESPACE, name)


def open_device(
    settings: Settings, name: str = "", *, warn: Callable[[str], None], system: WintunSystem | None = None
) -> WindowsDevice:
    """name: of the adapter; empty: DEFAULT_NAME.  system: None: this one.  Raises NotPermitted."""
    if system is None:
        from transports.windows import SYSTEM as system
    assert system is not None
    name = name or DEFAULT_NAME
    library = Path(settings.wintun_library) if settings.wintun_library else None
    try:
        return WindowsDevice.open(
            system, name, Way(settings.wintun), library=library, guid=adapter_guid(name), warn=warn
        )
    except LibraryError as exc:
        raise WintunNotUsable(str(exc), hint=_INSTALL) from exc
    except DeviceError as exc:
        raise NotPermitted(str(exc), hint=_ADMINISTRATOR) from exc
