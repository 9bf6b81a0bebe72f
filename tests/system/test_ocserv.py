"""Our client against Debian's ocserv, with real traffic, in namespaces that each test makes for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.peers.client import client
from tests.peers.ocserv import GATEWAY_V4, GATEWAY_V6, PASSWORD, PORT, USER, Ocserv, ocserv
from tests.peers.traffic import iperf, iperf_server, ping, pings, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

SOAK_SECONDS = 60
REKEY_SECONDS = 4.5  # one comes each second; ocserv does not tell of a KeyUpdate


def password_argv(both: Pair, server: Ocserv, *more: str) -> list[str]:
    url = f"https://{both.gateway_v4}:{PORT}/"
    return [url, "--cafile", str(server.folder / "ca.pem"), "--user", USER, "--passwd-on-stdin", "--non-inter", *more]


def restore(both: Pair, run_dir: Path) -> str:
    done = subprocess.run(
        both.client.command(sys.executable, "-m", "vpnclient", "restore"),
        env={**os.environ, "VPNCLIENT_RUN_DIR": str(run_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_password_sign_in_and_both_families(namespaces: Pair, run_dir: Path) -> None:
    """Sign in, IPv4 and IPv6 both ways, leave nothing."""
    before = namespaces.client.snapshot()
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        configured = ours.connected()
        addresses = [text.partition("/")[0] for text in configured["addresses"]]
        ping(namespaces.client, GATEWAY_V4)
        ping(namespaces.client, GATEWAY_V6)
        for address in addresses:
            ping(namespaces.gateway, address)
        assert ours.stop() == Exit.OK
    assert before.differences(namespaces.client.snapshot()) == []
    assert not list(run_dir.glob("*.journal"))


def test_split_routes_and_dns_are_set_and_restored(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    lines = (
        "route = 10.95.0.0/255.255.0.0",
        "route = fd95::/64",
        "no-route = 10.95.5.0/255.255.255.0",
        "dns = 10.95.0.53",
        "split-dns = corp.example",
    )
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4, lines=lines) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        device = ours.connected()["interface"]
        routes = namespaces.client.ip("-4", "route")
        assert f"10.95.0.0/16 dev {device}" in routes
        assert f"10.95.5.0/24 via 192.0.2.254 dev {namespaces.device}" in routes
        assert "default via 192.0.2.254" in routes
        assert f"fd95::/64 dev {device}" in namespaces.client.ip("-6", "route")
        resolv_conf = namespaces.client.resolv_conf.read_text()
        assert "nameserver 10.96.0.1" in resolv_conf and "lab.example" in resolv_conf
        assert ours.stop() == Exit.OK
    assert before.differences(namespaces.client.snapshot()) == []


def test_default_route_keeps_the_gateway_reachable(namespaces: Pair, run_dir: Path) -> None:
    """No includes: everything goes through the tunnel, but the gateway itself."""
    before = namespaces.client.snapshot()
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4, options={"route": ""}) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        device = ours.connected()["interface"]
        assert f"dev {device}" in namespaces.client.ip("route", "get", "198.51.100.7")
        assert f"dev {namespaces.device}" in namespaces.client.ip("route", "get", namespaces.gateway_v4)
        assert f"dev {device}" in namespaces.client.ip("-6", "route", "get", "2001:db8:ffff::1")
        ping(namespaces.client, GATEWAY_V4)
        assert ours.stop() == Exit.OK
    assert before.differences(namespaces.client.snapshot()) == []


def test_client_certificate(namespaces: Pair, run_dir: Path) -> None:
    options = {"auth": '"certificate"', "ca-cert": "{dir}/ca.pem", "cert-user-oid": "0.9.2342.19200300.100.1.1"}
    url = f"https://{namespaces.gateway_v4}:{PORT}/"
    with ocserv(namespaces.gateway, namespaces.gateway_v4, options=options) as server:
        files = {name: str(server.folder / name) for name in ("ca.pem", "client.pem", "client.key")}
        trust = ("--cafile", files["ca.pem"], "--non-inter")
        with client(
            *(namespaces.client, url, *trust, "--certificate", files["client.pem"], "--sslkey", files["client.key"]),
            run_dir=run_dir,
        ) as ours:
            ours.connected()
            ping(namespaces.client, GATEWAY_V4)
            assert ours.stop() == Exit.OK
        with client(namespaces.client, url, *trust, run_dir=run_dir) as without:
            assert without.finish() == Exit.REFUSED
            assert without.error()["code"] == "client-certificate"


def test_group_choice(namespaces: Pair, run_dir: Path) -> None:
    lines = (
        "select-group = grpA[Group A]",
        "select-group = grpB[Group B]",
        "config-per-group = {dir}/groups",
        "default-group-config = {dir}/groups/none",
    )
    only_b = {"groups/none": "", "groups/grpB": "route = 10.94.0.0/255.255.0.0\n"}
    with ocserv(namespaces.gateway, namespaces.gateway_v4, lines=lines, groups="grpA,grpB", files=only_b) as server:
        argv = password_argv(namespaces, server)
        with client(namespaces.client, *argv, "--authgroup", "Group B", stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
            device = ours.connected()["interface"]
            assert f"10.94.0.0/16 dev {device}" in namespaces.client.ip("route")
            ping(namespaces.client, GATEWAY_V4)
            assert ours.stop() == Exit.OK
        with client(namespaces.client, *argv, "--authgroup", "Nobody", stdin=f"{PASSWORD}\n", run_dir=run_dir) as wrong:
            assert wrong.finish() == Exit.REFUSED
            assert wrong.error()["code"] == "unknown-group"


def test_wrong_password(namespaces: Pair, run_dir: Path) -> None:
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin="wrong\n", run_dir=run_dir) as ours,
    ):
        assert ours.finish() == Exit.REFUSED
        error = ours.error()
        assert error["code"] == "sign-in-refused" and error["hint"]
        assert "wrong" not in error["text"].replace("wrong password", "")


def test_untrusted_certificate(namespaces: Pair, run_dir: Path) -> None:
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4),
        client(
            namespaces.client,
            *(f"https://{namespaces.gateway_v4}:{PORT}/", "--user", USER, "--passwd-on-stdin", "--non-inter"),
            stdin=f"{PASSWORD}\n",
            run_dir=run_dir,
        ) as ours,
    ):
        assert ours.finish() == Exit.NOT_TRUSTED
        error = ours.error()
        assert error["code"] == "not-trusted" and "pin-sha256:" in error["text"]


def test_unreachable(namespaces: Pair, run_dir: Path) -> None:
    url = f"https://{namespaces.gateway_v4}:{PORT}/"
    with client(namespaces.client, url, "--non-inter", run_dir=run_dir) as ours:
        assert ours.finish() == Exit.UNREACHABLE
        assert namespaces.gateway_v4 in ours.error()["text"]


def test_split_sign_in_and_a_dead_cookie(namespaces: Pair, run_dir: Path) -> None:
    """--authenticate, then --cookie-on-stdin with what it printed; after the goodbye the cookie is refused."""
    with ocserv(namespaces.gateway, namespaces.gateway_v4) as server:
        printed = namespaces.client.run(
            *(sys.executable, "-m", "vpnclient", "connect", *password_argv(namespaces, server, "--authenticate")),
            text=f"{PASSWORD}\n",
        ).stdout
        values = dict(line.partition("=")[::2] for line in printed.splitlines())
        assert set(values) == {"COOKIE", "HOST", "CONNECT_URL", "FINGERPRINT", "RESOLVE"}
        unquoted = {name: value.strip("'") for name, value in values.items()}
        argv = (unquoted["CONNECT_URL"], "--servercert", unquoted["FINGERPRINT"], "--cookie-on-stdin")
        cookie = unquoted["COOKIE"] + "\n"
        with client(namespaces.client, *argv, stdin=cookie, run_dir=run_dir) as ours:
            ours.connected()
            ping(namespaces.client, GATEWAY_V4)
            assert ours.stop() == Exit.OK
        with client(namespaces.client, *argv, stdin=cookie, run_dir=run_dir) as again:
            assert again.finish() == Exit.REFUSED
            assert again.error()["code"] == "cookie-rejected"


@pytest.mark.parametrize("method", ["ssl", "new-tunnel"])
@pytest.mark.parametrize("versions", ["", ":-VERS-TLS1.3"], ids=["tls13", "tls12"])
def test_rekey(namespaces: Pair, run_dir: Path, method: str, versions: str) -> None:
    """Traffic goes on over several rekeys (ocserv varies the time by up to 29 s, so the least it takes is used)."""
    told = "user logged in" if method == "new-tunnel" else "TLS rehandshake completed" if versions else ""
    options = {
        "rekey-time": "1",
        "rekey-method": method,
        "tls-priorities": f'"NORMAL:%SERVER_PRECEDENCE:-VERS-TLS1.0:-VERS-TLS1.1{versions}"',
    }
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4, options=options) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        began = time.monotonic()
        while time.monotonic() - began < REKEY_SECONDS or server.log.count(told) < 4:
            assert time.monotonic() - began < 60, server.log
            wait_until_pings(namespaces.client, GATEWAY_V4)
            time.sleep(0.5)
        assert ours.stop() == Exit.OK
        assert not [event for event in ours.seen if event["event"] == "error"]


def test_a_minute_of_traffic_both_ways(namespaces: Pair, run_dir: Path) -> None:
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4) as server,
        iperf_server(namespaces.gateway),
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        up, down = iperf(namespaces.client, GATEWAY_V4, seconds=SOAK_SECONDS, mode="both")
        assert up.bytes > 20_000_000 and down.bytes > 20_000_000
        ping(namespaces.client, GATEWAY_V4)
        assert ours.stop() == Exit.OK
        figures = [event for event in ours.seen if event["event"] == "statistics"][-1]
        assert figures["reconnects"] == 0 and figures["rx_bytes"] > 20_000_000
        assert not [event for event in ours.seen if event["event"] in ("warning", "error", "retry")]


def test_gateway_restart_is_survived(namespaces: Pair, run_dir: Path) -> None:
    """The gateway comes back without any memory: the client signs in again by itself."""
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        device = ours.connected()["interface"]
        server.restart()
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, GATEWAY_V4)
        assert device in namespaces.client.ip("-o", "link")
        assert ours.stop() == Exit.OK


def test_killed_in_traffic_and_clean_after_the_next_start(namespaces: Pair, run_dir: Path) -> None:
    """kill -9: the device goes by itself; the gateway route, the excludes and resolv.conf go with the next start."""
    before = namespaces.client.snapshot()
    with ocserv(namespaces.gateway, namespaces.gateway_v4, options={"route": ""}) as server:
        argv = password_argv(namespaces, server)
        with (
            iperf_server(namespaces.gateway),
            client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=run_dir) as first,
        ):
            first.connected()
            traffic = namespaces.client.popen("iperf3", "-c", GATEWAY_V4, "-t", "20", stdout=subprocess.DEVNULL)
            time.sleep(1)
            first.signal(signal.SIGKILL)
            first.finish()
            traffic.kill()
            traffic.communicate()
        assert before.differences(namespaces.client.snapshot()) != [], "nothing to clean: the test proves nothing"
        with client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=run_dir) as second:
            second.connected()
            ping(namespaces.client, GATEWAY_V4)
            assert second.stop() == Exit.OK
        assert before.differences(namespaces.client.snapshot()) == []


def test_killed_and_restored_by_command(namespaces: Pair, run_dir: Path) -> None:
    before = namespaces.client.snapshot()
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4, options={"route": ""}) as server,
        client(namespaces.client, *password_argv(namespaces, server), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
    ):
        ours.connected()
        ours.signal(signal.SIGKILL)
        ours.finish()
        assert before.differences(namespaces.client.snapshot()) != []
        restore(namespaces, run_dir)
        assert before.differences(namespaces.client.snapshot()) == []
        assert not pings(namespaces.client, GATEWAY_V4)


def test_signals_detach_and_reconnect(namespaces: Pair, run_dir: Path) -> None:
    """SIGUSR2 connects again at once; SIGHUP leaves the session alive at the gateway."""
    with ocserv(namespaces.gateway, namespaces.gateway_v4) as server:
        printed = namespaces.client.run(
            *(sys.executable, "-m", "vpnclient", "connect", *password_argv(namespaces, server, "--cookieonly")),
            text=f"{PASSWORD}\n",
        ).stdout
        url = f"https://{namespaces.gateway_v4}:{PORT}/"
        argv = (url, "--cafile", str(server.folder / "ca.pem"), "--cookie-on-stdin")
        with client(namespaces.client, *argv, stdin=printed, run_dir=run_dir) as ours:
            ours.connected()
            ours.signal(signal.SIGUSR2)
            ours.wait_for("state", state="connected")
            wait_until_pings(namespaces.client, GATEWAY_V4)
            ours.signal(signal.SIGHUP)
            assert ours.finish() == Exit.OK
        with client(namespaces.client, *argv, stdin=printed, run_dir=run_dir) as again:
            again.connected()
            assert again.stop() == Exit.OK


def test_compression(namespaces: Pair, run_dir: Path) -> None:
    """ocserv compresses what it can (LZ4), and takes what we compress."""
    options = {"compression": "true", "no-compress-limit": "64"}
    with ocserv(namespaces.gateway, namespaces.gateway_v4, options=options) as server:
        argv = password_argv(namespaces, server, "--compression", "stateless")
        with client(namespaces.client, *argv, stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
            ours.connected()
            namespaces.client.run("ping", "-c", "5", "-i", "0.2", "-s", "1000", "-p", "00", GATEWAY_V4)
            assert ours.stop() == Exit.OK
        figures = [event for event in ours.seen if event["event"] == "statistics"][-1]
        counters = dict(figures["counters"])
        assert counters["cstp_expanded"] >= 5 and "cstp_bad_compressed" not in counters
