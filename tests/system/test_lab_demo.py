"""The demonstration, as `make demo` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

COMMAND = [sys.executable, "-m", "vpnclient", "lab", "demo", "--seconds", "1"]


def test_the_demo_shows_everything_and_leaves_nothing() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("ping 10.77.0.1", "ping fd77::1", "client to gateway", "gateway to client", "nothing left"):
        assert f"✓ {text}" in done.stdout, done.stdout
    assert "✗" not in done.stdout and "\x1b" not in done.stdout  # plain in a pipe


def test_without_iperf3_it_moves_data_itself(tmp_path: Path) -> None:
    """A PATH that has everything but iperf3."""
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).iterdir():
            link = tmp_path / program.name
            if program.name != "iperf3" and not link.exists():
                link.symlink_to(program)
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ gateway to client" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_removes_its_namespaces(number: int) -> None:
    """Whoever runs the tests in the background of a shell ignores SIGINT, and so would the demo."""
    command = ["env", "--default-signal=INT", *COMMAND[:-1], "30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        assert demo.stdout is not None
        first = demo.stdout.readline()
        names = [word for word in first.split() if word.startswith("vpn-")]
        assert len(names) == 2, first
        time.sleep(2)
        demo.send_signal(number)
        demo.stdout.read()
        assert demo.wait(60) == 130
    assert not [name for name in names if Path("/run/netns", name).exists() or Path("/etc/netns", name).exists()]


def test_an_ordinary_user_is_told_what_is_needed() -> None:
    unprivileged = ["setpriv", "--reuid", "65534", "--clear-groups", *COMMAND]
    environment = {**os.environ, "HOME": "/"}
    done = subprocess.run(unprivileged, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 7
    assert "the demo needs root" in done.stderr and "sudo" in done.stderr
