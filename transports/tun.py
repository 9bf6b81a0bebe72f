"""A Linux TUN device: opened, named, and handed to the engine as a descriptor.

Plain packets for now: IFF_TUN | IFF_NO_PI.  A persistent device remembers the offloads of its previous user, and would
then send super-packets without a header (Q1); so they are always set here, to none, which also suits the next (Q18).
Source: linux-tun notes, sections 1, 11 and 12.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from types import TracebackType

from transports.errors import DeviceError

DEVICE_NODE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
SIOCGIFMTU = 0x8921
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFREQ = struct.Struct("16sH22x")  # name, flags
IFREQ_MTU = struct.Struct("16si20x")
MAX_NAME = 15  # bytes; longer ones are silently cut by the kernel

_OPEN_HINTS = {
    errno.ENOENT: f"{DEVICE_NODE} does not exist: load the module (modprobe tun), or give the container the device",
    errno.ENODEV: "the kernel has no TUN driver: load the module (modprobe tun)",
    errno.ENXIO: "the kernel has no TUN driver: load the module (modprobe tun)",
    errno.EACCES: f"{DEVICE_NODE} may not be opened by this user",
    errno.EPERM: f"{DEVICE_NODE} may not be opened: the container's device rules forbid it",
}
_ATTACH_HINTS = {
    errno.EPERM: "creating an interface needs root or CAP_NET_ADMIN",
    errno.EBUSY: "another program uses that interface: choose another name",
    errno.EINVAL: "an interface of that name exists and is no TUN of a single queue, or the name is not allowed",
    errno.EEXIST: "the descriptor is already attached to an interface",
}


class Tun:
    """An attached TUN descriptor.  Closing it removes the interface, unless that was made persistent."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self.name = fd, name

    @classmethod
    def open(cls, name: str = "tun%d") -> Tun:
        """Create or attach to an interface; %d becomes the first free number.  Raises DeviceError."""
        if not name or len(os.fsencode(name)) > MAX_NAME or not name.isprintable() or set("/ ") & set(name):
            raise DeviceError(f"interface name: got {name!r}, want 1 to {MAX_NAME} bytes without / or space")
        try:
            fd = os.open(DEVICE_NODE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as exc:
            raise _device_error(f"cannot open {DEVICE_NODE}", exc, _OPEN_HINTS) from exc
        request = bytearray(IFREQ.pack(os.fsencode(name), IFF_TUN | IFF_NO_PI))
        try:
            fcntl.ioctl(fd, TUNSETIFF, request)
            fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
        except OSError as exc:
            os.close(fd)
            raise _device_error(f"cannot set up the interface {name}", exc, _ATTACH_HINTS) from exc
        return cls(fd, _name_of(bytes(request)))

    @classmethod
    def adopt(cls, fd: int) -> Tun:
        """Take over an attached descriptor of another process.  Raises DeviceError if it is no such thing."""
        request = bytearray(IFREQ.size)
        try:
            fcntl.ioctl(fd, TUNGETIFF, request)
            flags = IFREQ.unpack(request)[1]
            if flags & (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR) != IFF_TUN | IFF_NO_PI:
                raise DeviceError(
                    f"descriptor {fd}: got interface flags {flags:#x}, want a TUN without headers before the packets"
                )
            fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
            os.set_blocking(fd, False)
            os.set_inheritable(fd, False)
        except OSError as exc:
            raise _device_error(f"descriptor {fd} is not an attached TUN", exc, {}) from exc
        return cls(fd, _name_of(bytes(request)))

    @property
    def mtu(self) -> int:
        """The interface's MTU in bytes, as the kernel has it now.  Raises DeviceError: it is gone."""
        request = bytearray(IFREQ_MTU.pack(os.fsencode(self.name), 0))
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                fcntl.ioctl(sock, SIOCGIFMTU, request)
        except OSError as exc:
            raise DeviceError(f"cannot read the MTU of {self.name}: {exc.strerror}") from exc
        return int(IFREQ_MTU.unpack(request)[1])

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        """Raises DeviceError: it was closed."""
        if self._fd < 0:
            raise DeviceError(f"the interface {self.name} was closed")
        return self._fd

    def close(self) -> None:
        """Stop any pump on it first: a closed descriptor does not wake a thread that waits on it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Tun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _name_of(request: bytes) -> str:
    name: bytes = IFREQ.unpack(request)[0]
    return os.fsdecode(name.partition(b"\0")[0])


def _device_error(what: str, error: OSError, hints: dict[int, str]) -> DeviceError:
    hint = hints.get(error.errno or 0, "")
    return DeviceError(f"{what}: {(error.strerror or str(error)).lower()}{'; ' if hint else ''}{hint}")
