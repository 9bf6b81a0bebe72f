"""`vpnclient profile list|show|check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vpnclient import profile as profiles
from vpnclient.errors import Exit, UsageError
from vpnclient.profile import Profile, ProfileInvalid
from vpnclient.schema import BY_KEY, Kind, Value
from vpnclient.view.text import counted

app = typer.Typer(
    help="Profiles: gateways under short names, in ~/.config/vpnclient/NAME.yaml or /etc/vpnclient/NAME.yaml.",
    no_args_is_help=True,
)


def _complete(incomplete: str) -> list[str]:
    return [name for name in profiles.names(os.environ) if name.startswith(incomplete)]


@app.command("list", epilog="Example: vpnclient profile list | cut -f1")
def list_profiles() -> None:
    """List the profiles: name, gateway, title and file."""
    rows = []
    for name, path in profiles.names(os.environ).items():
        try:
            profile = profiles.load(path)
            rows.append((name, _text(profile, "server"), _text(profile, "title"), str(path)))
        except ProfileInvalid as exc:
            rows.append((name, "(invalid)", f"{counted(len(exc.problems), 'problem')}; see profile check", str(path)))
    if not rows:
        folders = " or ".join(str(folder) for folder in profiles.directories(os.environ))
        print(f"no profiles in {folders}", file=sys.stderr)
        return
    _table(("name", "gateway", "title", "file"), rows)


@app.command(epilog="Example: vpnclient profile show work")
def show(name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_complete)]) -> None:
    """Show what a profile sets; secrets only by where they come from."""
    path = _find(name)
    profile = profiles.load(path)
    rows = [("(file)", str(path))]
    for key, item in BY_KEY.items():
        if item.name in profile.secrets:
            rows.append((key, profile.secrets[item.name].describe()))
        elif item.name in profile.values:
            rows.append((key, _shown(item.kind, item.name, profile.values[item.name])))
    _table(("key", "value"), rows)


@app.command(epilog="Example: vpnclient profile check work ./new.yaml")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|FILE]...", autocompletion=_complete)] = None,
) -> None:
    """Check profiles, all of them if none is named; every problem with file, line and key."""
    paths = [_find(name) for name in names] if names else list(profiles.names(os.environ).values())
    problems = 0
    for path in paths:
        try:
            profiles.load(path)
            print(f"{path}: good")
        except ProfileInvalid as exc:
            problems += len(exc.problems)
            for text in exc.problems:
                print(text)
    if problems:
        raise typer.Exit(int(Exit.USAGE))


def _find(name: str) -> Path:
    """A profile by its name, or by its file."""
    if "/" in name or name.endswith(profiles.SUFFIX):
        return Path(name)
    path = profiles.find(name, os.environ)
    if path is None:
        from difflib import get_close_matches

        near = get_close_matches(name, profiles.names(os.environ), n=1)
        folders = " and ".join(str(folder) for folder in profiles.directories(os.environ))
        raise UsageError(
            f"no profile {name!r} in {folders}",
            hint=f"did you mean {near[0]}?" if near else "vpnclient profile list shows what there is",
        )
    return path


def _text(profile: Profile, name: str) -> str:
    value = profile.values.get(name, "")
    return value if isinstance(value, str) else ""


def _shown(kind: Kind, name: str, value: Value) -> str:
    """A value for people; answers to forms and a proxy's password are not for the screen."""
    if kind is Kind.FORM and isinstance(value, tuple):
        return ", ".join(f"{text.partition('=')[0]}=..." for text in value)
    if name == "proxy" and isinstance(value, str) and "@" in value:
        scheme, separator, rest = value.rpartition("://")
        return f"{scheme}{separator}...@{rest.rpartition('@')[2]}"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "forever" if value == float("inf") else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a pipe a line a row, with tabs."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(highlight=False, markup=False).print(table)
