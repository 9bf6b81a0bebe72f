"""Cleans up after clients that died: undoes the journals nobody owns any more.

A journal of another network namespace is left alone and reported, as long as that namespace exists: its routes can
only be undone from inside.  After a reboot only files are given back.  Damaged journals: the readable lines are
undone, the file is kept under another name.
Source: host-config specification, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from vpnclient.errors import HostError
from vpnclient.host.journal import (
    SURVIVES_BOOT,
    Busy,
    Entry,
    Header,
    Journal,
    owner_lives,
    run_dir,
)
from vpnclient.host.system import boot_id, namespace_lives, network_namespace
from vpnclient.host.undo import undo_entries

if TYPE_CHECKING:
    from vpnclient.host.windows.api import Windows


class Outcome(StrEnum):
    RESTORED = "restored"
    IN_USE = "in use"  # its client is running
    ELSEWHERE = "elsewhere"  # it belongs to another network namespace
    INCOMPLETE = "incomplete"  # something could not be undone; kept for another try
    DAMAGED = "damaged"  # undone as far as it could be read; moved aside


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What became of one journal.  pid: its owner, 0 if unknown.  undone, warnings: texts for people."""

    profile: str
    path: Path
    outcome: Outcome
    pid: int = 0
    undone: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def restore_all(directory: Path | None = None, windows: Windows | None = None) -> list[RestoreReport]:
    """Undo every journal of a dead client.  Raises HostError if the run directory cannot be used.

    windows: where its entries are undone; None is this Windows.
    """
    reports = []
    for path in sorted(run_dir(directory).glob("*.journal")):
        try:
            reports.append(_restore(path, windows))
        except FileNotFoundError:
            continue  # its owner finished in this moment
        except Busy as exc:
            reports.append(RestoreReport(exc.profile, path, Outcome.IN_USE, exc.pid))
        except HostError as exc:
            reports.append(RestoreReport(path.stem, path, Outcome.INCOMPLETE, warnings=(str(exc),)))
    return reports


def _restore(path: Path, windows: Windows | None) -> RestoreReport:
    journal = Journal.open(path, create=False)
    try:
        return restore_journal(journal, windows)
    finally:
        journal.close()


def restore_journal(journal: Journal, windows: Windows | None = None) -> RestoreReport:
    """Undo what an open journal was found to hold; the journal is closed unless it is kept for its owner."""
    found = journal.found
    header = found.header
    profile, pid = (header.profile, header.pid) if header else (journal.path.stem, 0)
    if header and owner_lives(header):
        return RestoreReport(profile, journal.path, Outcome.IN_USE, pid)
    network = _network_is_here(header)
    if network is None:
        text = f"profile {profile} has left changes in another network namespace: run restore in there"
        return RestoreReport(profile, journal.path, Outcome.ELSEWHERE, pid, warnings=(text,))
    result = undo_entries(found.entries, network=network, windows=windows)
    warnings = (*found.damaged, *result.warnings)
    if found.damaged:
        kept = journal.set_aside()
        warnings = (f"journal of {profile} was damaged and is kept as {kept}", *warnings)
        return RestoreReport(profile, journal.path, Outcome.DAMAGED, pid, result.undone, warnings)
    if result.failed:
        return RestoreReport(profile, journal.path, Outcome.INCOMPLETE, pid, result.undone, warnings)
    journal.remove()
    return RestoreReport(profile, journal.path, Outcome.RESTORED, pid, result.undone, warnings)


def still_to_undo(journal: Journal) -> tuple[Entry, ...]:
    """What could not be undone and must be handed on to the next run of the same profile.

    Raises HostError: it belongs to another network namespace, that run would lose it.
    """
    network = _network_is_here(journal.found.header)
    if network is None:
        raise HostError(
            f"the journal {journal.path} belongs to another network namespace",
            hint="run restore in there, or give this profile another name",
        )
    entries = journal.found.entries
    return entries if network else tuple(entry for entry in entries if isinstance(entry, SURVIVES_BOOT))


def _network_is_here(header: Header | None) -> bool | None:
    """True: undo links and routes.  False: they are gone.  None: they are in another, living namespace."""
    if header is None:
        return True  # every undo is exact; what is not ours is not found
    if header.boot != boot_id():
        return False
    if header.netns == network_namespace():
        return True
    return None if namespace_lives(header.netns) else False
