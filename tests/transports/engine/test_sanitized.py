"""The C tests beside this file, built and run under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_c_tests_pass_under_the_sanitizers() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_engine.py"), "--sanitize"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
