"""What the hosts that are configured natively have in common: one journal, all or nothing, and undoing it.

A system's own part is `_configure`, which does the same for the first time and for every change.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

from protocols.base import Network
from vpnclient.errors import HostError
from vpnclient.host import Applied, HostPlan
from vpnclient.host.dns import DnsSettings
from vpnclient.host.journal import Entry, Journal, journal_path, run_dir
from vpnclient.host.restore import Outcome, restore_all, still_to_undo
from vpnclient.host.routes import Layout
from vpnclient.host.undo import Undone, undo_entries
from vpnclient.host.warn import Warnings

if TYPE_CHECKING:
    from vpnclient.host.windows.api import Windows

JOURNAL_PATIENCE = 5.0  # seconds to wait while somebody else cleans up after a crash of this profile


class JournalledHost(ABC):
    """HostConfig but for `warm_up` and `before_reconnect`.  windows: the seam for Windows' journal entries."""

    failure: ClassVar[type[Exception]]  # how the system refuses; `_configure` may raise it

    def __init__(self, profile: str, run_dir: Path | None, windows: Windows | None = None) -> None:
        self._profile, self._run_dir, self._windows = profile, run_dir, windows
        self._lock = threading.RLock()  # a change of the host is never interrupted, not even by undo
        self._journal: Journal | None = None
        self._plan: HostPlan | None = None

    @abstractmethod
    def _configure(self, plan: HostPlan, warnings: Warnings) -> Applied:
        """Make the host as planned, whatever it is now.  Raises HostError and `failure`."""

    @abstractmethod
    def _hint(self, error: Exception) -> str:
        """What the user can do about a `failure`."""

    @abstractmethod
    def _forget(self) -> None:
        """All was undone: nothing is ours any more."""

    def recover(self) -> tuple[str, ...]:
        with self._lock:
            directory = run_dir(self._run_dir)
            warnings = self._recover(directory)
            with suppress(FileNotFoundError):  # raises Busy if a client of this profile lives
                path = journal_path(directory, self._profile)
                Journal.open(path, create=False, patience=JOURNAL_PATIENCE).close()
            return warnings.texts()

    def _recover(self, directory: Path) -> Warnings:
        warnings = Warnings()
        for report in restore_all(directory, self._windows):
            if report.outcome is not Outcome.IN_USE:
                warnings.extend(report.warnings)
            if report.undone:
                warnings.add(f"undone what a crash of {report.profile} had left: {', '.join(report.undone)}")
        return warnings

    def prepare(self, plan: HostPlan | None = None) -> tuple[str, ...]:
        with self._lock:
            if self._journal is not None:
                return ()
            directory = run_dir(self._run_dir)
            warnings = self._recover(directory)
            journal = Journal.open(journal_path(directory, self._profile), patience=JOURNAL_PATIENCE)
            try:
                journal.begin(self._profile, still_to_undo(journal))
            except OSError as exc:
                journal.close()
                raise HostError(f"cannot write the journal {journal.path}: {exc.strerror}") from exc
            except BaseException:
                journal.close()
                raise
            self._journal = journal
            return warnings.texts()

    def apply(self, plan: HostPlan) -> Applied:
        with self._lock:
            warnings = Warnings()
            warnings.extend(self.prepare(plan))
            try:
                return self._configure(plan, warnings)
            except self.failure as exc:
                self._fail(HostError(str(exc), hint=self._hint(exc)), exc)
            except HostError as exc:
                self._fail(exc, exc.__cause__)
            except BaseException:
                self.undo()
                raise

    def update(self, plan: HostPlan) -> Applied:
        with self._lock:
            if self._plan is None:
                return self.apply(plan)
            try:
                return self._configure(plan, Warnings())
            except self.failure as exc:
                raise HostError(str(exc), hint=self._hint(exc)) from exc

    def undo(self) -> tuple[str, ...]:
        with self._lock:
            journal, self._journal = self._journal, None
            self._plan = None
            self._forget()
            if journal is None:
                return ()
            try:
                result = self._undo_entries(journal.entries)
                if result.failed:
                    return (*result.warnings, f"what is left will be undone by the next start ({journal.path})")
                journal.remove()
                return result.warnings
            except OSError as exc:
                return (f"cannot remove the journal {journal.path}: {exc.strerror}",)
            finally:
                journal.close()

    def _undo_entries(self, entries: list[Entry]) -> Undone:
        return undo_entries(entries, windows=self._windows)

    def _fail(self, error: HostError, cause: BaseException | None) -> NoReturn:
        left = self.undo()
        if left:
            error.hint = "; ".join(filter(None, (error.hint, *left)))
        raise error from cause

    def _record(self, *entries: Entry) -> None:
        if self._journal is None:
            raise HostError("the host is changed without a journal: this is a bug")
        if entries:
            self._journal.record(*entries)


def applied(
    layout: Layout, refused: set[Network], settings: DnsSettings | None, backend: str, warnings: Warnings
) -> Applied:
    """What was set, for people.  refused: destinations that could not be had."""
    lost = refused | {
        ip_network("0.0.0.0/0" if half.version == 4 else "::/0") for half in refused if half.prefixlen == 1
    }
    return Applied(
        routes=tuple(str(network) for network in layout.includes if network not in lost),
        excluded=tuple(str(network) for network in layout.excludes if network not in refused),
        dns=tuple(str(server) for server in settings.servers) if settings else (),
        search_domains=settings.search if settings else (),
        dns_backend=backend if settings else "off",
        warnings=warnings.texts(),
    )
