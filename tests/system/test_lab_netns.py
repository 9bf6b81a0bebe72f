"""Namespaces are made, and removed whatever happens inside."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.peers.traffic import ping
from vpnclient.lab.netns import LabError, Namespace, namespace, pair

pytestmark = pytest.mark.system


def gone(space: Namespace) -> bool:
    return not Path("/run/netns", space.name).exists() and not Path("/etc/netns", space.name).exists()


def test_a_pair_is_joined_in_both_families_and_has_a_resolv_conf_of_its_own() -> None:
    with pair(default_route="gateway") as both:
        ping(both.client, both.gateway_v4, count=1)
        ping(both.client, both.gateway_v6, count=1)
        assert f"default via {both.gateway_v4}" in both.client.ip("route")
        assert both.client.run("cat", "/etc/resolv.conf").stdout == "nameserver 127.0.0.1\n"
        both.client.run("sh", "-c", "echo nameserver 192.0.2.53 > /etc/resolv.conf")
        assert both.client.resolv_conf.read_text() == "nameserver 192.0.2.53\n"
    assert gone(both.gateway) and gone(both.client)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_removed_on_errors_too(error: type[BaseException]) -> None:
    with pytest.raises(error), pair() as both:
        raise error
    assert gone(both.gateway) and gone(both.client)


def test_what_still_runs_inside_is_ended() -> None:
    with namespace("test") as space:
        child = space.popen("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", stdin=None, stdout=None)
        until = time.monotonic() + 60
        while not space.pids():  # `ip netns exec` takes a moment to get inside
            assert time.monotonic() < until
            time.sleep(0.01)
    assert child.wait(5) != 0
    assert gone(space)


def test_snapshots_see_changes_and_only_changes() -> None:
    with pair(default_route="dummy") as both:
        before = both.client.snapshot()
        assert before.differences(both.client.snapshot()) == []
        both.client.ip("route", "add", "203.0.113.0/24", "via", both.gateway_v4)
        both.client.ip("rule", "add", "priority", "100", "lookup", "100")
        found = before.differences(both.client.snapshot())
        assert [line.partition(":")[0] for line in found] == ["+ routes", "+ rules"]


def test_the_cable_can_be_pulled() -> None:
    with pair() as both:
        both.link(up=False)
        assert both.client.run("ping", "-c1", "-W1", both.gateway_v4, check=False).returncode != 0
        both.link(up=True)
        ping(both.client, both.gateway_v4, count=1)


def test_a_failing_command_is_an_error_with_its_words() -> None:
    with namespace("test") as space:
        with pytest.raises(LabError, match="No such file"):
            space.run("ls", "/nowhere")
        with pytest.raises(subprocess.TimeoutExpired):
            space.run("sleep", "5", timeout=0.1)
