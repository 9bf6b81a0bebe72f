"""Fortinet: Debian's openconnect and our client against the lab gateway, over TLS and DTLS."""

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
from tests.peers.firewall import without_udp
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
OURS = ("--protocol", "fortinet", "--non-inter", "--dns", "file")
THEIRS_BOTH = ("--mtu", "1400", *BY_PASSWORD)
THEIRS = ("--no-dtls", *THEIRS_BOTH)
DTLS, TLS = "DTLS for session", "GET: tunnel"
CHANNELS = [(("--no-dtls",), TLS, DTLS), ((), DTLS, TLS)]  # option; what the gateway says; what it must not say
XML = "GET /remote/fortisslvpn_xml: 200"


def fortinet(namespaces: Pair, *argv: str) -> AbstractContextManager[LabGateway]:
    return lab_gateway(namespaces.gateway, namespaces.gateway_v4, *argv, protocol="fortinet")


def argv(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    return (gateway.facts["url"], "--servercert", gateway.facts["pin"], *OURS, *BY_PASSWORD, *more)


# --- openconnect ---


@pytest.mark.parametrize(("option", "wanted", "unwanted"), CHANNELS)
def test_openconnect_passes_traffic_both_ways_and_logs_out(
    namespaces: Pair, option: tuple[str, ...], wanted: str, unwanted: str
) -> None:
    before = namespaces.gateway.snapshot()
    options = ("--route", "10.95.0.0/16", "--route", "fd95::/48", "--dns", TUNNEL_V4, "--default-domain", "lab.example")
    with (
        fortinet(namespaces, *options) as gateway,
        openconnect(namespaces.client, gateway.facts, *option, *THEIRS_BOTH, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        assert ("Established DTLS connection" in peer.log) is (wanted is DTLS), peer.log
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
        assert wanted in gateway.log and unwanted not in gateway.log, gateway.log + peer.log
        assert peer.stop() == 0
        gateway.wait_for("cookie dead")
        assert "GET /remote/logout: 200" in gateway.log
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


@pytest.mark.parametrize(
    ("server", "more"),
    [
        (("--challenge", "4711"), ("--form-entry", "_challenge:code=4711")),
        (("--challenge", "4711", "--page-challenge"), ()),
        (("--realm", "lab realm", "--network6", ""), ()),
    ],
    ids=["line", "page", "realm"],
)
def test_openconnect_signs_in_every_way(namespaces: Pair, server: tuple[str, ...], more: tuple[str, ...]) -> None:
    with (
        fortinet(namespaces, *server) as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, *more, stdin=f"{PASSWORD}\n4711\n") as peer,
    ):
        peer.connected()
        assert (f"session of {USER}@lab realm" in gateway.log) is ("--realm" in server)
        told = peer.told()
        assert told["INTERNAL_IP4_ADDRESS"] == "10.77.0.2"
        assert ("INTERNAL_IP6_ADDRESS" in told) is ("--network6" not in server)
        assert peer.stop() == 0


def test_openconnect_comes_back_after_a_drop_and_hears_of_the_end(namespaces: Pair) -> None:
    with (
        fortinet(namespaces, "--dpd", "5") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        gateway.wait_for("GET: tunnel", count=2)
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert peer.finish() == 1
        assert "ended by the administrator" in peer.log


@pytest.mark.parametrize("kind", ["bare", "lost", "fail", "mute"])
def test_openconnect_and_odd_answers_by_dtls(namespaces: Pair, kind: str) -> None:
    """9.01 gives DTLS up where the answer is lost."""
    with (
        fortinet(namespaces, "--hello", kind, "--network6", "") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS_BOTH, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        namespaces.client.ip("route", "add", f"{TUNNEL_V4}/32", "dev", peer.told()["TUNDEV"])
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert (DTLS in gateway.log, TLS in gateway.log) == ((True, False) if kind == "bare" else (False, True))
        assert gateway.log.count(XML) == (1 if kind == "bare" else 2)
        assert peer.stop() == 0


def test_openconnect_by_dtls_survives_signs_of_life(namespaces: Pair) -> None:
    with (
        fortinet(namespaces, "--heartbeat", "1", "--dpd", "5", "--network6", "") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS_BOTH, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        namespaces.client.ip("route", "add", f"{TUNNEL_V4}/32", "dev", peer.told()["TUNDEV"])
        time.sleep(4)
        ping(namespaces.client, TUNNEL_V4)
        assert gateway.log.count(DTLS) == 1 and TLS not in gateway.log
        assert peer.stop() == 0


def test_openconnect_answers_echoes(namespaces: Pair) -> None:
    with (
        fortinet(namespaces, "--dpd", "1") as gateway,
        openconnect(namespaces.client, gateway.facts, *THEIRS, "--force-dpd", "1", stdin=PASSWORD) as peer,
    ):
        peer.connected()
        time.sleep(5)
        assert peer.process.poll() is None and gateway.log.count("GET: tunnel") == 1
        assert peer.stop() == 0


# --- our client ---


def device_of(ours: Client) -> str:
    return str(ours.connected()["interface"])


@pytest.mark.parametrize(("option", "wanted", "unwanted"), CHANNELS)
@pytest.mark.parametrize("outer", [4, 6])
def test_ours_passes_traffic_both_ways_and_logs_out(
    namespaces: Pair, run_dir: Path, option: tuple[str, ...], wanted: str, unwanted: str, outer: int
) -> None:
    before = namespaces.client.snapshot()
    address = namespaces.gateway_v4 if outer == 4 else f"[{namespaces.gateway_v6}]"
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--route", "fd95::/48")
    inside = ("--route", "10.77.0.0/24", "--route", "fd77::/64")
    with lab_gateway(
        namespaces.gateway, address, *options, *inside, "--dns", TUNNEL_V4, protocol="fortinet"
    ) as gateway:
        flags = (*option, "--mtu", "1360")
        with client(namespaces.client, *argv(gateway, *flags), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
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
            assert wanted in gateway.log and unwanted not in gateway.log, gateway.log
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
        (("--challenge", "4711"), ("--form-entry", "_challenge:code=4711")),
        (("--challenge", "4711", "--page-challenge"), ("--form-entry", "_challenge:credential=4711")),
        (("--push",), ("--form-entry", "_challenge:code=")),
        (("--realm", "lab realm", "--tls-max", "1.2"), ()),
        (("--realm", "Lab/2", "--script-redirect", "--network6", ""), ()),
        (("--host-check", "0000,1"), ("--form-entry", "_hostcheck:hostcheck=0000,1")),
    ],
    ids=["line", "page", "push", "realm", "script", "host-check"],
)
def test_ours_signs_in_every_way(
    namespaces: Pair, run_dir: Path, server: tuple[str, ...], more: tuple[str, ...]
) -> None:
    with fortinet(namespaces, *server) as gateway, run_ours(namespaces, run_dir, gateway, *more) as ours:
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")
        assert ("@" in gateway.log) is ("--realm" in server)


def test_ours_says_that_a_password_is_wrong(namespaces: Pair, run_dir: Path) -> None:
    with fortinet(namespaces) as gateway, run_ours(namespaces, run_dir, gateway, password="wrong") as ours:
        assert ours.finish() == Exit.REFUSED
        assert "is wrong" in ours.error()["text"]


def test_ours_in_two_steps(namespaces: Pair, run_dir: Path) -> None:
    with fortinet(namespaces) as gateway:
        command = [sys.executable, "-m", "vpnclient", "connect", *argv(gateway, "--authenticate")]
        done = namespaces.client.run(*command, text=f"{PASSWORD}\n")
        found = re.search(r"COOKIE='?(SVPNCOOKIE=[^'\s]+)", done.stdout)
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


@pytest.mark.parametrize("option", ["--no-dtls", "--dtls-local-port=4711"])
def test_ours_comes_back_after_a_drop_by_tls(namespaces: Pair, run_dir: Path, option: str) -> None:
    with fortinet(namespaces) as gateway, run_ours(namespaces, run_dir, gateway, option) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert (gateway.log.count(DTLS), gateway.log.count(TLS)) == ((0, 2) if option == "--no-dtls" else (1, 1))
        assert ours.stop() == Exit.OK


def test_ours_goes_by_dtls_again_when_asked(namespaces: Pair, run_dir: Path) -> None:
    with fortinet(namespaces) as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        ours.signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert (gateway.log.count(DTLS), gateway.log.count(TLS)) == (2, 1)
        assert ours.stop() == Exit.OK


def warnings_of(ours: Client) -> str:
    return "\n".join(str(event["text"]) for event in ours.seen if event["event"] == "warning")


@pytest.mark.parametrize("kind", ["bare", "lost", "fail", "mute"])
def test_ours_and_odd_answers_by_dtls(namespaces: Pair, run_dir: Path, kind: str) -> None:
    """An answer that was lost costs nothing: PPP says the same (Q18)."""
    by_dtls = kind in ("bare", "lost")
    with fortinet(namespaces, "--hello", kind) as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert (DTLS in gateway.log, TLS in gateway.log) == (by_dtls, not by_dtls), gateway.log
        assert gateway.log.count(XML) == (1 if by_dtls else 2)
        assert ours.stop() == Exit.OK
        assert ("udp port 443: " in warnings_of(ours)) is not by_dtls


def test_ours_goes_by_tls_where_udp_is_closed(namespaces: Pair, run_dir: Path) -> None:
    with (
        fortinet(namespaces) as gateway,
        without_udp(namespaces),
        run_ours(namespaces, run_dir, gateway) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert TLS in gateway.log and DTLS not in gateway.log and gateway.log.count(XML) == 2
        assert ours.stop() == Exit.OK
        warning = warnings_of(ours)
        assert warning.startswith("udp port 443: no answer by DTLS (") and warning.endswith("packets go by TLS")


@pytest.mark.parametrize("both", [True, False])
def test_ours_leaves_dtls_that_dies(namespaces: Pair, run_dir: Path, both: bool) -> None:
    """A firewall on the way closes for UDP, perhaps only to the gateway; the same session goes on by TLS."""
    with (
        fortinet(namespaces, "--heartbeat", "1") as gateway,
        run_ours(namespaces, run_dir, gateway, "--force-dpd", "2") as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        time.sleep(5)  # signs of life and echoes keep an idle tunnel up
        assert gateway.log.count(DTLS) == 1
        with without_udp(namespaces, back=both):
            ours.wait_for("state", state="reconnecting")
            ours.wait_for("state", state="connected")
            wait_until_pings(namespaces.client, TUNNEL_V4)
            assert gateway.log.count(TLS) == 1 and gateway.log.count(DTLS) == 1
            assert ours.stop() == Exit.OK
            gateway.wait_for("cookie dead")
        assert "DTLS is tried after the next sign-in" in warnings_of(ours)


def test_ours_hears_of_the_end_of_the_session(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    with fortinet(namespaces) as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert ours.finish() == Exit.ENDED
        assert "ended by the administrator" in ours.error()["text"]
    assert before.differences(namespaces.client.snapshot()) == []
    with fortinet(namespaces, "--session-timeout", "3") as gateway, run_ours(namespaces, run_dir, gateway) as ours:
        ours.connected()
        assert ours.finish() == Exit.ENDED
        assert "session timeout" in ours.error()["text"]
        assert any("will end this session" in str(event.get("text")) for event in ours.seen)


def test_ours_notices_a_gateway_that_hangs(namespaces: Pair, run_dir: Path) -> None:
    with fortinet(namespaces) as gateway, run_ours(namespaces, run_dir, gateway, "--force-dpd", "2") as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGSTOP)
        ours.wait_for("state", state="reconnecting")
        gateway.program.process.send_signal(signal.SIGCONT)
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert ours.stop() == Exit.OK


def test_the_demo() -> None:
    command = [sys.executable, "-m", "vpnclient", "lab", "demo", "fortinet", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ ping fd77::1" in done.stdout and "✗" not in done.stdout
