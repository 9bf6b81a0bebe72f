"""Runs the host's own tools (resolvectl, resolvconf) and never lets a Ctrl-C of the terminal reach them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

COMMAND_TIMEOUT = 20  # seconds; these tools wait for a service that may hang


class CommandFailed(Exception):
    """A tool is missing, failed or did not end; the text names it and what it said."""


def run(command: Sequence[str], text: str = "") -> str:
    """Run a tool with `text` on its standard input; returns what it printed.  Raises CommandFailed.

    It gets a process group of its own: signals of the terminal would interrupt a change of the host.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT,
            process_group=0,
        )
    except subprocess.TimeoutExpired as exc:
        raise CommandFailed(f"{shown}: no answer within {COMMAND_TIMEOUT} s") from exc
    except OSError as exc:
        raise CommandFailed(f"{shown}: {exc.strerror}") from exc
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CommandFailed(f"{shown}: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout
