"""Imports point down: vpnclient -> protocols -> transports.  Plug-in examples import vpnclient.api alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MACHINE_PATH = re.compile(r"(^|[^\w.])/(work|root)/\w")
FLOORS = ("transports", "protocols", "vpnclient")  # from the ground up

# protocols/ talks to the network only through transports/, and never to the operating system.
BANNED_IN_PROTOCOLS = {"socket", "ssl", "time", "random", "subprocess", "select", "pyroute2"}
# A controller or a framing is sans-IO: no event loop either.
SANS_IO = (
    "protocols/framing",
    "protocols/anyconnect/controller.py",
    "protocols/anyconnect/options.py",
    *(f"protocols/ppp/{name}.py" for name in ("automaton", "lcp", "ipcp", "ip6cp", "engine", "opening", "controller")),
    *(
        f"protocols/gp/{name}.py"
        for name in (
            "answers",
            "challenge",
            "config",
            "controller",
            "cookie",
            "esp",
            "ipsec",
            "life",
            "login",
            "ping",
            "portal",
            "saml",
        )
    ),
    *(f"protocols/f5/{name}.py" for name in ("options", "profiles", "config", "page", "script")),
    *(f"protocols/fortinet/{name}.py" for name in ("answers", "bodies", "config", "document", "standing")),
)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(floor)
        for name in imports(path)
        if name.split(".")[0] in above
    ]
    assert not wrong


def test_there_is_something_to_check() -> None:
    assert all(sources(floor) for floor in FLOORS)


def test_protocols_know_no_operating_system() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("protocols")
        for name in imports(path)
        if name.split(".")[0] in BANNED_IN_PROTOCOLS
    ]
    assert not wrong


@pytest.mark.parametrize("place", SANS_IO)
def test_framings_and_controllers_are_sans_io(place: str) -> None:
    path = ROOT / place
    files = [path] if path.suffix else sorted(path.rglob("*.py"))
    assert files
    assert not [f"{file} imports {name}" for file in files for name in imports(file) if name.startswith("asyncio")]


def test_a_plugin_needs_nothing_but_the_api() -> None:
    files = sources("examples/lantern")
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports(path)
        if name.split(".")[0] in FLOORS and name != "vpnclient.api"
    ]
    assert not wrong


def test_nothing_names_a_path_of_a_machine() -> None:
    text_files = [
        path
        for pattern in ("*.py", "*.md", "*.c", "*.h", "*.toml", "*.yaml", "*.sh", "Makefile")
        for path in ROOT.rglob(pattern)
        if not {".venv", "build", ".git", ".hypothesis"} & set(path.relative_to(ROOT).parts)
    ]
    wrong = [str(path) for path in text_files if MACHINE_PATH.search(path.read_text("utf-8"))]
    assert not wrong
