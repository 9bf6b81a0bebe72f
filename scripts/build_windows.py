"""Build what runs on Windows, on Linux with MinGW: `python scripts/build_windows.py FOLDER PYTHON LZ4`.

    FOLDER/vpnengine.dll    the engine: sinks, rings and framings (its TLS, DTLS and pump know Linux only)
    FOLDER/wintun.dll       the double of the driver, for tests; never shipped
    FOLDER/wintun-shrink.dll    the same with the export that no release has yet
    FOLDER/*.exe            the C tests of the rings

PYTHON: CPython for Windows as it is unpacked; its libcrypto-3.dll is linked against, with Debian's headers.  LZ4: the
library's source (lz4.c, lz4.h; BSD licence), as Debian has none for MinGW.  zlib is Debian's (libz-mingw-w64-dev).  The
sources of the engine are those of meson.build, but for what only Linux has.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-w64-mingw32"
CC = f"{TARGET}-gcc"
# Formats are checked on Linux: GCC takes printf for Microsoft's older one here.
FLAGS = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-format",
    "-D__USE_MINGW_ANSI_STDIO=1",
    "-static-libgcc",
]
ZLIB = Path(f"/usr/{TARGET}/lib/libz.a")  # linked whole: nothing more has to be installed
LINUX_ONLY = re.compile(r"engine/(aead|coalesce|datagram\w*|dtls\w*|gcm|platform_linux|pump\w*|sink_tun|tls\w*)\.c$")
ENGINE = ROOT / "transports" / "engine"
DOUBLE = ROOT / "tests" / "wintun_double"
OPENSSL_HEADERS = (Path("/usr/include/openssl"), Path("/usr/include/x86_64-linux-gnu/openssl"))


def run(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def sources() -> list[Path]:
    """The engine's, as meson.build has them."""
    found = re.search(r"sources = files\((.*?)\)", (ROOT / "meson.build").read_text("utf-8"), re.DOTALL)
    assert found
    names = re.findall(r"'(.+?)'", found[1])
    return [*(ROOT / name for name in names if not LINUX_ONLY.search(name)), ENGINE / "platform_windows.c"]


def headers(folder: Path) -> Path:
    """OpenSSL's headers alone: none of Linux may be seen."""
    target = folder / "include" / "openssl"
    target.mkdir(parents=True, exist_ok=True)
    for place in OPENSSL_HEADERS:
        for header in place.glob("*.h"):
            shutil.copy2(header, target / header.name)
    return target.parent


def import_library(dll: Path, folder: Path) -> Path:
    """What the linker needs of a DLL, from its list of exports."""
    table = run(f"{TARGET}-objdump", "-p", dll).partition("[Ordinal/Name Pointer] Table")[2]
    names = re.findall(r"^\s*\[\s*\d+\]\s+(?:\+base\[\s*\d+\]\s+\w+\s+)?(\w+)$", table, re.MULTILINE)
    definition = folder / f"{dll.stem}.def"
    definition.write_text(f"LIBRARY {dll.name}\nEXPORTS\n" + "\n".join(names) + "\n", encoding="utf-8")
    target = folder / f"lib{dll.stem}.dll.a"
    run(f"{TARGET}-dlltool", "-d", definition, "-l", target)
    return target


def compile_to(target: Path, inputs: Sequence[Path], *options: str | Path) -> None:
    run(CC, *FLAGS, "-I", ENGINE, "-I", DOUBLE, *inputs, *options, "-o", target)


def lz4_object(source: Path, folder: Path) -> Path:
    """Not our code, so by none of our warnings."""
    target = folder / "lz4.o"
    run(CC, "-O2", "-c", source / "lz4.c", "-o", target)
    return target


def build(folder: Path, python: Path, lz4: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    crypto = import_library(python / "libcrypto-3.dll", folder)
    compression = ("-DVE_ZLIB", "-DVE_LZ4", "-I", lz4, lz4_object(lz4, folder), ZLIB)
    compile_to(folder / "vpnengine.dll", sources(), "-shared", "-I", headers(folder), *compression, crypto)
    double = [DOUBLE / "twd.c", DOUBLE / "dll.c"]
    compile_to(folder / "wintun.dll", double, "-shared")
    compile_to(folder / "wintun-shrink.dll", double, "-shared", "-DTWD_SHRINK")
    tests = ROOT / "tests" / "transports" / "engine"
    rings = [ENGINE / name for name in ("sink.c", "ring.c", "reader.c", "reader_wintun.c", "platform_windows.c")]
    for name in ("test_ring", "test_ring_random"):
        compile_to(folder / f"{name}.exe", [tests / f"{name}.c", *rings])
    compile_to(
        folder / "test_wintun.exe", [tests / "test_wintun.c", DOUBLE / "twd.c", ENGINE / "sink_wintun.c", *rings]
    )


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:4]))
