"""GlobalProtect: Debian's openconnect and our client, each against our lab gateway."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.peers.client import client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
ROUTES = ("--route", "10.77.0.0/24", "--route", "fd77::/64")


def argv(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    facts = gateway.facts
    fixed = ("--protocol", "gp", "--servercert", facts["pin"], "--non-inter", "--dns", "file")
    return (facts["url"], *fixed, *BY_PASSWORD, *more)


def test_openconnect_over_tls(namespaces: Pair) -> None:
    before = namespaces.gateway.snapshot()
    # No IPv6 routes: 9.01 takes access-routes-v6 for networks to exclude.
    options = ("--route", "10.77.0.0/24", "--dns", TUNNEL_V4, "--no-route", "10.95.5.0/24")
    names = ("--default-domain", "lab.example")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, *names, protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--no-dtls", stdin=PASSWORD) as peer,
    ):
        peer.connected()
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
        with iperf_server(namespaces.gateway):
            for address in (TUNNEL_V4, TUNNEL_V6):
                for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                    assert flow.bytes > 1_000_000
        told = peer.told()
        assert told["INTERNAL_IP4_ADDRESS"] == "10.77.0.2"
        assert (told["INTERNAL_IP4_DNS"], told["CISCO_DEF_DOMAIN"]) == (TUNNEL_V4, "lab.example")
        assert told["CISCO_SPLIT_EXC_0_ADDR"] == "10.95.5.0"
        assert peer.stop() == 0
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


def test_our_client_over_tls(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    options = (*ROUTES, "--dns", TUNNEL_V4, "--default-domain", "lab.example", "--no-route", "10.95.5.0/24")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        configured = ours.connected()
        assert configured["addresses"] == ["10.77.0.2/32", "fd77::2/128"]
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
            for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000
        assert f"nameserver {TUNNEL_V4}" in namespaces.client.resolv_conf.read_text()
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []
