"""Which protocols there are: the built-in ones, and those of other packages.

A package adds a protocol by an entry point in the group `vpnclient.protocols`, name -> class; nothing is imported
before a protocol is asked for.  Built-in names are found without installation, and nobody can take them over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from protocols.base import VpnProtocol
from protocols.errors import BrokenPlugin, UnknownProtocol

GROUP = "vpnclient.protocols"
BUILT_IN = {"anyconnect": "protocols.anyconnect:AnyConnect"}
_PARTS = ("name", "title", "authenticate", "connect", "ticket_from_cookie")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a protocol comes from.  target: module:attribute.  package: as installed."""

    name: str
    target: str
    package: str


def available(found: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """The names of all protocols, sorted; nothing is imported.  found: instead of what is installed."""
    return tuple(sorted({*BUILT_IN, *_plugins(found)}))


def load(name: str, found: Iterable[EntryPoint] | None = None) -> VpnProtocol:
    """The protocol of that name.  Raises UnknownProtocol, BrokenPlugin."""
    built_in = BUILT_IN.get(name)
    sources = [Source(name, built_in, "vpnclient")] if built_in else []
    sources += _plugins(found).get(name, [])
    if not sources:
        raise UnknownProtocol(name, available(found))
    if len(sources) > 1:
        packages = " and ".join(source.package for source in sources)
        raise BrokenPlugin(f"protocol {name!r} is offered by {packages}: remove one of them")
    return _make(sources[0])


def _plugins(found: Iterable[EntryPoint] | None) -> dict[str, list[Source]]:
    """What other packages offer, by name.  Our own entry points say the same as BUILT_IN."""
    offered: dict[str, list[Source]] = {}
    for point in entry_points(group=GROUP) if found is None else found:
        source = Source(point.name, point.value, _package(point))
        if BUILT_IN.get(source.name) != source.target and source not in offered.setdefault(source.name, []):
            offered[source.name].append(source)
    return {name: sources for name, sources in offered.items() if sources}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _make(source: Source) -> VpnProtocol:
    """Import and instantiate.  Whatever a package does wrong there is its own error, named."""
    where = f"protocol {source.name!r} of package {source.package} ({source.target})"
    module, _, attribute = source.target.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as exc:
        raise BrokenPlugin(f"{where} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    missing = [part for part in _PARTS if not hasattr(made, part)]
    if missing:
        raise BrokenPlugin(f"{where} is no protocol: it has no {', '.join(missing)}")
    return cast(VpnProtocol, made)
