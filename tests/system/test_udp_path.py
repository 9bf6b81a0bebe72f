"""Batches of datagrams over a path whose MTU shrinks, with a router between that says so.

client  192.0.2.2 --- east --- 192.0.2.1  router  198.51.100.1 --- west --- 198.51.100.2  server
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from transports.datagrams import Datagrams, UdpOffload
from transports.errors import ConnectionLost
from transports.udp import UdpSocket
from vpnclient.lab.netns import Namespace, add_addresses, join, namespace

pytestmark = pytest.mark.system

CLONE_NEWNET = 0x40000000
BOTH = UdpOffload.SEGMENT | UdpOffload.JOINED
PORT = 4433
TIMEOUT = 60.0  # seconds
NARROW = 1300  # bytes of an IP packet
PLACES = {  # client, router east, router west, server
    4: [IPv4Interface(a) for a in ("192.0.2.2/24", "192.0.2.1/24", "198.51.100.1/24", "198.51.100.2/24")],
    6: [IPv6Interface(f"2001:db8:{a}/64") for a in ("1::2", "1::1", "2::1", "2::2")],
}
HEADERS = {4: 28, 6: 48}  # bytes of IP and UDP


@dataclass(frozen=True, slots=True)
class Path:
    """The three namespaces, and a batch at either end."""

    family: int
    client: Namespace
    router: Namespace
    server: Namespace
    sender: Datagrams
    receiver: Datagrams

    def fits(self, mtu: int) -> int:
        """Bytes of the largest datagram in such a packet."""
        return mtu - HEADERS[self.family]

    def send(self, count: int, size: int) -> None:
        assert all(self.sender.put(bytes([number]) * size) for number in range(count))
        assert self.sender.flush()

    def arrive(self, count: int, size: int) -> None:
        found: list[bytes] = []
        while len(found) < count:
            assert select.select([self.receiver._udp.fileno()], [], [], TIMEOUT)[0], f"only {len(found)} of {count}"
            found += self.receiver.receive()
        assert found == [bytes([number]) * size for number in range(count)]

    def silent(self) -> None:
        """Nothing more arrives."""
        assert not select.select([self.receiver._udp.fileno()], [], [], 0.1)[0] or not self.receiver.receive()


def opened(space: Namespace, address: str, local: str) -> UdpSocket:
    """A socket of that namespace: a thread enters it, and ends."""

    def enter() -> UdpSocket:
        with open(f"/run/netns/{space.name}", "rb") as handle:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(handle.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        return UdpSocket.open(address, PORT, local_address=local, local_port=PORT)

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter).result(TIMEOUT)


@contextmanager
def routed(family: int) -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    at = PLACES[family]
    with namespace("udp-c") as client, namespace("udp-r") as router, namespace("udp-s") as server:
        join(client, router, name="east")
        join(router, server, name="west")
        for space, device, address in zip(
            (client, router, router, server), ("east", "east", "west", "west"), at, strict=True
        ):
            add_addresses(space, device, [address])
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            router.run("sh", "-c", f"echo 1 > /proc/sys/net/{setting}")
        client.ip(f"-{family}", "route", "add", "default", "via", str(at[1].ip))
        server.ip(f"-{family}", "route", "add", "default", "via", str(at[2].ip))
        yield client, router, server


@contextmanager
def path(family: int, offload: UdpOffload = BOTH) -> Iterator[Path]:
    client_at, server_at = str(PLACES[family][0].ip), str(PLACES[family][3].ip)
    with routed(family) as (client, router, server), ExitStack() as undo:
        ours = undo.enter_context(closing(opened(client, server_at, client_at)))
        theirs = undo.enter_context(closing(opened(server, client_at, server_at)))
        sender = undo.enter_context(closing(Datagrams(ours, 1500, offload)))
        receiver = undo.enter_context(closing(Datagrams(theirs, 1500, offload)))
        yield Path(family, client, router, server, sender, receiver)


def narrow(over: Path) -> None:
    for space in (over.router, over.server):
        space.ip("link", "set", "west", "mtu", str(NARROW))


def learned(over: Path) -> None:
    """Until ICMP has come back."""
    until = time.monotonic() + TIMEOUT
    while over.sender.mtu() != NARROW:
        assert time.monotonic() < until, over.sender.mtu()
        time.sleep(0.01)


@pytest.mark.parametrize("offload", [BOTH, UdpOffload.NONE])
@pytest.mark.parametrize("family", [4, 6])
def test_the_path_shrinks_under_a_batch(family: int, offload: UdpOffload) -> None:
    with path(family, offload) as over:
        assert over.sender.mtu() == 1500
        over.send(30, over.fits(1500))
        over.arrive(30, over.fits(1500))
        narrow(over)
        over.send(30, over.fits(1500))  # lost at the router, which says so: at once, or later
        learned(over)
        over.silent()
        before = over.sender.stats()
        over.send(20, over.fits(NARROW))  # fits, though the report is still to be told
        over.arrive(20, over.fits(NARROW))
        assert over.sender.mtu_changed() and over.sender.stats().too_large == before.too_large
        over.send(20, over.fits(NARROW) + 1)
        assert over.sender.mtu_changed() and over.sender.stats().too_large == before.too_large + 20
        over.silent()
        over.send(20, over.fits(NARROW))
        over.arrive(20, over.fits(NARROW))
        stats = over.sender.stats()
        assert stats.tx_datagrams + stats.too_large == 120 and stats.refused == stats.no_buffers == 0
        assert stats.tx_segmented == (4 if offload == BOTH else 0)  # none went singly for it
        assert stats.fallbacks == 0
        assert over.sender.offload == offload


@pytest.mark.parametrize("family", [4, 6])
def test_probing_does_not_believe_the_router_but_the_device(family: int) -> None:
    with path(family) as over:
        narrow(over)
        over.send(1, over.fits(1500))
        learned(over)
        over.sender.probe(True)
        for space in (over.router, over.server):  # it was a passing narrowness
            space.ip("link", "set", "west", "mtu", "1500")
        over.send(2, over.fits(1500))
        over.arrive(2, over.fits(1500))
        over.client.ip("link", "set", "east", "mtu", "1400")
        over.send(3, over.fits(1500))
        assert over.sender.stats().too_large == 3
        over.send(2, over.fits(1400))
        over.arrive(2, over.fits(1400))
        over.silent()


def test_our_own_device_shrinks_under_a_batch() -> None:
    with path(4) as over:
        over.send(30, over.fits(1500))
        over.arrive(30, over.fits(1500))
        over.client.ip("link", "set", "east", "mtu", str(NARROW))
        over.send(30, over.fits(1500))
        stats = over.sender.stats()
        assert (stats.too_large, stats.tx_datagrams) == (30, 30)
        assert over.sender.mtu_changed() and over.sender.mtu() == NARROW
        over.send(30, over.fits(NARROW))
        over.arrive(30, over.fits(NARROW))
        over.silent()


def test_a_route_that_goes_away_is_told_and_what_waits_stays() -> None:
    with path(4) as over:
        over.client.ip("link", "set", "east", "down")
        assert over.sender.put(b"patience")
        with pytest.raises(ConnectionLost, match="network is unreachable"):
            over.sender.flush()
        assert over.sender.waiting == 1
        over.client.ip("link", "set", "east", "up")
        over.client.ip("route", "add", "default", "via", str(PLACES[4][1].ip))
        assert over.sender.flush()
        assert select.select([over.receiver._udp.fileno()], [], [], TIMEOUT)[0]
        assert over.receiver.receive() == [b"patience"]


@pytest.mark.parametrize("loss", [1, 5, 20])
def test_a_firewall_that_drops_at_random_costs_what_it_drops(loss: int) -> None:
    """nftables refuses on the way out of this host: the socket hears of it, runs go lost whole, order is kept."""
    with path(4) as over:
        rule = f"udp dport {PORT} numgen random mod 100 < {loss} counter drop"
        over.client.run("nft", "add", "table", "ip", "lossy")
        over.client.run("nft", "add", "chain", "ip", "lossy", "out", "{ type filter hook output priority 0; }")
        over.client.run("nft", "add", "rule", "ip", "lossy", "out", *rule.split())
        total, found = 4000, 0
        for _ in range(total // 10):
            over.send(10, 1000)
            while select.select([over.receiver._udp.fileno()], [], [], 0)[0]:
                found += len(over.receiver.receive())
        while select.select([over.receiver._udp.fileno()], [], [], 0.2)[0]:
            found += len(over.receiver.receive())
        stats = over.sender.stats()
        assert stats.firewalled + stats.tx_datagrams == total
        assert 0 < stats.firewalled < total / 2
        assert found == stats.tx_datagrams
