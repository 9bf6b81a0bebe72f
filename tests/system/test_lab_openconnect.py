"""Debian's openconnect against our lab gateway: what keeps the lab honest."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.peers.lab import PASSWORD, USER, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.lab import certificate
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"


def test_traffic_both_ways_and_goodbye(namespaces: Pair) -> None:
    before = namespaces.gateway.snapshot()
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--route", "fd95::/48", "--dns", "10.77.0.1")
    names = ("--default-domain", "lab.example", "--split-dns", "a.example", "--banner", "Hello & welcome")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, *names) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        assert gateway.facts["tunnel_address"] == TUNNEL_V4 and gateway.facts["tunnel_address6"] == TUNNEL_V6
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
        with iperf_server(namespaces.gateway):
            for address in (TUNNEL_V4, TUNNEL_V6):
                for flow in iperf(namespaces.client, address, seconds=1, mode="both"):
                    assert flow.bytes > 1_000_000
        told = client.told()
        assert (told["INTERNAL_IP4_ADDRESS"], told["INTERNAL_IP4_NETMASK"]) == ("10.77.0.2", "255.255.255.0")
        assert told["INTERNAL_IP6_NETMASK"] == "fd77::2/64"
        assert (told["CISCO_SPLIT_INC_0_ADDR"], told["CISCO_SPLIT_INC_0_MASKLEN"]) == ("10.95.0.0", "16")
        assert told["CISCO_SPLIT_EXC_0_ADDR"] == "10.95.5.0"
        assert told["CISCO_IPV6_SPLIT_INC_0_ADDR"] == "fd95::"
        assert (told["INTERNAL_IP4_DNS"], told["CISCO_DEF_DOMAIN"]) == ("10.77.0.1", "lab.example")
        assert (told["CISCO_SPLIT_DNS"], told["CISCO_BANNER"]) == ("a.example", "Hello & welcome")
        assert client.stop() == 0
        gateway.wait_for("client said b0")
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


def test_the_cookie_dies_with_goodbye_and_lives_through_a_detach(namespaces: Pair) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway:
        with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--authenticate", stdin=PASSWORD) as client:
            assert client.finish() == 0, client.log
            found = re.search(r"COOKIE='([^']+)'", client.log)
        assert found is not None
        argv = ("--cookie-on-stdin",)
        with openconnect(namespaces.client, gateway.facts, *argv, stdin=found[1]) as client:
            client.connected()
            client.process.send_signal(signal.SIGHUP)  # leave without a goodbye
            assert client.finish() == 0
        gateway.wait_for("cookie kept")
        with openconnect(namespaces.client, gateway.facts, *argv, stdin=found[1]) as client:
            client.connected()
            assert client.told()["INTERNAL_IP4_ADDRESS"] == "10.77.0.2"
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert client.stop() == 0
        gateway.wait_for("cookie dead")
        with openconnect(namespaces.client, gateway.facts, *argv, stdin=found[1]) as client:
            assert client.finish() == 2
            assert "Cookie was rejected" in client.log or "401" in client.log


def test_a_wrong_password_is_refused(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin="wrong") as client,
    ):
        assert client.finish() != 0
        assert "Login failed." in client.log


def test_a_group_is_chosen(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--group", "Staff", "--group", "Sales") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--authgroup", "Sales", stdin=PASSWORD) as client,
    ):
        client.connected()
        assert f"session of {USER}@Sales" in gateway.log


@pytest.mark.parametrize("server, flags", [((), ()), ((), ("--no-xmlpost",)), (("--legacy",), ())])
def test_a_second_form_in_both_dialects(namespaces: Pair, server: tuple[str, ...], flags: tuple[str, ...]) -> None:
    code = ("--form-entry", "challenge:answer=4711")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--challenge", "4711", *server) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, *code, *flags, stdin=PASSWORD) as client,
    ):
        client.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_rekey_by_new_tunnel_every_4_s(namespaces: Pair, tls: str) -> None:
    options = ("--rekey-time", "4", "--rekey-method", "new-tunnel", "--tls-max", tls)
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        gateway.wait_for("CONNECT: tunnel", count=3)
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert client.process.poll() is None
        assert client.stop() == 0


def test_rekey_by_renegotiation(namespaces: Pair) -> None:
    """On a quiet link: 9.01 opens a new tunnel if data comes while it shakes hands ("TLS Application data were
    received, while expecting handshake data")."""
    options = ("--rekey-time", "6", "--rekey-method", "ssl", "--tls-max", "1.2")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
        iperf_server(namespaces.gateway),
    ):
        client.connected()
        until = time.monotonic() + 60
        while "rekey due" not in client.log:
            assert time.monotonic() < until, client.log
            time.sleep(0.05)
        time.sleep(1.5)
        (flow,) = iperf(namespaces.client, TUNNEL_V4, seconds=1)
        assert flow.bytes > 1_000_000
        assert gateway.log.count("CONNECT: tunnel") == 1, gateway.log + client.log
        assert client.stop() == 0


def test_a_client_certificate_signs_in(namespaces: Pair, tmp_path: Path) -> None:
    ca = certificate.authority()
    ca.write(tmp_path, "ca")
    public, key = certificate.issue_client(ca, "alice").write(tmp_path, "alice")
    stranger, stranger_key = certificate.issue_client(certificate.authority(), "mallory").write(tmp_path, "mallory")
    with lab_gateway(
        namespaces.gateway, namespaces.gateway_v4, "--client-ca", str(tmp_path / "ca.pem"), password=""
    ) as gateway:
        with openconnect(namespaces.client, gateway.facts, "-c", str(public), "-k", str(key)) as client:
            client.connected()
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert "session of alice" in gateway.log
            assert client.stop() == 0
        with openconnect(namespaces.client, gateway.facts, "-c", str(stranger), "-k", str(stranger_key)) as client:
            assert client.finish() != 0
        with openconnect(namespaces.client, gateway.facts) as client:
            assert client.finish() != 0
            assert "Certificate Validation Failure" in client.log


def test_terminate_ends_it_with_status_1(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert client.finish() == 1
        gateway.wait_for("cookie dead")


def test_a_dropped_link_comes_back_with_the_same_address(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        gateway.wait_for("CONNECT: tunnel", count=2)
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert client.stop() == 0


def test_the_session_timeout_is_kept(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--session-timeout", "3") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        began = time.monotonic()
        assert client.finish() == 1
        assert time.monotonic() - began < 30
        gateway.wait_for("session timeout; cookie dead")


def test_dpd_of_both_sides_keeps_an_idle_tunnel(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--dpd", "2", "--keepalive", "1") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as client,
    ):
        client.connected()
        time.sleep(5)
        assert client.process.poll() is None and gateway.log.count("CONNECT: tunnel") == 1
        client.process.send_signal(signal.SIGSTOP)  # a client that hangs
        gateway.wait_for("silent for")
        client.process.send_signal(signal.SIGCONT)
        gateway.wait_for("CONNECT: tunnel", count=2)


def test_two_clients_at_once(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as first,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as second,
    ):
        first.connected()
        second.connected()
        assert {first.told()["INTERNAL_IP4_ADDRESS"], second.told()["INTERNAL_IP4_ADDRESS"]} == {
            "10.77.0.2",
            "10.77.0.3",
        }
        ping(namespaces.client, TUNNEL_V4, count=1)
