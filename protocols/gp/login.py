"""The login: the form's fields out, and the <jnlp> with the session in (sections 4 and 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols import markup
from protocols.base import Interface, Secret
from protocols.errors import ConfigurationRefused, MalformedAnswer
from protocols.gp import formdata
from protocols.gp.answers import MAX_VALUE, child
from protocols.gp.cookie import SessionCookie
from protocols.gp.identity import PROTOCOL_VERSION, Identity
from protocols.text import one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

INVALID = "login-response-invalid"
LEAST_ARGUMENTS = 15
MAX_ARGUMENTS = 128
NO_VALUE = frozenset({"", "(null)", "-1"})
PASSWORD = "passwd"
_KEPT = ((1, "authcookie"), (3, "portal"), (4, "user"), (7, "domain"), (15, "preferred-ip"), (18, "preferred-ipv6"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves who the user is.  secret_field: the name its secret is sent under."""

    user: str
    secret: Secret = field(default=Secret(""))
    secret_field: str = PASSWORD
    cookies: tuple[tuple[str, Secret], ...] = ()  # of the portal
    token: Secret | None = None  # of a browser sign-in by CAS (section 5.3)


@dataclass(frozen=True, slots=True)
class Login:
    """A session at a gateway.  notices: for the user."""

    cookie: SessionCookie
    notices: tuple[str, ...] = ()


def request(
    identity: Identity,
    server: str,
    credentials: Credentials,
    *,
    input_str: str = "",
    held: tuple[Interface, ...] = (),
) -> bytes:
    """The body; portal and gateway take the same.  input_str: of the challenge that is answered."""
    pairs = [
        ("jnlpReady", "jnlpReady"),
        ("ok", "Login"),
        ("direct", "yes"),
        ("clientVer", PROTOCOL_VERSION),
        ("prot", "https:"),
        ("internal", "no"),
        ("ipv6-support", identity.ipv6_support),
        ("clientos", identity.client_os),
        ("os-version", identity.os_version),
        ("server", server),
        ("computer", identity.computer),
    ]
    pairs += [(name, cookie.reveal()) for name, cookie in credentials.cookies]
    pairs += [("preferred-ip" if one.version == 4 else "preferred-ipv6", str(one.ip)) for one in held]
    if input_str:
        pairs.append(("inputStr", input_str))
    pairs += [("user", credentials.user), (credentials.secret_field, credentials.secret.reveal())]
    if credentials.token is not None:
        pairs.append(("token", credentials.token.reveal()))
    return formdata.form(pairs).encode("ascii")


def parse(root: _Element, computer: str) -> Login:
    """From a <jnlp>.  computer: as the login told it (Q14).  Raises MalformedAnswer, ConfigurationRefused."""
    values = _arguments(root)

    def text(index: int) -> str:
        return formdata.decode(values.get(index, "")).decode("utf-8", "replace")

    for index, name in ((1, "authcookie"), (4, "user")):
        if index not in values:
            raise MalformedAnswer(INVALID, f"no {name} (argument {index})")
    kind, version = text(12), text(14)
    if kind == "notunnel":
        raise ConfigurationRefused("gateway-without-tunnel", "this is an internal gateway, which only registers users")
    if kind != "tunnel":
        raise MalformedAnswer(INVALID, f"connection type (argument 12): got {one_line(kind)[:40]!r}, want 'tunnel'")
    if version != PROTOCOL_VERSION:
        got = one_line(version)[:40]
        raise MalformedAnswer(INVALID, f"client version (argument 14): got {got!r}, want {PROTOCOL_VERSION}")
    kept = [(name, formdata.decode(values.get(index, ""))) for index, name in _KEPT]
    return Login(SessionCookie.build([*kept, ("computer", computer.encode())]), tuple(_notices(values, text(13))))


def _notices(values: dict[int, str], days: str) -> list[str]:
    notices = [] if 3 in values else ["the gateway did not name its portal (argument 3): later requests may fail"]
    if days.isascii() and days.isdigit() and len(days) < 6:
        notices.append(f"your password expires in {int(days)} days")
    return notices


def _arguments(root: _Element) -> dict[int, str]:
    """Argument number -> value, of those that have one; any number of them is taken, from 15 on (Q16)."""
    inside = child(root, "application-desc")
    if inside is None:
        raise MalformedAnswer(INVALID, "no application-desc")
    elements = list(markup.children(inside))
    if not LEAST_ARGUMENTS <= len(elements) <= MAX_ARGUMENTS:
        raise MalformedAnswer(INVALID, f"{len(elements)} arguments, want {LEAST_ARGUMENTS} to {MAX_ARGUMENTS}")
    found: dict[int, str] = {}
    for index, element in enumerate(elements):
        if markup.local_name(element) != "argument":
            raise MalformedAnswer(INVALID, f"element {one_line(markup.local_name(element))[:40]!r}, want argument")
        text = markup.text(element).strip()
        if len(text) > MAX_VALUE:
            raise MalformedAnswer(INVALID, f"argument {index} of {len(text)} characters, want at most {MAX_VALUE}")
        if text not in NO_VALUE:
            found[index] = text
    return found
