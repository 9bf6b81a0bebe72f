"""https URLs, and where a redirect leads.

Nothing is normalised: gateways use `//` and odd paths on purpose (anyconnect.md Q33).  Source: anyconnect.md section 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from transports.errors import HttpError

HTTPS_PORT = 443
MAX_URL = 65536  # characters
SHOWN = 80  # characters of a bad URL's host that an error shows

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# User information is left out on purpose: `https://known.example@other.example/` is a trap, not a login.
_HTTPS = re.compile(r"(?i:https)://(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[^/?#:@\[\]\\]+)(?::([0-9]{0,5}))?([/?#].*)?")
_HOST = re.compile(r"[\w.-]{1,253}")
_UNSAFE = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Url:
    """An https URL in parts.  host: name or numeric address, without brackets.  target: path and query."""

    host: str
    port: int = HTTPS_PORT
    target: str = "/"

    @classmethod
    def parse(cls, text: str) -> Url:
        """Parse an absolute https URL; a fragment is dropped.  Raises HttpError."""
        if len(text) > MAX_URL:
            raise HttpError(f"a URL of {len(text)} characters, want at most {MAX_URL}")
        match = _HTTPS.fullmatch(text)
        if match is None:
            scheme = _SCHEME.match(text)
            name = scheme[1].lower() if scheme else "none"
            got = "a malformed host or port" if name == "https" else f"scheme {name!r}"
            raise HttpError(f"bad URL: got {got}, want https://host[:port][/path]")
        port = int(match[2] or HTTPS_PORT)
        if not 1 <= port <= 65535:
            raise HttpError(f"bad URL: got port {port}, want 1 to 65535")
        return cls(_host(match[1]), port, _target(match[3] or "/"))

    @property
    def authority(self) -> str:
        """As the Host header says it: brackets for IPv6, the port only when it is not 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"

    def same_server(self, other: Url) -> bool:
        return (self.host.lower(), self.port) == (other.host.lower(), other.port)

    def join(self, location: str) -> Url:
        """Where a Location header of this URL's answer leads.  Raises HttpError on any scheme but https."""
        location = location.partition("#")[0].strip()
        if not location:
            return self
        if _SCHEME.match(location):
            return Url.parse(location)
        if len(location) > MAX_URL:
            raise HttpError(f"a URL of {len(location)} characters, want at most {MAX_URL}")
        path = self.target.partition("?")[0]
        if location.startswith("?"):
            return replace(self, target=_target(path + location))
        if not location.startswith("/"):
            location = path[: path.rfind("/") + 1] + location
        return replace(self, target=_target(location))

    def __str__(self) -> str:
        return f"https://{self.authority}{self.target}"


def _host(text: str) -> str:
    if text.startswith("["):
        inner = text[1:-1].replace("%25", "%")
        try:
            IPv6Address(inner)
        except ValueError:
            raise HttpError(f"bad URL: got host {text[:SHOWN]!r}, want a name or an address") from None
        return inner
    if not _HOST.fullmatch(text):
        raise HttpError(f"bad URL: got host {text[:SHOWN]!r}, want a name or an address")
    if text.isascii():
        return text
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        raise HttpError(f"bad URL: host {text[:SHOWN]!r} is no valid name") from None


def _target(text: str) -> str:
    """Path and query as sent: blanks and non-ASCII percent-encoded, controls refused."""
    text = text.partition("#")[0]
    if not text.startswith("/"):
        text = "/" + text
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if ord(char) < 0x20 or ord(char) == 0x7F:
        raise HttpError("bad URL: the path holds a control character")
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
