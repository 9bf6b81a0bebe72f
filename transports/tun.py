"""A Linux TUN device: opened, named, and handed to the engine as a descriptor.

With a virtio header before every packet the kernel hands over super-packets and takes them (transports/offload.py); a
kernel that has no such header, or `Tun.open(offload=False)`, gives plain packets.  A persistent device remembers
offloads and header size of its previous user (Q1, Q2); so both are always set here, and on close the offloads are
taken back, for the next may know of none (Q18).
Source: linux-tun notes, sections 1, 2, 11 and 12.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
from contextlib import suppress
from types import TracebackType

from transports.errors import DeviceError
from transports.offload import VNET_SIZE, Offload

DEVICE_NODE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNGETFEATURES = 0x800454CF
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
TUNSETVNETHDRSZ = 0x400454D8
TUNSETVNETLE = 0x400454DC
SIOCGIFMTU = 0x8921
SIOCSIFMTU = 0x8922
SIOCSIFTXQLEN = 0x8943
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFREQ = struct.Struct("16sH22x")  # name, flags
IFREQ_NUMBER = struct.Struct("16si20x")
_TCP_OFFLOADS = 0x07  # TUN_F_CSUM, TSO4, TSO6
_ALL_OFFLOADS = 0x67  # and USO4, USO6, which come as a pair
LADDER = (_ALL_OFFLOADS, _TCP_OFFLOADS, 0x01, 0)  # the first that the kernel takes
QUEUE = 1000  # packets that the kernel holds for us; its own 500 are 3 ms of small ones at full speed
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
    """An attached TUN descriptor.  Closing it removes the interface, unless that was made persistent.

    offload: what comes before packets, and what a pump may make of them.
    """

    def __init__(self, fd: int, name: str, offload: Offload = Offload.NONE) -> None:
        self._fd, self.name, self.offload = fd, name, offload

    @classmethod
    def open(cls, name: str = "tun%d", *, offload: bool = True) -> Tun:
        """Create or attach to an interface; %d becomes the first free number.  Raises DeviceError.

        offload: take and hand over super-packets, as far as the kernel can.
        """
        if not name or len(os.fsencode(name)) > MAX_NAME or not name.isprintable() or set("/ ") & set(name):
            raise DeviceError(f"interface name: got {name!r}, want 1 to {MAX_NAME} bytes without / or space")
        try:
            fd = os.open(DEVICE_NODE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as exc:
            raise _device_error(f"cannot open {DEVICE_NODE}", exc, _OPEN_HINTS) from exc
        try:
            header = IFF_VNET_HDR if offload and _knows_headers(fd) else 0
            request = bytearray(IFREQ.pack(os.fsencode(name), IFF_TUN | IFF_NO_PI | header))
            fcntl.ioctl(fd, TUNSETIFF, request)
            agreed = _set_offloads(fd, header)
        except OSError as exc:
            os.close(fd)
            raise _device_error(f"cannot set up the interface {name}", exc, _ATTACH_HINTS) from exc
        tun = cls(fd, _name_of(bytes(request)), agreed)
        with suppress(DeviceError):  # only a wish
            tun._link_request(SIOCSIFTXQLEN, QUEUE, "given a longer queue")
        return tun

    @classmethod
    def adopt(cls, fd: int) -> Tun:
        """Take over an attached descriptor of another process.  Raises DeviceError if it is no such thing."""
        request = bytearray(IFREQ.size)
        try:
            fcntl.ioctl(fd, TUNGETIFF, request)
            flags = IFREQ.unpack(request)[1]
            if flags & (IFF_TUN | IFF_NO_PI) != IFF_TUN | IFF_NO_PI:
                raise DeviceError(
                    f"descriptor {fd}: got interface flags {flags:#x}, want a TUN without packet information"
                )
            agreed = _set_offloads(fd, flags & IFF_VNET_HDR)
            os.set_blocking(fd, False)
            os.set_inheritable(fd, False)
        except OSError as exc:
            raise _device_error(f"descriptor {fd} is not an attached TUN", exc, {}) from exc
        return cls(fd, _name_of(bytes(request)), agreed)

    @property
    def mtu(self) -> int:
        """The interface's MTU in bytes, as the kernel has it now.  Raises DeviceError: it is gone."""
        return int(IFREQ_NUMBER.unpack(self._link_request(SIOCGIFMTU, 0, "asked for its MTU"))[1])

    def set_mtu(self, mtu: int) -> None:
        """Bytes of the largest packet; needs the rights of an administrator.  Raises DeviceError."""
        self._link_request(SIOCSIFMTU, mtu, f"given an MTU of {mtu} bytes")

    def _link_request(self, number: int, value: int, doing: str) -> bytes:
        request = bytearray(IFREQ_NUMBER.pack(os.fsencode(self.name), value))
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                fcntl.ioctl(sock, number, request)
        except OSError as exc:
            raise DeviceError(f"{self.name} cannot be {doing}: {exc.strerror}") from exc
        return bytes(request)

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
            with suppress(OSError):  # the interface may be gone
                fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
            os.close(fd)

    def __enter__(self) -> Tun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _knows_headers(fd: int) -> bool:
    features = bytearray(4)
    try:
        fcntl.ioctl(fd, TUNGETFEATURES, features)
    except OSError:
        return False
    return bool(int.from_bytes(features, sys.byteorder) & IFF_VNET_HDR)


def _set_offloads(fd: int, header: int) -> Offload:
    """The most that the kernel agrees to, on an attached descriptor; header: it was attached with one."""
    if not header:
        fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
        return Offload.NONE
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_SIZE))
    if sys.byteorder == "big":
        fcntl.ioctl(fd, TUNSETVNETLE, struct.pack("i", 1))
    agreed = next((bits for bits in LADDER if _accepts(fd, bits)), 0)
    offload = Offload.VNET | Offload.JOIN_TCP | Offload.PROBE
    return offload | Offload.JOIN_UDP if agreed == _ALL_OFFLOADS else offload


def _accepts(fd: int, bits: int) -> bool:
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, bits)
    except OSError as exc:
        if exc.errno != errno.EINVAL or not bits:
            raise
        return False
    return True


def _name_of(request: bytes) -> str:
    name: bytes = IFREQ.unpack(request)[0]
    return os.fsdecode(name.partition(b"\0")[0])


def _device_error(what: str, error: OSError, hints: dict[int, str]) -> DeviceError:
    hint = hints.get(error.errno or 0, "")
    return DeviceError(f"{what}: {(error.strerror or str(error)).lower()}{'; ' if hint else ''}{hint}")
