"""Sign-in pages: the first form of a page, as values (juniper.md sections 2.3 to 2.6).

Forms are known by name, else by id; each sends one submit button.  Texts are cleaned and capped, values are kept as
they came.  The pages are sloppy HTML (Q17): the parser recovers from what it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocols import markup
from protocols.base import Choice
from protocols.errors import MalformedAnswer
from protocols.nc.errors import HostCheckFailed
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_PAGE = 8 * 1024 * 1024  # bytes
MAX_FIELDS = 256  # of a form
MAX_CHOICES = 1024  # of a drop-down
MAX_NAME = 256  # characters of a form's name that are shown
MAX_LABEL = 200  # characters of what is known of a running session
BANNERS = frozenset({"sn-postauth-text", "sn-preauth-text"})
ROLES_TABLE = "TABLE_SelectRole_1"
ROLES = "frmSelectRoles"
CONFIRMATION = "frmConfirmation"
REALM = "realm"
SESSION = "postfixSID"
_TEXT_KINDS = frozenset({"text", "username", "email"})  # Q19
_INVISIBLE = "display: none;"
# Form -> its submit button.  By name, but for those that the table of section 2.3 knows by id.
_BUTTONS = {
    "frmLogin": "btnSubmit",
    "loginForm": "submitButton",
    "frmDefender": "btnAction",
    "frmNextToken": "btnAction",
    "frmTotpToken": "totpactionEnter",
    CONFIRMATION: "btnContinue",
    ROLES: "",
    "hiddenform": "submit",
    "formSAMLSSO": "submit",
}
_BY_NAME = frozenset(_BUTTONS) - {"formSAMLSSO"}
_BY_ID = frozenset({"loginForm", "formSAMLSSO"})
_EVERYWHERE = frozenset({"sn-postauth-proceed", "sn-preauth-proceed", "secidactionEnter"})
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One field that is sent.  kind: text, password, hidden or select."""

    name: str
    label: str
    kind: str
    value: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """name: of the form, as the tables of the specification call it.  action: None: the current URL.

    entries: in the order in which they are sent.  roles: links of the page that is no real form.
    """

    name: str
    action: str | None = None
    entries: tuple[Entry, ...] = ()
    banner: str = ""
    roles: tuple[Choice, ...] = ()


def parse(body: bytes, content_type: str = "") -> Page | None:
    """The first form of a page; None: it has none.  Raises MalformedAnswer, HostCheckFailed."""
    text, charset = _decoded(body, content_type)
    root = markup.html(text, code="nc-bad-page", limit=MAX_PAGE, charset=charset)
    form = next((found for found in root.iter("form") if isinstance(found.tag, str)), None)
    if form is None:
        return None
    name = _identify(form)
    if name == ROLES:
        return Page(name, roles=_roles(form))
    if str(form.get("method") or "").strip().upper() != "POST":
        got = one_line(str(form.get("method") or "none"))[:20]
        raise MalformedAnswer("nc-bad-form", f"form {name}: got method {got!r}, want POST")
    labels = {str(label.get("for")): _words(label) for label in root.iter("label") if label.get("for")}
    action = str(form.get("action") or "").strip()
    return _Reader(name, labels).read(form, action or None)


def _decoded(body: bytes, content_type: str) -> tuple[bytes, str]:
    """The page, and its charset: as the header says, else UTF-8 if it is, else as the page says (empty)."""
    told = _CHARSET.search(content_type)
    try:
        if told:
            return body.decode(told[1], "replace").encode(), "utf-8"
        body.decode()
    except (LookupError, ValueError):
        return body, ""
    return body, "utf-8"


def _identify(form: _Element) -> str:
    name, form_id = str(form.get("name") or ""), str(form.get("id") or "")
    if name in _BY_NAME:
        return name
    if form_id in _BY_ID:
        return form_id
    if "remediate.cgi" in str(form.get("action") or ""):
        raise HostCheckFailed("the gateway's host check was not passed")
    shown = [one_line(text)[:MAX_NAME] or "none" for text in (name, form_id)]
    raise MalformedAnswer("nc-unknown-form", f"got a form with name {shown[0]!r} and id {shown[1]!r}")


def _words(element: _Element) -> str:
    return one_line(markup.text(element))


def _roles(form: _Element) -> tuple[Choice, ...]:
    tables = (table for table in form.getroottree().iter("table") if table.get("id") == ROLES_TABLE)
    links = [link for table in tables for link in table.iter("a") if _in_cell(link) and link.get("href")]
    if not links:
        raise MalformedAnswer("nc-bad-form", f"form {ROLES}: no links in a table {ROLES_TABLE}")
    if len(links) > MAX_CHOICES:
        raise _too_large(ROLES, f"{len(links)} roles, want at most {MAX_CHOICES}")
    hrefs = [str(link.get("href")) for link in links]
    return tuple(Choice(href, _words(link) or one_line(href)) for href, link in zip(hrefs, links, strict=True))


def _in_cell(link: _Element) -> bool:
    parent = link.getparent()
    return parent is not None and parent.tag == "td"


def _too_large(form: str, text: str) -> MalformedAnswer:
    return MalformedAnswer("nc-form-too-large", f"form {form}: {text}")


class _Reader:
    """Collects the fields of one form."""

    def __init__(self, form: str, labels: dict[str, str]) -> None:
        self._form, self._labels = form, labels
        self._selects: list[Entry] = []
        self._inputs: list[Entry] = []
        self._names: set[str] = set()
        self._banner = ""

    def read(self, form: _Element, action: str | None) -> Page:
        for element in form.iter("input", "select", "textarea"):
            self._take(element)
            if len(self._names) > MAX_FIELDS:
                raise _too_large(self._form, f"more than {MAX_FIELDS} fields")
        return Page(self._form, action, (*reversed(self._selects), *self._inputs), self._banner)

    def _take(self, element: _Element) -> None:
        name = str(element.get("name") or "")
        if element.tag == "textarea":
            if name in BANNERS and not self._banner:
                self._banner = clean(markup.text(element))
            return
        if element.tag == "input" and name == SESSION and self._form == CONFIRMATION:
            self._take_session(element)
            return
        if not name or name in self._names:  # the first wins
            return
        entry = self._select(element, name) if element.tag == "select" else self._input(element, name)
        if entry is not None:
            self._names.add(name)
            (self._selects if entry.kind == "select" else self._inputs).append(entry)

    def _select(self, element: _Element, name: str) -> Entry:
        options = [option for option in element.iter("option") if isinstance(option.tag, str)]
        if len(options) > MAX_CHOICES:
            raise _too_large(self._form, f"{len(options)} choices of {one_line(name)[:40]!r}, want {MAX_CHOICES}")
        choices = tuple(_choice(option) for option in options)
        marked = (choice for choice, option in zip(choices, options, strict=True) if option.get("selected") is not None)
        chosen = next(marked, choices[0] if choices else Choice("", ""))
        return Entry(name, self._label(element, name), "select", chosen.value, choices)

    def _input(self, element: _Element, name: str) -> Entry | None:
        kind = str(element.get("type") or "").strip().lower()
        value = str(element.get("value") or "")
        label = self._label(element, name)
        if kind == "submit":
            pressed = name in _EVERYWHERE or name == _BUTTONS[self._form]
            return Entry(name, label, "hidden", value) if pressed else None
        if kind in ("hidden", "checkbox") or str(element.get("style") or "") == _INVISIBLE:
            return Entry(name, label, "hidden", value)
        if kind == "password":
            return Entry(name, label, "password")
        return Entry(name, label, "text", value) if kind in _TEXT_KINDS else None

    def _take_session(self, element: _Element) -> None:
        """The checkboxes of running sessions are one question: which of them to end (section 2.6)."""
        row = next((parent for parent in element.iterancestors() if parent.tag == "tr"), None)
        value = str(element.get("value") or "")
        cells = " ".join(str(part) for part in row.itertext()) if row is not None else ""
        choice = Choice(value, one_line(cells)[:MAX_LABEL] or one_line(value))
        known = next((entry for entry in self._inputs if entry.name == SESSION), None)
        if known is None:
            self._names.add(SESSION)
            self._inputs.append(Entry(SESSION, "session to end", "select", value, (choice,)))
            return
        if len(known.choices) >= MAX_CHOICES:
            raise _too_large(self._form, f"more than {MAX_CHOICES} sessions")
        more = replace(known, choices=(*known.choices, choice))
        self._inputs[self._inputs.index(known)] = more

    def _label(self, element: _Element, name: str) -> str:
        known = self._labels.get(str(element.get("id") or "")) or one_line(str(element.get("placeholder") or ""))
        return known or f"{one_line(name)}:"


def _choice(option: _Element) -> Choice:
    label, value = _words(option), option.get("value")
    return Choice(markup.text(option).strip() if value is None else str(value), label or one_line(str(value or "")))
