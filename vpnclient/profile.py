"""YAML profiles: a gateway with everything that belongs to it, under a short name.

`work` is ~/.config/vpnclient/work.yaml ($XDG_CONFIG_HOME is honoured), else /etc/vpnclient/work.yaml.  Keys are the
rows of vpnclient.schema.  Every complaint names file, line and key; all of them are found in one go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vpnclient.auth.secrets import SecretSource
from vpnclient.errors import UsageError
from vpnclient.permissions import unsafe_file
from vpnclient.schema import Value

SUFFIX = ".yaml"
SYSTEM_DIR = Path("/etc/vpnclient")
MAX_FILE = 1 << 20  # bytes
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A valid profile.  values: by the item's name; secrets: where they come from; lines: of each key, by name."""

    name: str
    path: Path
    values: Mapping[str, Value]
    secrets: Mapping[str, SecretSource]
    lines: Mapping[str, int]


class ProfileInvalid(UsageError):
    """A profile is wrong; `problems` has a line for each thing."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where profiles are looked for, the user's own first."""
    only = environ.get("VPNCLIENT_PROFILE_DIR")
    if only:
        return (Path(only),)
    config = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    base = Path(config) if config.startswith("/") else Path(home or "/root") / ".config"
    return (base / "vpnclient", SYSTEM_DIR)


def find(name: str, environ: Mapping[str, str]) -> Path | None:
    """The file of a profile; None: there is none, or it cannot be a profile's name."""
    if not _NAME.fullmatch(name):
        return None
    for folder in directories(environ):
        path = folder / (name + SUFFIX)
        if path.is_file():
            return path
    return None


def missed(name: str, environ: Mapping[str, str]) -> str:
    """What to say about a host that was probably meant as a profile; "": nothing."""
    if not _NAME.fullmatch(name) or "." in name:
        return ""
    user = environ.get("SUDO_USER", "")
    own = Path(os.path.expanduser(f"~{user}"), ".config", "vpnclient", name + SUFFIX)
    if user and own.is_file():
        return f"{own} is not looked at under sudo: move it to {SYSTEM_DIR} to use it as root"
    near = get_close_matches(name, names(environ), n=1)
    return f"no profile {name!r}, so it is taken for a host; did you mean {near[0]}?" if near else ""


def names(environ: Mapping[str, str]) -> dict[str, Path]:
    """Every profile there is, sorted by name; the user's own hides one of the system."""
    found: dict[str, Path] = {}
    for folder in directories(environ):
        try:
            files = sorted(folder.iterdir())
        except OSError:
            continue
        for path in files:
            if path.suffix == SUFFIX and _NAME.fullmatch(path.stem) and path.is_file():
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load(path: Path) -> Profile:
    """Raises ProfileInvalid with everything that is wrong."""
    from vpnclient.profile_reader import read

    return read(path.stem, path, _content(path))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
            unsafe = unsafe_file(path, os.fstat(file.fileno()))
    except OSError as exc:
        raise ProfileInvalid((f"{path}: {exc.strerror}",)) from exc
    if len(raw) > MAX_FILE:
        raise ProfileInvalid((f"{path}: more than {MAX_FILE} bytes",))
    if unsafe:  # it may name commands to run
        raise ProfileInvalid((f"{path}: {unsafe}",))
    return raw
