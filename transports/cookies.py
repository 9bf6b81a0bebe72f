"""Cookies as VPN gateways use them: one flat list of name=value for the current host.

No paths, no domains: an empty value or an expiry in the past deletes, what comes later wins (anyconnect.md section 1
and Q32, f5.md section 2, fortinet.md section 2).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from transports.errors import HttpError

MAX_COOKIES = 200
MAX_COOKIE_BYTES = 65536  # of all names and values together, UTF-8

MAX_SKEW = 86400  # seconds that our clock and the gateway's may differ: only what is older has expired

_NO_AGE = re.compile(r"-[0-9]+|0+")
_FORBIDDEN = frozenset("\r\n\0;")


class Cookies:
    """The store.  Its repr shows names only.  clock: Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._values: dict[str, str] = {}
        self._clock = clock

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        """Set a cookie; an empty value deletes it.  Raises HttpError on bad characters or past the caps."""
        if not name or "=" in name or _FORBIDDEN & set(name):
            raise HttpError(f"cookie name {name!r} is not allowed")
        if _FORBIDDEN & set(value):
            raise HttpError(f"the value of cookie {name!r} holds a line end, NUL or ';'")
        if not value:
            self._values.pop(name, None)
            return
        if name not in self._values and len(self._values) >= MAX_COOKIES:
            raise HttpError(f"more than {MAX_COOKIES} cookies")
        self._values[name] = value
        if sum(_size(key) + _size(text) for key, text in self._values.items()) > MAX_COOKIE_BYTES:
            del self._values[name]
            raise HttpError(f"cookies exceed {MAX_COOKIE_BYTES} bytes")

    def clear(self) -> None:
        self._values.clear()

    def header(self) -> str:
        """What the Cookie header says: `a=b; c=d`; empty: send none."""
        return "; ".join(f"{name}={value}" for name, value in self._values.items())

    def take(self, set_cookie: Iterable[str], where: str) -> None:
        """Apply the Set-Cookie values of one answer, in order.  Raises HttpError on one without `=`."""
        for text in set_cookie:
            pair, _, attributes = text.partition(";")
            name, equals, value = pair.partition("=")
            if not equals:
                raise HttpError(f"{where}: got a Set-Cookie without '=', want name=value")
            self.set(name.strip(), "" if self._has_expired(attributes) else value.strip())

    def _has_expired(self, attributes: str) -> bool:
        """Max-Age counts before Expires (RFC 6265, section 5.3); what makes no sense does not count."""
        pairs = (attribute.strip().partition("=") for attribute in attributes.split(";"))
        given = {name.lower(): value.strip() for name, _, value in pairs}
        if "max-age" in given:
            return _NO_AGE.fullmatch(given["max-age"]) is not None
        if "expires" not in given:
            return False
        from email.utils import parsedate_to_datetime  # few cookies have a date, and it costs 4 ms of a start

        try:
            return parsedate_to_datetime(given["expires"]).timestamp() < self._clock() - MAX_SKEW
        except (TypeError, ValueError, OverflowError):
            return False

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Cookies({', '.join(self._values)})"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
