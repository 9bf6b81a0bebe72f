"""Reading the headers of an answer: by name in any case, numbers and flags with their rules, warnings counted.

Source: anyconnect.md section 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from protocols.networks import shown
from protocols.text import clean, one_line

MAX_NUMBER = 2**31
MAX_WARNINGS = 20
MAX_RAW = 65536  # characters of all values kept for scripts
_NUMBER = re.compile(r"-?[0-9]{1,20}")
_OPTION = re.compile(r"x-[a-z0-9-]{1,120}", re.IGNORECASE)
_SECRET_NAMES = frozenset({"x-cstp-post-auth-xml", "x-dtls-session-id", "x-dtls-app-id"})
_SECRET_WORDS = ("secret", "token", "cookie", "password", "strap")


class Headers:
    """The answer's headers.  Collects what was ignored or repaired in `warnings`."""

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self._headers = headers
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.strip().lower(), []).append(value.strip())
        self._warnings: list[str] = []
        self._more = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        more = (f"and {self._more} more like these",) if self._more else ()
        return (*self._warnings, *more)

    def warn(self, name: str, text: str) -> None:
        """One text each, at most MAX_WARNINGS, the rest only counted (host-config.md section 11)."""
        warning = f"{name}: {one_line(text)}"
        if warning in self._warnings:
            return
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(warning)
        else:
            self._more += 1

    def all(self, *names: str) -> list[tuple[str, str]]:
        """Name and value of every non-empty occurrence, name by name."""
        return [(name, value) for name in names for value in self._values.get(name.lower(), ()) if value]

    def one(self, name: str) -> str:
        """The value of a header that may come once; of several the last.  Absent: empty."""
        return self._values.get(name.lower(), [""])[-1]

    def number(self, name: str) -> int:
        """A count or seconds; `none`, empty, absent or unusable (with a warning): 0."""
        value = self.one(name)
        if value.lower() in ("", "none"):
            return 0
        if not _NUMBER.fullmatch(value) or not 0 <= int(value) <= MAX_NUMBER:
            self.warn(name, f"ignored {shown(value)}, want 0 to {MAX_NUMBER}")
            return 0
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.one(name).lower()
        return value == "true" if value in ("true", "false") else default

    def raw(self) -> tuple[tuple[str, str], ...]:
        """Every option as the gateway named it, but for secrets and what is no option at all.

        Lines of an X-CSTP-Post-Auth-XML may look like headers (section 3.3): their names are not ours.
        """
        kept: list[tuple[str, str]] = []
        room = MAX_RAW
        for name, value in self._headers:
            low = name.strip().lower()
            if not _OPTION.fullmatch(low) or low in _SECRET_NAMES or any(word in low for word in _SECRET_WORDS):
                continue
            text = clean(value)
            room -= len(name) + len(text) + 2
            if room < 0:
                self.warn(name, f"options of more than {MAX_RAW} characters: the rest is not passed to scripts")
                break
            kept.append((name.strip(), text))
        return tuple(kept)
