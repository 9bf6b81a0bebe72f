"""The session cookies as they travel between two processes (juniper.md section 2.9).

DSID=TOKEN[; DSFirst=SECONDS][; DSLast=SECONDS][; DSSignInUrl=PATH]        or the bare TOKEN
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.base import Secret
from protocols.errors import MalformedAnswer

MAX_COOKIE = 16384  # characters
NAME = "DSID"
# As told to another process, and as the gateway calls it; what a browser's user copies is taken as well.
_OTHERS = (("DSFirst", "DSFirstAccess"), ("DSLast", "DSLastAccess"), ("DSSignInUrl", "DSSignInURL"))
_KNOWN = {name.lower(): ours for ours, theirs in _OTHERS for name in (ours, theirs)}


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """dsid: opens the tunnel.  The others are sent back with it; empty: there is none."""

    dsid: Secret
    first: str = ""
    last: str = ""
    sign_in_url: str = ""

    def text(self) -> Secret:
        """As --authenticate prints it."""
        return Secret(self._joined([ours for ours, _ in _OTHERS]))

    def header(self) -> Secret:
        """As the gateway wants it back."""
        return Secret(self._joined([theirs for _, theirs in _OTHERS]))

    def _joined(self, names: list[str]) -> str:
        values = (self.first, self.last, self.sign_in_url)
        rest = [f"{name}={value}" for name, value in zip(names, values, strict=True) if value]
        return "; ".join([f"{NAME}={self.dsid.reveal()}", *rest])


def parse(cookie: Secret) -> SessionCookie:
    """Read what another process, or a browser, gave.  Raises MalformedAnswer for what must not enter a header."""
    text = cookie.reveal().strip(" ")
    _check(text)
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals:
            name, value = NAME, name
        known = NAME if name == NAME else _KNOWN.get(name.lower(), "")
        if known and value:
            found.setdefault(known, value)
    return make(found.get(NAME, ""), *(found.get(ours, "") for ours, _ in _OTHERS))


def make(dsid: str, first: str = "", last: str = "", sign_in_url: str = "") -> SessionCookie:
    """From the values that the gateway gave.  Raises MalformedAnswer."""
    if not dsid:
        raise MalformedAnswer("bad-cookie", f"no {NAME} value, want the session's")
    for value in (dsid, first, last, sign_in_url):
        _check(value)
        if ";" in value:
            raise MalformedAnswer("bad-cookie", "a ';' in the value of a cookie")
    return SessionCookie(Secret(dsid), first, last, sign_in_url)


def _check(text: str) -> None:
    """Never shows the value."""
    if len(text) > MAX_COOKIE:
        raise MalformedAnswer("bad-cookie", f"{len(text)} characters, want at most {MAX_COOKIE}")
    at = next((index for index, char in enumerate(text) if not " " <= char <= "~"), None)
    if at is not None:
        raise MalformedAnswer("bad-cookie", f"character U+{ord(text[at]):04X} at position {at}, want printable ASCII")
