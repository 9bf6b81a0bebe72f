"""The native host configuration on a real kernel: what it sets, and that it leaves nothing behind."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.host_client import FULL, GATEWAY, ROOT, SPLIT, driver
from vpnclient.lab.netns import Namespace, Pair

pytestmark = pytest.mark.system


def restore(space: Namespace, run_dir: Path) -> str:
    code = (
        "from vpnclient.host.restore import restore_all\nfor r in restore_all(): print(r.outcome, r.undone, r.warnings)"
    )
    env = ("env", f"VPNCLIENT_RUN_DIR={run_dir}", f"PYTHONPATH={ROOT}")
    return space.run(*env, sys.executable, "-c", code).stdout


def test_full_tunnel_is_set_and_undone(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        applied = client.ok("apply", **FULL)
        assert applied["routes"] == ["0.0.0.0/0", "::/0", "10.90.0.0/24", "fd90::/64"]
        assert "".join(applied["dns_backend"]) == "file" and applied["warnings"] == []
        four, six = space.ip("-4", "route"), space.ip("-6", "route")
        for half in ("0.0.0.0/1", "128.0.0.0/1"):
            assert f"{half} dev tunh0 proto 142 scope link" in four
        assert f"{GATEWAY} dev veth0 proto 142 scope link src 192.0.2.2" in four
        assert "default via 192.0.2.254" in four
        for half in ("::/1", "8000::/1"):
            assert f"{half} dev tunh0 proto 142" in six
        assert "2001:db8:77::1 dev veth0 proto 142" in six
        link = space.ip("address", "show", "dev", "tunh0")
        assert "mtu 1400" in link and "inet 10.90.0.2/32" in link and "inet6 fd90::2/128" in link
        assert "fe80" not in link
        assert "nameserver 10.90.0.1\nsearch corp.example" in space.resolv_conf.read_text()
        assert f"{GATEWAY} dev veth0" in space.ip("route", "get", GATEWAY)
        assert "dev tunh0" in space.ip("route", "get", "198.51.100.1")
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []
    assert list(run_dir.iterdir()) == []


def test_undo_alone_restores_a_prepared_device(namespaces: Pair, run_dir: Path) -> None:
    """Also what the closing of the device would take along is undone: the device may be a persistent one."""
    space = namespaces.client
    space.ip("tuntap", "add", "dev", "tunh0", "mode", "tun")
    for state in ("up", "down"):  # the first time up, the kernel chooses a queueing discipline
        space.ip("link", "set", "tunh0", state)
    before = space.snapshot()
    with driver(space, run_dir) as client:
        client.ok("apply", **SPLIT)
        client.leave()
        client.ok("close")
        assert before.differences(space.snapshot()) == []
    space.ip("tuntap", "del", "dev", "tunh0", "mode", "tun")


def test_split_tunnel(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        applied = client.ok("apply", **SPLIT)
        assert applied["excluded"] == ["10.1.5.0/24"]
        assert not any("split DNS" in text for text in applied["warnings"])  # none was asked for
        four = space.ip("-4", "route").splitlines()
        ours = sorted(" ".join(line.split()) for line in four if "proto 142" in line)
        assert ours == [
            "10.1.0.0/16 dev tunh0 proto 142 scope link",
            "10.1.5.0/24 via 192.0.2.254 dev veth0 proto 142",
            "10.2.0.0/16 dev tunh0 proto 142 scope link",
            "10.90.0.0/24 dev tunh0 proto 142 scope link",
            "192.0.2.0/28 dev tunh0 proto 142 scope link",
            "192.0.2.1 dev veth0 proto 142 scope link src 192.0.2.2",
        ]
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_kill_and_restore(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        client.ok("apply", **SPLIT)
        client.kill()
        left = before.differences(space.snapshot())
        assert any("10.1.5.0/24" in line for line in left) and any("nameserver 10.90.0.1" in line for line in left)
    said = restore(space, run_dir)
    assert said.startswith("restored") and "10.1.5.0/24" in said
    assert before.differences(space.snapshot()) == []
    assert list(run_dir.iterdir()) == []
    assert restore(space, run_dir) == ""


@pytest.mark.parametrize("step", ["recover", "prepare"])
def test_the_next_connect_cleans_up_first(namespaces: Pair, run_dir: Path, step: str) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        client.ok("apply", **SPLIT)
        client.kill()
    with driver(space, run_dir, profile="other") as client:
        warnings = client.ok(step)["list"]
        assert "undone what a crash of work had left" in warnings[0]
        assert before.differences(space.snapshot()) == []
        client.ok("apply", **FULL)
        client.leave()


@pytest.mark.parametrize("lines", [1, 2, 4, 6, 9])
def test_killed_midway(namespaces: Pair, run_dir: Path, lines: int) -> None:
    """A journal that ends after any entry undoes what was done until then: simulated by undoing a cut journal twice."""
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        client.ok("apply", **SPLIT)
        client.kill()
    path = run_dir / "work.journal"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
    assert restore(space, run_dir).startswith("restored")
    path.write_bytes(whole)
    assert restore(space, run_dir).startswith("restored")
    assert before.differences(space.snapshot()) == []


def test_a_second_client_of_the_profile_is_refused(namespaces: Pair, run_dir: Path) -> None:
    with driver(namespaces.client, run_dir) as first, driver(namespaces.client, run_dir) as second:
        first.ok("apply", **FULL)
        for step in ("recover", "prepare"):
            answer = second.ask(step)
            assert answer["error"] == f"profile work is already in use by process {first.process.pid}"
        first.leave()
        second.ok("recover")
        second.ok("prepare")
        second.leave()


def test_a_journal_of_another_namespace_is_not_undone(namespaces: Pair, run_dir: Path) -> None:
    with driver(namespaces.client, run_dir) as client:
        client.ok("apply", **SPLIT)
        client.kill()
    routes = namespaces.client.ip("route")
    assert restore(namespaces.gateway, run_dir).startswith("elsewhere")
    assert namespaces.client.ip("route") == routes
    with driver(namespaces.gateway, run_dir) as client:
        assert "another network namespace" in str(client.ask("prepare")["error"])
    assert restore(namespaces.client, run_dir).startswith("restored")


def test_foreign_routes_survive(namespaces: Pair, run_dir: Path) -> None:
    """Routes with our destinations that others made before us are neither replaced nor deleted."""
    space = namespaces.client
    space.ip("route", "add", "10.2.0.0/16", "via", "192.0.2.254")
    space.ip("route", "add", GATEWAY, "dev", "veth0")
    before = space.snapshot()
    with driver(space, run_dir) as client:
        applied = client.ok("apply", **SPLIT)
        assert "10.2.0.0/16" not in applied["routes"]
        assert "route 10.2.0.0/16 not set: this host has one of its own" in applied["warnings"]
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_failure_undoes_everything(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        space.ip("-6", "route", "del", "default")
        answer = client.ask("apply", **{**FULL, "gateways": [GATEWAY, "2001:db8:99::1"]})
        assert answer["error"] == "no route to the gateway 2001:db8:99::1 outside the tunnel"
        client.ok("close")
        space.ip("-6", "route", "add", "default", "via", "2001:db8:77::fe", "dev", "veth0")
    assert before.differences(space.snapshot()) == []
    assert list(run_dir.iterdir()) == []


def test_update_changes_only_what_differs(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir) as client:
        client.ok("apply", **SPLIT)
        watch = subprocess.Popen(space.command("ip", "-4", "monitor", "route"), stdout=subprocess.PIPE, text=True)
        changed = {
            **SPLIT,
            "addresses": ["10.90.0.3/24", "fd90::2/64"],
            "include": ["10.1.0.0/16", "10.3.0.0/16", "fd99::/64", "192.0.2.0/28"],
            "dns": ["10.90.0.9"],
            "mtu": 1300,
        }
        assert watch.stdout
        while not select.select([watch.stdout], [], [], 0.2)[0]:  # it listens once it has heard of this
            space.ip("route", "del", "100.64.0.1", check=False)
            space.ip("route", "add", "100.64.0.1", "dev", "lo")
        client.ok("update", **changed)
        space.ip("route", "add", "100.64.0.2", "dev", "lo")
        seen = []
        while "100.64.0.2" not in (line := watch.stdout.readline()):
            seen.append(line.split(" dev ")[0].strip())
        watch.kill()
        watch.wait()
        watch.stdout.close()
        for marker in ("100.64.0.1", "100.64.0.2"):
            space.ip("route", "del", marker)
        main = [text for text in seen if "local" not in text and "broadcast" not in text and "100.64" not in text]
        assert main == ["10.3.0.0/16", "Deleted 10.2.0.0/16"]  # new ones first, the others untouched
        link = space.ip("address", "show", "dev", "tunh0")
        assert "10.90.0.3/32" in link and "10.90.0.2/32" not in link and "mtu 1300" in link
        text = space.resolv_conf.read_text()
        assert "nameserver 10.90.0.9" in text and "10.90.0.1" not in text
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_another_router_moves_routes_past_the_tunnel(namespaces: Pair, run_dir: Path) -> None:
    """Q6: the tunnel is then the best route to the gateway; it must not be taken for the way to it."""
    space = namespaces.client
    full = {**FULL, "gateways": ["198.51.100.7"], "addresses": ["10.90.0.2/24"]}
    with driver(space, run_dir) as client:
        client.ok("apply", **full)
        assert "198.51.100.7 via 192.0.2.254 dev veth0" in space.ip("route")
        space.ip("route", "replace", "default", "via", "192.0.2.253")
        assert client.ok("before_reconnect") == {"list": []}
        assert "198.51.100.7 via 192.0.2.253 dev veth0" in space.ip("route")
        space.ip("route", "flush", "198.51.100.7")  # as when the link was down for a moment
        assert client.ok("before_reconnect", gateways=["198.51.100.8"]) == {"list": []}
        assert "198.51.100.7 via 192.0.2.253 dev veth0" in space.ip("route")
        assert "198.51.100.8 via 192.0.2.253 dev veth0" in space.ip("route")
        space.ip("route", "del", "default")
        assert "no route to the gateway" in client.ok("before_reconnect")["list"][0]
        client.leave()
        assert "198.51.100" not in space.ip("route") and "proto 142" not in space.ip("route")


def test_onlink_router(namespaces: Pair, run_dir: Path) -> None:
    """Routers that no route leads to are usual at hosting companies."""
    space = namespaces.client
    space.ip("route", "replace", "default", "via", "100.64.0.1", "dev", "veth0", "onlink")
    with driver(space, run_dir) as client:
        client.ok("apply", **{**FULL, "gateways": ["198.51.100.7"]})
        assert "198.51.100.7 via 100.64.0.1 dev veth0 proto 142 onlink" in space.ip("route")
        client.leave()


def test_many_routes(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    many = [f"10.{i // 256}.{i % 256}.0/24" for i in range(2000)]
    with driver(space, run_dir) as client:
        client.ok("apply", **{**FULL, "include": many, "addresses": ["10.90.0.2/32"]})
        assert space.ip("-4", "route").count("dev tunh0") == 2000
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_killed_while_routes_are_added(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    includes = [f"10.{i // 256}.{i % 256}.0/24" for i in range(1000)]
    excludes = [f"172.16.{i // 16}.{i % 16 * 16}/28" for i in range(1000)]
    with driver(space, run_dir) as client:
        wish = {**FULL, "include": [*includes, "172.16.0.0/12"], "exclude": excludes, "die_at": "172.16.31.0/28"}
        client.send("apply", **wish)
        assert client.process.wait(60) == -signal.SIGKILL
    routes = space.ip("route")
    assert "172.16.9.0/28" in routes and "10.0.0.0/24" not in routes  # it was in the middle of it
    assert restore(space, run_dir).startswith("restored")
    assert before.differences(space.snapshot()) == []


def test_update_to_the_same_does_nothing(namespaces: Pair, run_dir: Path) -> None:
    with driver(namespaces.client, run_dir) as client:
        first = client.ok("apply", **SPLIT)
        journal = (run_dir / "work.journal").read_bytes()
        again = client.ok("update", **SPLIT)
        assert {**again, "warnings": []} == {**first, "warnings": []}
        assert (run_dir / "work.journal").read_bytes() == journal
        client.leave()


def test_losing_dns_gives_the_file_back(namespaces: Pair, run_dir: Path) -> None:
    old = namespaces.client.resolv_conf.read_text()
    with driver(namespaces.client, run_dir) as client:
        client.ok("apply", **FULL)
        assert namespaces.client.resolv_conf.read_text() != old
        assert "".join(client.ok("update", **{**FULL, "dns": []})["dns_backend"]) == "off"
        assert namespaces.client.resolv_conf.read_text() == old
        client.ok("update", **FULL)
        assert "10.90.0.1" in namespaces.client.resolv_conf.read_text()
        client.leave()
    assert namespaces.client.resolv_conf.read_text() == old
