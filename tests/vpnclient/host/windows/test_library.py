"""Functions that are looked up when they are called."""

from __future__ import annotations

import sys

import pytest

from tests.vpnclient.host.windows.fake import FakeWindows
from vpnclient.host.windows.library import FunctionMissing, Library

C = "msvcrt.dll" if sys.platform == "win32" else "libc.so.6"


def test_a_missing_function_is_an_error_with_its_name() -> None:
    library = Library(C, "int abs(int); int NoSuchThing(void); int NorThis(void);")
    assert library.call("abs", -5) == 5
    library.require("abs")
    with pytest.raises(FunctionMissing, match=f"this Windows has no NoSuchThing in {C}") as caught:
        library.call("NoSuchThing")
    assert caught.value.code == "windows-function-missing" and "Windows 10" in caught.value.hint
    with pytest.raises(FunctionMissing, match="no NoSuchThing, NorThis in"):
        library.require("NoSuchThing", "abs", "NorThis")


def test_a_missing_library() -> None:
    with pytest.raises(FunctionMissing, match=r"this Windows has no nosuch\.dll"):
        Library("nosuch.dll", "int abs(int);")


def test_nothing_of_windows_is_called_at_import() -> None:
    import vpnclient.host.system_windows
    import vpnclient.host.windows.iphlpapi

    assert vpnclient.host.system_windows.boot_id() == "" and FakeWindows().windows.now() == 0.0
