"""The seams to Windows, so that all else runs and is tested elsewhere too: IpHelper and Registry.

IpHelper is iphlpapi with its error codes as they come (0 is success) and rows as bytes; the one place that gives codes
a meaning is stack.py.  Registry is HKEY_LOCAL_MACHINE, its errors are OSErrors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

RegistryValue = int | str | tuple[str, ...]  # REG_DWORD, REG_SZ, REG_MULTI_SZ


@dataclass(frozen=True, slots=True)
class InterfaceDns:
    """What to set for one IP version of an adapter.  Empty texts take away what was set.

    servers, search: separated by commas.
    """

    version: int
    servers: str
    search: str
    domain: str


class IpHelper(Protocol):
    """iphlpapi and its kin.  Each call raises FunctionMissing if this Windows does not have it."""

    def require(self) -> None:
        """Raises FunctionMissing unless all that a tunnel needs is there."""

    def luid_of_alias(self, alias: str) -> tuple[int, int]:
        """Error code and LUID of the interface of that name."""

    def guid_of_luid(self, luid: int) -> tuple[int, bytes]:
        """Error code and GUID, as in memory."""

    def get_interface(self, row: bytearray) -> int:
        """Fill an InterfaceRow by its family and LUID (or index)."""

    def set_interface(self, row: bytearray) -> int: ...

    def addresses(self) -> tuple[int, bytes]:
        """Error code and a table of AddressRow, both IP versions."""

    def initialize_address(self, row: bytearray) -> None: ...

    def create_address(self, row: bytearray) -> int: ...

    def delete_address(self, row: bytearray) -> int: ...

    def routes(self) -> tuple[int, bytes]:
        """Error code and a table of RouteRow, both IP versions."""

    def initialize_route(self, row: bytearray) -> None: ...

    def create_route(self, row: bytearray) -> int: ...

    def delete_route(self, row: bytearray) -> int: ...

    def best_route(self, destination: bytes, row: bytearray) -> int:
        """Fill a RouteRow with Windows' choice for a SOCKADDR_INET."""

    def set_interface_dns(self, guid: bytes, settings: InterfaceDns) -> int: ...

    def flush_dns(self) -> None:
        """Forget cached answers; at best."""

    def refresh_policy(self) -> bool:
        """Have Windows read the computer's group policy again."""


class Registry(Protocol):
    """Below HKEY_LOCAL_MACHINE, the 64-bit view.  Raises OSError where Windows refuses."""

    def subkeys(self, path: str) -> tuple[str, ...] | None:
        """None: there is no such key."""

    def read(self, path: str, name: str) -> object:
        """A value; None: there is no such key or value."""

    def write(self, path: str, values: Mapping[str, RegistryValue]) -> None:
        """Set values; the key is made if need be."""

    def delete(self, path: str) -> bool:
        """Delete a key without subkeys.  False: there was none."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What the host configuration needs of Windows.  now: monotonic seconds."""

    ip: IpHelper
    registry: Registry
    now: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


def open_windows() -> Windows:
    """The real thing.  Raises FunctionMissing."""
    from vpnclient.host.windows.iphlpapi import Iphlpapi
    from vpnclient.host.windows.registry import WindowsRegistry

    return Windows(Iphlpapi(), WindowsRegistry())
