"""The engine that this build made has the fast AES where the machine has it; what it computes: engine/test_gcm.c."""

from __future__ import annotations

import platform
import subprocess

from transports.engine import LIBRARY


def test_the_multi_buffer_library_is_linked_where_there_is_one() -> None:
    """`make` installs it on x86-64; the engine does without, but then this build is a third as fast as it could be."""
    needed = subprocess.run(["readelf", "-d", LIBRARY], capture_output=True, text=True, check=True).stdout
    assert ("libIPSec_MB" in needed) == (platform.machine() == "x86_64")
