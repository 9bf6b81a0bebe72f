"""Fuzz the engine's decoders with libFuzzer: `python scripts/fuzz.py [--seconds N] [NAME ...]`.

Every tests/fuzz/fuzz_NAME.c is built with clang (-fsanitize=fuzzer,address,undefined), linked with the engine's
objects, which are kept in build/fuzz/engine/, and run on its seeds (tests/fuzz/seeds/NAME/, hex texts) and on what
earlier runs found (build/fuzz/NAME/corpus).
A crash is written to build/fuzz/NAME/ and ends the run with status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = "-fsanitize=fuzzer,address,undefined"
FLAGS = ("-g", "-O1", "-std=gnu11", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", SANITIZE)


def targets() -> list[str]:
    return sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.c"))


def engine_sources() -> list[str]:
    """The C files that meson.build names."""
    text = (ROOT / "meson.build").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"'((?:transports/engine|protocols/framing)/\w+\.c)'", text)))


def libraries() -> list[str]:
    """What the engine links; optional ones only where they are installed."""
    flags: list[str] = []
    for name in ("libssl", "libcrypto", "zlib", "liblz4"):
        found = subprocess.run(["pkg-config", "--cflags", "--libs", name], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            flags += shlex.split(found.stdout)
    if "-DVE_IPSEC_MB" in defines():
        flags.append("-lIPSec_MB")  # it has no file for pkg-config
    return flags


def defines() -> list[str]:
    """The preprocessor symbols that meson decided on, from its compile commands if it has run."""
    commands = ROOT / "build" / "engine" / "compile_commands.json"
    if not commands.exists():
        return []
    return sorted(set(re.findall(r"-DVE_\w+(?:=\w+)?", commands.read_text(encoding="utf-8"))))


def flags() -> list[str]:
    folders = (ROOT / "transports" / "engine", ROOT / "protocols" / "framing", ROOT / "tests" / "fuzz")
    return [*FLAGS, *defines(), *(f"-I{folder}" for folder in folders)]


def compiled() -> list[Path]:
    """The engine's objects, the same for every target: those that a change has made old are compiled."""
    folder = ROOT / "build" / "fuzz" / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    wishes = folder / "flags"
    if not wishes.exists() or wishes.read_text(encoding="utf-8") != shlex.join(flags()):
        wishes.write_text(shlex.join(flags()), encoding="utf-8")
    newest = max(path.stat().st_mtime for path in (wishes, *sources_and_headers()))
    objects = {folder / f"{source.replace('/', '-')}.o": ROOT / source for source in engine_sources()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda one: compile_one(*one, newest), objects.items()))
    return list(objects)


def sources_and_headers() -> list[Path]:
    return [path for folder in ("transports/engine", "protocols/framing") for path in (ROOT / folder).glob("*.[ch]")]


def compile_one(made: Path, source: Path, newest: float) -> None:
    """As a new file that takes the place of the old one at once, so that an interrupted run leaves no half."""
    if made.exists() and made.stat().st_mtime >= newest:
        return
    fresh = made.with_suffix(".new")
    subprocess.run(["clang", *flags(), "-c", str(source), "-o", str(fresh)], check=True)
    fresh.replace(made)


def build(name: str) -> Path:
    folder = ROOT / "build" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "fuzz"
    own = str(ROOT / "tests" / "fuzz" / f"fuzz_{name}.c")
    objects = [str(path) for path in compiled()]
    command = ["clang", *flags(), own, *objects, "-o", str(program), *libraries(), "-lpthread"]
    subprocess.run(command, check=True)
    return program


def seed(name: str) -> Path:
    """The corpus folder, with the seeds as binary files in it."""
    corpus = ROOT / "build" / "fuzz" / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "tests" / "fuzz" / "seeds" / name).glob("*.hex")):
        text = re.sub(r"#.*", "", path.read_text(encoding="ascii"))
        (corpus / path.stem).write_bytes(bytes.fromhex(text))
    return corpus


def run(name: str, seconds: int) -> bool:
    program, corpus = build(name), seed(name)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={program.parent}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    done = subprocess.run([str(program), *options, str(corpus)], capture_output=True, text=True, check=False)
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    print(f"{name}: {executed.group(1) if executed else '?'} inputs in {seconds} s, ", end="")
    print("no finding" if done.returncode == 0 else f"FOUND SOMETHING\n{done.stderr[-4000:]}", flush=True)
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which (default: all of {', '.join(targets())})")
    parser.add_argument("--seconds", type=int, default=60, help="how long each runs (default 60)")
    wishes = parser.parse_args()
    results = [run(name, wishes.seconds) for name in wishes.names or targets()]
    sys.exit(0 if all(results) and results else 1)


if __name__ == "__main__":
    main()
