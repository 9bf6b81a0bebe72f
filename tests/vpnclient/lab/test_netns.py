"""What of the namespaces can be told without root; tests/system/test_lab_netns.py makes real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vpnclient.lab import netns
from vpnclient.lab.netns import LabError, Snapshot

BEFORE = Snapshot(links=("1: lo",), addresses=("a",), routes=("r1", "r2"), rules=(), resolv_conf=("nameserver x",))


def test_differences_say_what_came_and_went() -> None:
    after = replace(BEFORE, routes=("r2", "r3"), resolv_conf=())
    assert BEFORE.differences(BEFORE) == []
    assert BEFORE.differences(after) == ["+ routes: r3", "- routes: r1", "- resolv_conf: nameserver x"]


def test_a_failed_command_is_quoted_with_what_it_said() -> None:
    with pytest.raises(LabError, match=r"sh -c echo nope >&2; exit 3: nope"):
        netns.call("sh", "-c", "echo nope >&2; exit 3")
    with pytest.raises(LabError, match="exit status 4"):
        netns.call("sh", "-c", "exit 4")


def test_requirements_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: None)
    root, ip = netns.missing_requirements()[:2]
    assert root.startswith("root") and "apt-get install iproute2" in ip


def test_an_unknown_default_route_is_refused_before_anything_is_made() -> None:
    with (
        pytest.raises(ValueError, match="got 'elsewhere', want none, gateway or dummy"),
        netns.pair(default_route="elsewhere"),
    ):
        raise AssertionError
