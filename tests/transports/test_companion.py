"""A program of the user's with a socket as its standard input."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from transports.companion import MAX_LINE, Companion, CompanionFailed

PATIENCE = 60.0  # seconds; only a broken test waits that long


def script(folder: Path, body: str) -> str:
    path = folder / "program"
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return str(path)


def talk(argv: list[str], act: Callable[[Companion], Awaitable[None]], **environment: str) -> None:
    async def run() -> None:
        companion = Companion.start(argv, environment)
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await act(companion)
        finally:
            companion.stop()

    asyncio.run(run())


def test_it_is_asked_and_answers_on_the_same_descriptor(tmp_path: Path) -> None:
    program = script(tmp_path, 'read a; echo "$1 $SAID: $a" >&0; printf "two\\r\\n\\nrest\\n" >&0; cat <&0\n')

    async def act(companion: Companion) -> None:
        await companion.send(b"hello\n")
        assert [await companion.line(PATIENCE) for _ in range(4)] == ["host THERE: hello", "two", "", "rest"]

    talk([program, "host"], act, SAID="THERE")


def test_what_it_does_wrong_has_a_name(tmp_path: Path) -> None:
    async def silent(companion: Companion) -> None:
        with pytest.raises(CompanionFailed, match="did not answer within"):
            await companion.line(0.05)

    async def gone(companion: Companion) -> None:
        with pytest.raises(CompanionFailed, match="ended before"):
            await companion.line(PATIENCE)

    async def endless(companion: Companion) -> None:
        with pytest.raises(CompanionFailed, match=f"more than {MAX_LINE} bytes"):
            await companion.line(PATIENCE)

    talk([script(tmp_path, "cat <&0 >/dev/null\n")], silent)
    talk([script(tmp_path, "exit 0\n")], gone)
    talk([script(tmp_path, "head -c 3000 /dev/zero >&0; cat <&0 >/dev/null\n")], endless)


def test_what_has_arrived_can_be_forgotten(tmp_path: Path) -> None:
    async def act(companion: Companion) -> None:
        assert await companion.line(PATIENCE) == "one"
        await asyncio.sleep(0.1)
        companion.discard()
        await companion.send(b"\n")
        assert await companion.line(PATIENCE) == "four"

    talk([script(tmp_path, 'printf "one\\ntwo\\nthree\\n" >&0; read a; echo four >&0; cat <&0 >/dev/null\n')], act)


@pytest.mark.parametrize("body", ["cat <&0 >/dev/null\n", "trap '' TERM\nwhile :; do sleep 0.05; done\n"])
def test_it_ends_with_us_whatever_it_does(tmp_path: Path, body: str) -> None:
    async def run() -> int:
        companion = Companion.start([script(tmp_path, f"echo $$ >&0\n{body}")], {})
        pid = int(await companion.line(PATIENCE))
        companion.stop()
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(run()), 0)


def test_a_program_that_cannot_be_run_and_a_user_who_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CompanionFailed, match="nothing cannot be run: No such file"):
        Companion.start([str(tmp_path / "nothing")], {})
    with pytest.raises(CompanionFailed, match="no user 'nobody-at-all'"):
        Companion.start(["/bin/true"], {}, user="nobody-at-all")
