"""What the engine asks for its process; in a process of its own."""

from __future__ import annotations

import subprocess
import sys

FORBID = """
import ctypes, resource
from transports.engine import lib
before = ctypes.CDLL(None).prctl(3)  # PR_GET_DUMPABLE
assert lib.ve_forbid_core_dumps() == lib.VE_OK
print(before, ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_core_dumps_are_forbidden() -> None:
    done = subprocess.run([sys.executable, "-c", FORBID], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 0 (0, 0)"
