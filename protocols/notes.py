"""What was dropped or repaired in a configuration: one text each, capped, for the user."""

from __future__ import annotations

from protocols.text import one_line

MAX_WARNINGS = 20


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
