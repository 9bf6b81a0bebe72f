"""F5 over DTLS: Debian's openconnect and our client against the lab gateway; falling back to TLS, and the way back."""

from __future__ import annotations

import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.firewall import without_udp
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
INSIDE = ("--route", "10.77.0.0/24", "--route", "fd77::/64")
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
OURS = ("--protocol", "f5", "--non-inter", "--dns", "off", *BY_PASSWORD)
VERSIONS = pytest.mark.parametrize(
    ("version", "old"), [("DTLSv1.2", ()), ("DTLSv1", ("--dtls-1.0",))], ids=["1.2", "1.0"]
)
BY_TLS = "GET: tunnel"  # in the gateway's log


def f5(namespaces: Pair, *argv: str) -> AbstractContextManager[LabGateway]:
    return lab_gateway(namespaces.gateway, namespaces.gateway_v4, *INSIDE, *argv, protocol="f5")


def ours(
    namespaces: Pair, run_dir: Path, gateway: LabGateway, *more: str, module: str = "vpnclient"
) -> AbstractContextManager[Client]:
    argv = (gateway.facts["url"], "--servercert", gateway.facts["pin"], *OURS, *more)
    return client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=run_dir, module=module)


def traffic(both: Pair) -> None:
    """Both ways, both families."""
    for address in (TUNNEL_V4, TUNNEL_V6):
        ping(both.client, address)
    with iperf_server(both.gateway):
        for address in (TUNNEL_V4, TUNNEL_V6):
            for flow in iperf(both.client, address, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000


def warned(one: Client) -> list[str]:
    return [str(event["text"]) for event in one.seen if event["event"] == "warning"]


# --- openconnect ---


@VERSIONS
def test_openconnect_passes_traffic_both_ways(namespaces: Pair, version: str, old: tuple[str, ...]) -> None:
    before = namespaces.gateway.snapshot()
    with (
        f5(namespaces, *old) as gateway,
        openconnect(namespaces.client, gateway.facts, "--mtu", "1400", *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        for address in (f"{TUNNEL_V4}/32", f"{TUNNEL_V6}/128"):
            namespaces.client.ip("route", "replace", address, "dev", peer.told()["TUNDEV"])
        traffic(namespaces)
        gateway.wait_for(f"at 10.77.0.2: {version}, ")
        assert BY_TLS not in gateway.log and "Established DTLS connection" in peer.log
        assert peer.stop() == 0
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


def test_openconnect_turns_to_tls_when_nobody_answers(namespaces: Pair) -> None:
    with (
        f5(namespaces, "--mute") as gateway,
        openconnect(namespaces.client, gateway.facts, "--mtu", "1400", *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        assert BY_TLS in gateway.log
        assert peer.stop() == 0


# --- our client ---


@VERSIONS
def test_ours_passes_traffic_both_ways_and_logs_out(
    namespaces: Pair, run_dir: Path, version: str, old: tuple[str, ...]
) -> None:
    before = namespaces.client.snapshot()
    with f5(namespaces, *old, "--mtu", "1500") as gateway:
        with ours(namespaces, run_dir, gateway, "--dtls-local-port", "4500") as one:
            device = str(one.connected()["interface"])
            assert one.wait_for("channel", name="DTLS")["detail"].startswith(f"{version}, ")
            traffic(namespaces)
            assert BY_TLS not in gateway.log and "udp port 4500: DTLS for session" in gateway.log
            largest = 1430 if version == "DTLSv1.2" else 1414  # bytes of packet that a datagram holds
            assert f"mtu {largest}" in namespaces.client.ip("link", "show", device)
            namespaces.client.run("ping", "-n", "-c", "2", "-M", "do", "-s", str(largest - 28), TUNNEL_V4)
            assert one.stop() == Exit.OK
            assert warned(one) == []
        gateway.wait_for("the client ended the link")
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []


def test_ours_asks_for_no_dtls_when_told_so(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway, ours(namespaces, run_dir, gateway, "--no-dtls") as one:
        one.connected()
        assert one.wait_for("channel")["name"] == "TLS" and BY_TLS in gateway.log
        assert one.stop() == Exit.OK
        assert warned(one) == []


def test_ours_turns_to_tls_and_comes_back_when_udp_passes(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway, ours(namespaces, run_dir, gateway, module="tests.peers.f5_hasty") as one:
        with without_udp(namespaces):
            one.connected(timeout=30)
            assert one.wait_for("channel")["name"] == "TLS"
            (warning,) = warned(one)
            assert warning.startswith("udp port 443: no answer by DTLS (") and warning.endswith("packets go by TLS")
            ping(namespaces.client, TUNNEL_V4, count=1)
        assert "DTLS answers" in one.wait_for("state", state="reconnecting", timeout=40)["reason"]
        one.wait_for("channel", name="DTLS")
        for address in (TUNNEL_V4, TUNNEL_V6):
            wait_until_pings(namespaces.client, address, timeout=10)
        assert gateway.log.count(BY_TLS) == 1
        assert one.stop() == Exit.OK
        assert len(warned(one)) == 1
        gateway.wait_for("cookie dead")


def test_ours_survives_the_death_of_dtls(namespaces: Pair, run_dir: Path) -> None:
    hasty = "tests.peers.f5_hasty"
    with f5(namespaces) as gateway, ours(namespaces, run_dir, gateway, "--force-dpd", "1", module=hasty) as one:
        one.wait_for("channel", name="DTLS")
        with without_udp(namespaces):
            assert "was silent" in one.wait_for("state", state="reconnecting", timeout=20)["reason"]
            one.wait_for("channel", name="TLS")
            wait_until_pings(namespaces.client, TUNNEL_V4, timeout=10)
        one.wait_for("channel", name="DTLS", timeout=40)
        wait_until_pings(namespaces.client, TUNNEL_V6, timeout=10)
        assert gateway.log.count("at 10.77.0.2") >= 3
        assert one.stop() == Exit.OK


def test_a_way_that_grows_narrow(namespaces: Pair, run_dir: Path) -> None:
    """Smaller packets by DTLS; where IPv6's would not fit any more, TLS."""
    with f5(namespaces) as gateway, ours(namespaces, run_dir, gateway) as one:
        device = str(one.connected()["interface"])
        large = ("ping", "-n", "-c", "1", "-W", "1", "-M", "dont", "-s", "1350", TUNNEL_V4)
        namespaces.client.run(*large)
        namespaces.client.ip("link", "set", "dev", namespaces.device, "mtu", "1400")
        until = time.monotonic() + 60
        while "mtu 1330" not in namespaces.client.ip("link", "show", "dev", device):  # the first large packet is lost
            assert time.monotonic() < until, one.seen
            namespaces.client.run(*large, check=False)
        namespaces.client.run("ping", "-n", "-c", "1", "-W", "5", "-s", str(1330 - 28), TUNNEL_V4)
        assert BY_TLS not in gateway.log
        namespaces.client.ip("link", "set", "dev", namespaces.device, "mtu", "1340")
        until = time.monotonic() + 60
        while BY_TLS not in gateway.log:
            assert time.monotonic() < until, gateway.log
            namespaces.client.run(*large, check=False)
        wait_until_pings(namespaces.client, TUNNEL_V6, timeout=20)
        assert one.stop() == Exit.OK


@pytest.mark.parametrize(("server", "name"), [((), "TLS"), (("--network6", ""), "DTLS")], ids=["ipv6", "ipv4"])
def test_ours_when_the_answer_is_lost(namespaces: Pair, run_dir: Path, server: tuple[str, ...], name: str) -> None:
    with f5(namespaces, "--lost-answer", *server) as gateway, ours(namespaces, run_dir, gateway) as one:
        one.connected()
        assert one.wait_for("channel")["name"] == name
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert one.stop() == Exit.OK
        assert any("the answer was lost" in text for text in warned(one)) is (name == "TLS")


def test_ours_when_the_gateway_ends_the_session(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway, ours(namespaces, run_dir, gateway) as one:
        one.wait_for("channel", name="DTLS")
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert one.finish() == Exit.ENDED
        assert "ended by the administrator" in one.error()["text"]
