"""F5 over TLS: Debian's openconnect and our client against the lab gateway, with and without HDLC-like framing."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
FRAMINGS = pytest.mark.parametrize("framing", [(), ("--hdlc",)], ids=["plain", "hdlc"])
OURS = ("--protocol", "f5", "--non-inter", "--dns", "file")
THEIRS = ("--no-dtls", "--mtu", "1400", *BY_PASSWORD)


def f5(namespaces: Pair, *argv: str) -> AbstractContextManager[LabGateway]:
    return lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--no-udp", *argv, protocol="f5")


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
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


def test_openconnect_signs_in_with_every_form(namespaces: Pair) -> None:
    entry = ("--form-entry", "auth_form:otp_password=4711", "--authgroup", "Sales")
    options = ("--challenge", "4711", "--group", "Staff", "--group", "Sales", "--hidden-form", "--network6", "")
    with (
        f5(namespaces, *options) as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, *entry, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        assert f"session of {USER}@Sales" in gateway.log
        assert peer.told()["INTERNAL_IP4_ADDRESS"] == "10.77.0.2" and "INTERNAL_IP6_ADDRESS" not in peer.told()
        assert peer.stop() == 0


def test_openconnect_comes_back_after_a_drop_and_hears_of_the_end(namespaces: Pair) -> None:
    with (
        f5(namespaces, "--hdlc") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        gateway.wait_for("GET: tunnel", count=2)
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert peer.finish() == 1
        assert "ended by the administrator" in peer.log


def test_openconnect_answers_echoes(namespaces: Pair) -> None:
    with (
        f5(namespaces, "--dpd", "1") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, "--force-dpd", "1", stdin=PASSWORD) as peer,
    ):
        peer.connected()
        time.sleep(5)
        assert peer.process.poll() is None and gateway.log.count("GET: tunnel") == 1
        assert peer.stop() == 0


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
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []


def run_ours(
    namespaces: Pair, run_dir: Path, gateway: LabGateway, *more: str, password: str = PASSWORD
) -> AbstractContextManager[Client]:
    return client(namespaces.client, *argv(gateway, *more), stdin=f"{password}\n", run_dir=run_dir)


@pytest.mark.parametrize(
    ("server", "more"),
    [
        (("--challenge", "4711"), ("--form-entry", "auth_form:otp_password=4711")),
        (("--hidden-form",), ()),
        (("--script-form", "--tls-max", "1.2"), ()),
        (("--group", "Staff", "--group", "Sales"), ("--authgroup", "sales")),
        (("--network6", ""), ()),
    ],
    ids=["code", "hidden", "script", "group", "ipv4"],
)
def test_ours_signs_in_with_every_form(
    namespaces: Pair, run_dir: Path, server: tuple[str, ...], more: tuple[str, ...]
) -> None:
    with f5(namespaces, *server) as gateway, run_ours(namespaces, run_dir, gateway, *more) as ours:
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")
        assert ("@Sales" in gateway.log) is ("--group" in server)


def test_ours_says_that_a_password_is_wrong(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway, run_ours(namespaces, run_dir, gateway, password="wrong") as ours:
        assert ours.finish() == Exit.REFUSED
        assert "password is not correct" in ours.error()["text"]


def test_ours_in_two_steps(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway:
        command = [sys.executable, "-m", "vpnclient", "connect", *argv(gateway, "--authenticate")]
        done = namespaces.client.run(*command, text=f"{PASSWORD}\n")
        found = re.search(r"COOKIE='?(MRHSession=[^']+F5_ST=[0-9z]+)", done.stdout)
        assert found is not None, done.stdout
        facts = gateway.facts
        one = (facts["url"], "--servercert", facts["pin"], *OURS, "--cookie-on-stdin")
        for status in (Exit.OK, Exit.REFUSED):  # the logout kills the cookie
            with client(namespaces.client, *one, stdin=f"{found[1]}\n", run_dir=run_dir) as ours:
                if status is Exit.OK:
                    ours.connected()
                    assert ours.stop() == status
                    gateway.wait_for("cookie dead")
                else:
                    assert ours.finish() == status
                    assert ours.error()["code"] == "session-rejected"


@FRAMINGS
def test_ours_comes_back_after_a_drop(namespaces: Pair, run_dir: Path, framing: tuple[str, ...]) -> None:
    with f5(namespaces, *framing) as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert gateway.log.count("at 10.77.0.2") >= 2
        assert ours.stop() == Exit.OK


def test_ours_hears_of_the_end_of_the_session(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    with f5(namespaces) as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert ours.finish() == Exit.ENDED
        assert "ended by the administrator" in ours.error()["text"]
    assert before.differences(namespaces.client.snapshot()) == []
    with f5(namespaces, "--session-timeout", "3") as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        assert ours.finish() == Exit.ENDED
        assert "session timeout" in ours.error()["text"]
        assert any("will end this session" in str(event.get("text")) for event in ours.seen)


def test_ours_notices_a_gateway_that_hangs(namespaces: Pair, run_dir: Path) -> None:
    with f5(namespaces) as gateway, run_ours(namespaces, run_dir, gateway, "--force-dpd", "2") as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGSTOP)
        ours.wait_for("state", state="reconnecting")
        gateway.program.process.send_signal(signal.SIGCONT)
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert ours.stop() == Exit.OK


def test_the_demo() -> None:
    command = [sys.executable, "-m", "vpnclient", "lab", "demo", "f5", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ ping fd77::1" in done.stdout and "✗" not in done.stdout
    assert "✓ packets went by: DTLS" in done.stdout
