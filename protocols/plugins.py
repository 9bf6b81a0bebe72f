"""What packages offer by entry points, whatever it is: found without importing anything, imported when asked for.

Built-in names are found without installation, and nobody can take them over.  To read what is installed takes 20 ms,
which nobody waits for who asks for a built-in name: a package that offers the same is told of when names are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Union

from protocols.errors import BrokenPlugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

OURSELVES = "vpnclient"  # the package of what is built in

Found = Union[Iterable["EntryPoint"], None]  # noqa: UP007  # instead of what is installed; None: that


@dataclass(frozen=True, slots=True)
class Source:
    """Where something comes from.  target: module:attribute.  package: as installed."""

    name: str
    target: str
    package: str


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of plug-in.  what: for error texts.  built_in: name -> module:attribute."""

    name: str
    what: str
    built_in: Mapping[str, str] = field(default_factory=dict)

    def names(self, found: Found = None) -> tuple[str, ...]:
        """Sorted; nothing is imported.  Raises BrokenPlugin for a built-in name that a package offers too."""
        offered = self._offered(found)
        for name in self.built_in:
            self._require_one(name, [*self._ours(name), *offered.get(name, ())])
        return tuple(sorted({*self.built_in, *offered}))

    def load(self, name: str, found: Found = None) -> tuple[Source, object] | None:
        """The object behind a name; None: nobody offers it.  Raises BrokenPlugin."""
        sources = self._ours(name) or self._offered(found).get(name, [])
        self._require_one(name, sources)
        if not sources:
            return None
        module, _, attribute = sources[0].target.partition(":")
        try:
            return sources[0], getattr(import_module(module), attribute)
        except Exception as exc:
            raise self.unusable(sources[0], exc) from exc

    def describe(self, source: Source) -> str:
        return f"{self.what} {source.name!r} of package {source.package} ({source.target})"

    def unusable(self, source: Source, error: Exception) -> BrokenPlugin:
        """Whatever a package does wrong is its own error, named."""
        return BrokenPlugin(f"{self.describe(source)} cannot be loaded: {type(error).__name__}: {error}")

    def require(self, source: Source, made: object, parts: Iterable[str]) -> None:
        """Raises BrokenPlugin if it lacks one of the parts."""
        missing = [part for part in parts if not hasattr(made, part)]
        if missing:
            raise BrokenPlugin(f"{self.describe(source)} is no {self.what}: it has no {', '.join(missing)}")

    def _ours(self, name: str) -> list[Source]:
        target = self.built_in.get(name)
        return [Source(name, target, OURSELVES)] if target else []

    def _require_one(self, name: str, sources: Sequence[Source]) -> None:
        if len(sources) > 1:
            packages = " and ".join(source.package for source in sources)
            raise BrokenPlugin(f"{self.what} {name!r} is offered by {packages}: remove one of them")

    def _offered(self, found: Found) -> dict[str, list[Source]]:
        """What other packages offer, by name.  Our own entry points say the same as built_in."""
        from importlib.metadata import entry_points

        offered: dict[str, list[Source]] = {}
        for point in entry_points(group=self.name) if found is None else found:
            source = Source(point.name, point.value, _package(point))
            if self.built_in.get(source.name) != source.target and source not in offered.setdefault(source.name, []):
                offered[source.name].append(source)
        return {name: sources for name, sources in offered.items() if sources}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
