"""Network Connect: Debian's openconnect, and our own client, against our lab gateway."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.firewall import without_udp
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
TUNNEL_V4 = "10.77.0.1"


def ours(gateway: LabGateway, *more: str) -> tuple[str, ...]:
    facts = gateway.facts
    return (facts["url"], "--protocol", "nc", "--servercert", facts["pin"], *BY_PASSWORD, "--dns", "file", *more)


def test_openconnect_passes_traffic_both_ways_over_tls(namespaces: Pair) -> None:
    before = namespaces.gateway.snapshot()
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--dns", "10.77.0.1")
    names = ("--default-domain", "lab.example,corp.example")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, *names, protocol="nc") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--no-dtls", stdin=PASSWORD) as peer,
    ):
        peer.connected()
        told = peer.told()
        assert (told["INTERNAL_IP4_ADDRESS"], told["INTERNAL_IP4_NETMASK"]) == ("10.77.0.2", "255.255.255.255")
        assert (told["INTERNAL_IP4_DNS"], told["INTERNAL_IP4_MTU"]) == ("10.77.0.1", "1400")
        assert {told["CISCO_SPLIT_INC_0_ADDR"], told["CISCO_SPLIT_INC_1_ADDR"]} == {"10.77.0.0", "10.95.0.0"}
        assert told["CISCO_SPLIT_EXC_0_ADDR"] == "10.95.5.0"
        namespaces.client.run("ip", "route", "add", "10.77.0.0/24", "dev", told["TUNDEV"])
        ping(namespaces.client, TUNNEL_V4)
        with iperf_server(namespaces.gateway):
            for flow in iperf(namespaces.client, TUNNEL_V4, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000
        assert peer.stop() == 0
        gateway.wait_for("GET /dana-na/auth/logout.cgi")
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


def test_our_client_passes_traffic_both_ways_over_tls(namespaces: Pair, tmp_path: Path) -> None:
    before = namespaces.client.snapshot()
    options = ("--route", "10.95.0.0/16", "--no-route", "10.95.5.0/24", "--dns", "10.77.0.1")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="nc") as gateway,
        client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running,
    ):
        configured = running.connected()
        assert configured["addresses"] == ["10.77.0.2/32"] and configured["mtu"] == 1400
        assert configured["routes"] == ["10.77.0.0/24", "10.95.0.0/16"]
        ping(namespaces.client, TUNNEL_V4)
        with iperf_server(namespaces.gateway):
            for flow in iperf(namespaces.client, TUNNEL_V4, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000
        assert running.stop() == 0
        gateway.wait_for("GET /dana-na/auth/logout.cgi")
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []


def test_our_client_comes_back_and_hears_the_end(namespaces: Pair, tmp_path: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, protocol="nc") as gateway,
        client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running,
    ):
        running.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)  # every link is dropped, the cookies live
        running.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        gateway.program.process.send_signal(signal.SIGUSR1)
        assert running.finish() != 0
        assert running.error()["code"] == "ended-by-gateway" and "reason 8" in running.error()["text"]
        gateway.wait_for("GET /dana-na/auth/logout.cgi")


FORMS = ("--second-password", "two", "--challenge", "4711", "--notice", "Be <good>", "--one-session")
ANSWERS = ("--form-entry", "frmLogin:password#2=two")


def test_an_idle_tunnel_ends_and_both_clients_log_out(namespaces: Pair, tmp_path: Path) -> None:
    options = ("--idle-timeout", "2", "--no-udp", "--route", "10.95.0.0/16")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="nc") as gateway:
        with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer:
            peer.connected()
            assert peer.finish() != 0
        gateway.wait_for("idle for 2 s; cookie dead")
        gateway.wait_for("GET /dana-na/auth/logout.cgi")
        with client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            running.connected()
            assert running.finish() != 0 and "idle for too long" in running.error()["text"]
        gateway.wait_for("GET /dana-na/auth/logout.cgi", count=2)


@pytest.mark.parametrize("form, field", [("frmDefender", "password"), ("frmTotpToken", "totptoken")])
def test_every_form_of_a_sign_in(namespaces: Pair, tmp_path: Path, form: str, field: str) -> None:
    """Realm, second password, code, notice, role; then openconnect ends the session of our client without asking."""
    realms = ("--realm", "Staff", "--realm", "Größe & Co", "--code-form", form)
    roles = ("--role", "Users", "--role", "Admins")
    answers = (*ANSWERS, "--form-entry", f"{form}:{field}=4711", "--form-entry", "frmLogin:realm=Größe & Co")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *FORMS, *realms, *roles, protocol="nc") as gateway:
        argv = ours(gateway, *answers, "--form-entry", "frmSelectRoles:role=Admins")
        with client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            running.connected()
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert f"session of {USER}@Admins" in gateway.log
            choice = (*answers, "--authgroup", "Größe & Co", "--no-dtls", "--form-entry", "frmSelectRoles:role=Users")
            with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, *choice, stdin=PASSWORD) as peer:
                assert peer.finish() != 0  # one --authgroup answers the realm or the role, not both
                assert "frmSelectRoles" in peer.log


def test_openconnect_takes_the_forms_and_the_session_of_another(namespaces: Pair, tmp_path: Path) -> None:
    answers = (*ANSWERS, "--form-entry", "frmDefender:password=4711")
    realms = ("--realm", "Staff", "--realm", "Größe & Co")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *FORMS, *realms, protocol="nc") as gateway:
        argv = ours(gateway, *answers, "--authgroup", "Staff")
        with client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            running.connected()
            choice = (*answers, "--authgroup", "Größe & Co", "--no-dtls")
            with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, *choice, stdin=PASSWORD) as peer:
                peer.connected()  # it ended the session of the other without asking
                assert f"session of {USER}@Größe & Co" in gateway.log
                assert running.finish() != 0 and "reason 1" in running.error()["text"]


def test_split_sign_in_with_the_cookie_of_either(namespaces: Pair, tmp_path: Path) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, protocol="nc") as gateway:
        with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--authenticate", stdin=PASSWORD) as peer:
            assert peer.finish() == 0, peer.log
            found = re.search(r"COOKIE='([^']+)'", peer.log)
        assert found is not None and found[1].startswith("DSID=")
        where = (gateway.facts["url"], "--protocol", "nc", "--servercert", gateway.facts["pin"], "--dns", "file")
        with client(namespaces.client, *where, "--cookie-on-stdin", stdin=f"{found[1]}\n", run_dir=tmp_path) as running:
            running.connected()
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert running.stop() == 0
        gateway.wait_for("cookie dead")
        with client(namespaces.client, *where, "--cookie-on-stdin", stdin=f"{found[1]}\n", run_dir=tmp_path) as running:
            assert running.finish() != 0
            assert "no longer accepts this session" in running.error()["text"]


def test_a_gateway_with_network_connect_turned_off(namespaces: Pair, tmp_path: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--status", "8", protocol="nc") as gateway,
        client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running,
    ):
        assert running.finish() != 0
        assert running.error()["code"] == "oncp-disabled" and "pulse" in running.error()["text"]


WRAPPER = """#!/bin/sh
# What a host checker's wrapper says; it stays until the socket closes.
read start; read ic; read cookie; read sign_in
printf '200\\n3\\nchecked-7\\n\\n\\n' >&0
echo "$start $ic $cookie $sign_in $1 $TNCC_SHA256" > "FILE"
while read line; do echo "$line" >> "FILE"; done
echo closed >> "FILE"
"""


def test_the_host_checker_of_the_user(namespaces: Pair, tmp_path: Path) -> None:
    script, said = tmp_path / "wrapper", tmp_path / "said"
    script.write_text(WRAPPER.replace("FILE", str(said)))
    script.chmod(0o755)
    wrapper = ("--csd-wrapper", str(script))
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--host-check", "checked-7", protocol="nc") as gateway:
        pin = gateway.facts["pin"].removeprefix("pin-sha256:")
        want = f"start IC={namespaces.gateway_v4} Cookie=unchecked DSSIGNIN=url_default {namespaces.gateway_v4} {pin}"
        with client(namespaces.client, *ours(gateway, *wrapper), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            running.connected()
            assert running.stop() == 0
        assert said.read_text().splitlines() == [want, "setcookie", "Cookie=checked-7", "closed"]
        argv = (*BY_PASSWORD, *wrapper, "--no-dtls")
        with openconnect(namespaces.client, gateway.facts, *argv, stdin=PASSWORD) as peer:
            peer.connected()
            assert said.read_text().splitlines()[0] == want
            assert peer.stop() == 0


# --- ESP ---


def by_esp(running: Client) -> None:
    running.wait_for("channel", name="ESP")


def test_openconnect_passes_traffic_both_ways_over_esp(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--route", "10.95.0.0/16", protocol="nc") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        gateway.wait_for("the client says 6/1 = 1")
        assert "ESP session established" in peer.log
        namespaces.client.run("ip", "route", "add", "10.77.0.0/24", "dev", peer.told()["TUNDEV"])
        ping(namespaces.client, TUNNEL_V4)
        with iperf_server(namespaces.gateway):
            for flow in iperf(namespaces.client, TUNNEL_V4, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000
        assert peer.stop() == 0
        gateway.wait_for("cookie dead")


@pytest.mark.parametrize(("cipher", "mac"), [("aes-128", "md5"), ("aes-256", "sha1")])
def test_both_clients_with_other_algorithms(namespaces: Pair, tmp_path: Path, cipher: str, mac: str) -> None:
    options = ("--esp-cipher", cipher, "--esp-mac", mac, "--route", "10.95.0.0/16")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="nc") as gateway:
        with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer:
            peer.connected()
            gateway.wait_for("the client says 6/1 = 1")
            namespaces.client.run("ip", "route", "add", "10.77.0.0/24", "dev", peer.told()["TUNDEV"])
            ping(namespaces.client, TUNNEL_V4, count=2)
            assert peer.stop() == 0
        with client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            by_esp(running)
            ping(namespaces.client, TUNNEL_V4, count=2)
            assert running.stop() == 0


def test_our_client_over_esp_with_new_keys_every_2_s(namespaces: Pair, tmp_path: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--esp-rekey", "2", protocol="nc") as gateway,
        client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running,
        iperf_server(namespaces.gateway),
    ):
        by_esp(running)
        for flow in iperf(namespaces.client, TUNNEL_V4, seconds=5, mode="both"):
            assert flow.bytes > 1_000_000
        assert gateway.log.count("new ESP keys") >= 2 and gateway.log.count("POST: tunnel") == 1
        ping(namespaces.client, TUNNEL_V4)
        assert running.stop() == 0
    (last,) = [event for event in running.seen if event["event"] == "statistics"][-1:]
    assert dict(last["counters"]).get("esp_spi", 0) == 0  # what was under way with the old keys was taken


def test_openconnect_takes_new_keys(namespaces: Pair) -> None:
    options = ("--esp-rekey", "2", "--route", "10.95.0.0/16")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="nc") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        namespaces.client.run("ip", "route", "add", "10.77.0.0/24", "dev", peer.told()["TUNDEV"])
        gateway.wait_for("the client gives ESP keys", count=3)
        ping(namespaces.client, TUNNEL_V4)
        assert peer.stop() == 0


def test_without_udp_tls_carries_on_and_esp_comes_back(namespaces: Pair, tmp_path: Path) -> None:
    """UDP dies in the middle: TLS after 2 x dpd; it comes back at the next attempt, with the same keys."""
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--dpd", "2", protocol="nc") as gateway,
        client(namespaces.client, *ours(gateway), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running,
    ):
        by_esp(running)
        ping(namespaces.client, TUNNEL_V4)
        with without_udp(namespaces):
            running.wait_for("channel", name="TLS")
            wait_until_pings(namespaces.client, TUNNEL_V4)
        running.wait_for("channel", name="ESP")  # the six probes of the attempt go on
        ping(namespaces.client, TUNNEL_V4)
        assert gateway.log.count("POST: tunnel") == 1
        assert running.stop() == 0


def test_no_udp_at_all(namespaces: Pair, tmp_path: Path) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, protocol="nc") as gateway:
        with client(namespaces.client, *ours(gateway, "--no-udp"), stdin=f"{PASSWORD}\n", run_dir=tmp_path) as running:
            running.connected()
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert "ESP keys" not in gateway.log
            assert running.stop() == 0


def test_the_demo() -> None:
    command = [sys.executable, "-m", "vpnclient", "lab", "demo", "nc", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ ping 10.77.0.1" in done.stdout and "✗" not in done.stdout
