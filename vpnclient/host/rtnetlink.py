"""The part of pyroute2 that we use, without the rest of it.

`import pyroute2` runs its `__init__`, which imports the whole library: other netlink families, a database, a 9P server.
The part we need is half of that, in time and in memory (54 of 110 ms, 7 of 15 MB).  Python runs a package's `__init__`
before any of its modules, unless the package is there already.  So a package is put in its place that knows where its
modules are, and runs the `__init__` when somebody asks for a name that only that one brings.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import ModuleType

_PACKAGE = "pyroute2"
_lock = threading.Lock()  # two threads may want it at once: the one that warms up, and the one that undoes


@dataclass(frozen=True, slots=True)
class Rtnetlink:
    """connection: pyroute2.IPRoute.  error: how the kernel refuses, with its errno as `code`."""

    connection: Any
    error: type[Exception]


_loaded: Rtnetlink | None = None


def load() -> Rtnetlink:
    """The first call takes a while.  Raises ImportError if pyroute2 is not installed."""
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = _load()
        return _loaded


def _load() -> Rtnetlink:
    if _PACKAGE in sys.modules:
        return _whole()
    try:
        return _part()
    except (ImportError, AttributeError):  # another version, laid out in another way
        return _whole()


def _part() -> Rtnetlink:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {_PACKAGE}")
    package = sys.modules[_PACKAGE] = _deferred(module_from_spec(spec), spec.loader)
    try:
        linux = import_module(f"{_PACKAGE}.iproute.linux")
        errors = import_module(f"{_PACKAGE}.netlink.exceptions")
        return Rtnetlink(linux.IPRoute, errors.NetlinkError)
    except BaseException:
        if sys.modules.get(_PACKAGE) is package:
            del sys.modules[_PACKAGE]
        raise


def _deferred(package: ModuleType, loader: Loader) -> ModuleType:
    """The package, whose own code runs when a name is missing that is not one of its modules (PEP 562)."""

    def missing(name: str) -> object:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)  # Python's own machinery looks for such names
        try:
            return import_module(f"{_PACKAGE}.{name}")
        except ModuleNotFoundError as exc:
            if exc.name != f"{_PACKAGE}.{name}":
                raise
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = missing
    return package


def _whole() -> Rtnetlink:
    package = import_module(_PACKAGE)
    return Rtnetlink(package.IPRoute, package.NetlinkError)
