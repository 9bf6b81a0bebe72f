"""The payload of CONFIG: JSON of the gateway's, of which nothing is believed.

    {"addresses": ["10.77.0.2/24", "fd77::2/64"], "mtu": 1400, "dns": ["10.77.0.1"], "search": ["lab.example"],
     "include": ["10.0.0.0/8"], "exclude": [], "dpd": 30, "banner": "Hello"}

addresses and mtu must be there.  Times are seconds; 0: none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import TypeVar

from lantern.framing import MAX_PAYLOAD
from vpnclient.api import ConfigurationRefused, MalformedAnswer, TunnelConfig

T = TypeVar("T")

MAX_ITEMS = 256  # of a list
MAX_TEXT = 1024  # characters
MIN_MTU = 576  # bytes
MIN_MTU_IPV6 = 1280  # bytes; RFC 8200, section 5
MAX_DPD = 86400  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """dpd: seconds of silence before the gateway is asked whether it is there; 0: never."""

    tunnel: TunnelConfig
    dpd: int


def parse(payload: bytes, *, mtu: int = 0) -> Settings:
    """mtu: the largest that the user wants, bytes; 0: any.  Raises MalformedAnswer, ConfigurationRefused."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise MalformedAnswer("lantern-config", f"no JSON: {exc}") from exc
    if not isinstance(said, dict):
        raise MalformedAnswer("lantern-config", f"got {type(said).__name__}, want an object")
    addresses = _items(said, "addresses", ip_interface)
    if not addresses:
        raise ConfigurationRefused("no-address", "the gateway gave no address")
    least = MIN_MTU_IPV6 if any(address.version == 6 for address in addresses) else MIN_MTU
    given = _number(said, "mtu", least, MAX_PAYLOAD)
    tunnel = TunnelConfig(
        addresses=addresses,
        mtu=max(least, min(given, mtu or given)),
        dns=_items(said, "dns", ip_address),
        search_domains=_items(said, "search", str),
        split_include=_items(said, "include", ip_network),
        split_exclude=_items(said, "exclude", ip_network),
        banner=_line(str(said.get("banner", ""))),
    )
    return Settings(tunnel, _number(said, "dpd", 0, MAX_DPD) if "dpd" in said else 0)


def _items(said: dict[str, object], key: str, parse_item: Callable[[str], T]) -> tuple[T, ...]:
    found = said.get(key, [])
    if not isinstance(found, list) or len(found) > MAX_ITEMS or not all(isinstance(item, str) for item in found):
        raise MalformedAnswer("lantern-config", f"{key}: want a list of at most {MAX_ITEMS} texts")
    try:
        return tuple(parse_item(_line(item)) for item in found)
    except ValueError as exc:
        raise MalformedAnswer("lantern-config", f"{key}: {exc}") from exc


def _number(said: dict[str, object], key: str, least: int, most: int) -> int:
    found = said.get(key)
    if not isinstance(found, int) or not least <= found <= most:
        raise MalformedAnswer("lantern-config", f"{key}: got {str(found)[:40]}, want {least} to {most}")
    return found


def _line(text: str) -> str:
    """What a user may be shown."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT]).strip()
