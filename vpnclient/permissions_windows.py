"""Who may make a tunnel on Windows: an administrator at high integrity (Wintun notes, section 2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from vpnclient.errors import NotPermitted
from vpnclient.host.system_windows import is_private
from vpnclient.host.windows.library import Library
from vpnclient.settings import Settings


def require_network_admin(settings: Settings, allowed: Callable[[], bool] | None = None) -> None:
    """Raises NotPermitted unless this process may create an adapter and configure the network.

    A script of the user's does not help: Wintun itself wants the right, for an adapter that is there as well.
    """
    if not (allowed or is_administrator)():
        raise NotPermitted(
            "this user may not create a tunnel adapter: administrator rights needed",
            hint='start it in a terminal that was opened with "Run as administrator"; to sign in without them, split '
            "it: vpnclient connect --authenticate, then give the cookie to an administrator with --cookie-on-stdin",
        )


def unsafe_file(path: Path, status: os.stat_result) -> str:
    """Why a file that may name commands must not be believed; "": nothing is wrong.  Its mode says nothing here."""
    return "" if is_private(path, status) else "it belongs to another user; want yours, or one of an administrator"


def is_administrator() -> bool:
    """With the rights in force: an administrator whose token is filtered is none."""
    return bool(Library("shell32.dll", "int IsUserAnAdmin(void);").call("IsUserAnAdmin"))
