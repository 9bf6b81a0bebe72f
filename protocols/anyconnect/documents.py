"""Sign-in documents of the gateway: bytes -> Document.

Read by markup.py, with caps on fields and options.  Any input gives a Document or MalformedAnswer.
Source: anyconnect.md sections 2.4 and 2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocols import markup
from protocols.anyconnect.model import AuthForm, Document, Entry, Option
from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MALFORMED = "auth-malformed"
MAX_DOCUMENT = 4 * 2**20  # bytes
MAX_FIELDS = 500  # of one form
MAX_OPTIONS = 10_000  # of all selects of one form
MAX_NAME = 256  # characters of a field's name
MAX_OPAQUE = 256 * 1024  # characters
INPUT_KINDS = frozenset({"text", "password", "hidden", "sso"})
HOST_SCAN_PARTS = ("host-scan-ticket", "host-scan-token", "host-scan-base-uri", "host-scan-wait-uri")


def malformed(text: str) -> MalformedAnswer:
    return MalformedAnswer(MALFORMED, text)


def parse(body: bytes) -> Document:
    """Read a config-auth document, or the bare auth of old servers.  Raises MalformedAnswer."""
    root = markup.xml(body, code=MALFORMED, limit=MAX_DOCUMENT)
    name = markup.local_name(root)
    if name == "config-auth":
        children = list(markup.children(root))
        auth = _first(children, "auth")
    elif name == "auth":
        children, auth = [], root
    else:
        raise malformed(f"root element {name[:40]!r}, want config-auth or auth")
    document = _document(children, auth)
    if not document.auth_id and not document.certificate_wanted and not document.failure:
        if not document.host_scan:
            raise MalformedAnswer("auth-no-form", "neither a form with an id nor a request for a certificate")
    return document


def _first(children: list[_Element], name: str) -> _Element | None:
    return next((child for child in children if markup.local_name(child) == name), None)


def _attribute(element: _Element, name: str) -> str:
    return str(element.get(name) or "")


def _is_true(element: _Element, name: str) -> bool:
    return _attribute(element, name).strip().lower() in ("1", "true")


def _document(children: list[_Element], auth: _Element | None) -> Document:
    names = {markup.local_name(child) for child in children}
    inside = [] if auth is None else list(markup.children(auth))
    form = _first(inside, "form")
    second = "multiple-client-cert-request" in names
    return Document(
        auth_id=one_line(_attribute(auth, "id"))[:MAX_NAME] if auth is not None else "",
        banner=_message(_first(inside, "banner")),
        message=_message(_first(inside, "message")),
        error=_message(_first(inside, "error")),
        form=None if form is None else _form(form),
        complete=_first(inside, "authentication-complete") is not None,
        opaque=_opaque(_first(children, "opaque")),
        session_token=Secret(markup.text(_first(children, "session-token")).strip()),
        failure=_failure(children, auth),
        certificate_wanted=second or "client-cert-request" in names,
        second_certificate_wanted=second,
        certificate_accepted="cert-authenticated" in names,
        host_scan=_host_scan(children, inside),
    )


def _failure(children: list[_Element], auth: _Element | None) -> str:
    error = _first(children, "error")
    if error is None:
        return ""
    text = _message(error)
    if text or auth is not None:
        return text
    return one_line(f"error {_attribute(error, 'id')}") + " without a text"


def _message(element: _Element | None) -> str:
    """The text with each %s replaced by param1, param2 (Q11: may be empty); another % stops the substitution."""
    if element is None:
        return ""
    params = [_attribute(element, "param1"), _attribute(element, "param2")]
    done, rest = "", markup.text(element)
    while params:
        head, percent, tail = rest.partition("%")
        if not percent or not tail.startswith("s"):
            break
        done, rest = done + head + params.pop(0), tail[1:]
    return clean(done + rest)


def _opaque(element: _Element | None) -> str:
    if element is None:
        return ""
    from lxml import etree

    text = str(etree.tostring(element, encoding="unicode", with_tail=False))
    if len(text) > MAX_OPAQUE:
        raise malformed(f"opaque of {len(text)} characters, want at most {MAX_OPAQUE}")
    return text


def _host_scan(children: list[_Element], inside: list[_Element]) -> bool:
    """A host scan is wanted when ticket, token, start URL and wait URL are all known (section 2.13)."""
    scan = _first(children, "host-scan")
    if scan is not None:
        known = {markup.local_name(child) for child in markup.children(scan) if markup.text(child).strip()}
        return known.issuperset(HOST_SCAN_PARTS)
    old = [child for child in inside if markup.local_name(child) in ("csd", "csdMac", "csdLinux")]
    attributes = {str(name) for child in old for name, value in child.attrib.items() if value}
    return attributes.issuperset(("token", "ticket", "starturl", "waiturl"))


def _form(element: _Element) -> AuthForm:
    method = _attribute(element, "method")
    if method and method.strip().upper() != "POST":
        raise malformed(f"form method {method[:20]!r}, want POST")
    action = element.get("action")
    if action is not None and not str(action).strip():
        raise malformed("an empty form action")
    entries: list[Entry] = []
    budget = MAX_OPTIONS
    for child in markup.children(element):
        entry = _ENTRIES.get(markup.local_name(child), _nothing)(child)
        if entry is None:
            continue
        budget -= len(entry.options)
        if len(entries) >= MAX_FIELDS or budget < 0:
            raise malformed(f"a form of more than {MAX_FIELDS} fields or {MAX_OPTIONS} options")
        entries.insert(0 if entry.kind == "select" else len(entries), entry)
    return AuthForm(None if action is None else str(action).strip(), tuple(entries))


def _nothing(element: _Element) -> Entry | None:
    return None


def _input(element: _Element) -> Entry | None:
    """Without a name, or of a type that holds nothing (submit, reset, unknown): ignored."""
    kind, name = _attribute(element, "type").strip().lower(), _attribute(element, "name")
    if kind not in INPUT_KINDS or not name:
        return None
    return Entry(
        name=_name(name),
        label=one_line(_attribute(element, "label")) or f"{one_line(name)}:",
        kind=kind,
        value=_attribute(element, "value") if kind == "hidden" else "",
        second_auth=_is_true(element, "second-auth"),
    )


def _select(element: _Element) -> Entry | None:
    """A select without any option is ignored (Q14)."""
    name = _attribute(element, "name")
    options: list[Option] = []
    for child in markup.children(element):
        if markup.local_name(child) == "option":
            if len(options) >= MAX_OPTIONS:
                raise malformed(f"a select of more than {MAX_OPTIONS} options")
            options.append(_option(child))
    if not options or not name:
        return None
    label = one_line(_attribute(element, "label")) or f"{one_line(name)}:"
    return Entry(name=_name(name), label=label, kind="select", options=tuple(options))


def _option(element: _Element) -> Option:
    text = markup.text(element).strip()
    value = element.get("value")
    return Option(
        value=text if value is None else str(value),
        label=one_line(text) or one_line(_attribute(element, "value")),
        selected=_is_true(element, "selected"),
        override_name=_attribute(element, "override-name"),
        override_label=one_line(_attribute(element, "override-label")),
        second_auth=_is_true(element, "second-auth"),
        secondary_username=_attribute(element, "secondary_username"),
        secondary_editable=_is_true(element, "secondary_username_editable"),
        noaaa=_is_true(element, "noaaa"),
    )


def _name(name: str) -> str:
    if len(name) > MAX_NAME:
        raise malformed(f"a field name of {len(name)} characters, want at most {MAX_NAME}")
    return name


_ENTRIES: dict[str, Callable[[_Element], Entry | None]] = {"input": _input, "select": _select}
