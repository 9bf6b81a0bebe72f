"""Sign-in forms that a script holds as JSON: `appLoader.configure({ ... });` (section 3.5)."""

from __future__ import annotations

import json
import re

from protocols.errors import MalformedAnswer
from protocols.f5.model import MAX_NAME, Entry, LoginForm, bad_form, checked
from protocols.text import clean, one_line

MAX_JSON = 2**20  # characters
MAX_DEPTH = 32  # objects and arrays inside each other
_CALL = re.compile(r"appLoader\s*\.\s*configure\s*\(\s*(?=\{)")


def parse(body: bytes) -> LoginForm | None:
    """The form of a page's script; None: there is none.  Raises MalformedAnswer."""
    text = body.decode("utf-8", "replace")
    calls = list(_CALL.finditer(text))
    if not calls:
        return None
    if len(calls) > 1:
        raise bad_form(f"{len(calls)} calls of appLoader.configure, want one")
    return _form(_object(text[calls[0].end() :][:MAX_JSON]))


def _object(text: str) -> object:
    """The JSON object that the text begins with; what follows is the script's."""
    try:
        document, _end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise bad_form(f"appLoader.configure: no JSON object within {MAX_JSON} characters") from exc
    level = [document]
    for _depth in range(MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return document
    raise bad_form(f"appLoader.configure: nested deeper than {MAX_DEPTH}")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _form(document: object) -> LoginForm:
    form = _object_of(_object_of(document, "logon"), "form")
    fields = form.get("fields")
    if not isinstance(fields, list):
        raise _wrong_kind("fields", fields, "an array")
    entries = [entry for field in fields if (entry := _entry(field)) is not None]
    return LoginForm(
        form_id=one_line(_text(form, "id"))[:MAX_NAME],
        entries=checked(entries),
        banner=clean(_text(form, "title")),
    )


def _entry(field: object) -> Entry | None:
    name = _text(field, "name") if isinstance(field, dict) else ""
    if not name:
        return None
    password = _text(field, "type") == "password"
    label = one_line(_text(field, "caption")) or f"{one_line(name)}:"
    return Entry(name, label, "password" if password else "text", "" if password else _text(field, "value"))


def _object_of(holder: object, name: str) -> dict[str, object]:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, dict):
        raise _wrong_kind(name, value, "an object")
    return value


def _wrong_kind(name: str, value: object, wanted: str) -> MalformedAnswer:
    return bad_form(f"appLoader.configure: {name}: got {type(value).__name__}, want {wanted}")


def _text(holder: object, name: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
