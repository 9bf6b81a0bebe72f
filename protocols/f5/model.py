"""What a sign-in page of the gateway asks, as values; read by page.py and script.py.  Texts are cleaned and capped."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.base import Choice
from protocols.errors import MalformedAnswer

GROUP = "domain"  # the select that chooses the authentication group
MAX_PAGE = 4 * 2**20  # bytes
MAX_FIELDS = 64
MAX_NAME = 256  # bytes
MAX_VALUE = 64 * 1024  # bytes
MAX_OPTIONS = 256


def bad_form(text: str) -> MalformedAnswer:
    return MalformedAnswer("auth-bad-form", text)


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of a form.  kind: text, password, hidden or select.  value: preset, or sent as it is."""

    name: str
    label: str
    kind: str
    value: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class LoginForm:
    """action: empty: the current URL."""

    form_id: str
    entries: tuple[Entry, ...]
    action: str = ""
    banner: str = ""
    message: str = ""

    def shape(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What makes it the same form as another."""
        return self.form_id, tuple((entry.name, entry.kind) for entry in self.entries)


def checked(entries: list[Entry]) -> tuple[Entry, ...]:
    """The first of each name, within the caps.  Raises MalformedAnswer."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        if len(entry.name.encode("utf-8", "replace")) > MAX_NAME:
            raise bad_form(f"a field name of {len(entry.name)} characters, want at most {MAX_NAME}")
        if len(entry.value.encode("utf-8", "replace")) > MAX_VALUE:
            raise bad_form(f"field {entry.name!r}: a value of {len(entry.value)} characters, want at most {MAX_VALUE}")
        if len(entry.choices) > MAX_OPTIONS:
            raise bad_form(f"field {entry.name!r}: {len(entry.choices)} options, want at most {MAX_OPTIONS}")
        kept.setdefault(entry.name, entry)
    if len(kept) > MAX_FIELDS:
        raise bad_form(f"{len(kept)} fields, want at most {MAX_FIELDS}")
    return tuple(kept.values())
