"""The program on Windows: what runs, and what says at once that it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vpnclient import permissions, permissions_windows
from vpnclient.errors import Exit
from vpnclient.settings import Settings

# As tests/windows/run.py does: Wine has no WMI.
START = "import platform, sys; platform._wmi = None; from vpnclient.cli.main import run; run()"


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("option", [(), ("--authenticate",), ("--printcookie",), ("--events", "json")])
def test_connect_says_at_once_that_it_does_not_run_here_yet(option: tuple[str, ...]) -> None:
    """Nothing is contacted and nothing is asked: that name does not exist, and standard input is closed."""
    code, out, error = run("connect", "vpn.invalid", "--user", "alice", *option)
    assert (code, out) == (Exit.NOT_PERMITTED, "")
    assert error.splitlines() == [
        "error: connecting does not work on Windows yet: this build of the engine has no TLS and no pump",
        "hint: connect from Linux; docs/windows.md tells what works on Windows already",
    ]


def test_what_is_wrong_with_the_command_line_is_said_first() -> None:
    code, _out, error = run("connect", "vpn.invalid", "--wintun", "fast")
    assert code == Exit.USAGE and "--wintun: found 'fast', wanted one of auto, rings, session" in error


def test_the_lab_says_that_it_needs_linux() -> None:
    code, _out, error = run("lab", "demo")
    assert code == Exit.NOT_PERMITTED
    assert error.splitlines()[0] == "error: vpnclient lab does not run on Windows"
    assert "Traceback" not in error


def test_profiles_are_checked_here_too(tmp_path: Path) -> None:
    profile = tmp_path / "work.yaml"
    profile.write_text("server: vpn.example.com\nwintun: session\nwintun-library: C:\\wintun.dll\n", encoding="utf-8")
    assert run("profile", "check", str(profile)) == (Exit.OK, f"{profile}: good\n", "")


def test_the_version_and_its_engine() -> None:
    code, out, error = run("version")
    assert (code, error) == (Exit.OK, "") and "engine: version" in out and "OpenSSL" in out


def test_an_administrator_may_make_a_tunnel() -> None:
    """Everybody is one in Wine."""
    assert permissions_windows.is_administrator()
    permissions.require_network_admin(Settings("https://vpn.example/"))
