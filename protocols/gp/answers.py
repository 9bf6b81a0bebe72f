"""What a body is, and what its error means; the Content-Type lies, so contents decide (sections 2.2, 2.3, Q7 to Q9).

XML              a document, a challenge, or an error
JavaScript       a challenge or an error, bare or with HTML entities inside a page
a line of text   an error
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols import markup
from protocols.errors import (
    ClientCertificateRequired,
    ConfigurationRefused,
    CookieRejected,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
)
from protocols.gp import challenge
from protocols.gp.challenge import Challenge, ScriptError
from protocols.text import clean, one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MALFORMED = "answer-malformed"
MAX_BODY = 16 * 2**20  # bytes: portal configurations carry pages and certificates
MAX_VALUE = 64 * 1024  # characters of one element's text
SHOWN = 300  # characters of a gateway's text in an error
_AMPERSAND = re.compile(
    rb"&(?:(amp|lt|gt|quot|apos);|(?!(?:[A-Za-z][A-Za-z0-9]{0,31}|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});))"
)
_CHARACTERS = {b"amp": b"&#38;", b"lt": b"&#60;", b"gt": b"&#62;", b"quot": b"&#34;", b"apos": b"&#39;"}
_PAGE = re.compile(rb"<(?:html|!doctype\s+html)\b", re.IGNORECASE)
_PAGE_STARTS = 512  # bytes in which a page shows itself as one


class InterfaceAbsent(ProtocolError):
    """There is no portal, or no gateway, at this address."""


def read(body: bytes, *, secrets: tuple[str, ...] = ()) -> _Element | Challenge:
    """The document, or the challenge.  Raises what an error in the answer means, without any of the secrets."""
    text = body.strip()
    if not text:
        raise MalformedAnswer("empty-response", "an answer without a body")
    if _PAGE.search(text[:_PAGE_STARTS]):
        return _script(_page_text(text), secrets)
    if text.startswith(b"<"):
        return _document(text, secrets)
    plain = text[:MAX_BODY].decode("utf-8", "replace")
    if challenge.MARK in plain:
        return _script(plain, secrets)
    raise error_of(plain, secrets)


def document(body: bytes, *roots: str, secrets: tuple[str, ...] = ()) -> _Element:
    """A document with one of these roots.  Raises MalformedAnswer for any other, or what its error means."""
    found = read(body, secrets=secrets)
    if isinstance(found, Challenge):
        raise MalformedAnswer(MALFORMED, f"a challenge, want {' or '.join(roots)}")
    return with_root(found, *roots)


def with_root(found: _Element, *roots: str) -> _Element:
    """The document, if its root is one of these.  Raises MalformedAnswer."""
    if markup.local_name(found) not in roots:
        got = one_line(markup.local_name(found))[:40]
        raise MalformedAnswer(MALFORMED, f"root element {got!r}, want {' or '.join(roots)}")
    return found


def child(element: _Element | None, *path: str) -> _Element | None:
    """The first child of that name, of that name, ...; repeated ones are ignored."""
    for name in path:
        if element is None:
            return None
        element = next((one for one in markup.children(element) if markup.local_name(one) == name), None)
    return element


def value(element: _Element | None, *path: str) -> str:
    """The text of a child without blanks around it; empty: there is none.  Raises MalformedAnswer: too long."""
    text = markup.text(child(element, *path)).strip()
    if len(text) > MAX_VALUE:
        raise MalformedAnswer(MALFORMED, f"{'/'.join(path)} of {len(text)} characters, want at most {MAX_VALUE}")
    return text


def error_of(text: str, secrets: tuple[str, ...] = ()) -> ProtocolError:
    """The error that a text of the gateway means (section 2.3)."""
    for secret in secrets:
        text = text.replace(secret, "...") if secret else text
    said = one_line(text)[:SHOWN] or "no reason given"
    low = said.lower()
    if low.startswith("errors getting ssl/vpn config"):
        return CookieRejected("the gateway gives no configuration for this session; sign in again")
    if "portal does not exist" in low or "gateway does not exist" in low:
        return InterfaceAbsent(said)
    if "invalid authentication cookie" in low or "portal name not found" in low:
        return CookieRejected(said)
    if "allow automatic restoration of ssl vpn is disabled" in low:
        return CookieRejected(f"{said}: every new tunnel needs a full sign-in")
    if "valid client certificate is required" in low:
        return ClientCertificateRequired(said)
    if "assign private ip address failed" in low or "matching client config not found" in low:
        return ConfigurationRefused("config-refused", f"{said} (another --os may get one)")
    if "invalid computer" in low:
        return ConfigurationRefused("config-refused", f"{said} (--local-hostname must be what it was at the sign-in)")
    if "cas is not supported by the client" in low:
        return NotSupported("cas-required", said)
    if "ensure the compatible globalprotect version" in low:
        return NotSupported("client-too-old", f"{said} (name a newer one, as in --version-string 6.3.3-619)")
    return SignInFailed(said)


def _document(text: bytes, secrets: tuple[str, ...]) -> _Element | Challenge:
    # Numbers in place of names: libxml2 forgets named entities once it had to recover from something.
    numbered = _AMPERSAND.sub(lambda match: _CHARACTERS[match[1] or b"amp"], text)
    root = markup.xml(numbered, code=MALFORMED, limit=MAX_BODY)
    name = markup.local_name(root)
    if name == "challenge":
        prompt, given = clean(value(root, "respmsg")), value(root, "inputstr")
        return Challenge(prompt, challenge.checked_input(given))
    if name == "response" and (root.get("status") or "success").lower() != "success":
        raise error_of(value(root, "error") or value(root, "msg"), secrets)
    if name == "prelogin-response" and value(root, "status").lower() != "success":
        raise error_of(value(root, "msg") or value(root, "newmsg"), secrets)
    return root


def _script(text: str, secrets: tuple[str, ...]) -> Challenge:
    found = challenge.parse(text)
    if isinstance(found, ScriptError):
        raise error_of(found.text, secrets)
    return found


def _page_text(text: bytes) -> str:
    """The script in a page, its entities undone."""
    root = markup.html(text, code=MALFORMED, limit=MAX_BODY)
    inside = markup.text(next(iter(root.iter("body")), None)).strip()
    if challenge.MARK not in inside:
        title = one_line(markup.text(next(iter(root.iter("title")), None)))[:80]
        raise MalformedAnswer("unexpected-page", f"an HTML page{f' ({title})' if title else ''}, want XML")
    return inside
