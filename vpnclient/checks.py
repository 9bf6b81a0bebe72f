"""What a value must be beyond its type: the meanings that need a parser.  Used for options and profiles alike."""

from __future__ import annotations

from collections.abc import Callable

from transports.errors import TransportError
from vpnclient.errors import UsageError
from vpnclient.schema import Value
from vpnclient.settings import MAX_INTERFACE, parse_form_entry, parse_resolve, parse_server


def check(name: str, value: Value) -> None:
    """Raises ValueError, naming what is wrong, if the item `name` cannot have this value."""
    checker = _CHECKS.get(name)
    if checker is None:
        return
    try:
        for text in value if isinstance(value, tuple) else (str(value),):
            checker(text)
    except (UsageError, TransportError) as exc:
        raise ValueError(str(exc)) from exc


def _interface(text: str) -> None:
    if len(text.encode()) > MAX_INTERFACE:
        raise ValueError(f"{text!r} is {len(text.encode())} bytes, an interface name has at most {MAX_INTERFACE}")
    if not text or text in (".", "..") or any(char in "/:" or char.isspace() for char in text):
        raise ValueError(f"{text!r} is not an interface name")


def _pin(text: str) -> None:
    from transports.pins import Pin

    Pin.parse(text)


def _proxy(text: str) -> None:
    from transports.proxy import Proxy

    Proxy.parse(text)


def _protocol(text: str) -> None:
    from protocols import registry

    if text.lower() in registry.BUILT_IN:  # no need to look at all that is installed
        return
    known = registry.available()
    if text.lower() not in known:
        raise ValueError(f"unknown protocol {text!r}; known: {', '.join(known)}")


def _dtls_ciphers(text: str) -> None:
    from protocols.anyconnect.dtls_ciphers import offered

    offered(text)


_CHECKS: dict[str, Callable[[str], object]] = {
    "server": parse_server,
    "interface": _interface,
    "servercert": _pin,
    "proxy": _proxy,
    "protocol": _protocol,
    "dtls_ciphers": _dtls_ciphers,
    "resolve": lambda text: parse_resolve([text]),
    "form_entry": parse_form_entry,
}
