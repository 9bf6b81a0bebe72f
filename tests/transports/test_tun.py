"""The TUN device: its errors without root, its life with it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys

import pytest

from tests.transports.namespace import in_own_namespace, ip
from tests.transports.packets import ipv4
from transports.errors import DeviceError
from transports.offload import Offload
from transports.sink import NativeSink
from transports.tun import (
    DEVICE_NODE,
    IFF_NO_PI,
    IFF_TUN,
    IFF_VNET_HDR,
    IFREQ,
    TUNGETFEATURES,
    TUNSETIFF,
    TUNSETOFFLOAD,
    TUNSETVNETHDRSZ,
    Tun,
)

IFF_TAP = 0x0002
TUNGETVNETHDRSZ = 0x800454D7


@pytest.mark.parametrize("name", ["", "a" * 16, "é" * 8, "a/b", "a b", "tun\n", "a\0b"])
def test_a_name_the_kernel_would_cut_or_refuse_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match="want 1 to 15 bytes"):
        Tun.open(name)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOENT, "does not exist: load the module"),
        (errno.ENODEV, "no TUN driver"),
        (errno.EACCES, "may not be opened by this user"),
        (errno.EPERM, "the container's device rules"),
        (errno.EMFILE, "too many open files$"),
    ],
)
def test_a_node_that_cannot_be_opened_tells_what_to_do(monkeypatch: pytest.MonkeyPatch, code: int, hint: str) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("transports.tun.os.open", refuse)
    with pytest.raises(DeviceError, match=f"cannot open /dev/net/tun: .*{hint}"):
        Tun.open()


@pytest.mark.parametrize(
    ("code", "hint"),
    [(errno.EPERM, "needs root or CAP_NET_ADMIN"), (errno.EBUSY, "another program uses"), (errno.EINVAL, "no TUN")],
)
def test_an_interface_that_is_refused_tells_why_and_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, code: int, hint: str
) -> None:
    def refuse(fd: int, request: int, argument: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("transports.tun.DEVICE_NODE", "/dev/null")
    monkeypatch.setattr("transports.tun.fcntl.ioctl", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DeviceError, match=f"cannot set up the interface vpn0: .*{hint}"):
        Tun.open("vpn0")
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_tun_is_not_adopted() -> None:
    with open("/dev/null", "rb") as null, pytest.raises(DeviceError, match="is not an attached TUN"):
        Tun.adopt(null.fileno())


def test_a_closed_device_has_no_descriptor() -> None:
    tun = Tun(os.open("/dev/null", os.O_RDWR), "vpn0")
    with tun:
        assert not tun.closed and tun.fileno() >= 0
    tun.close()  # again does nothing
    assert tun.closed
    with pytest.raises(DeviceError, match="vpn0 was closed"):
        tun.fileno()


# --- with the kernel ----------------------------------------------------------------------------------------------


@pytest.mark.system
def test_life_of_a_device() -> None:
    def body() -> None:
        with Tun.open("vetest%d") as tun:
            assert (tun.name, tun.mtu) == ("vetest0", 1500)
            assert not os.get_blocking(tun.fileno()) and not os.get_inheritable(tun.fileno())
            ip("link", "set", tun.name, "mtu", "1400")
            assert tun.mtu == 1400
            with pytest.raises(DeviceError, match="another program uses that interface"):
                Tun.open(tun.name)
            with Tun.adopt(os.dup(tun.fileno())) as same:
                assert same.name == tun.name
        assert "vetest0" not in ip("link")

    in_own_namespace(body)


@pytest.mark.system
def test_a_device_with_headers_before_its_packets_is_adopted_with_its_offloads() -> None:
    def body() -> None:
        fd = os.open(DEVICE_NODE, os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(b"vetest0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 12))  # of a previous user (Q2)
        with Tun.adopt(fd) as tun:
            assert tun.offload & Offload.VNET and tun.offload & Offload.JOIN_TCP
            size = bytearray(4)
            fcntl.ioctl(fd, TUNGETVNETHDRSZ, size)
            assert int.from_bytes(size, sys.byteorder) == 10

    in_own_namespace(body)


@pytest.mark.system
def test_a_tap_is_not_adopted() -> None:
    """Every frame would be dropped as no IP."""

    def body() -> None:
        fd = os.open(DEVICE_NODE, os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(b"vetest0", IFF_TAP | IFF_NO_PI))
        with pytest.raises(DeviceError, match="got interface flags 0x1002, want a TUN without packet information"):
            Tun.adopt(fd)
        os.close(fd)

    in_own_namespace(body)


@pytest.mark.system
def test_a_name_of_many_bytes_is_kept() -> None:
    def body() -> None:
        with Tun.open("é" * 7 + "x") as tun:
            assert (tun.name, tun.mtu) == ("é" * 7 + "x", 1500)

    in_own_namespace(body)


@pytest.mark.system
def test_a_name_taken_by_another_kind_of_interface() -> None:
    def body() -> None:
        with pytest.raises(DeviceError, match="no TUN of a single queue"):
            Tun.open("lo")

    in_own_namespace(body)


@pytest.mark.system
def test_q1_offloads_of_a_previous_user_are_cleared() -> None:
    """A persistent device left with offloads on would hand out super-packets without a header (linux-tun notes, Q1)."""

    def body() -> None:
        ip("tuntap", "add", "dev", "vetest9", "mode", "tun")
        request = IFREQ.pack(b"vetest9", IFF_TUN | IFF_NO_PI)
        before = os.open(DEVICE_NODE, os.O_RDWR)
        fcntl.ioctl(before, TUNSETIFF, request)
        fcntl.ioctl(before, TUNSETOFFLOAD, 0x67)
        os.close(before)
        with Tun.open("vetest9", offload=False) as tun:
            ip("addr", "add", "192.0.2.1/24", "dev", tun.name)
            ip("link", "set", tun.name, "up")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(17, 103, 100)  # UDP_SEGMENT: the kernel has a super-packet for whoever wants one
                sock.sendto(bytes(1000), ("192.0.2.2", 9))
            sizes = {len(p) for p in packets_of(tun) if p[9] == 17 and p[0] == 0x45}
            assert sizes == {128}

    in_own_namespace(body)


@pytest.mark.system
def test_q18_a_persistent_device_is_left_without_offloads() -> None:
    """The next user may know of no header, and would get super-packets bare."""

    def body() -> None:
        ip("tuntap", "add", "dev", "vetest9", "mode", "tun")
        with Tun.open("vetest9") as tun:
            assert tun.offload & Offload.VNET
        fd = os.open(DEVICE_NODE, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(b"vetest9", IFF_TUN | IFF_NO_PI))
        with Tun(fd, "vetest9") as plain:
            ip("addr", "add", "192.0.2.1/24", "dev", plain.name)
            ip("link", "set", plain.name, "up")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(17, 103, 100)
                sock.sendto(bytes(1000), ("192.0.2.2", 9))
            assert {len(p) for p in packets_of(plain) if p[9] == 17 and p[0] == 0x45} == {128}

    in_own_namespace(body)


@pytest.mark.parametrize(
    ("taken", "offload"),
    [
        (0x67, Offload.VNET | Offload.JOIN_TCP | Offload.JOIN_UDP | Offload.PROBE),
        (0x07, Offload.VNET | Offload.JOIN_TCP | Offload.PROBE),
        (0x01, Offload.VNET | Offload.JOIN_TCP | Offload.PROBE),
        (0, Offload.VNET | Offload.JOIN_TCP | Offload.PROBE),
    ],
)
def test_the_ladder_of_offloads(monkeypatch: pytest.MonkeyPatch, taken: int, offload: Offload) -> None:
    calls = []

    def kernel(fd: int, request: int, argument: int | bytes | bytearray) -> int:
        if request == TUNGETFEATURES and isinstance(argument, bytearray):
            argument[:] = (IFF_TUN | IFF_VNET_HDR).to_bytes(4, sys.byteorder)
        if request == TUNSETOFFLOAD and isinstance(argument, int):
            calls.append(argument)
            if argument & ~taken:
                raise OSError(errno.EINVAL, "invalid argument")
        return 0

    monkeypatch.setattr("transports.tun.DEVICE_NODE", "/dev/null")
    monkeypatch.setattr("transports.tun.fcntl.ioctl", kernel)
    with Tun.open("vpn0") as tun:
        assert tun.offload == offload
        assert calls == [bits for bits in (0x67, 0x07, 0x01, 0) if bits >= taken]
    assert calls[-1] == 0  # for the next user


@pytest.mark.parametrize("features", [None, IFF_TUN])
def test_a_kernel_without_headers_gives_plain_packets(monkeypatch: pytest.MonkeyPatch, features: int | None) -> None:
    flags = []

    def kernel(fd: int, request: int, argument: int | bytes | bytearray) -> int:
        if request == TUNGETFEATURES and isinstance(argument, bytearray):
            if features is None:
                raise OSError(errno.ENOTTY, "unknown")
            argument[:] = features.to_bytes(4, sys.byteorder)
        if request == TUNSETIFF and isinstance(argument, bytearray):
            flags.append(IFREQ.unpack(argument)[1])
        return 0

    monkeypatch.setattr("transports.tun.DEVICE_NODE", "/dev/null")
    monkeypatch.setattr("transports.tun.fcntl.ioctl", kernel)
    with Tun.open("vpn0") as tun:
        assert (tun.offload, flags) == (Offload.NONE, [IFF_TUN | IFF_NO_PI])


def packets_of(tun: Tun) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(os.read(tun.fileno(), 65536))
        except BlockingIOError:
            return packets


@pytest.mark.system
def test_the_sink_on_a_device_that_goes_up_down_and_away() -> None:
    def body() -> None:
        with Tun.open("vetest%d") as tun:
            sink = NativeSink.tun(tun.fileno(), tun.mtu, tun.offload)
            sink.write(ipv4())
            sink.flush()
            assert sink.stats().refused == 1  # EIO: it is down
            ip("link", "set", tun.name, "up")
            for _ in range(3):
                sink.write(ipv4())
            sink.flush()
            assert (sink.stats().packets, sink.stats().refused) == (3, 1)
            ip("link", "del", tun.name)
            sink.write(ipv4())
            with pytest.raises(DeviceError, match="was removed"):
                sink.flush()

    in_own_namespace(body)
