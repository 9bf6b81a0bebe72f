"""A plain resolv.conf: written with a marker, given back only if it is still what we wrote.

A link is replaced by a file and the link remembered; a file that is a mount of its own (containers, private
namespaces) is written in place, because it cannot be renamed over.  libc uses three servers and cannot split by
domain: the caller is told.
Source: host-config specification, section 3.3; resolv.conf(5).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vpnclient.errors import HostError
from vpnclient.host.dns import DnsSettings, Recorder
from vpnclient.host.dns.detect import RESOLV_CONF, is_mount_point, link_target
from vpnclient.host.journal import DnsFileEntry

MAX_SERVERS = 3  # MAXNS: libc ignores further ones
MAX_SEARCH, MAX_SEARCH_LENGTH = 6, 256  # domains, characters: older libc ignores more
MAX_SIZE = 1 << 20  # bytes of a resolv.conf we are ready to keep

_MARKER = "# Written by vpnclient"


@dataclass(frozen=True, slots=True)
class _Present:
    """The file as found.  data None: there is none (or a link to nothing)."""

    data: bytes | None
    link: str
    in_place: bool
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


class ResolvConfFile:
    name = "file"

    def __init__(self, path: Path = RESOLV_CONF) -> None:
        self._path = path
        self._last: DnsFileEntry | None = None

    def apply(self, settings: DnsSettings, record: Recorder) -> tuple[str, ...]:
        present = _look(self._path)
        entry, text = self._plan(present, settings)
        if self._last is None or (entry.written, entry.old) != (self._last.written, self._last.old):
            record(entry)
            _write(self._path, text, entry.in_place, entry.mode, entry.uid, entry.gid)
            self._last = entry
        if settings.everything or not settings.split:
            return ()
        return ("a plain resolv.conf cannot do split DNS: every name is asked at the tunnel's servers",)

    def _plan(self, present: _Present, settings: DnsSettings) -> tuple[DnsFileEntry, bytes]:
        last, old, link = self._last, present.data, present.link
        existed = old is not None
        if last is not None and old is not None and _hash(old) == last.written:
            old, link, existed = base64.b64decode(last.old), last.link, last.existed
        elif last is not None and old is not None:
            old = _without_ours(old, last)
        text, added = render((old or b"").decode(errors="surrogateescape"), settings, os.getpid())
        data = text.encode(errors="surrogateescape")
        entry = DnsFileEntry(
            path=str(self._path),
            existed=existed,
            in_place=present.in_place,
            link="" if present.in_place else link,
            mode=present.mode,
            uid=present.uid,
            gid=present.gid,
            old=base64.b64encode(old or b"").decode(),
            written=_hash(data),
            lines="\n".join(added),
        )
        return entry, data


def render(old: str, settings: DnsSettings, pid: int) -> tuple[str, list[str]]:
    """The new text, and which of its lines are ours.  Options and comments of the old one stay."""
    profile = "".join(c for c in settings.profile if c.isprintable())
    marker = f"{_MARKER} for profile {profile}, process {pid}; what was here before comes back when it ends."
    kept, servers, search = _split(old)
    ours = [f"nameserver {server}" for server in settings.servers[:MAX_SERVERS]]
    others = [] if settings.everything else [f"nameserver {server}" for server in servers]
    others = [line for line in others if line not in ours][: MAX_SERVERS - len(ours)]
    names: list[str] = []
    for name in dict.fromkeys((*settings.search, *search)):
        if len(names) < MAX_SEARCH and len(" ".join((*names, name))) <= MAX_SEARCH_LENGTH:
            names.append(name)
    added = [marker, *ours, *([f"search {' '.join(names)}"] if names else [])]
    return "\n".join((marker, *kept, *added[1 : 1 + len(ours)], *others, *added[1 + len(ours) :])) + "\n", added


def restore(entry: DnsFileEntry) -> str:
    """Give back what was there if the file is still ours.  Returns a warning or "".  Raises OSError."""
    path = Path(entry.path)
    present = _look(path)
    old = base64.b64decode(entry.old)
    if entry.link and present.link:
        return ""  # somebody has put a link back already
    if present.data is None:
        return "" if not entry.existed else f"{path} is gone: another program has removed it"
    if _hash(present.data) == entry.written:
        _give_back(path, entry, old)
        return ""
    if present.data == old:
        return ""
    if _marker_of(entry) not in present.data.decode(errors="surrogateescape"):
        return f"{path} was written by another program: left as it is"
    _write(path, _without_ours(present.data, entry), present.in_place, present.mode, present.uid, present.gid)
    return f"{path} was changed by another program: only our lines were taken out"


def _give_back(path: Path, entry: DnsFileEntry, old: bytes) -> None:
    if entry.link:
        spare = _spare_name(path)
        os.symlink(entry.link, spare)
        os.replace(spare, path)
    elif entry.existed or entry.in_place:
        _write(path, old, entry.in_place, entry.mode, entry.uid, entry.gid)
    else:
        path.unlink()


def _without_ours(data: bytes, entry: DnsFileEntry) -> bytes:
    """The file without the lines we added; if that leaves no server, the old servers and search list."""
    text = data.decode(errors="surrogateescape")
    if _marker_of(entry) not in text:
        return data
    ours = set(entry.lines.split("\n"))
    lines = [line for line in text.splitlines() if line not in ours]
    if not any(line.split()[:1] == ["nameserver"] for line in lines):
        old = base64.b64decode(entry.old).decode(errors="surrogateescape")
        lines += [line for line in old.splitlines() if line.split()[:1] in (["nameserver"], ["search"])]
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")


def _marker_of(entry: DnsFileEntry) -> str:
    return entry.lines.split("\n", 1)[0] or _MARKER


def _split(text: str) -> tuple[list[str], list[str], list[str]]:
    """(lines to keep, addresses of servers, search domains) of a resolv.conf."""
    kept: list[str] = []
    servers: list[str] = []
    search: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"]:
            servers += words[1:2]
        elif words[:1] in (["search"], ["domain"]):
            search = words[1:]  # the last one counts
        elif not line.startswith(_MARKER):
            kept.append(line)
    return kept, servers, search


def _look(path: Path) -> _Present:
    in_place, link = is_mount_point(path), link_target(path)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        return _Present(None, os.readlink(path) if link else "", in_place)
    if len(data) > MAX_SIZE:
        raise HostError(f"{path} is larger than {MAX_SIZE} bytes: not touched")
    # the link's own text is kept, it may be relative
    text = os.readlink(path) if link else ""
    return _Present(data, text, in_place, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _write(path: Path, data: bytes, in_place: bool, mode: int, uid: int, gid: int) -> None:
    """Replace the file as a whole, or write into it where it cannot be replaced."""
    if not in_place:
        try:
            _replace(path, data, mode, uid, gid)
            return
        except OSError as exc:
            if exc.errno != errno.EBUSY:  # Q17: a mount we did not see
                raise
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, data: bytes, mode: int, uid: int, gid: int) -> None:
    spare = _spare_name(path)
    fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.replace(spare, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            spare.unlink()
        raise


def _spare_name(path: Path) -> Path:
    """A free name beside the file; leftovers of a crash are removed."""
    spare = path.with_name(f".{path.name}.vpnclient")
    with contextlib.suppress(FileNotFoundError):
        spare.unlink()
    return spare


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
