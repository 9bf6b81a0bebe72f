"""Compile the engine and generate its cffi module: `python scripts/build_engine.py [--sanitize]`.

Runs meson in build/engine, copies libvpnengine.so to transports/engine/ and writes transports/engine/_cffi.py from
engine.h.  With --sanitize it builds in build/sanitize under ASan and UBSan instead and runs the C tests there.
Called by the packaging hook, by the Makefile, by tests and by people.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

LIBRARY = "libvpnengine.so"


def meson(*args: str, quiet: bool = False) -> None:
    command = [sys.executable, "-m", "mesonbuild.mesonmain", *args]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)


def declarations(header: str) -> str:
    """What cffi reads of engine.h: no preprocessor lines but integer #defines, nothing that is for C++ alone."""
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    kept = []
    for line in header.splitlines():
        if re.match(r"\s*#\s*define\s+\w+\s+(0x[0-9a-fA-F]+|\d+)\b", line):
            kept.append(re.sub(r"/\*.*", "", line))
        elif not line.lstrip().startswith("#"):
            kept.append(line)
    return "\n".join(kept).replace("VE_API ", "")


def generate(root: Path) -> None:
    from cffi import FFI

    engine = root / "transports" / "engine"
    ffi = FFI()
    ffi.cdef(declarations((engine / "engine.h").read_text(encoding="utf-8")))
    ffi.set_source("transports.engine._cffi", None)
    ffi.emit_python_code(str(engine / "_cffi.py"))


def build(root: Path, *, sanitize: bool = False) -> Path:
    """Build the library; returns the path of the copy beside the Python binding (or the sanitized one)."""
    folder = root / "build" / ("sanitize" if sanitize else "engine")
    if not (folder / "build.ninja").exists():
        options = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "--buildtype=debug"]
        meson("setup", str(folder), str(root), *(options if sanitize else ["--buildtype=release"]))
    meson("compile", "-C", str(folder))
    built = folder / LIBRARY
    if sanitize:
        return built
    generate(root)
    target = root / "transports" / "engine" / LIBRARY
    fresh = target.with_suffix(".new")
    shutil.copy2(built, fresh)
    fresh.replace(target)  # a running program keeps the file it has mapped
    return target


def program(root: Path, name: str) -> Path:
    """Build one of the programs that are not built by default; its path."""
    folder = root / "build" / "engine"
    if not (folder / "build.ninja").exists():
        build(root)
    meson("compile", "-C", str(folder), f"--ninja-args={name}", quiet=True)
    return folder / name


def check(root: Path) -> None:
    """Run the C tests (tests/transports/engine) under AddressSanitizer and UndefinedBehaviorSanitizer."""
    build(root, sanitize=True)
    meson("test", "-C", str(root / "build" / "sanitize"), "--print-errorlogs")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent
    if "--sanitize" in sys.argv[1:]:
        check(here)
    else:
        print(build(here))
