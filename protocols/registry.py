"""Which protocols and framings there are: the built-in ones, and those of other packages.

A package adds a protocol by an entry point in the group `vpnclient.protocols`, name -> class, and a framing in
`vpnclient.framings`, name -> Framing.  Framings that the engine knows need no entry, and are asked for first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from protocols.base import VpnProtocol
from protocols.errors import BrokenPlugin, UnknownProtocol
from protocols.plugins import Found, Group

if TYPE_CHECKING:
    from transports.framing import Framing

GROUP = "vpnclient.protocols"
FRAMINGS = "vpnclient.framings"
BUILT_IN = {
    "anyconnect": "protocols.anyconnect:AnyConnect",
    "f5": "protocols.f5:F5",
    "fortinet": "protocols.fortinet:Fortinet",
    "gp": "protocols.gp:GlobalProtect",
    "nc": "protocols.nc:NetworkConnect",
}
_PROTOCOLS = Group(GROUP, "protocol", BUILT_IN)
_FRAMINGS = Group(FRAMINGS, "framing")
_PARTS = ("name", "title", "authenticate", "connect", "ticket_from_cookie")
_FRAMING_PARTS = ("name", "decoder", "encoder", "max_payload")


def available(found: Found = None) -> tuple[str, ...]:
    """The names of all protocols, sorted; nothing is imported.  found: instead of what is installed."""
    return _PROTOCOLS.names(found)


def load(name: str, found: Found = None) -> VpnProtocol:
    """The protocol of that name.  Raises UnknownProtocol, BrokenPlugin."""
    loaded = _PROTOCOLS.load(name, found)
    if loaded is None:
        raise UnknownProtocol(name, available(found))
    source, kind = loaded
    try:
        made = kind()  # type: ignore[operator]  # whatever it is, a failure is the package's
    except Exception as exc:
        raise _PROTOCOLS.unusable(source, exc) from exc
    _PROTOCOLS.require(source, made, _PARTS)
    return cast(VpnProtocol, made)


def framings(found: Found = None) -> tuple[str, ...]:
    """The names of all framings that packages brought, sorted; nothing is imported."""
    return _FRAMINGS.names(found)


def load_framing(name: str, found: Found = None) -> Framing:
    """A framing that a package brought.  Raises BrokenPlugin."""
    loaded = _FRAMINGS.load(name, found)
    if loaded is None:
        raise BrokenPlugin(f"no framing {name!r}; packages brought: {', '.join(framings(found)) or 'none'}")
    source, framing = loaded
    _FRAMINGS.require(source, framing, _FRAMING_PARTS)
    return cast("Framing", framing)
