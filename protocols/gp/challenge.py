"""Challenges in JavaScript: three statements in this order, parsed and never run (section 4.1).

    var respStatus = "Challenge"; var respMsg = "PROMPT"; thisForm.inputStr.value = "STR";

An "Error" has the same shape.  PROMPT is a string of JavaScript, STR has no escapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from protocols.errors import MalformedAnswer
from protocols.text import clean

MAX_SCRIPT = 256 * 1024  # characters
MAX_INPUT = 64 * 1024  # characters of inputStr
MARK = "respStatus"

_STATUS = re.compile(r'\s*var\s+respStatus\s*=\s*"([^"\\]*)"')
_PROMPT = re.compile(r'[;\s]+var\s+respMsg\s*=\s*"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_INPUT = re.compile(r'[;\s]+thisForm\.inputStr\.value\s*=\s*"([^"]*)"')
_REST = re.compile(r"[;\s]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """A second factor is wanted.  input_str: goes back as it came."""

    prompt: str
    input_str: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScriptError:
    """The sign-in failed; the text is the gateway's."""

    text: str


def parse(script: str) -> Challenge | ScriptError:
    """Raises MalformedAnswer for anything else than these statements."""
    if len(script) > MAX_SCRIPT:
        raise malformed(f"script of {len(script)} characters, want at most {MAX_SCRIPT}")
    status = _STATUS.match(script)
    if status is None:
        raise malformed("a script that does not begin with respStatus")
    prompt = _PROMPT.match(script, status.end())
    if prompt is None:
        raise malformed("no respMsg after respStatus")
    text = clean(unescape(prompt[1]))
    if status[1].startswith("Error"):
        return ScriptError(text or "an error without a text")
    if not status[1].startswith("Challenge"):
        raise malformed(f"respStatus: got {status[1][:40]!r}, want Challenge or Error")
    given = _INPUT.match(script, prompt.end())
    if given is None:
        raise malformed("no inputStr after respMsg")
    if _REST.fullmatch(script, given.end()) is None:
        raise malformed("text after inputStr")
    return Challenge(text, checked_input(given[1]))


def checked_input(text: str) -> str:
    """Raises MalformedAnswer."""
    if not text or len(text) > MAX_INPUT:
        raise malformed(f"inputStr of {len(text)} characters, want 1 to {MAX_INPUT}")
    return text


def unescape(text: str) -> str:
    """A string of JavaScript.  An escape that stands for no character leaves the whole text as it was."""
    plain = _ESCAPE.sub(_character, text)
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")  # pairs of \\uD8xx\\uDCxx become one character
    except UnicodeDecodeError:
        return text


def _character(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return chr(int(digits, 16)) if digits else _CONTROLS.get(match[3], match[3])


def malformed(text: str) -> MalformedAnswer:
    return MalformedAnswer("challenge-invalid", text)
