"""A program of the user's, run once for its standard output.

It gets a session of its own, so that a Ctrl-C at the terminal does not reach it; its standard error is ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from transports.account import Account
from transports.errors import TransportError

CHUNK = 65536  # bytes of one read


class ProgramFailed(TransportError):
    """It cannot be run, failed, takes too long, or says too much."""


async def run(
    argv: Sequence[str], environment: Mapping[str, str], *, user: str = "", timeout: float, limit: int
) -> bytes:
    """Its output, when it has ended with status 0.

    environment: on top of our own.  user: run it as this one, in its home.  timeout: seconds.  limit: bytes of
    output.  Raises ProgramFailed, which never shows an argument.
    """
    name = argv[0]
    try:
        who = Account.of(user)
    except ValueError as exc:
        raise ProgramFailed(str(exc)) from None
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **environment, **who.environment},
            cwd=who.home,
            user=who.uid,
            group=who.gid,
            extra_groups=who.groups,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ProgramFailed(f"{name} cannot be run: {why}") from exc
    try:
        async with asyncio.timeout(timeout):
            output = await _output(process, name, limit)
            status = await process.wait()
    except TimeoutError as exc:
        raise ProgramFailed(f"{name} did not end within {timeout:.0f} s") from exc
    finally:
        await _end(process)
    if status != 0:
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise ProgramFailed(f"{name} {ended}, want 0")
    return output


async def _output(process: asyncio.subprocess.Process, name: str, limit: int) -> bytes:
    assert process.stdout is not None  # a pipe
    output = bytearray()
    while data := await process.stdout.read(CHUNK):
        output += data
        if len(output) > limit:
            raise ProgramFailed(f"{name} said more than {limit} bytes")
    return bytes(output)


async def _end(process: asyncio.subprocess.Process) -> None:
    """With all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    if process.stdout is not None:
        while await process.stdout.read(CHUNK):
            pass
