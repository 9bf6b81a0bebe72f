"""The example of a plug-in as a user has it: installed by pip, found by its entry points, packets through the sinks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.client import Client, client
from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from tests.peers.traffic import iperf, iperf_server, ping, wait_until_pings
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

EXAMPLE = Path(__file__).parents[2] / "examples" / "lantern"
TUNNEL_V4, TUNNEL_V6 = "10.77.0.1", "fd77::1"
SECONDS = 2.0  # of iperf3, each way
LEAST_BYTES = 1_000_000  # moved meanwhile: far below what the slow pump does


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, as `pip install` leaves it; nothing is fetched."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    offline = ["--no-deps", "--no-build-isolation", "--root-user-action=ignore", "--target", str(folder / "site")]
    done = subprocess.run([*pip, *offline, str(source)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the programs that a test starts, not for the test."""
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(site), before))))


@pytest.fixture
def gateway(namespaces: Pair, installed: None) -> Iterator[LabGateway]:
    options = ("--route", "10.95.0.0/16", "--banner", "Shine on")
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4, *options, protocol="lantern") as running:
        yield running


def argv(gateway: LabGateway) -> tuple[str, ...]:
    options = ("--protocol", "lantern", "--servercert", gateway.facts["pin"], "--non-inter", "--dns", "file")
    return (gateway.facts["url"], *options, "--user", USER, "--passwd-on-stdin")


def notes(ours: Client) -> list[str]:
    return [event["text"] for event in ours.seen if event["event"] == "log" and "Python only" in event["text"]]


def test_it_is_listed(installed: None) -> None:
    for words, what in ((["version"], ", lantern"), (["lab", "serve", "--help"], "lantern")):
        done = subprocess.run([sys.executable, "-m", "vpnclient", *words], capture_output=True, text=True, check=True)
        assert what in done.stdout


def test_the_example_connects_and_carries_packets(namespaces: Pair, run_dir: Path, gateway: LabGateway) -> None:
    before = namespaces.client.snapshot()
    with client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
        device = ours.connected()["interface"]
        assert f"10.95.0.0/16 dev {device}" in namespaces.client.ip("route")
        for address in (TUNNEL_V4, TUNNEL_V6):
            ping(namespaces.client, address)
        with iperf_server(namespaces.gateway):
            flows = [
                iperf(namespaces.client, TUNNEL_V4, seconds=SECONDS, mode="up")[0],
                iperf(namespaces.client, TUNNEL_V6, seconds=SECONDS, mode="down")[0],
            ]
        print(*(f"{flow.megabits:.0f} Mbit/s" for flow in flows))
        assert all(flow.bytes > LEAST_BYTES for flow in flows)
        assert ours.stop() == Exit.OK
    gateway.wait_for("client said user disconnect; cookie dead")
    assert before.differences(namespaces.client.snapshot()) == []
    assert len(notes(ours)) == 1 and any(event.get("text") == "Shine on" for event in ours.seen)


def test_the_example_comes_back_with_its_cookie(namespaces: Pair, run_dir: Path, gateway: LabGateway) -> None:
    with client(namespaces.client, *argv(gateway), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours:
        ours.connected()
        gateway.program.process.send_signal(signal.SIGUSR2)  # drops the link
        ours.wait_for("state", state="reconnecting")
        ours.wait_for("state", state="connected")
        wait_until_pings(namespaces.client, TUNNEL_V4)
        gateway.program.process.send_signal(signal.SIGUSR1)  # ends every session
        assert ours.finish() == Exit.ENDED
        assert "ended by the administrator" in ours.error()["text"]
    assert len(notes(ours)) == 1


def test_a_wrong_password_is_said(namespaces: Pair, run_dir: Path, gateway: LabGateway) -> None:
    with client(namespaces.client, *argv(gateway), stdin="wrong\n", run_dir=run_dir) as ours:
        assert ours.finish() == Exit.REFUSED
        assert "Login failed" in ours.error()["text"]
