"""The TUN device: its errors without root, its life with it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket

import pytest

from tests.transports.namespace import in_own_namespace, ip
from tests.transports.packets import ipv4
from transports.errors import DeviceError
from transports.sink import NativeSink
from transports.tun import DEVICE_NODE, IFF_NO_PI, IFF_TUN, IFF_VNET_HDR, IFREQ, TUNSETIFF, TUNSETOFFLOAD, Tun


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
def test_a_device_with_headers_before_its_packets_is_not_adopted() -> None:
    """Every packet would be dropped as no IP."""

    def body() -> None:
        fd = os.open(DEVICE_NODE, os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(b"vetest0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
        with pytest.raises(DeviceError, match="got interface flags 0x5001, want a TUN without headers"):
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
        with Tun.open("vetest9") as before:
            fcntl.ioctl(before.fileno(), TUNSETOFFLOAD, 0x07)
        with Tun.open("vetest9") as tun:
            ip("addr", "add", "192.0.2.1/24", "dev", tun.name)
            ip("link", "set", tun.name, "up")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(17, 103, 100)  # UDP_SEGMENT: the kernel has a super-packet for whoever wants one
                sock.sendto(bytes(1000), ("192.0.2.2", 9))
            sizes = {len(p) for p in packets_of(tun) if p[9] == 17 and p[0] == 0x45}
            assert sizes == {128}

    in_own_namespace(body)


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
            sink = NativeSink.tun(tun.fileno(), tun.mtu)
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
