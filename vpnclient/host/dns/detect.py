"""Who owns name resolution on this host?  First the facts, then a pure decision.

Source: host-config specification, section 3, the table at its head (hand-over to NetworkManager is not there yet).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from vpnclient.host.commands import CommandFailed, run

RESOLV_CONF = Path("/etc/resolv.conf")
NSSWITCH = Path("/etc/nsswitch.conf")
MOUNTINFO = Path("/proc/thread-self/mountinfo")
MAX_FILE = 1 << 20  # bytes read of any of these files

_RESOLVED_LINKS = ("/run/systemd/resolve/", "/usr/lib/systemd/resolv.conf", "/lib/systemd/resolv.conf")
_MANAGER_LINK = "/run/NetworkManager/"
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # not the caller's


@dataclass(frozen=True, slots=True)
class Facts:
    """link: full target of resolv.conf, "" if it is a file.  resolvconf: path of the tool, "" if none (or resolved's).

    mounted: the file is a mount of its own (container, private namespace).  wants_resolved: nsswitch says resolve.
    resolved_answers: resolvectl could speak to it.
    """

    link: str = ""
    mounted: bool = False
    wants_resolved: bool = False
    resolved_answers: bool = False
    resolvconf: str = ""
    openresolv: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """backend: resolved, resolvconf, file or off.  why: a warning if DNS cannot be set."""

    backend: str
    why: str = ""


def choose(wanted: str, facts: Facts) -> Choice:
    """The back-end for `wanted` (auto, off or a name)."""
    if wanted != "auto":
        return _as_told(wanted, facts)
    if facts.mounted:
        return Choice("file")
    if facts.resolved_answers and (facts.wants_resolved or facts.link.startswith(_RESOLVED_LINKS)):
        return Choice("resolved")
    if facts.resolvconf:
        return Choice("resolvconf")
    if facts.link.startswith(_MANAGER_LINK):
        return Choice(
            "off",
            "DNS not configured: NetworkManager writes /etc/resolv.conf; "
            "use systemd-resolved or resolvconf, or set dns: file",
        )
    return Choice("file")


def _as_told(wanted: str, facts: Facts) -> Choice:
    if wanted == "resolvconf" and not facts.resolvconf:
        return Choice("off", "DNS not configured: resolvconf was wanted, but there is none")
    if wanted == "resolved" and not facts.resolved_answers:
        return Choice("off", "DNS not configured: systemd-resolved was wanted, but it does not answer")
    if wanted in ("off", "resolved", "resolvconf", "file"):
        return Choice(wanted)
    return Choice("off", f"DNS not configured: dns is {wanted!r}, want auto, off, resolved, resolvconf or file")


def gather(wanted: str, resolv_conf: Path = RESOLV_CONF) -> Facts:
    """Look at the host; asks the tools only where the answer can matter."""
    link = link_target(resolv_conf)
    wants = "resolve" in _hosts_services(_text(NSSWITCH))
    likely = wanted == "resolved" or (wanted == "auto" and (wants or link.startswith(_RESOLVED_LINKS)))
    tool = find_resolvconf() if wanted in ("auto", "resolvconf") else ""
    return Facts(
        link=link,
        mounted=is_mount_point(resolv_conf),
        wants_resolved=wants,
        resolved_answers=likely and _resolved_answers(),
        resolvconf=tool,
        openresolv=bool(tool) and _is_openresolv(tool),
    )


def link_target(path: Path) -> str:
    """Where a symbolic link leads, made absolute but not resolved further; "" if it is none."""
    try:
        return os.path.normpath(path.parent / os.readlink(path))
    except OSError:
        return ""


def is_mount_point(path: Path) -> bool:
    """The file itself is mounted: it cannot be replaced, only written to."""
    wanted = os.path.realpath(path)
    points = (line.split(" ")[4] for line in _text(MOUNTINFO).splitlines() if line.count(" ") > 4)
    return any(point.replace("\\040", " ") == wanted for point in points)


def find_resolvconf() -> str:
    """Path of a resolvconf that is not resolved's in disguise; "" if there is none."""
    found = shutil.which("resolvconf", path=_SEARCH_PATH)
    return found if found and Path(found).resolve().name != "resolvectl" else ""


def _hosts_services(nsswitch: str) -> list[str]:
    for line in nsswitch.splitlines():
        name, _, services = line.partition("#")[0].partition(":")
        if name.strip() == "hosts":
            return services.split()
    return []


def _resolved_answers() -> bool:
    with contextlib.suppress(CommandFailed):
        run(("resolvectl", "dns"))
        return True
    return False


def _is_openresolv(tool: str) -> bool:
    """Debian's resolvconf does not know --version and fails."""
    with contextlib.suppress(CommandFailed):
        return "openresolv" in run((tool, "--version"))
    return False


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_FILE)
    except OSError:
        return ""
