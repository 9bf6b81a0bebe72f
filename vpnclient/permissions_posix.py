"""Who may make a tunnel on Linux: root, or who has CAP_NET_ADMIN."""

from __future__ import annotations

import os
from pathlib import Path

from vpnclient.errors import NotPermitted
from vpnclient.settings import Settings

CAP_NET_ADMIN = 12  # capabilities(7)


def require_network_admin(settings: Settings, status: Path = Path("/proc/self/status")) -> None:
    """Raises NotPermitted unless this process may configure the network.

    A prepared device (--interface) with a script of the user's may work without; then the kernel decides.
    """
    if settings.interface and settings.script:
        return
    if not has_net_admin(status):
        raise NotPermitted(
            f"user id {os.geteuid()} may not create a tunnel interface",
            hint="run it as root: sudo vpnclient connect ...; to sign in without root, split it: "
            "vpnclient connect --authenticate, then give the cookie to root with --cookie-on-stdin",
        )


def unsafe_file(path: Path, status: os.stat_result) -> str:
    """Why a file that may name commands must not be believed; "": nothing is wrong."""
    return f"anybody may write to it; chmod o-w {path}" if status.st_mode & 0o002 else ""


def has_net_admin(status: Path = Path("/proc/self/status")) -> bool:
    """True if CAP_NET_ADMIN is in this process's effective set (proc(5), field CapEff)."""
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return False
