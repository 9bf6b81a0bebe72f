"""Requests and answers as lines for a log, without secrets: what --dump-http-traffic shows.

Cookie values, credentials, tokens, query values and bodies never appear; names, sizes and the rest do.  Control
characters are escaped, so that a gateway cannot drive the terminal.  Source: anyconnect.md section 1, Limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_SHOWN_VALUE = 500  # characters of a header's value
MAX_SHOWN_HEADERS = 200
HIDDEN = "<hidden>"

# Parts of header names whose values are or may be secret, whoever makes the gateway.
_SECRET = re.compile(
    r"cookie|authori[sz]ation|authenticat|auth-xml|secret|token|passw|session-id|app-id|sdesktop|strap|otp|saml"
)
_COOKIE_NAME = re.compile(r"\s*([^=;]+)=([^;]*)")


def request_lines(method: str, target: str, headers: Iterable[tuple[str, str]], body_size: int) -> Iterator[str]:
    """A request.  body_size: bytes."""
    yield f"> {method} {hide_query(target)} HTTP/1.1"
    yield from _header_lines(">", headers)
    if body_size:
        yield f"> ({body_size} bytes of body)"


def answer_lines(
    version: str, status: int, reason: str, headers: Iterable[tuple[str, str]], body_size: int
) -> Iterator[str]:
    """An answer.  body_size: bytes, unpacked."""
    yield f"< HTTP/{version} {status} {printable(reason)[:MAX_SHOWN_VALUE]}"
    yield from _header_lines("<", headers)
    if body_size:
        yield f"< ({body_size} bytes of body)"


def hide_query(url: str) -> str:
    """A URL or path with the values of its query hidden."""
    path, mark, query = url.partition("?")
    names = [part.partition("=")[0] + "=" + HIDDEN if "=" in part else HIDDEN for part in query.split("&")]
    return printable(path + mark + ("&".join(names) if mark else ""))


def printable(text: str) -> str:
    """The text with control and other unprintable characters as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _header_lines(mark: str, headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    for count, (name, value) in enumerate(headers):
        if count == MAX_SHOWN_HEADERS:
            yield f"{mark} ..."
            return
        yield f"{mark} {name}: {_shown(name.lower(), value)}"


def _shown(name: str, value: str) -> str:
    if name in ("cookie", "set-cookie"):
        cookies = value if name == "cookie" else value.partition(";")[0]
        pairs = _COOKIE_NAME.findall(cookies)
        return printable("; ".join(f"{key}={HIDDEN if text else ''}" for key, text in pairs)) or HIDDEN
    if _SECRET.search(name):
        return f"{HIDDEN} ({len(value)} characters)"
    if name in ("location", "referer", "content-location"):
        value = hide_query(value)
    shown = printable(value)
    return shown if len(shown) <= MAX_SHOWN_VALUE else shown[:MAX_SHOWN_VALUE] + "..."
