"""The journal's needs on Linux: flock, the boot's id, who runs, network namespaces."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

DEFAULT_RUN_DIR = Path("/run/vpnclient")
OPEN_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW  # of a journal, besides how it is opened


def lock(fd: int) -> bool:
    """Lock the whole file until it is closed.  False: another process has it.  Raises OSError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def remove_locked(fd: int, path: Path) -> None:
    """Delete a file that we hold locked, then close it.  Raises OSError; it is still open then."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    os.close(fd)


def rename_locked(fd: int, path: Path, target: Path) -> None:
    """Give a file that we hold locked another name, then close it.  Raises OSError; it is still open then."""
    path.replace(target)
    os.close(fd)


def is_private(path: Path, status: os.stat_result) -> bool:
    """Nobody but us and root can write to the directory."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def network_namespace() -> int:
    """Inode of the calling thread's network namespace."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def process_started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None: there is none, or it is dead and not yet waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # from field 3 on; the name in field 2 may hold spaces
    return None if fields[0] in ("Z", "X") else int(fields[19])


def namespace_lives(inode: int, candidates: Sequence[str] = ("/proc", "/run/netns")) -> bool:
    """Some process or a name still holds the network namespace of this inode."""
    processes, names = (Path(candidate) for candidate in candidates)
    holders = [path / "ns/net" for path in processes.glob("[0-9]*")]
    with contextlib.suppress(OSError):
        holders.extend(names.iterdir())
    for holder in holders:
        with contextlib.suppress(OSError):
            if holder.stat().st_ino == inode:
                return True
    return False
