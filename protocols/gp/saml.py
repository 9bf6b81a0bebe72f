"""Results of a browser sign-in, and what to say when there is no browser (section 5).

result    pseudo-elements in an HTML comment, or headers: saml-auth-status, saml-username, prelogin-cookie, ...
callback  globalprotectcallback:DATA, DATA = base64 of such a text, or cas-as=1&un=USER&token=TOKEN
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from protocols.base import Secret
from protocols.errors import MalformedAnswer, NotSupported
from protocols.gp.login import Credentials

SCHEME = "globalprotectcallback:"
MAX_DATA = 64 * 1024  # characters of a callback
MAX_FIELDS = 32
LEAST_COOKIE = 6  # characters; `empty` is none (Q27)
COOKIES = ("prelogin-cookie", "portal-userauthcookie")
HINT = "sign in with a browser elsewhere and give its prelogin-cookie as the password: --path {place}:prelogin-cookie"
_ELEMENT = re.compile(
    r"<(saml-auth-status|saml-username|prelogin-cookie|portal-userauthcookie)>([^<]*)</\1>", re.IGNORECASE
)


def browser_wanted(place: str) -> NotSupported:
    """place: portal or gateway."""
    return NotSupported("saml-required", f"the {place} wants a sign-in in the browser; {HINT.format(place=place)}")


def login_url(method: str, request: str) -> str:
    """Where the browser begins; empty: with a page of the gateway's.  Raises MalformedAnswer."""
    if method not in ("REDIRECT", "POST"):
        raise MalformedAnswer("saml-method", f"got {method[:40]!r}, want REDIRECT or POST")
    decoded = _base64(request, "saml-request-invalid").strip()
    if decoded.lower().startswith(("https://", "http://")):
        if not decoded.isprintable() or " " in decoded:
            raise MalformedAnswer("saml-request-invalid", "a URL with a blank or a control character")
        return decoded
    if method == "REDIRECT":
        raise MalformedAnswer("saml-request-invalid", "got something else than a URL")
    return ""


def from_result(text: str, headers: Mapping[str, str]) -> Credentials:
    """From the final page and its headers, whichever has them (Q25).  headers: by names in any case."""
    found = {name.lower(): html.unescape(content).strip() for name, content in _ELEMENT.findall(text[:MAX_DATA])}
    wanted = ("saml-auth-status", "saml-username", *COOKIES)
    found |= {name.lower(): content.strip() for name, content in headers.items() if name.lower() in wanted}
    if found.get("saml-auth-status", "1") != "1":
        raise _invalid(f"saml-auth-status {found['saml-auth-status'][:20]!r}, want 1")
    user = found.get("saml-username", "")
    cookie = next((name for name in COOKIES if len(found.get(name, "")) >= LEAST_COOKIE), "")
    if not user or not cookie:
        raise _invalid("no saml-username" if not user else "neither a prelogin-cookie nor a portal-userauthcookie")
    return Credentials(user, Secret(found[cookie]), cookie)


def from_callback(uri: str) -> Credentials:
    """From a globalprotectcallback: link.  Raises MalformedAnswer, without any part of it."""
    text = html.unescape(uri.strip())
    if len(text) > MAX_DATA:
        raise _invalid(f"a callback of {len(text)} characters, want at most {MAX_DATA}")
    if not text.lower().startswith(SCHEME):
        raise _invalid(f"want a link that begins with {SCHEME}")
    data = text[len(SCHEME) :].lstrip("/")
    if data.startswith("cas-as"):
        return _from_cas(data if "=" in data else unquote(data))
    return from_result(_base64(data, "saml-result-invalid"), {})


def _from_cas(data: str) -> Credentials:
    try:
        fields = dict(parse_qsl(data, max_num_fields=MAX_FIELDS))
    except ValueError as exc:
        raise _invalid(f"more than {MAX_FIELDS} fields") from exc
    user, token = fields.get("un", ""), fields.get("token", "")
    if fields.get("cas-as") != "1" or not user or not token:
        raise _invalid("a CAS result without user or token")
    return Credentials(user, Secret(""), "prelogin-cookie", token=Secret(token))


def _base64(text: str, code: str) -> str:
    """Either alphabet, with or without padding, blanks within."""
    compact = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedAnswer(code, "want base64") from exc
    return data.decode("utf-8", "replace")


def _invalid(text: str) -> MalformedAnswer:
    return MalformedAnswer("saml-result-invalid", text)
