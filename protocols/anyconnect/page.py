"""Sign-in pages in HTML: the last resort for gateways that speak no documents (anyconnect.md section 2.7).

A page becomes the same Document as the XML does: the first form that asks something, with its hidden fields and its
first named submit button, as a browser would send it.  The caller decides by the cookie whether sign-in is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from protocols import markup
from protocols.anyconnect.documents import MALFORMED, MAX_DOCUMENT, MAX_FIELDS, MAX_NAME, MAX_OPTIONS, malformed
from protocols.anyconnect.model import AuthForm, Document, Entry, Option
from protocols.errors import MalformedAnswer
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

DEFAULT_ID = "main"
TEXT_KINDS = frozenset({"", "text", "email", "tel", "number"})  # what a browser shows as a line of text


def parse(body: bytes) -> Document:
    """Read an HTML page.  Raises MalformedAnswer when it holds no form."""
    root = markup.html(body, code=MALFORMED, limit=MAX_DOCUMENT)
    labels = {str(label.get("for")): one_line(markup.text(label)) for label in _all(root, "label") if label.get("for")}
    forms = [(form, _read(form, labels)) for form in _all(root, "form")]
    asking = [(element, form) for element, form in forms if _asks(form)]
    if not asking:
        title = next((one_line(markup.text(element)) for element in _all(root, "title")), "")
        raise MalformedAnswer("auth-no-form", f"an HTML page without a sign-in form{f' ({title})' if title else ''}")
    element, form = asking[0]
    name = one_line(str(element.get("id") or element.get("name") or DEFAULT_ID))[:MAX_NAME]
    message = next((clean(markup.text(found)) for found in _all(root, "title")), "")
    return Document(auth_id=name or DEFAULT_ID, message=message, form=form)


def _all(element: _Element, name: str) -> Iterator[_Element]:
    return (child for child in element.iter(name) if isinstance(child.tag, str))


def _asks(form: AuthForm) -> bool:
    return any(entry.kind in ("text", "password") for entry in form.entries)


def _read(form: _Element, labels: dict[str, str]) -> AuthForm:
    entries: list[Entry] = []
    pressed = False
    budget = MAX_OPTIONS
    for element in form.iter("input", "select"):
        entry = _select(element, labels) if str(element.tag) == "select" else _input(element, labels)
        if entry is None:
            continue
        if entry.kind == "submit":
            if pressed:
                continue
            pressed, entry = True, Entry(entry.name, entry.label, "hidden", entry.value)
        budget -= len(entry.options)
        if len(entries) >= MAX_FIELDS or budget < 0:
            raise malformed(f"a form of more than {MAX_FIELDS} fields or {MAX_OPTIONS} options")
        entries.insert(0 if entry.kind == "select" else len(entries), entry)
    action = str(form.get("action") or "").strip()
    return AuthForm(action or None, tuple(entries))


def _input(element: _Element, labels: dict[str, str]) -> Entry | None:
    name, kind = str(element.get("name") or ""), str(element.get("type") or "").strip().lower()
    if not name or len(name) > MAX_NAME:
        return None
    if kind in TEXT_KINDS:
        kind = "text"
    elif kind not in ("password", "hidden", "submit"):
        return None
    value = str(element.get("value") or "")
    return Entry(name, _label(element, labels, name), kind, value if kind != "password" else "")


def _select(element: _Element, labels: dict[str, str]) -> Entry | None:
    name = str(element.get("name") or "")
    options = tuple(_option(option) for option in _all(element, "option"))
    if not name or not options or len(name) > MAX_NAME:
        return None
    return Entry(name, _label(element, labels, name), "select", options=options)


def _option(element: _Element) -> Option:
    text = markup.text(element).strip()
    value = element.get("value")
    return Option(
        value=text if value is None else str(value),
        label=one_line(text) or one_line(str(value or "")),
        selected=element.get("selected") is not None,
    )


def _label(element: _Element, labels: dict[str, str], name: str) -> str:
    known = labels.get(str(element.get("id") or "")) or one_line(str(element.get("placeholder") or ""))
    return known or f"{one_line(name)}:"
