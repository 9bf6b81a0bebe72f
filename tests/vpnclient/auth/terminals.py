"""A pseudo-terminal with a person at it: waits for a text, then types.  No sleeps."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from vpnclient.auth.lines import Lines

PATIENCE = 20.0  # seconds for a text to appear; only a failing test waits so long
END_OF_FILE = b"\x04"  # Ctrl-D at the beginning of a line


class Terminal:
    """Both ends: `lines` and `err` for the program, `script` for the person."""

    def __init__(self, master: int, slave: int) -> None:
        self._master, self._slave = master, slave
        self.lines = Lines(open(slave, "rb", buffering=0, closefd=False))
        self.err: TextIO = open(slave, "w", encoding="utf-8", closefd=False)
        self.seen = ""
        self._met = 0  # characters of `seen` up to the end of the last text that was waited for
        self.echoes: list[bool] = []  # at each answer: was the echo on?

    @property
    def echo(self) -> bool:
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def answer(self, steps: Sequence[tuple[str, str]]) -> None:
        """For each step: read until the text appears, then type the answer."""
        try:
            for expected, typed in steps:
                self.read_until(expected)
                self.echoes.append(self.echo)
                os.write(self._master, typed.encode())
        except BaseException:
            os.write(self._master, END_OF_FILE)  # nobody will answer: the program must not wait for ever
            raise

    def read_until(self, expected: str) -> None:
        """What follows the text may be there already: it is left for the next step."""
        while expected not in self.seen[self._met :]:
            ready, _, _ = select.select([self._master], [], [], PATIENCE)
            assert ready, f"{expected!r} did not come; seen: {self.seen!r}"
            self.seen += os.read(self._master, 4096).decode()
        self._met = self.seen.index(expected, self._met) + len(expected)

    @contextmanager
    def person(self, *steps: tuple[str, str]) -> Iterator[None]:
        thread = threading.Thread(target=self.answer, args=(steps,), daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def rest(self) -> str:
        """What is on the screen by now."""
        while select.select([self._master], [], [], 0)[0]:
            self.seen += os.read(self._master, 4096).decode()
        return self.seen


@contextmanager
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    try:
        yield Terminal(master, slave)
    finally:
        os.close(master)
        os.close(slave)
