"""Where a stored secret comes from: the environment, a command, a file or standard input (auth-helpers section 1)."""

from __future__ import annotations

import os
import select
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from protocols.base import Secret
from vpnclient.auth.lines import Lines, SecretSourceFailed

MAX_SECRET = 65536  # bytes, from a command or a file
COMMAND_TIMEOUT = 60.0  # seconds; long enough to unlock a password store


class SourceKind(StrEnum):
    PROMPT = "prompt"
    ENV = "env"
    COMMAND = "command"
    FILE = "file"
    STDIN = "stdin"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where to get a secret.  argument: variable name, command with its arguments, or file name."""

    kind: SourceKind
    argument: tuple[str, ...] = ()

    def describe(self) -> str:
        return f"{self.kind}: {shlex.join(self.argument)}" if self.argument else str(self.kind)


def fetch(source: SecretSource, *, environ: MutableMapping[str, str], stdin: Lines) -> Secret | None:
    """The secret; None: ask for it.  Raises SecretSourceFailed."""
    match source.kind:
        case SourceKind.PROMPT:
            return None
        case SourceKind.ENV:
            return from_environment(source.argument[0], environ)
        case SourceKind.COMMAND:
            return _from_command(source.argument, environ)
        case SourceKind.FILE:
            return _from_file(Path(source.argument[0]).expanduser())
        case SourceKind.STDIN:
            return from_stdin(stdin, "the password")


def from_environment(name: str, environ: MutableMapping[str, str]) -> Secret:
    """Takes the variable away, so that no script or browser inherits it."""
    text = environ.pop(name, None)
    if not text:
        raise SecretSourceFailed(f"environment variable {name} is not set, or empty")
    return Secret(text)


def from_stdin(stdin: Lines, what: str) -> Secret:
    line = stdin.next()
    if line is None:
        raise SecretSourceFailed(f"standard input ended where {what} was expected")
    return Secret(line)


def _from_command(command: tuple[str, ...], environ: MutableMapping[str, str]) -> Secret:
    """The first line of what a command prints.  No shell; its messages go to our standard error."""
    shown = shlex.join(command)
    inherit = None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL
    try:
        with subprocess.Popen(command, stdin=inherit, stdout=subprocess.PIPE, env=dict(environ)) as process:
            try:
                out = _bounded_output(process, time.monotonic() + COMMAND_TIMEOUT)
            except subprocess.TimeoutExpired:
                raise SecretSourceFailed(f"command {shown}: no answer within {COMMAND_TIMEOUT:.0f} s") from None
            finally:
                process.kill()
    except OSError as exc:
        raise SecretSourceFailed(f"command {shown}: {exc.strerror}") from exc
    if process.returncode and len(out) <= MAX_SECRET:
        raise SecretSourceFailed(f"command {shown}: exit status {process.returncode}")
    return _usable(out.partition(b"\n")[0].removesuffix(b"\r"), len(out), f"command {shown}")


def _bounded_output(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What the command prints until it ends, or a little more than MAX_SECRET."""
    assert process.stdout is not None
    out = b""
    while len(out) <= MAX_SECRET:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise subprocess.TimeoutExpired(process.args, COMMAND_TIMEOUT)
        chunk = os.read(process.stdout.fileno(), MAX_SECRET)
        if not chunk:
            process.wait(timeout=left)
            break
        out += chunk
    return out


def _from_file(path: Path) -> Secret:
    """The file must belong to us, or to root, and be readable by its owner alone."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretSourceFailed(f"{path}: not a regular file")
            if status.st_mode & 0o077:
                raise SecretSourceFailed(
                    f"{path}: others may read it (mode {stat.S_IMODE(status.st_mode):04o})",
                    hint=f"chmod 600 {shlex.quote(str(path))}",
                )
            raw = file.read(MAX_SECRET + 1)
    except OSError as exc:
        raise SecretSourceFailed(f"{path}: {exc.strerror}") from exc
    return _usable(raw.removesuffix(b"\n").removesuffix(b"\r"), len(raw), str(path))


def _usable(raw: bytes, size: int, where: str) -> Secret:
    if size > MAX_SECRET:
        raise SecretSourceFailed(f"{where}: more than {MAX_SECRET} bytes")
    if not raw:
        raise SecretSourceFailed(f"{where}: gave nothing")
    if b"\0" in raw:
        raise SecretSourceFailed(f"{where}: contains a NUL byte")
    try:
        return Secret(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise SecretSourceFailed(f"{where}: not UTF-8") from None
