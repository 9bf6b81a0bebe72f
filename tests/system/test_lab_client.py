"""Our client against our lab gateway: what ocserv cannot be made to do, and quick checks of both together."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab import certificate
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")


def argv(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    facts = gateway.facts
    return (facts["url"], "--servercert", facts["pin"], "--non-inter", "--dns", "file", *more)


def device_of(ours: Client) -> str:
    return str(ours.connected()["interface"])


def test_everything_the_gateway_tells_is_set_and_undone(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--route", "fd95::/48", "--mtu", "1360")
    names = ("--dns", TUNNEL_V4, "--default-domain", "lab.example", "--banner", "Hello & welcome")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, *names) as gateway:
        with client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
            device = device_of(ours)
            ping(namespaces.client, TUNNEL_V4, count=1)
            ping(namespaces.client, TUNNEL_V6, count=1)
            routes = namespaces.client.ip("route") + namespaces.client.ip("-6", "route")
            assert f"10.95.0.0/16 dev {device}" in routes and f"fd95::/48 dev {device}" in routes
            assert "10.95.5.0/24 via" in routes
            assert "mtu 1360" in namespaces.client.ip("link", "show", "dev", device)
            assert f"nameserver {TUNNEL_V4}" in namespaces.client.resolv_conf.read_text()
            assert any(event.get("text") == "Hello & welcome" for event in ours.seen)
            assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []


@pytest.mark.parametrize("server, flags", [((), ()), ((), ("--no-xmlpost",)), (("--legacy",), ())])
def test_a_second_form_in_both_dialects(
    namespaces: Pair, run_dir: Path, server: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    code = ("--form-entry", "challenge:answer=4711")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--challenge", "4711", *server) as gateway,
        client(
            namespaces.client,
            *argv(gateway, *BY_PASSWORD, *code, *flags),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)


def test_groups(namespaces: Pair, run_dir: Path) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--group", "Staff", "--group", "Sales") as gateway:
        for group, status in (("sales", Exit.OK), ("Nope", Exit.REFUSED)):
            with client(
                namespaces.client,
                *argv(gateway, *BY_PASSWORD, "--authgroup", group),
                stdin=f"{PASSWORD}\n",
                run_dir=run_dir,
            ) as ours:
                if status == Exit.OK:
                    ours.connected()
                    assert ours.stop() == status
                else:
                    assert ours.finish() == status
                    assert "Staff, Sales" in ours.error()["text"]
        assert f"session of {USER}@Sales" in gateway.log


def test_client_certificates(namespaces: Pair, run_dir: Path, tmp_path: Path) -> None:
    ca = certificate.authority()
    ca.write(tmp_path, "ca")
    public, key = certificate.issue_client(ca, "alice").write(tmp_path, "alice")
    with lab_gateway(
        namespaces.gateway, namespaces.gateway_v4, "--client-ca", str(tmp_path / "ca.pem"), password=""
    ) as gateway:
        with client(
            namespaces.client,
            *argv(gateway, "--certificate", str(public), "--sslkey", str(key)),
            run_dir=run_dir,
        ) as ours:
            ours.connected()
            assert "session of alice" in gateway.log
            assert ours.stop() == Exit.OK
        with client(namespaces.client, *argv(gateway), run_dir=run_dir) as ours:
            assert ours.finish() == Exit.REFUSED
            assert ours.error()["code"] == "client-certificate"


def test_a_wrong_password_is_said(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin="wrong\n", run_dir=run_dir) as ours,
    ):
        assert ours.finish() == Exit.REFUSED
        assert "Login failed" in ours.error()["text"]


def test_terminate_ends_it(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert ours.finish() == Exit.ENDED
        assert "ended by the administrator" in ours.error()["text"]
    assert before.differences(namespaces.client.snapshot()) == []


@pytest.mark.parametrize(
    "options, tunnels",
    [
        (("--rekey-method", "new-tunnel"), 3),
        (("--rekey-method", "ssl", "--tls-max", "1.2"), 1),
        (("--rekey-method", "ssl", "--tls-max", "1.3"), 1),
    ],
)
def test_rekey_in_traffic(namespaces: Pair, run_dir: Path, options: tuple[str, ...], tunnels: int) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--rekey-time", "3", *options) as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        ours.connected()
        for flow in iperf(namespaces.client, TUNNEL_V4, seconds=7, mode="both"):
            assert flow.bytes > 1_000_000
        assert gateway.log.count("CONNECT: tunnel") == tunnels, gateway.log
        assert ours.stop() == Exit.OK


def test_a_dropped_link_comes_back_with_its_addresses(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert gateway.log.count("at 10.77.0.2") >= 2
        assert ours.stop() == Exit.OK


def test_a_gateway_that_hangs_is_noticed_by_dpd(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--dpd", "2") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        gateway.program.process.send_signal(signal.SIGSTOP)
        ours.wait_for("state", state="reconnecting")
        gateway.program.process.send_signal(signal.SIGCONT)
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert ours.stop() == Exit.OK


def test_the_end_of_the_session_is_said(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--session-timeout", "3") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        assert ours.finish() == Exit.ENDED
        gateway.wait_for("session timeout; cookie dead")
