"""Loads the native engine (libvpnengine.so or vpnengine.dll, beside this file) and checks that it fits this program.

`ffi` and `lib` are cffi's, from declarations generated out of engine.h; nothing else in Python is untyped.
Raises EngineError on import when the library is missing or was built from other sources.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from transports.errors import EngineError

LIBRARY = Path(__file__).with_name("vpnengine.dll" if sys.platform == "win32" else "libvpnengine.so")
FIX = "build it with `make engine`"
ERROR_SIZE = 512  # bytes; longer texts are cut

CData = Any  # what cffi hands out: pointers, structs, buffers


def _load() -> tuple[Any, Any]:
    try:
        ffi: Any = import_module("transports.engine._cffi").ffi
    except ModuleNotFoundError as exc:
        raise EngineError(f"the engine's declarations (transports/engine/_cffi.py) are missing: {FIX}") from exc
    if not LIBRARY.exists():
        raise EngineError(f"the engine {LIBRARY.name} is missing in {LIBRARY.parent}: {FIX}")
    try:
        lib: Any = ffi.dlopen(str(LIBRARY))
    except OSError as exc:
        raise EngineError(f"the engine cannot be loaded: {exc}; {FIX}") from exc
    check_abi(ffi, lib)
    return ffi, lib


def check_abi(ffi: Any, lib: Any) -> None:
    """Compare what the library was built as with what the declarations say.  Raises EngineError."""
    built = ffi.new("struct ve_abi *")
    lib.ve_abi(built)
    pairs = {
        "abi version": (built.abi, lib.VE_ABI),
        "size of ve_sink_stats": (built.sink_stats_size, ffi.sizeof("struct ve_sink_stats")),
        "size of ve_reader_stats": (built.reader_stats_size, ffi.sizeof("struct ve_reader_stats")),
        "size of ve_pump_stats": (built.pump_stats_size, ffi.sizeof("struct ve_pump_stats")),
        "size of ve_control": (built.control_size, ffi.sizeof("struct ve_control")),
        "size of ve_tls_info": (built.tls_info_size, ffi.sizeof("struct ve_tls_info")),
        "size of ve_datagram_stats": (built.datagram_stats_size, ffi.sizeof("struct ve_datagram_stats")),
        "size of ve_dtls_info": (built.dtls_info_size, ffi.sizeof("struct ve_dtls_info")),
        "size of ve_dtls_stats": (built.dtls_stats_size, ffi.sizeof("struct ve_dtls_stats")),
        "size of ve_dtls_settings": (built.dtls_settings_size, ffi.sizeof("struct ve_dtls_settings")),
    }
    for what, (got, want) in pairs.items():
        if got != want:
            raise EngineError(f"the engine does not fit this program: {what}: got {got}, want {want}; {FIX}")


def has(function: str) -> bool:
    """Whether this build of the engine has a function of engine.h: some parts know Linux only."""
    try:
        getattr(lib, function)
    except ffi.error:
        return False
    return True


def text(chars: CData) -> str:
    """A C string as text; NULL is empty, what is not UTF-8 is replaced."""
    if not chars:
        return ""
    raw: bytes = ffi.string(chars)
    return raw.decode("utf-8", "replace")


def errbuf() -> CData:
    """Room for the error text of a constructor: pass it with ERROR_SIZE, read it with `text`."""
    return ffi.new("char[]", ERROR_SIZE)


ffi, lib = _load()
