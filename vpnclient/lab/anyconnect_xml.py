"""The documents of an AnyConnect sign-in, from the gateway's side: forms out, replies in.

Two dialects carry the same forms: XML posts (`config-auth` documents) and the older one, where a page holds a bare
`auth` document and answers come back form-encoded.  Source: anyconnect.md sections 2.3 to 2.6, 12.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from lxml import etree

MAX_FIELDS = 64  # fields in one reply
MAX_VALUE = 4096  # characters of one value
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
RENAMED = "password"  # clients send a field called `answer` under this name in XML


class BadReply(Exception):
    """A client's document cannot be used: what came, what was wanted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client sent.  kind: "init" or "auth-reply"; attempt: our own token, come back in `opaque` or a cookie."""

    kind: str
    group: str = ""
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    attempt: str = field(default="", repr=False)
    certificate_failed: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    kind: str  # text, password, hidden
    name: str
    label: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class LabForm:
    """A form to show; groups: the drop-down, with `group` selected."""

    form_id: str
    inputs: tuple[Input, ...]
    message: str = ""
    groups: tuple[str, ...] = ()
    group: str = ""


def parse_xml(body: bytes) -> Reply:
    """A `config-auth` document.  Raises BadReply."""
    if not body.lstrip().startswith(b"<?xml"):
        raise BadReply(f"got a body starting {body[:16]!r}, want an XML declaration")
    root = _parse(body)
    if root.tag != "config-auth":
        raise BadReply(f"root element: got {root.tag!r}, want 'config-auth'")
    kind = root.get("type") or ""
    if kind not in ("init", "auth-reply"):
        raise BadReply(f"config-auth type: got {kind!r}, want 'init' or 'auth-reply'")
    return Reply(
        kind=kind,
        group=_text(root.find("group-select")),
        fields=_fields(root.find("auth")),
        attempt=_text(root.find("opaque/attempt")),
        certificate_failed=root.find("client-cert-fail") is not None,
    )


def _parse(body: bytes) -> etree._Element:
    """No DTD, no entities, no network; libxml2's own caps on depth and size stay on."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as exc:
        raise BadReply(f"XML: {exc.msg}") from exc
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadReply("XML: got a document type declaration, want none")
    return root


def _fields(auth: etree._Element | None) -> dict[str, str]:
    found = {} if auth is None else {str(child.tag): _text(child) for child in auth if isinstance(child.tag, str)}
    if len(found) > MAX_FIELDS:
        raise BadReply(f"fields: got {len(found)}, want <= {MAX_FIELDS}")
    return found


def _text(element: etree._Element | None) -> str:
    text = "" if element is None else element.text or ""
    if len(text) > MAX_VALUE:
        raise BadReply(f"value: got {len(text)} characters, want <= {MAX_VALUE}")
    return text


def parse_form(body: bytes, attempt: str) -> Reply:
    """A form-encoded answer of the older dialect.  Raises BadReply."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as exc:  # not UTF-8, or too many fields
        raise BadReply(f"form data: {exc}") from exc
    fields = dict(pairs)
    if any(len(value) > MAX_VALUE for value in fields.values()):
        raise BadReply(f"value: want <= {MAX_VALUE} characters")
    return Reply("auth-reply", group=fields.pop("group_list", ""), fields=fields, attempt=attempt)


def show(form: LabForm, *, xml: bool, attempt: str, error: str = "") -> bytes:
    """The document that asks `form`."""
    auth = etree.Element("auth", id=form.form_id)
    _add(auth, "title", "Lab gateway")
    _add(auth, "message", form.message, id="0", param1="", param2="")
    if error:
        _add(auth, "error", error, id="1", param1="", param2="")
    _add_form(auth, form)
    if not xml:
        return _bytes(auth)
    root = _config_auth("auth-request")
    opaque = etree.SubElement(root, "opaque", {"is-for": "sg"})
    _add(opaque, "attempt", attempt)
    root.append(auth)
    return _bytes(root)


def _add_form(auth: etree._Element, form: LabForm) -> None:
    element = etree.SubElement(auth, "form", method="post", action="/auth")
    for item in form.inputs:
        attributes = {"type": item.kind, "name": item.name, "label": item.label}
        if item.kind == "hidden":
            attributes["value"] = item.value
        etree.SubElement(element, "input", attributes)
    if form.groups:
        select = etree.SubElement(element, "select", name="group_list", label="GROUP:")
        for group in form.groups:
            option = etree.SubElement(select, "option", value=group)
            option.text = group
            if group == form.group:
                option.set("selected", "true")


def success(*, xml: bool, token: str) -> bytes:
    """The document that ends a sign-in; in XML it carries the session's cookie."""
    auth = etree.Element("auth", id="success")
    _add(auth, "title", "Lab gateway")
    _add(auth, "message", "", id="0", param1="", param2="")
    if not xml:
        return _bytes(auth)
    root = _config_auth("complete")
    _add(root, "session-token", token)
    root.append(auth)
    return _bytes(root)


def ask_certificate() -> bytes:
    root = _config_auth("auth-request")
    etree.SubElement(root, "client-cert-request")
    return _bytes(root)


def refusal(text: str) -> bytes:
    """An error and no form: the sign-in has failed for good."""
    root = _config_auth("complete")
    _add(root, "error", text, id="91", param1="", param2="")
    return _bytes(root)


def _config_auth(kind: str) -> etree._Element:
    return etree.Element("config-auth", {"client": "vpn", "type": kind, "aggregate-auth-version": "2"})


def _add(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    child = etree.SubElement(parent, name, attributes)
    child.text = text


def _bytes(root: etree._Element) -> bytes:
    return DECLARATION + etree.tostring(root, encoding="utf-8") + b"\n"
