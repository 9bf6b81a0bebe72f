"""Standard output, for what somebody asked for: it is written, or there is an error."""

from __future__ import annotations

import sys

from vpnclient.errors import OutputFailed


def show(text: str) -> None:
    """Print a line at once.  Raises OutputFailed, BrokenPipeError."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise _lost(exc) from exc


def finish() -> None:
    """Write what is still held back.  Raises OutputFailed, BrokenPipeError."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise _lost(exc) from exc


def give_up() -> None:
    """Nothing more is written: Python would try once more at the exit, and complain."""
    sys.stdout = None


def _lost(error: OSError) -> OutputFailed:
    give_up()
    return OutputFailed(f"cannot write standard output: {(error.strerror or str(error)).lower()}")
