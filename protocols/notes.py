"""What was dropped or repaired in a configuration: one text each, capped, for the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from protocols.text import one_line

MAX_WARNINGS = 20
T = TypeVar("T")


class Notes:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def warn(self, name: str, text: str) -> None:
        warning = f"{name}: {one_line(text)}"
        if warning in self._texts:
            return
        if len(self._texts) < MAX_WARNINGS:
            self._texts.append(warning)
        else:
            self._more += 1

    def texts(self) -> tuple[str, ...]:
        more = (f"and {self._more} more like these",) if self._more else ()
        return (*self._texts, *more)

    def distinct(self, items: Iterable[tuple[str, str]], read: Callable[[str], T], most: int) -> tuple[T, ...]:
        """What can be read of named texts, once each; what is bad (ValueError) or too much is dropped and noted."""
        found: dict[T, None] = {}
        for name, item in items:
            try:
                found[read(item)] = None
            except ValueError as exc:
                self.warn(name, f"ignored: {exc}")
            if len(found) > most:
                found.popitem()
                self.warn(name, f"more than {most}: the rest is ignored")
                break
        return tuple(found)
