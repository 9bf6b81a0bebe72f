"""A sign-in's outcome as text, for another process to open the tunnel with (cli-parity 5.2).

COOKIE, HOST, CONNECT_URL, FINGERPRINT and RESOLVE as shell assignments, or the same in JSON.  Recipe, for ours and for
openconnect: connect --cookie-on-stdin --servercert "$FINGERPRINT" --resolve "$RESOLVE" "$CONNECT_URL"
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from urllib.parse import urlsplit

from protocols.base import Ticket
from protocols.errors import MalformedAnswer


def fields(ticket: Ticket) -> dict[str, str]:
    """The five values by their names in JSON."""
    name = urlsplit(ticket.connect_url).hostname or ""
    address = ticket.address
    return {
        "cookie": ticket.cookie.reveal(),
        "host": (f"[{address}]" if ":" in address else address) or name,
        "connect_url": ticket.connect_url,
        "fingerprint": ticket.fingerprint,
        "resolve": f"{name}:{address}" if address and not _numeric(name) else "",
    }


def as_json(ticket: Ticket) -> str:
    return json.dumps({**fields(ticket), "protocol": ticket.protocol})


def as_shell(ticket: Ticket) -> str:
    """Five lines, each value in single quotes so that `eval` cannot run a part of it."""
    return "\n".join(f"{name.upper()}={quoted(value)}" for name, value in fields(ticket).items())


def quoted(text: str) -> str:
    """Raises MalformedAnswer for a text that no line can hold."""
    if any(char in text for char in "\0\r\n"):
        raise MalformedAnswer("auth-malformed", "a value of the sign-in contains a line end or NUL")
    return "'" + text.replace("'", "'\\''") + "'"


def _numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
