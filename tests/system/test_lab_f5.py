"""F5: Debian's openconnect and our client against the lab gateway, with and without HDLC-like framing."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
FRAMINGS = pytest.mark.parametrize("framing", [(), ("--hdlc",)], ids=["plain", "hdlc"])
OURS = ("--protocol", "f5", "--non-inter", "--dns", "file")
THEIRS = ("--no-dtls", "--mtu", "1400", *BY_PASSWORD)


def f5(namespaces: Pair, *argv: str) -> AbstractContextManager[LabGateway]:
    return lab_gateway(namespaces.gateway, namespaces.gateway_v4, *argv, protocol="f5")


def argv(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    return (gateway.facts["url"], "--servercert", gateway.facts["pin"], *OURS, *BY_PASSWORD, *more)


# --- openconnect ---


@FRAMINGS
def test_openconnect_passes_traffic_both_ways_and_logs_out(namespaces: Pair, framing: tuple[str, ...]) -> None:
    before = namespaces.gateway.snapshot()
    options = ("--route", "10.95.0.0/16", "--route", "fd95::/48", "--dns", TUNNEL_V4, "--default-domain", "lab.example")
    with (
        f5(namespaces, *framing, *options) as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        namespaces.client.ip("route", "add", f"{TUNNEL_V4}/32", "dev", peer.told()["TUNDEV"])
        namespaces.client.ip("route", "add", f"{TUNNEL_V6}/128", "dev", peer.told()["TUNDEV"])
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
        with iperf_server(namespaces.gateway):
            for address in (TUNNEL_V4, TUNNEL_V6):
                for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                    assert flow.bytes > 1_000_000
        told = peer.told()
        assert told["INTERNAL_IP4_ADDRESS"] == "10.77.0.2"
        assert told["INTERNAL_IP6_ADDRESS"] == "fd77::2"
        assert (told["CISCO_SPLIT_INC_0_ADDR"], told["CISCO_SPLIT_INC_0_MASKLEN"]) == ("10.95.0.0", "16")
        assert (told["INTERNAL_IP4_DNS"], told["CISCO_DEF_DOMAIN"]) == (TUNNEL_V4, "lab.example")
        assert peer.stop() == 0
        gateway.wait_for("logged out; cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


# --- our client ---


def device_of(ours: Client) -> str:
    return str(ours.connected()["interface"])


@FRAMINGS
def test_ours_passes_traffic_both_ways_and_logs_out(namespaces: Pair, run_dir: Path, framing: tuple[str, ...]) -> None:
    before = namespaces.client.snapshot()
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--route", "fd95::/48", "--mtu", "1360")
    inside = ("--route", "10.77.0.0/24", "--route", "fd77::/64")
    with f5(namespaces, *framing, *options, *inside, "--dns", TUNNEL_V4) as gateway:
        with client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
            device = device_of(ours)
            for address in (TUNNEL_V4, TUNNEL_V6):
                ping(namespaces.client, address)
            with iperf_server(namespaces.gateway):
                for address in (TUNNEL_V4, TUNNEL_V6):
                    for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                        assert flow.bytes > 1_000_000
            routes = namespaces.client.ip("route") + namespaces.client.ip("-6", "route")
            assert f"10.95.0.0/16 dev {device}" in routes and f"fd95::/48 dev {device}" in routes
            assert "10.95.5.0/24 via" in routes
            assert "mtu 1360" in namespaces.client.ip("link", "show", "dev", device)
            assert f"nameserver {TUNNEL_V4}" in namespaces.client.resolv_conf.read_text()
            assert ours.stop() == Exit.OK
        gateway.wait_for("the client ended the link")
        gateway.wait_for("logged out; cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []
