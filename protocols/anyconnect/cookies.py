"""The session cookie as it travels between two processes (anyconnect.md section 2.15).

    [openconnect_strapkey=BASE64; ]webvpn=TOKEN        or the bare TOKEN

The strap key of another client is taken out and never sent; the place for using one is `SessionCookie`.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.base import Secret
from protocols.errors import MalformedAnswer

NAME = "webvpn"
MAX_COOKIE = 16384  # characters


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """webvpn: the token that opens the tunnel."""

    webvpn: Secret

    def text(self) -> Secret:
        """As --authenticate prints it."""
        return Secret(f"{NAME}={self.webvpn.reveal()}")


def parse(cookie: Secret) -> SessionCookie:
    """Read what another process printed.  Raises MalformedAnswer for what must not enter a header."""
    text = cookie.reveal().strip(" ")
    _check(text)
    parts = dict(_split(part) for part in text.split(";"))
    token = parts.get(NAME, "") if _is_list(text) else text
    if not token:
        raise MalformedAnswer("bad-cookie", f"an empty {NAME} value, want the session token")
    return SessionCookie(Secret(token))


def from_token(token: str) -> SessionCookie:
    """The value the gateway gave.  Raises MalformedAnswer for one that cannot be a cookie's value."""
    _check(token)
    if ";" in token:
        raise MalformedAnswer("bad-cookie", f"a ';' in the gateway's {NAME} value")
    return SessionCookie(Secret(token))


def _is_list(text: str) -> bool:
    return any(part.strip().startswith(f"{NAME}=") for part in text.split(";"))


def _split(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")  # at the first '=' only: values of ocserv end in '='
    return name, value


def _check(text: str) -> None:
    """Refuse before any request what would break out of the header (never showing the value)."""
    if len(text) > MAX_COOKIE:
        raise MalformedAnswer("bad-cookie", f"the cookie has {len(text)} characters, want at most {MAX_COOKIE}")
    at = next((index for index, char in enumerate(text) if not " " <= char <= "~"), None)
    if at is not None:
        what = f"character U+{ord(text[at]):04X} at position {at} of the cookie"
        raise MalformedAnswer("bad-cookie", f"{what}, want printable ASCII")
