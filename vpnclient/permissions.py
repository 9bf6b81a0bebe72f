"""Says at once, before anybody types a password, that a tunnel cannot be made: by this user, or on this system.

What users may do, and whom a file belongs to, is a file for each kind of system.
"""

import sys
from collections.abc import Callable

from vpnclient.errors import NotOnThisSystem

if sys.platform == "win32":
    from vpnclient.permissions_windows import require_network_admin, unsafe_file
else:
    from vpnclient.permissions_posix import require_network_admin, unsafe_file

__all__ = ["require_links", "require_network_admin", "unsafe_file"]

_PARTS = {"TLS": "ve_tls_new", "pump": "ve_pump_new"}  # of the engine, and a function of each


def require_links(has: Callable[[str], bool] | None = None) -> None:
    """Raises NotOnThisSystem if the engine cannot carry a tunnel.  has: whether it has a function; None: ask it."""
    from transports import engine

    missing = [part for part, function in _PARTS.items() if not (has or engine.has)(function)]
    if missing:
        system = "Windows" if sys.platform == "win32" else sys.platform
        raise NotOnThisSystem(
            f"connecting does not work on {system} yet: this build of the engine has no {' and no '.join(missing)}",
            hint="connect from Linux; docs/windows.md tells what works on Windows already",
        )
