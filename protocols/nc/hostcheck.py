"""Juniper's host checker (TNCC), done by a program of the user's that keeps running (juniper.md section 3.1).

    start      we: start, IC, Cookie, DSSIGNIN      it: 200, anything, a new cookie, seconds or nothing, lines, nothing
    setcookie  we: setcookie, Cookie                it: as above, or nothing at all

Once the session is there, and then at each interval, it is told the cookie again (Q23: the host checker's, not the
session's).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from protocols.base import Secret, SignInOptions
from protocols.nc.errors import HostCheckFailed
from transports.companion import Companion, CompanionFailed

STATE = "DSPREAUTH"  # the cookie
ANSWER_LIMIT = 60.0  # seconds for each line
LATER_LIMIT = 5.0  # seconds for what may be answered to setcookie
MAX_IGNORED = 10  # lines behind the fourth (Q22)
MAX_INTERVAL = 86400  # seconds
MAX_STATE = 4096  # characters


class Talk(Protocol):
    """What is needed of the program."""

    async def send(self, data: bytes) -> None: ...

    async def line(self, timeout: float) -> str: ...

    def discard(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """interval: seconds until the next check; 0: none is wanted."""

    state: Secret
    interval: int


class HostChecker:
    """One program, for one session."""

    def __init__(self, program: Talk, host: str, interval: int = 0) -> None:
        """interval: the user's wish in seconds; 0: as the program says."""
        self._program, self._host, self._wish = program, host, interval
        self._state = Secret("")
        self._interval = 0
        self._task: asyncio.Task[None] | None = None

    async def check(self, state: str, sign_in: str) -> str:
        """The cookie that passes the check.  Raises HostCheckFailed."""
        sentence = f"start\nIC={self._host}\nCookie={_line(state)}\nDSSIGNIN={_line(sign_in) or 'null'}\n"
        try:
            await self._program.send(sentence.encode())
            answer = await read_answer(self._program.line, ANSWER_LIMIT)
        except CompanionFailed as exc:
            raise HostCheckFailed(str(exc)) from exc
        self._state = answer.state
        self._interval = self._wish or answer.interval
        return answer.state.reveal()

    def keep_going(self) -> None:
        """There is a session: tell the program now, and at each interval."""
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._program.stop()

    async def _repeat(self) -> None:
        try:
            while True:
                self._program.discard()
                await self._program.send(f"setcookie\nCookie={self._state.reveal()}\n".encode())
                if not self._interval:
                    await asyncio.Event().wait()  # it stays until the session ends
                await asyncio.gather(self._take_news(), asyncio.sleep(self._interval))
        except CompanionFailed:
            return  # the gateway ends the session if it minds
        finally:
            self._program.stop()

    async def _take_news(self) -> None:
        """Programs that answer to setcookie do it as to start; most say nothing."""
        try:
            self._state = (await read_answer(self._program.line, LATER_LIMIT)).state
        except (CompanionFailed, HostCheckFailed):
            return


async def read_answer(line: Callable[[float], Awaitable[str]], limit: float) -> Answer:
    """Raises HostCheckFailed, CompanionFailed."""
    status = await line(limit)
    if status != "200":
        raise HostCheckFailed(f"the host checker said {status[:80]!r}, want '200'")
    await line(limit)
    state = await line(limit)
    if not state or len(state) > MAX_STATE or any(not "!" <= char <= "~" or char == ";" for char in state):
        raise HostCheckFailed("the host checker gave no usable cookie in its third line")
    interval = await line(limit)
    if not interval:
        return Answer(Secret(state), 0)
    for _ignored in range(MAX_IGNORED + 1):
        if not await line(limit):
            return Answer(Secret(state), _seconds(interval))
    raise HostCheckFailed(f"more than {MAX_IGNORED} lines behind the host checker's interval")


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HostCheckFailed(f"got an interval of {text[:80]!r}, want seconds")
    return min(int(text), MAX_INTERVAL)


def _line(text: str) -> str:
    """A cookie's value; what would begin a new line never gets into one (transports/cookies.py)."""
    return text.replace("\r", "").replace("\n", "")


def start(options: SignInOptions, host: str, fingerprint: str) -> HostChecker:
    """Run the user's program.  fingerprint: pin-sha256:... of the gateway's key.  Raises HostCheckFailed."""
    environment = {
        "TNCC_SHA256": fingerprint.removeprefix("pin-sha256:"),
        "TNCC_HOSTNAME": options.local_hostname,
    }
    if not options.csd_interval:
        environment["TNCC_INTERVAL"] = "0"
    try:
        program = Companion.start([options.csd_wrapper, host], environment, user=options.csd_user)
    except CompanionFailed as exc:
        raise HostCheckFailed(str(exc)) from exc
    return HostChecker(program, host, options.csd_interval)
