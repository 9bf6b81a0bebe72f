"""Scripts with the vpnc-script contract, among them the stock one, against a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.host_client import SPLIT, driver
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

STOCK = "/usr/share/vpnc-scripts/vpnc-script"


def test_the_stock_script_configures_and_undoes(namespaces: Pair, run_dir: Path) -> None:
    """host-config 1.4: the table that the script makes of the example, and nothing of it afterwards."""
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir, script=STOCK) as client:
        client.ok("prepare")
        applied = client.ok("apply", **{**SPLIT, "dns": []})
        assert "".join(applied["dns_backend"]) == "script"
        routes = [" ".join(line.split()) for line in space.ip("-4", "route").splitlines()]
        assert "10.1.0.0/16 dev tunh0 scope link" in routes
        assert "10.1.5.0/24 via 192.0.2.254 dev veth0" in routes
        assert "10.90.0.0/24 dev tunh0 scope link" in routes
        assert any(line.startswith("192.0.2.1 dev veth0") for line in routes)
        assert "fd99::/64 dev tunh0" in space.ip("-6", "route")
        link = space.ip("address", "show", "dev", "tunh0")
        assert "mtu 1400" in link and "inet 10.90.0.2/32" in link and "inet6 fd90::2/64" in link
        assert client.ok("before_reconnect") == {"list": []}
        assert client.ok("update", **{**SPLIT, "dns": []})["warnings"] == []
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_the_stock_script_sets_dns_and_gives_it_back(namespaces: Pair, run_dir: Path) -> None:
    space = namespaces.client
    before = space.snapshot()
    with driver(space, run_dir, script=STOCK) as client:
        client.ok("apply", **SPLIT)
        text = space.resolv_conf.read_text()
        assert "nameserver 10.90.0.1" in text and "corp.example" in text
        client.leave()
        client.ok("close")
    assert before.differences(space.snapshot()) == []


def test_a_failing_connect_fails(namespaces: Pair, run_dir: Path) -> None:
    with driver(namespaces.client, run_dir, script="[ $reason != connect ]") as client:
        assert client.ask("apply", **SPLIT)["error"] == "script for connect ended with status 1"
