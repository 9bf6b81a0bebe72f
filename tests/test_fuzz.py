"""A short run of every fuzz target; `make fuzz` runs them for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
SECONDS = 3


def test_there_are_targets() -> None:
    assert "cstp" in TARGETS


@pytest.mark.system
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_in_a_short_time(name: str) -> None:
    argv = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), "--seconds", str(SECONDS), name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finding" in done.stdout


def test_every_target_has_seeds() -> None:
    assert [name for name in TARGETS if not list((ROOT / "tests" / "fuzz" / "seeds" / name).glob("*.hex"))] == []
