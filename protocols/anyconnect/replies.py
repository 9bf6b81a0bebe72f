"""Documents of the client: init and auth-reply, as XML or form-encoded (anyconnect.md sections 2.3, 2.6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from protocols.anyconnect.model import GROUP
from protocols.errors import MalformedAnswer

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'  # ocserv takes a body without it for form data
SENT_AS_PASSWORD = frozenset({"answer", "whichpin", "new_password"})  # Q10
NOT_SENT = frozenset({"verify_pin", "verify_password"})
_NAME = re.compile(r"[A-Za-z_\u00c0-\u02ff\u0370-\u1fff][A-Za-z0-9_.\-\u00b7\u00c0-\u02ff\u0370-\u1fff]*")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
# Naming what is legal instead would take 12 ms to compile.
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Device:
    """What the client says of itself: version and one of the known device ids."""

    version: str
    os_name: str


def init(device: Device, url: str, *, group: str = "", certificate_failed: bool = False) -> bytes:
    """url: what is posted to, https://host[:port]/path.

    Nothing is advertised as a capability: neither browser sign-in nor a second certificate is there yet.
    """
    body = _head(device) + _element("group-access", url)
    if certificate_failed:
        body += "<client-cert-fail/>"
    if group:
        body += _element("group-select", group)
    return _config_auth("init", body)


def auth_reply(device: Device, values: Sequence[tuple[str, str]], *, opaque: str = "") -> bytes:
    """values: name and value of every field, in the order of the form."""
    answers, group = "", ""
    for name, value in values:
        if name == GROUP:
            group = _element("group-select", value)
        elif name not in NOT_SENT:
            answers += _element("password" if name in SENT_AS_PASSWORD else name, value)
    return _config_auth("auth-reply", _head(device) + opaque + f"<auth>{answers}</auth>" + group)


def form_encoded(values: Sequence[tuple[str, str]]) -> bytes:
    """The legacy encoding: no renaming, everything but unreserved characters percent-encoded."""
    pairs = (f"{_percent(name)}={_percent(value)}" for name, value in values)
    return "&".join(pairs).encode("ascii")


def _percent(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="-_.~")


def _head(device: Device) -> str:
    return f'<version who="vpn">{_content(device.version)}</version>' + _element("device-id", device.os_name)


def _config_auth(kind: str, body: str) -> bytes:
    attributes = f'client="vpn" type="{kind}" aggregate-auth-version="2"'
    return f"{DECLARATION}<config-auth {attributes}>{body}</config-auth>".encode()


def _element(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise MalformedAnswer("auth-malformed", f"field name {name[:40]!r}, want a valid XML name")
    return f"<{name}>{_content(value)}</{name}>"


def _content(value: str) -> str:
    """Escaped text; never shows the value, which may be a password."""
    bad = _NOT_XML.search(value)
    if bad:
        raise MalformedAnswer("auth-unsendable", f"character U+{ord(bad.group()):04X} in an answer cannot be sent")
    return value.translate(_ESCAPES)
