"""The tunnel's device as a session sees it: a TUN on Linux, a Wintun adapter on Windows."""

from __future__ import annotations

from typing import Protocol


class TunnelDevice(Protocol):
    """An open interface."""

    @property
    def name(self) -> str: ...

    def fileno(self) -> int:
        """What is ready when there are packets to read: a descriptor, on Windows an event."""

    def set_mtu(self, mtu: int) -> None:
        """Bytes of the largest packet, changed while packets flow.  Raises DeviceError."""

    def close(self) -> None:
        """Stop any pump on it first."""
