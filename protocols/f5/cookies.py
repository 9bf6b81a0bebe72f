"""The two cookies that are a session, and how long it lasts (sections 3.1 and 3.2).

MRHSession=ID; F5_ST=1z1z1z<start>z<duration>        or MRHSession=ID, or the bare ID
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.base import Secret
from protocols.errors import MalformedAnswer

SESSION = "MRHSession"
TIMES = "F5_ST"
MAX_COOKIE = 16384  # characters
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class SessionCookies:
    """session: MRHSession.  times: F5_ST; empty: unknown."""

    session: Secret
    times: str = ""

    def text(self) -> Secret:
        """As --authenticate prints them."""
        times = f"; {TIMES}={self.times}" if self.times else ""
        return Secret(f"{SESSION}={self.session.reveal()}{times}")

    def pairs(self) -> list[tuple[str, str]]:
        """Name and value, for the store."""
        return [(SESSION, self.session.reveal()), *([(TIMES, self.times)] if self.times else [])]


def parse(cookie: Secret) -> SessionCookies:
    """Read what another process printed.  Raises MalformedAnswer for what must not enter a header."""
    text = cookie.reveal().strip(" ")
    _check(text)
    parts = dict(_split(part) for part in text.split(";")) if "=" in text else {SESSION: text}
    if not parts.get(SESSION):
        raise MalformedAnswer("bad-cookie", f"no {SESSION} value, want {SESSION}=...; {TIMES}=...")
    return SessionCookies(Secret(parts[SESSION]), parts.get(TIMES, ""))


def expiry(times: str) -> int | None:
    """Unix seconds at which the session ends; None: unknown."""
    fields = times.split("z")
    if len(fields) < 5 or not all(_DIGITS.fullmatch(field) for field in fields[3:5]) or int(fields[4]) <= 0:
        return None
    return int(fields[3]) + int(fields[4])  # times beyond 31 bits are to come (Q16)


def _split(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _check(text: str) -> None:
    """Refuse before any request what would break out of the header (never showing the value)."""
    if len(text) > MAX_COOKIE:
        raise MalformedAnswer("bad-cookie", f"{len(text)} characters, want at most {MAX_COOKIE}")
    at = next((index for index, char in enumerate(text) if not " " <= char <= "~"), None)
    if at is not None:
        raise MalformedAnswer("bad-cookie", f"character U+{ord(text[at]):04X} at position {at}, want printable ASCII")
