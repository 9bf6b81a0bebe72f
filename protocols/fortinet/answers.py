"""What the gateway answers to a sign-in: short lines of key=value, or a page (sections 3.3 to 3.5).

    ret=2,reqid=101,polid=1-1-2002,grp=vpnusers,portal=full-access,magic=1-3003,tokeninfo=,chal_msg=Enter token

A value runs to the next comma: there is no quoting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols import markup
from protocols.errors import MalformedAnswer, NotSupported
from protocols.fortinet.errors import PasswordExpired
from protocols.text import one_line, printable

if TYPE_CHECKING:
    from lxml.etree import _Element

    from transports.http import Response

MAX_PAIRS = 64
MAX_VALUE = 8192  # bytes
MAX_PAGE = 2**20  # bytes
MAX_INPUTS = 64
MAX_PROMPT = 400  # characters
SHOWN = 200  # characters of an answer that nobody understands
GOES_BACK = ("reqid", "polid", "grp", "portal", "peer", "magic")  # magic comes last (Q9)
PUSH = "ftm_push"
DENIED = "the gateway denies the access: user name, password or code is wrong"
_INVISIBLE = "display: none;"


@dataclass(frozen=True, slots=True)
class Refused:
    """Not this time: ask again."""

    text: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """A second factor.  values: what goes back, as it came."""

    prompt: str
    values: dict[str, str] = field(repr=False)
    push: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """kind: text, password or hidden."""

    name: str
    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PageForm:
    """A second factor as a page."""

    prompt: str
    action: str
    inputs: tuple[Input, ...]


Answer = Refused | Challenge | PageForm


def read(response: Response) -> Answer:
    """An answer without the session's cookie.  Raises MalformedAnswer, NotSupported, PasswordExpired."""
    body = response.body
    if response.status == 401:
        return _page_form(body)
    if response.status == 405:
        return Refused(DENIED)  # the status's name misleads (Q2)
    if body.lstrip().startswith(b"ret="):
        return _short(body)
    if response.status == 403 or b"sslvpn_login_permission_denied" in body or b"Permission denied" in body:
        return Refused(DENIED)
    if b"sslvpn_login_password_expired" in body:
        raise PasswordExpired("the password has expired: change it in a browser, at the gateway's own page")
    said = printable(body)[:SHOWN]
    raise MalformedAnswer("auth-no-cookie", f"got HTTP status {response.status} without a session: {said!r}")


def pairs(body: bytes) -> dict[str, str]:
    """The first value of each key; bytes that are no UTF-8 survive.  Raises MalformedAnswer."""
    found: dict[str, str] = {}
    parts = body.strip().split(b",", MAX_PAIRS)
    if len(parts) > MAX_PAIRS:
        raise MalformedAnswer("auth-malformed", f"more than {MAX_PAIRS} values in an answer")
    for part in parts:
        key, _, value = part.partition(b"=")
        if len(value) > MAX_VALUE:
            name = printable(key)[:40]
            raise MalformedAnswer("auth-malformed", f"{name!r}: {len(value)} bytes, want at most {MAX_VALUE}")
        found.setdefault(key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
    return found


def _short(body: bytes) -> Answer:
    found = pairs(body)
    code = found["ret"].strip() if "ret" in found else ""
    if "tokeninfo" in found or code == "2":  # an empty one is a challenge, too (Q4)
        values = {name: found[name] for name in GOES_BACK if name in found}
        prompt = one_line(found.get("chal_msg", "").encode("utf-8", "replace").decode())[:MAX_PROMPT]
        return Challenge(prompt, values, found.get("tokeninfo", "").startswith(PUSH))
    if b"sslvpn_login_password_expired" in body:
        raise PasswordExpired("the password has expired: change it in a browser, at the gateway's own page")
    if code == "0":
        return Refused(DENIED)
    if code == "1":
        raise MalformedAnswer("auth-no-cookie", "the gateway says that the sign-in is complete, but gives no session")
    raise NotSupported("auth-unsupported-challenge", f"the gateway asks in a way that is not known (ret={code[:20]!r})")


def _page_form(body: bytes) -> Answer:
    """The form of a 401; without one the gateway says no."""
    root = markup.html(body, code="auth-bad-form", limit=MAX_PAGE) if body.strip() else None
    form = next(root.iter("form"), None) if root is not None else None
    if root is None or form is None:
        return Refused(DENIED)
    inputs = [one for element in form.iter("input") if (one := _input(element)) is not None]
    if len(inputs) > MAX_INPUTS:
        raise MalformedAnswer("auth-bad-form", f"{len(inputs)} fields in a form, want at most {MAX_INPUTS}")
    if not any(one.kind == "password" for one in inputs):
        raise MalformedAnswer("auth-bad-form", "a second form without a password field")
    return PageForm(_prompt(root), _attribute(form, "action").strip(), tuple(inputs))


def _input(element: _Element) -> Input | None:
    name, kind = _attribute(element, "name"), _attribute(element, "type").strip().lower()
    value = _attribute(element, "value")
    if not name or kind in ("submit", "button", "image", "reset"):
        return None
    if len(name) > MAX_VALUE or len(value) > MAX_VALUE:
        raise MalformedAnswer("auth-bad-form", f"a field of {max(len(name), len(value))} characters, want {MAX_VALUE}")
    if kind == "hidden" or _attribute(element, "style").strip().lower() == _INVISIBLE:
        return Input(name, "hidden", value)
    return Input(name, "password", "") if kind == "password" else Input(name, "text", value)


def _prompt(root: _Element) -> str:
    bold = next((one_line(markup.text(one)) for one in root.iter("b")), "")
    texts = (one_line(str(text)) for text in root.itertext())
    return (bold or next((text for text in texts if text.startswith("Please")), ""))[:MAX_PROMPT]


def _attribute(element: _Element, name: str) -> str:
    return str(element.get(name) or "")
