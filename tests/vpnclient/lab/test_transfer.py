"""The built-in transfer, as it is used where iperf3 is missing: over the loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from tests.ports import free_tcp_port
from vpnclient.lab import transfer
from vpnclient.lab.demo_traffic import Transfer, rate

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0  # seconds; only a broken test waits that long


@pytest.mark.parametrize("direction", ["up", "down"])
def test_both_directions(direction: str) -> None:
    port = free_tcp_port(LOOPBACK)
    moved: list[int] = []
    server = threading.Thread(target=lambda: moved.append(transfer.serve(LOOPBACK, port)))
    server.start()
    count, seconds = run_when_it_listens(direction, port)
    server.join()
    assert count > 0 and seconds >= 0.05
    assert moved[0] == count if direction == "up" else moved[0] >= count


def run_when_it_listens(direction: str, port: int) -> tuple[int, float]:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return transfer.run(direction, LOOPBACK, port, 0.05)
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_as_a_program() -> None:
    port = str(free_tcp_port(LOOPBACK))
    argv = [sys.executable, "-m", "vpnclient.lab.transfer"]
    with subprocess.Popen([*argv, "serve", LOOPBACK, port], stdout=subprocess.PIPE, text=True) as server:
        until = time.monotonic() + PATIENCE
        while (
            said := subprocess.run([*argv, "up", LOOPBACK, port, "0.05"], capture_output=True, text=True, check=False)
        ).returncode and time.monotonic() < until:
            time.sleep(0.05)
        received, _ = server.communicate(timeout=PATIENCE)
    assert json.loads(said.stdout)["bytes"] == int(received)


def test_figures_for_people() -> None:
    assert rate(125_000_000, 1) == "1.00 Gbit/s"
    assert rate(1_250_000, 1) == "10 Mbit/s"
    assert str(Transfer(250_000_000, 2.0)) == "250 MB in 2.0 s, 1.00 Gbit/s"
