"""Programs of the user's that are run for their output."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from transports import program
from transports.program import ProgramFailed


def script(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run(*argv: str, timeout: float = 60.0, limit: int = 1000, user: str = "", **environment: str) -> bytes:
    return asyncio.run(program.run(argv, environment, user=user, timeout=timeout, limit=limit))


def test_arguments_and_environment_arrive(tmp_path: Path) -> None:
    path = script(tmp_path, 'printf "%s|" "$@" "$APP_VERSION" "$PATH"')
    assert run(path, "--cookie", "a b", APP_VERSION="6.1").decode().split("|")[:3] == ["--cookie", "a b", "6.1"]
    assert run(path).decode().endswith(f"{os.environ['PATH']}|")


def test_standard_input_is_empty(tmp_path: Path) -> None:
    assert run(script(tmp_path, "cat; echo done")) == b"done\n"


@pytest.mark.parametrize(
    "text, says", [("exit 3", "ended with status 3, want 0"), ("kill -9 $$", "was ended by signal 9")]
)
def test_a_failure_is_named_without_the_arguments(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProgramFailed, match=says) as caught:
        run(script(tmp_path, text), "--cookie", "secret")
    assert "secret" not in str(caught.value)


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="cannot be run: No such file"):
        run(str(tmp_path / "nothing"))
    with pytest.raises(ProgramFailed, match="there is no user 'nobody-of-that-name'"):
        run("/bin/true", user="nobody-of-that-name")


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    began, pid = time.monotonic(), tmp_path / "pid"
    for patience in (0.3, 3.3, 30.3):  # until it has come as far as to start another
        with pytest.raises(ProgramFailed, match=rf"did not end within {patience:.0f} s"):
            run(script(tmp_path, f"sleep 600 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"), timeout=patience)
        if pid.exists():
            break
    assert time.monotonic() - began < 300
    until = time.monotonic() + 60
    while Path(f"/proc/{pid.read_text().strip()}/status").exists() and "Z" not in _state(pid.read_text().strip()):
        assert time.monotonic() < until
        time.sleep(0.01)


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_a_program_that_says_too_much_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="more than 1000 bytes"):
        run(script(tmp_path, "yes"))
