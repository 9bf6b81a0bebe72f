"""Sign-in pages in HTML -> LoginForm (sections 3.3 and 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols import markup
from protocols.base import Choice
from protocols.f5.model import MAX_NAME, MAX_PAGE, Entry, LoginForm, bad_form, checked
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

SHOWN_KINDS = {"text": "text", "username": "text", "email": "text", "password": "password"}
SILENT_KINDS = {"hidden": "", "checkbox": "on"}  # sent without asking -> value if none is given
INVISIBLE = "display: none;"  # in exactly this spelling
BANNER, MESSAGE = "credentials_table_header", "credentials_table_postheader"


def parse(body: bytes) -> LoginForm | None:
    """The first form of a page; None: there is none.  Raises MalformedAnswer."""
    if not body.strip():
        return None
    root = markup.html(body, code="auth-bad-form", limit=MAX_PAGE)
    form = next(root.iter("form"), None)
    if form is None:
        return None
    method = _attribute(form, "method").strip()
    if method.lower() != "post":
        raise bad_form(f"form method {method[:20]!r}, want post")
    labels = {_attribute(label, "for"): one_line(markup.text(label)) for label in root.iter("label")}
    entries = [entry for element in form.iter("input", "select") if (entry := _entry(element, labels)) is not None]
    action = _attribute(form, "action").strip()
    return LoginForm(
        form_id=one_line(_attribute(form, "id"))[:MAX_NAME],
        entries=checked(entries),
        action="" if action == "#" else action,
        banner=_cell(root, BANNER),
        message=_cell(root, MESSAGE),
    )


def title(body: bytes) -> str:
    """What a page without a form calls itself; empty: nothing, or it cannot be read."""
    if not body.strip():
        return ""
    root = markup.html(body, code="auth-bad-form", limit=MAX_PAGE)
    return next((one_line(markup.text(element)) for element in root.iter("title")), "")


def _entry(element: _Element, labels: dict[str, str]) -> Entry | None:
    name = _attribute(element, "name")
    if not name:
        return None
    label = labels.get(_attribute(element, "id")) or f"{one_line(name)}:"
    if element.tag == "select":
        return _select(element, name, label)
    kind, value = _attribute(element, "type").strip().lower(), _attribute(element, "value")
    if kind in SILENT_KINDS or _attribute(element, "style") == INVISIBLE:
        return Entry(name, label, "hidden", value or SILENT_KINDS.get(kind, ""))
    if kind not in SHOWN_KINDS:
        return None  # submit, button, image
    return Entry(name, label, SHOWN_KINDS[kind], "" if kind == "password" else value)


def _select(element: _Element, name: str, label: str) -> Entry | None:
    choices, chosen = [], ""
    for option in element.iter("option"):
        text = markup.text(option).strip()
        value = option.get("value")
        choice = Choice(text if value is None else str(value), one_line(text) or one_line(str(value or "")))
        choices.append(choice)
        if option.get("selected") is not None:
            chosen = chosen or choice.value
    if not choices:
        return None
    return Entry(name, label, "select", chosen or choices[0].value, tuple(choices))


def _cell(root: _Element, name: str) -> str:
    found = (clean(markup.text(cell)) for cell in root.iter("td") if _attribute(cell, "id") == name)
    return next(found, "")


def _attribute(element: _Element, name: str) -> str:
    return str(element.get(name) or "")
