"""Arguments of `connect`, before typer sees them: --config FILE unfolded, --tcp-keepalive without a number completed.

A configuration file has one long option a line, without the dashes, as openconnect reads it (cli-parity section 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vpnclient.errors import UsageError
from vpnclient.schema import Item, Kind

MAX_FILE = 1 << 20  # bytes
MAX_LINE = 65536  # bytes
KEEPALIVE = "60"  # seconds, for --tcp-keepalive alone


def unfold(arguments: Sequence[str], items: Sequence[Item]) -> list[str]:
    """The arguments with every --config replaced by what is in the file, in place."""
    known = _table(items)
    found: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*found, argument, *rest]
        if name == "--config":
            path = value if equals else next(rest, "")
            if not path:
                raise UsageError("--config: needs a file name")
            found += _read(Path(path).expanduser(), known)
        elif argument == "--tcp-keepalive":
            found.append(f"--tcp-keepalive={KEEPALIVE}")
        else:
            found.append(argument)
            if name in known and not equals and known[name]:
                found += [value for value in (next(rest, None),) if value is not None]
    return found


def _table(items: Sequence[Item]) -> dict[str, bool]:
    """Option -> takes a value."""
    return {
        flag: item.kind is not Kind.FLAG
        for item in items
        for flags in item.flags
        for flag in flags.split("/")
        if item.name != "tcp_keepalive"
    } | {"--tcp-keepalive": True, "--verbose": False}


def _read(path: Path, known: Mapping[str, bool]) -> list[str]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as exc:
        raise UsageError(f"--config {path}: {exc.strerror}") from exc
    if len(raw) > MAX_FILE:
        raise UsageError(f"--config {path}: more than {MAX_FILE} bytes")
    found: list[str] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            argument = _argument(line, known)
        except ValueError as exc:
            raise UsageError(f"{path}:{number}: {exc}") from exc
        if argument:
            found.append(argument)
    return found


def _argument(raw: bytes, known: Mapping[str, bool]) -> str:
    """One line as one argument; "" for a blank line or a comment."""
    if len(raw) > MAX_LINE:
        raise ValueError(f"{len(raw)} bytes, a line has at most {MAX_LINE}")
    if b"\0" in raw:
        raise ValueError("contains a NUL byte")
    try:
        line = raw.decode("utf-8").strip("\r\n").lstrip(" \t")
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 (byte {exc.start + 1} of the line)") from exc
    if not line or line.startswith("#"):
        return ""
    end = next((at for at, char in enumerate(line) if char in " \t="), len(line))
    name, value = line[:end], line[end:].lstrip(" \t").removeprefix("=").lstrip(" \t")
    option = f"--{name}"
    if name == "config":
        raise ValueError("config: a configuration file cannot name another one")
    if option not in known:
        raise ValueError(f"unknown option {name!r}{_nearest(option, known)}")
    if option == "--tcp-keepalive":
        value = value or KEEPALIVE
    if known[option] and not value:
        raise ValueError(f"{name}: needs a value")
    if not known[option] and value:
        raise ValueError(f"{name}: takes no value")
    return f"{option}={value}" if value else option


def _nearest(option: str, known: Mapping[str, bool]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(option, known, n=1)
    return f"; did you mean {near[0].lstrip('-')}?" if near else ""
