"""Loading the engine: what is checked, and what the errors tell the user to do."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import transports.engine as engine
from transports.errors import EngineError

ROOT = Path(__file__).parents[3]


class Library:
    """A library that tells another ABI than the declarations."""

    VE_ABI = engine.lib.VE_ABI

    def __init__(self, **lies: int) -> None:
        self.lies = lies

    def ve_abi(self, out: Any) -> None:
        engine.lib.ve_abi(out)
        for name, value in self.lies.items():
            setattr(out, name, value)


@pytest.mark.parametrize(
    "lie",
    [
        "abi",
        "sink_stats_size",
        "reader_stats_size",
        "pump_stats_size",
        "control_size",
        "tls_info_size",
        "datagram_stats_size",
        "dtls_info_size",
        "dtls_stats_size",
        "dtls_settings_size",
    ],
)
def test_an_engine_of_other_sources_is_refused_and_the_fix_named(lie: str) -> None:
    with pytest.raises(EngineError, match=r"got 9999, want \d+; build it with `make engine`"):
        engine.check_abi(engine.ffi, Library(**{lie: 9999}))


def test_a_missing_library_names_the_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "LIBRARY", tmp_path / "libvpnengine.so")
    with pytest.raises(EngineError, match=r"libvpnengine\.so is missing .*make engine"):
        engine._load()
    (tmp_path / "libvpnengine.so").write_bytes(b"no library")
    with pytest.raises(EngineError, match=r"cannot be loaded: .*make engine"):
        engine._load()


def test_texts_are_never_an_error() -> None:
    assert engine.text(engine.ffi.NULL) == ""
    assert engine.text(engine.ffi.new("char[]", b"caf\xe9")) == "caf�"
    assert len(engine.errbuf()) == engine.ERROR_SIZE


def test_the_declarations_keep_constants_and_drop_what_is_not_c() -> None:
    declarations = runpy.run_path(str(ROOT / "scripts" / "build_engine.py"))["declarations"]
    header = """#ifndef X
#define X
#define VE_ONE 1\t\t/* a comment */
#ifdef __cplusplus
extern "C" {
#endif
VE_API int f(void);
#ifdef __cplusplus
}
#endif
#endif
"""
    assert declarations(header).split("\n") == ["#define VE_ONE 1\t\t", "", "int f(void);", ""]
