"""The journal of one profile: every change of the host, on disk before it is made.

RUN_DIR/PROFILE.journal, JSON lines; the first names boot, process and network namespace, each further one is an
entry with what is needed to undo it safely.  The file is locked (system.py) for the whole run, so that two clients
cannot own one profile; a journal that is not locked belongs to nobody alive.
Source: host-config specification, section 4.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

from vpnclient.errors import HostError
from vpnclient.host.system import (
    DEFAULT_RUN_DIR,
    OPEN_FLAGS,
    boot_id,
    is_private,
    lock,
    network_namespace,
    process_started,
    remove_locked,
    rename_locked,
)

VERSION = 1
RUN_DIR_VARIABLE = "VPNCLIENT_RUN_DIR"
MAX_JOURNAL = 32 << 20  # bytes that are read back
MAX_NAME = 100  # characters of a profile's name that go into the file name
_LOCK_PAUSE = 0.05  # seconds between two looks at a lock that is held in passing
_LOCK_ATTEMPTS = 10  # the file may be removed by its owner between open and lock


class DamagedLine(Exception):
    """A line of a journal that cannot be read; the journal's other lines still count."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who wrote the journal.  started: when that process began, as system.py tells it.  netns: inode, or 0."""

    kind: ClassVar[str] = "header"
    version: int
    profile: str
    boot: str
    pid: int
    started: int
    netns: int


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """The tunnel link before we set it up (it may be a prepared, persistent one)."""

    kind: ClassVar[str] = "link"
    index: int
    name: str
    mtu: int
    up: bool
    addr_gen_mode: int


@dataclass(frozen=True, slots=True)
class AddressEntry:
    kind: ClassVar[str] = "address"
    index: int
    name: str
    address: str  # with prefix length


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """A route of ours.  gateway "": on-link.  Protocol number and metric are the same for all of ours."""

    kind: ClassVar[str] = "route"
    dst: str
    gateway: str
    index: int
    name: str
    table: int
    proto: int


@dataclass(frozen=True, slots=True)
class DnsFileEntry:
    """A resolv.conf before we wrote it.  link: target if it was one.  old: base64.  written: SHA-256, hex."""

    kind: ClassVar[str] = "dns-file"
    path: str
    existed: bool
    in_place: bool
    link: str
    mode: int
    uid: int
    gid: int
    old: str
    written: str
    lines: str  # the lines we added


@dataclass(frozen=True, slots=True)
class DnsResolvedEntry:
    kind: ClassVar[str] = "dns-resolved"
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class DnsResolvconfEntry:
    kind: ClassVar[str] = "dns-resolvconf"
    command: str
    record: str
    openresolv: bool


@dataclass(frozen=True, slots=True)
class WindowsAddressEntry:
    """An address of ours.  luid: of the interface; it keeps it over reboots."""

    kind: ClassVar[str] = "windows-address"
    luid: int
    address: str


@dataclass(frozen=True, slots=True)
class WindowsRouteEntry:
    """A route of ours.  gateway "": on-link."""

    kind: ClassVar[str] = "windows-route"
    luid: int
    dst: str
    gateway: str


@dataclass(frozen=True, slots=True)
class WindowsDnsEntry:
    """Name servers of the tunnel adapter.  adapter: its GUID in braces."""

    kind: ClassVar[str] = "windows-dns"
    adapter: str


@dataclass(frozen=True, slots=True)
class NrptEntry:
    """A rule of the name resolution policy table.  rule: its GUID in braces."""

    kind: ClassVar[str] = "nrpt"
    rule: str


WindowsEntry = WindowsAddressEntry | WindowsRouteEntry | WindowsDnsEntry | NrptEntry
LinuxEntry = LinkEntry | AddressEntry | RouteEntry | DnsFileEntry | DnsResolvedEntry | DnsResolvconfEntry
Entry = LinuxEntry | WindowsEntry
SURVIVES_BOOT = (DnsFileEntry, WindowsDnsEntry, NrptEntry)  # kinds that are to be undone even after a reboot
_KINDS: dict[str, type[Header | Entry]] = {
    kind.kind: kind
    for kind in (
        Header,
        LinkEntry,
        AddressEntry,
        RouteEntry,
        DnsFileEntry,
        DnsResolvedEntry,
        DnsResolvconfEntry,
        WindowsAddressEntry,
        WindowsRouteEntry,
        WindowsDnsEntry,
        NrptEntry,
    )
}


def encode(entry: Header | Entry) -> bytes:
    return json.dumps({"do": entry.kind, **asdict(entry)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Header | Entry:
    """The entry of a line.  Raises DamagedLine; nothing of the line is trusted beyond its types."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise DamagedLine(f"not JSON: {exc}") from exc
    kind = found.get("do") if isinstance(found, dict) else None
    wanted = _KINDS.get(kind) if isinstance(kind, str) else None
    if not isinstance(found, dict) or wanted is None:
        raise DamagedLine(f"no entry of a known kind: {kind!r}")
    values: dict[str, object] = {}
    for field in fields(wanted):
        value = found.get(field.name)
        if type(value).__name__ != field.type:  # the annotations are plain: int, str, bool
            raise DamagedLine(f"{wanted.kind} {field.name}: got {value!r}, want {field.type}")
        values[field.name] = value
    return wanted(**values)  # type: ignore[arg-type]  # checked field by field above


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal holds.  header None: its first line is damaged or missing."""

    header: Header | None
    entries: tuple[Entry, ...]
    damaged: tuple[str, ...]  # one text per unreadable line


def parse(data: bytes) -> Contents:
    header: Header | None = None
    entries: list[Entry] = []
    damaged: list[str] = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            entry = decode(line)
        except DamagedLine as exc:
            damaged.append(f"line {number}: {exc}")
            continue
        if not isinstance(entry, Header):
            entries.append(entry)
        elif number == 1:
            header = entry
        else:
            damaged.append(f"line {number}: a second header")
    if data and header is None and not damaged:
        damaged.append("line 1: no header")
    return Contents(header, tuple(entries), tuple(damaged))


class Busy(HostError):
    """Another living client owns the journal."""

    code = "profile-in-use"

    def __init__(self, profile: str, pid: int, *, passing: bool = False) -> None:
        """passing: no client's lock, but that of somebody who cleans up after one, or has only just begun."""
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"profile {profile} is already in use by {who}", hint="stop that one first")
        self.profile, self.pid, self.passing = profile, pid, passing


class Journal:
    """An open and locked journal.  `found`: what an earlier, dead owner left in it."""

    def __init__(self, path: Path, fd: int, found: Contents) -> None:
        self.path, self.found = path, found
        self._fd = fd
        self.entries: list[Entry] = []

    @classmethod
    def open(cls, path: Path, *, create: bool = True, patience: float = 0.0) -> Journal:
        """Lock the journal.  Raises Busy, HostError; FileNotFoundError only without `create`.

        patience: seconds to wait for somebody who holds it in passing.  A start of another profile cleans up ours.
        """
        limit = time.monotonic() + patience
        while True:
            try:
                return cls._open(path, create)
            except Busy as exc:
                if not exc.passing or time.monotonic() >= limit:
                    raise
                time.sleep(_LOCK_PAUSE)

    @classmethod
    def _open(cls, path: Path, create: bool) -> Journal:
        flags = os.O_RDWR | OPEN_FLAGS | (os.O_CREAT if create else 0)
        for _attempt in range(_LOCK_ATTEMPTS):
            try:
                fd = os.open(path, flags, 0o600)
            except FileNotFoundError:
                raise
            except OSError as exc:
                raise HostError(f"cannot open the journal {path}: {exc.strerror}") from exc
            try:
                if cls._lock(fd, path):
                    return cls(path, fd, parse(_read(fd)))
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise HostError(f"cannot lock the journal {path}: it is replaced again and again")

    @staticmethod
    def _lock(fd: int, path: Path) -> bool:
        """True: locked, and still the file of that name.  Raises Busy."""
        try:
            locked = lock(fd)
        except OSError as exc:
            raise HostError(f"cannot lock the journal {path}: {exc.strerror}") from exc
        if not locked:
            header = parse(_read(fd)).header
            if header is None:
                raise Busy(path.stem, 0, passing=True)
            passing = header.pid != os.getpid() and not owner_lives(header)
            raise Busy(header.profile, header.pid, passing=passing)
        with contextlib.suppress(FileNotFoundError):
            return os.fstat(fd).st_ino == path.stat().st_ino
        return False

    def begin(self, profile: str, left: Sequence[Entry] = ()) -> None:
        """Start afresh with our header; `left`: entries of an earlier run that are still to be undone."""
        self.entries[:] = left
        data = b"".join((encode(this_process(profile)), *map(encode, left)))
        # Over the old text, which is cut off only then: a crash in between leaves a damaged line, but every entry.
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._write(data)
        os.ftruncate(self._fd, len(data))
        os.fsync(self._fd)

    def record(self, *entries: Entry) -> None:
        """Write entries to disk; call before the changes they describe.  Raises HostError: then change nothing."""
        try:
            self._append(b"".join(encode(entry) for entry in entries))
        except OSError as exc:
            raise HostError(f"cannot write the journal {self.path}: {exc.strerror}") from exc
        self.entries.extend(entries)

    def _append(self, data: bytes) -> None:
        os.lseek(self._fd, 0, os.SEEK_END)
        self._write(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fsync(self._fd)

    def remove(self) -> None:
        """Nothing is left to undo: delete the file and unlock."""
        if self._fd >= 0:
            remove_locked(self._fd, self.path)
            self._fd = -1

    def set_aside(self) -> Path:
        """Keep a damaged journal for a look, under another name, and unlock."""
        aside = self.path.with_suffix(".damaged")
        rename_locked(self._fd, self.path, aside)
        self._fd = -1
        return aside

    def close(self) -> None:
        """Unlock; what is still in the file will be undone by the next start."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _read(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    size = min(os.fstat(fd).st_size, MAX_JOURNAL)
    data = b""
    while len(data) < size and (piece := os.read(fd, size - len(data))):
        data += piece
    return data


def run_dir(wanted: Path | None = None) -> Path:
    """The directory of the journals, made if need be.  Raises HostError if others could write to it."""
    path = wanted or Path(os.environ.get(RUN_DIR_VARIABLE) or DEFAULT_RUN_DIR)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as exc:
        hint = "run it as root" if exc.errno in (errno.EACCES, errno.EPERM) else ""
        raise HostError(f"cannot use the directory {path}: {exc.strerror}", hint=hint) from exc
    if not os.access(path, os.R_OK | os.X_OK):  # what is in it would pass for nothing
        raise HostError(f"cannot read the directory {path}", hint="run it as root")
    if not is_private(path, status):
        raise HostError(f"directory {path} is writable by others: it decides what is written to this host")
    return path


def journal_path(directory: Path, profile: str) -> Path:
    """The journal of a profile; odd characters of its name are escaped, long names shortened."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"%{ord(c):x}" for c in profile)
    if len(safe) > MAX_NAME:
        safe = f"{safe[:MAX_NAME]}-{hashlib.sha256(profile.encode(errors='replace')).hexdigest()[:12]}"
    return directory / f"{safe or 'default'}.journal"


def this_process(profile: str) -> Header:
    pid = os.getpid()
    return Header(VERSION, profile, boot_id(), pid, process_started(pid) or 0, network_namespace())


def owner_lives(header: Header) -> bool:
    """The process that wrote this header is still running (and it is not this one)."""
    if header.pid == os.getpid() or header.boot != boot_id():
        return False
    return process_started(header.pid) == header.started
