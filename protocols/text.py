"""Texts from a gateway, made fit to be shown: no control characters, no escape sequences, no more than the cap.

Source: cli-parity.md section 10, anyconnect.md Q27.
"""

from __future__ import annotations

import re

MAX_TEXT = 4096  # characters of one banner, message or label

# CSI, OSC and two-character escapes, with ESC or their C1 forms.
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b.?")
# C0 and C1 but for tab and line feed; then the marks that turn the direction of text around.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile(r"\r\n?")


def clean(text: str) -> str:
    """The text with its line breaks, without anything a terminal could take for a command."""
    plain = _CONTROLS.sub("", _ESCAPES.sub("", _BREAKS.sub("\n", text))).strip()
    return plain if len(plain) <= MAX_TEXT else plain[: MAX_TEXT - 1] + "…"


def one_line(text: str) -> str:
    """As `clean`, on one line: labels, names, reasons."""
    return " ".join(clean(text).split())


def printable(data: bytes) -> str:
    """A text frame: UTF-8 where it is, and a dot for every byte that cannot be shown (section 4)."""
    text = data[: 4 * MAX_TEXT].decode("utf-8", "replace").replace("\ufffd", ".")
    return "".join(char if char.isprintable() else "." for char in text)[:MAX_TEXT]
