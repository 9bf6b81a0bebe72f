"""Which lab gateways other packages brought: entry points in the group `vpnclient.lab`, name -> class.

The class is called with (settings, store, token) and makes a Site; see site.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from protocols.errors import BrokenPlugin
from protocols.plugins import Found, Group
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Site
from vpnclient.lab.store import Store

GROUP = "vpnclient.lab"
_SITES = Group(GROUP, "lab gateway")
_PARTS = ("name", "respond")

MakeSite = Callable[[LabSettings, Store, Callable[[], str]], Site]


def available(found: Found = None) -> tuple[str, ...]:
    """Sorted; nothing is imported."""
    return _SITES.names(found)


def load(name: str, found: Found = None) -> MakeSite:
    """What makes a Site of that name.  Raises BrokenPlugin."""
    loaded = _SITES.load(name, found)
    if loaded is None:
        raise BrokenPlugin(f"no lab gateway {name!r}; packages brought: {', '.join(available(found)) or 'none'}")
    source, kind = loaded

    def make(settings: LabSettings, store: Store, token: Callable[[], str]) -> Site:
        try:
            site = cast(MakeSite, kind)(settings, store, token)
        except Exception as exc:
            raise _SITES.unusable(source, exc) from exc
        _SITES.require(source, site, _PARTS)
        return site

    return make
