"""The cookie that is a session (sections 2 and 3.7): SVPNCOOKIE=VALUE, or the bare value.

The value is opaque to the byte: it may hold %0a, +, / and =, and is never decoded (Q12).
"""

from __future__ import annotations

import re

from protocols.base import Secret
from protocols.errors import MalformedAnswer

NAME = "SVPNCOOKIE"
MAX_VALUE = 4096  # characters
_VALUE = re.compile(r"[!-:<-~]+")


def checked(value: str, code: str = "auth-bad-cookie") -> Secret:
    """A value that may enter a header.  Raises MalformedAnswer, which never shows it."""
    if not value:
        raise MalformedAnswer(code, f"no {NAME} value, want {NAME}=...")
    if len(value) > MAX_VALUE:
        raise MalformedAnswer(code, f"{NAME}: {len(value)} characters, want at most {MAX_VALUE}")
    if not _VALUE.fullmatch(value):
        raise MalformedAnswer(code, f"{NAME}: a character that is not printable ASCII, or ';'")
    return Secret(value)


def parse(cookie: Secret) -> Secret:
    """The value in what another process printed.  Raises MalformedAnswer."""
    text = cookie.reveal().strip(" ")
    for part in text.split(";"):
        name, equals, value = part.strip(" ").partition("=")
        if equals and name == NAME:
            return checked(value.strip(" "), "bad-cookie")
    if ";" in text:
        raise MalformedAnswer("bad-cookie", f"cookies without {NAME}, want {NAME}=...")
    return checked(text, "bad-cookie")


def text(value: Secret) -> Secret:
    """As --authenticate prints it."""
    return Secret(f"{NAME}={value.reveal()}")
