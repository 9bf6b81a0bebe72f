"""Collects warnings about what a gateway sent: a hostile one must not flood the user."""

from __future__ import annotations

MAX_WARNINGS = 20  # texts shown of one step; the rest is counted


class Warnings:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def add(self, text: str) -> None:
        if text in self._texts:
            return
        if len(self._texts) < MAX_WARNINGS:
            self._texts.append(text)
        else:
            self._more += 1

    def extend(self, texts: tuple[str, ...]) -> None:
        for text in texts:
            self.add(text)

    def texts(self) -> tuple[str, ...]:
        if not self._more:
            return tuple(self._texts)
        return (*self._texts, f"and {self._more} more warnings of this kind")
