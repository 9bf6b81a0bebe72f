"""A network namespace for the length of one test: a thread leaves ours; what it made goes when it ends.  Needs root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000
TIMEOUT = 60.0  # seconds


def ip(*args: str) -> str:
    """iproute2, in the namespace of the calling thread."""
    done = subprocess.run(["ip", *args], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"ip {' '.join(args)}: {done.stderr}"
    return done.stdout


def in_own_namespace(body: Callable[[], None]) -> None:
    """Run a test's body in a thread with a network namespace of its own, loopback up."""

    def alone() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno()) + ": it needs root"
        ip("link", "set", "lo", "up")
        body()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(alone).result(timeout=TIMEOUT)
