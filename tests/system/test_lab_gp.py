"""GlobalProtect: Debian's openconnect and our client, each against our lab gateway, over TLS and ESP."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.peers.client import client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.openconnect import openconnect
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Namespace, Pair

pytestmark = pytest.mark.system

TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
BY_PASSWORD = ("--user", USER, "--passwd-on-stdin")
ROUTES = ("--route", "10.77.0.0/24", "--route", "fd77::/64")
NO_V6_ROUTES = ("--route", "10.77.0.0/24")  # openconnect 9.01 takes access-routes-v6 for networks to exclude
ESP, TLS = "ESP for session", "GET: tunnel"
CHANNELS = [("--no-dtls", TLS, ESP), ("", ESP, TLS)]  # option; what the gateway says; what it must not say
REPORT = """#!/bin/sh
# A host report of the user's own, which tells how it was called.
echo "$@" "$APP_VERSION" > FOLDER/called
while [ "$1" != --md5 ]; do shift; done
echo "<hip-report><md5-sum>$2</md5-sum></hip-report>"
"""


def argv(gateway: LabGateway, *more: str, path: str = "") -> tuple[str, ...]:
    facts = gateway.facts
    fixed = ("--protocol", "gp", "--servercert", facts["pin"], "--non-inter", "--dns", "file")
    return (facts["url"] + path, *fixed, *more)


def flows_both_ways(space: Namespace, gateway: Namespace) -> None:
    for address in (TUNNEL_V4, TUNNEL_V6):
        ping(space, address)
    with iperf_server(gateway):
        for address in (TUNNEL_V4, TUNNEL_V6):
            for flow in iperf(space, address, seconds=1, mode="both"):
                assert flow.bytes > 1_000_000


def reporter(folder: Path) -> str:
    path = folder / "report"
    path.write_text(REPORT.replace("FOLDER", str(folder)))
    path.chmod(0o755)
    return str(path)


# --- Debian's openconnect ---


@pytest.mark.parametrize("option, wanted, unwanted", CHANNELS)
def test_openconnect(namespaces: Pair, option: str, wanted: str, unwanted: str) -> None:
    before = namespaces.gateway.snapshot()
    options = (*NO_V6_ROUTES, "--dns", TUNNEL_V4, "--no-route", "10.95.5.0/24", "--default-domain", "lab.example")
    flags = filter(None, (option,))
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, *flags, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        flows_both_ways(namespaces.client, namespaces.gateway)
        told = peer.told()
        assert told["INTERNAL_IP4_ADDRESS"] == "10.77.0.2"
        assert (told["INTERNAL_IP4_DNS"], told["CISCO_DEF_DOMAIN"]) == (TUNNEL_V4, "lab.example")
        assert told["CISCO_SPLIT_EXC_0_ADDR"] == "10.95.5.0"
        assert wanted in gateway.log and unwanted not in gateway.log, gateway.log + peer.log
        assert peer.stop() == 0
        gateway.wait_for("cookie dead")
        assert gateway.program.stop(signal.SIGTERM) == 0
    assert before.differences(namespaces.gateway.snapshot()) == []


@pytest.mark.parametrize("cipher, mac", [("aes-128-cbc", "md5"), ("aes-256-cbc", "sha256")])
def test_openconnect_with_other_algorithms(namespaces: Pair, cipher: str, mac: str) -> None:
    options = (*NO_V6_ROUTES, "--cipher", cipher, "--mac", mac, "--network6", "")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        ping(namespaces.client, TUNNEL_V4)
        assert ESP in gateway.log and TLS not in gateway.log


@pytest.mark.parametrize(
    "options, flags",
    [
        (("--challenge", "4711", "--challenge-kind", "xml"), ("-F", "_challenge:passwd=4711")),
        (("--challenge", "4711", "--challenge-kind", "js"), ("-F", "_challenge:passwd=4711")),
        (("--challenge", "4711", "--challenge-at", "gateway"), ("-F", "_challenge:passwd=4711")),
        (("--without", "portal"), ()),
        ((), ("--usergroup=gateway",)),
        (("--gateway", "Berlin"), ("--authgroup=Lab",)),
    ],
)
def test_openconnect_signs_in(namespaces: Pair, options: tuple[str, ...], flags: tuple[str, ...]) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *NO_V6_ROUTES, *options, protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--no-dtls", *flags, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)


def test_openconnect_reports_on_its_host(namespaces: Pair, tmp_path: Path) -> None:
    script = ("--csd-wrapper", reporter(tmp_path))
    with (
        lab_gateway(
            namespaces.gateway, namespaces.gateway_v4, *NO_V6_ROUTES, "--hip", "require", protocol="gp"
        ) as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--no-dtls", *script, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert "--client-ip 10.77.0.2" in (tmp_path / "called").read_text()


@pytest.mark.parametrize("option, wanted, unwanted", CHANNELS)
def test_openconnect_renews_its_keys(namespaces: Pair, option: str, wanted: str, unwanted: str) -> None:
    flags = filter(None, (option,))
    options = (*NO_V6_ROUTES, "--rekey-time", "63", "--network6", "")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, *flags, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        gateway.wait_for(wanted, count=3)
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert unwanted not in gateway.log
        assert peer.stop() == 0


def test_openconnect_goes_by_tls_when_esp_is_not_answered(namespaces: Pair) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *NO_V6_ROUTES, "--mute", protocol="gp") as gateway,
        openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, stdin=PASSWORD) as peer,
    ):
        peer.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert TLS in gateway.log


# --- our client ---


@pytest.mark.parametrize("option, wanted, unwanted", CHANNELS)
def test_our_client(namespaces: Pair, run_dir: Path, option: str, wanted: str, unwanted: str) -> None:
    before = namespaces.client.snapshot()
    options = (*ROUTES, "--dns", TUNNEL_V4, "--default-domain", "lab.example", "--no-route", "10.77.0.128/25")
    flags = (*BY_PASSWORD, *filter(None, (option,)))
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *flags), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        configured = ours.connected()
        assert configured["addresses"] == ["10.77.0.2/32", "fd77::2/128"]
        flows_both_ways(namespaces.client, namespaces.gateway)
        assert f"nameserver {TUNNEL_V4}" in namespaces.client.resolv_conf.read_text()
        assert "10.77.0.128/25 via" in namespaces.client.ip("route")
        assert wanted in gateway.log and unwanted not in gateway.log, gateway.log
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []


@pytest.mark.parametrize("cipher, mac", [("aes-128-cbc", "md5"), ("aes-256-cbc", "sha256")])
def test_other_algorithms(namespaces: Pair, run_dir: Path, cipher: str, mac: str) -> None:
    options = (*ROUTES, "--cipher", cipher, "--mac", mac, "--network6", "", "--udp-port", "4501")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4)
        assert ESP in gateway.log and TLS not in gateway.log


CODE = ("-F", "_challenge:passwd=4711")


@pytest.mark.parametrize(
    "options, flags, path",
    [
        (("--challenge", "4711", "--challenge-kind", "xml"), CODE, ""),
        (("--challenge", "4711", "--challenge-kind", "js"), CODE, ""),
        (("--challenge", "4711", "--challenge-kind", "html"), CODE, ""),
        (("--challenge", "4711", "--challenge-at", "gateway"), CODE, ""),
        (("--without", "portal"), (), ""),
        ((), (), "gateway"),
        (("--gateway", "Berlin"), (), ""),
        (("--gateway", "Berlin"), ("--authgroup", "lab"), ""),
    ],
)
def test_sign_in(namespaces: Pair, run_dir: Path, options: tuple[str, ...], flags: tuple[str, ...], path: str) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, *options, protocol="gp") as gateway,
        client(
            namespaces.client,
            *argv(gateway, *BY_PASSWORD, "--no-dtls", *flags, path=path),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)


@pytest.mark.parametrize("flags, code", [((), "sign-in-refused"), (("--authgroup", "Paris"), "unknown-group")])
def test_refusals_are_said(namespaces: Pair, run_dir: Path, flags: tuple[str, ...], code: str) -> None:
    password = PASSWORD if flags else "wrong"
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, "--gateway", "Berlin", protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD, *flags), stdin=f"{password}\n", run_dir=run_dir) as ours,
    ):
        assert ours.finish() == Exit.REFUSED
        assert ours.error()["code"] == code


@pytest.mark.parametrize("how", ["program", "minimal", "none"])
def test_host_reports(namespaces: Pair, run_dir: Path, tmp_path: Path, how: str) -> None:
    flags = {"program": ("--csd-wrapper", reporter(tmp_path)), "minimal": ("--hip-report", "minimal"), "none": ()}[how]
    hip = "ask" if how == "none" else "require"
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, "--hip", hip, protocol="gp") as gateway,
        client(
            namespaces.client,
            *argv(gateway, *BY_PASSWORD, "--no-dtls", *flags),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert gateway.log.count("hipreport.esp") == (how != "none")
        warned = [event["text"] for event in ours.seen if event["event"] == "warning"]
        assert any("--csd-wrapper" in text for text in warned) == (how == "none")
        if how == "program":
            called = (tmp_path / "called").read_text()
            assert "--client-ip 10.77.0.2 --client-ipv6 fd77::2 --md5 " in called
            assert called.rstrip().endswith("--client-os Linux 6.3.3-619")


@pytest.mark.parametrize("option, wanted, unwanted", CHANNELS)
def test_host_reports_in_between(namespaces: Pair, run_dir: Path, option: str, wanted: str, unwanted: str) -> None:
    """By ESP beside the traffic, by TLS with a new tunnel."""
    flags = (*BY_PASSWORD, *filter(None, (option,)), "--hip-report", "minimal")
    options = (*ROUTES, "--hip", "ask", "--hip-interval", "62")
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *flags), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        gateway.wait_for("hipreportcheck.esp", count=3)
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert gateway.log.count(wanted) == (1 if wanted == ESP else 3)
        assert ours.stop() == Exit.OK


@pytest.mark.parametrize("option, wanted, unwanted", CHANNELS)
def test_new_keys_in_traffic(namespaces: Pair, run_dir: Path, option: str, wanted: str, unwanted: str) -> None:
    flags = (*BY_PASSWORD, *filter(None, (option,)))
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, "--rekey-time", "63", protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *flags), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        ours.connected()
        for flow in iperf(namespaces.client, TUNNEL_V4, seconds=8, mode="both"):
            assert flow.bytes > 1_000_000
        assert gateway.log.count(wanted) >= 3 and unwanted not in gateway.log, gateway.log
        assert ours.stop() == Exit.OK


def test_tls_when_esp_is_not_answered(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, "--mute", protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        assert TLS in gateway.log and any("no answer by ESP" in event.get("text", "") for event in ours.seen)


def test_esp_that_dies_is_followed_by_tls(namespaces: Pair, run_dir: Path) -> None:
    """A firewall on the way closes for UDP; the same session goes on, without a new configuration."""
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, protocol="gp") as gateway,
        client(
            namespaces.client,
            *argv(gateway, *BY_PASSWORD, "--force-dpd", "2"),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=1)
        time.sleep(5)  # probes keep an idle tunnel up
        assert gateway.log.count(ESP) == 1
        chain = "chain i { type filter hook input priority 0; udp dport 443 drop; };"
        namespaces.gateway.run("nft", f"add table inet closed {{ {chain} }}")
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert gateway.log.count("/ssl-vpn/getconfig.esp") == 1 and TLS in gateway.log
        assert ours.stop() == Exit.OK
        gateway.wait_for("cookie dead")


def test_a_way_that_grows_narrow(namespaces: Pair, run_dir: Path) -> None:
    """Smaller packets by ESP; where IPv6's would not fit any more, TLS."""
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, protocol="gp") as gateway,
        client(namespaces.client, *argv(gateway, *BY_PASSWORD), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        device = ours.connected()["interface"]
        large = ("ping", "-n", "-c", "1", "-W", "1", "-M", "dont", "-s", "1300", TUNNEL_V4)
        namespaces.client.run(*large)
        namespaces.client.ip("link", "set", "dev", namespaces.device, "mtu", "1400")
        until_device_has(namespaces.client, device, "mtu 1326", *large)
        namespaces.client.run("ping", "-n", "-c", "1", "-W", "2", "-s", str(1326 - 28), TUNNEL_V4)
        assert gateway.log.count(ESP) == 1 and TLS not in gateway.log
        namespaces.client.ip("link", "set", "dev", namespaces.device, "mtu", "1340")
        until = time.monotonic() + 60
        while TLS not in gateway.log:
            namespaces.client.run(*large, check=False)
            assert time.monotonic() < until, gateway.log
        wait_until_pings(namespaces.client, TUNNEL_V6)


def until_device_has(space: Namespace, device: str, text: str, *large: str) -> None:
    """Large packets tell it; the first of them is lost."""
    until = time.monotonic() + 60
    while text not in (shown := space.ip("link", "show", "dev", device)):
        assert time.monotonic() < until, shown
        space.run(*large, check=False)


def test_a_dropped_stream_comes_back(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, protocol="gp") as gateway,
        client(
            namespaces.client, *argv(gateway, *BY_PASSWORD, "--no-dtls"), stdin=f"{PASSWORD}\n", run_dir=run_dir
        ) as ours,
    ):
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert ours.stop() == Exit.OK


def test_a_dropped_link_of_esp_comes_back_by_the_next_probe(namespaces: Pair, run_dir: Path) -> None:
    with (
        lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, protocol="gp") as gateway,
        client(
            namespaces.client,
            *argv(gateway, *BY_PASSWORD, "--force-dpd", "2"),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        ours.connected()
        ping(namespaces.client, TUNNEL_V4, count=50)
        gateway.program.process.send_signal(signal.SIGUSR2)
        gateway.wait_for("dropped on request")
        gateway.wait_for(ESP, count=2)
        wait_until_pings(namespaces.client, TUNNEL_V4)
        assert not any(event.get("state") == "reconnecting" for event in ours.seen)
        assert ours.stop() == Exit.OK


# --- split sign-in: each program opens a tunnel from what the other printed ---


def test_our_cookie_in_openconnect(namespaces: Pair, run_dir: Path) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *NO_V6_ROUTES, protocol="gp") as gateway:
        done = namespaces.client.run(
            sys.executable,
            *("-m", "vpnclient", "connect", *argv(gateway, *BY_PASSWORD), "--cookieonly"),
            text=f"{PASSWORD}\n",
        )
        cookie = done.stdout.strip()
        assert cookie.startswith("authcookie=")
        with openconnect(namespaces.client, gateway.facts, "--cookie-on-stdin", "--no-dtls", stdin=cookie) as peer:
            peer.connected()
            ping(namespaces.client, TUNNEL_V4, count=1)
            assert peer.stop() == 0
        gateway.wait_for("cookie dead")


def test_openconnects_cookie_in_our_client(namespaces: Pair, run_dir: Path) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *ROUTES, protocol="gp") as gateway:
        with openconnect(namespaces.client, gateway.facts, *BY_PASSWORD, "--authenticate", stdin=PASSWORD) as peer:
            assert peer.finish() == 0, peer.log
            found = re.search(r"COOKIE='([^']+)'", peer.log)
        assert found is not None
        flags = argv(gateway, "--cookie-on-stdin")
        for how, status in ((signal.SIGHUP, "kept"), (signal.SIGINT, "dead")):
            with client(namespaces.client, *flags, stdin=f"{found[1]}\n", run_dir=run_dir) as ours:
                ours.connected()
                ping(namespaces.client, TUNNEL_V4, count=1)
                ours.signal(how)
                assert ours.finish() == Exit.OK
            if status == "dead":
                gateway.wait_for("cookie dead")
            else:
                assert "cookie dead" not in gateway.log
        with client(namespaces.client, *flags, stdin=f"{found[1]}\n", run_dir=run_dir) as ours:
            assert ours.finish() == Exit.REFUSED
            assert ours.error()["code"] == "cookie-rejected"
