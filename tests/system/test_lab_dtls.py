"""DTLS at our lab gateway: by Debian's openconnect, and by our client, whose channel comes and goes."""

from __future__ import annotations

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
MODES = [("psk", "PSK-AES"), ("resume", "AES128-GCM-SHA256")]


def argv(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    facts = gateway.facts
    return (facts["url"], "--servercert", facts["pin"], "--non-inter", "--dns", "off", *BY_PASSWORD, *more)


def block(both: Pair, *rule: str) -> None:
    """Drop UDP on its way to the gateway's port."""
    both.gateway.run("nft", "add", "table", "inet", "vpn_test")
    both.gateway.run("nft", "add chain inet vpn_test input { type filter hook input priority 0 ; }")
    both.gateway.run("nft", "add", "rule", "inet", "vpn_test", "input", "udp", "dport", "443", *rule)


def unblock(both: Pair) -> None:
    both.gateway.run("nft", "delete", "table", "inet", "vpn_test")


@pytest.mark.parametrize(("mode", "suite"), MODES)
def test_openconnect_brings_up_dtls(namespaces: Pair, mode: str, suite: str) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--dtls", mode) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as them,
    ):
        them.connected()
        gateway.wait_for(f"DTLSv1.2, {suite}")
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
        with iperf_server(namespaces.gateway):
            for address in (TUNNEL_V4, TUNNEL_V6):
                for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                    assert flow.bytes > 1_000_000
        assert "Established DTLS connection" in them.log
        assert them.stop() == 0


@pytest.mark.parametrize(("mode", "suite"), MODES)
def test_our_client(namespaces: Pair, run_dir: Path, mode: str, suite: str) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--dtls", mode) as gateway,
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        assert ours.wait_for("channel", name="DTLS")["detail"].startswith(f"DTLSv1.2, {suite}")
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
            for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")


@pytest.mark.parametrize(("client_says", "gateway_says"), [(("--no-dtls",), ()), ((), ("--no-udp",))])
def test_without_dtls_packets_go_by_tls(
    namespaces: Pair, run_dir: Path, client_says: tuple[str, ...], gateway_says: tuple[str, ...]
) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *gateway_says) as gateway,
        client(namespaces.client, *argv(gateway, *client_says), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4)
        ours.stop()
        assert [event["name"] for event in ours.seen if event["event"] == "channel"] == ["TLS"]


def test_a_firewall_that_shuts_in_mid_session_costs_nothing_but_the_channel(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,  # its DPD would tell after a minute
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.wait_for("channel", name="DTLS")
        ping(namespaces.client, TUNNEL_V4)
        block(namespaces, "drop")
        namespaces.client.run("ping", "-n", "-q", "-c", "2", "-W", "1", TUNNEL_V4, check=False)  # into the dark
        ours.wait_for("channel", name="TLS", timeout=40)
        ping(namespaces.client, TUNNEL_V4)
        unblock(namespaces)
        ours.signal(10)  # SIGUSR1 tells statistics: the session is the same one
        assert ours.wait_for("statistics")["reconnects"] == 0
        assert [event["name"] for event in ours.seen if event["event"] == "channel"] == ["TLS", "DTLS", "TLS"]


def test_a_gateway_without_a_listener_is_told_once_and_tls_carries_on(namespaces: Pair, run_dir: Path) -> None:
    """ICMP port unreachable is the end of an attempt, at once."""
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        block(namespaces, "reject")
        ours.connected()
        warning = ours.wait_for("warning")
        assert "DTLS cannot be opened, TLS carries on" in warning["text"]
        ping(namespaces.client, TUNNEL_V4)


@pytest.mark.parametrize("percent", [1, 5, 20])
def test_loss_on_the_way_leaves_the_session_up(namespaces: Pair, run_dir: Path, percent: int) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        block(namespaces, "numgen", "random", "mod", "100", "<", str(percent), "drop")
        ours.wait_for("channel", name="DTLS")
        (flow,) = iperf(namespaces.client, TUNNEL_V4, seconds=3)
        assert flow.bytes > 5_000
        ours.stop()
        states = [event["state"] for event in ours.seen if event["event"] == "state"]
        assert "reconnecting" not in states


def test_a_rekey_makes_before_it_breaks(namespaces: Pair, run_dir: Path) -> None:
    """A second association takes the place of the first, and no ping is lost."""
    rekey = ("--rekey-time", "3", "--rekey-method", "ssl", "--tls-max", "1.2")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *rekey) as gateway,
        client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.wait_for("channel", name="DTLS")
        said = namespaces.client.run("ping", "-n", "-q", "-c", "50", "-i", "0.1", "-W", "10", TUNNEL_V4).stdout
        assert " 50 received" in said, said
        gateway.wait_for("DTLS for session", count=2)
        ours.stop()
        assert "reconnecting" not in [event["state"] for event in ours.seen if event["event"] == "state"]


def test_a_rekey_with_a_local_port_of_the_users_choice(namespaces: Pair, run_dir: Path) -> None:
    """One port for both associations: the first goes before the second comes, and TLS carries packets between."""
    rekey = ("--rekey-time", "3", "--rekey-method", "ssl", "--tls-max", "1.2")
    port = ("--dtls-local-port", "40123")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *rekey) as gateway,
        client(namespaces.client, *argv(gateway, *port), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.wait_for("channel", name="DTLS")
        gateway.wait_for("udp port 40123: DTLS for session", count=2)
        ours.wait_for("channel", name="DTLS")
        ping(namespaces.client, TUNNEL_V4)
        ours.stop()
        assert "reconnecting" not in [event["state"] for event in ours.seen if event["event"] == "state"]
