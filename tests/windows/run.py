"""Runs pytest in CPython for Windows under Wine, which has no WMI: the platform module would end the process."""

from __future__ import annotations

import platform
import sys

platform._wmi = None  # type: ignore[attr-defined]

import pytest  # noqa: E402

if __name__ == "__main__":
    sys.exit(pytest.main(["-p", "no:cacheprovider", "-q", *sys.argv[1:]]))
