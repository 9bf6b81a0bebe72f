"""The session string: what a gateway sign-in ends with, and what every later request carries (section 8).

    authcookie=..&portal=..&user=..&domain=..&preferred-ip=..&preferred-ipv6=..&computer=..     empty ones left out

It is the cookie handed between two processes, and is never taken apart more than needed: fields of a gateway's own
pass through, in their order and encoding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.base import Interface, Secret
from protocols.errors import MalformedAnswer
from protocols.gp import formdata

REQUIRED = ("authcookie", "user")
ADDRESSES = ("preferred-ip", "preferred-ipv6")
MAX_COOKIE = 16384  # characters
MAX_FIELDS = 64
_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%+()*!',:;@/")


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """Names and values, still encoded, in their order."""

    _fields: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def build(cls, values: Iterable[tuple[str, bytes]]) -> SessionCookie:
        """From decoded values; empty ones are left out."""
        return cls(tuple((name, formdata.encode(value)) for name, value in values if value))

    @classmethod
    def parse(cls, cookie: Secret) -> SessionCookie:
        """Raises MalformedAnswer, which never shows a value."""
        text = cookie.reveal().strip(" ")
        if len(text) > MAX_COOKIE:
            raise _bad(f"it has {len(text)} characters, want at most {MAX_COOKIE}")
        parts = text.split("&")
        if len(parts) > MAX_FIELDS:
            raise _bad(f"it has {len(parts)} fields, want at most {MAX_FIELDS}")
        fields: dict[str, str] = {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals or not name or not _ALLOWED.issuperset(name + value):
                raise _bad("a field that is not name=value, percent-encoded")
            if name in fields:
                raise _bad(f"field {name[:40]!r} twice")
            fields[name] = value
        missing = [name for name in REQUIRED if not fields.get(name)]
        if missing:
            raise _bad(f"no {' and no '.join(missing)}")
        return cls(tuple(fields.items()))

    def text(self) -> Secret:
        """As --authenticate prints it, and as requests append it."""
        return Secret(_join(self._fields))

    def get(self, name: str) -> str:
        """The decoded value; empty: there is none."""
        value = next((value for key, value in self._fields if key == name), "")
        return formdata.decode(value).decode("utf-8", "replace")

    def secrets(self) -> tuple[str, ...]:
        """Texts that a gateway may quote and that must not be shown."""
        return tuple(value for name, value in self._fields if name == "authcookie")

    def for_tunnel(self) -> str:
        """The two fields of the tunnel's GET (section 11.1)."""
        return _join(pair for pair in self._fields if pair[0] in REQUIRED)

    def for_config(self, held: tuple[Interface, ...]) -> str:
        """For getconfig: what was held before is asked for in place of what the sign-in told (section 9.1, Q42)."""
        if not held:
            return _join(self._fields)
        wanted = [("preferred-ip" if one.version == 4 else "preferred-ipv6", str(one.ip)) for one in held]
        return "&".join((formdata.form(wanted), _join(self._without(ADDRESSES))))

    def checksum(self) -> str:
        """Section 10: over all but the secret and the addresses, so that it stays the same."""
        text = _join(self._without(("authcookie", *ADDRESSES)))
        return hashlib.md5(text.encode("ascii"), usedforsecurity=False).hexdigest()

    def _without(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple(pair for pair in self._fields if pair[0] not in names)


def _join(fields: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in fields)


def _bad(text: str) -> MalformedAnswer:
    return MalformedAnswer("bad-cookie", f"no session cookie as --authenticate prints it: {text}")
