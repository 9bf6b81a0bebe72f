"""Undoes Windows' journal entries.  What is missing already counts as undone."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from uuid import UUID

from vpnclient.host.journal import NrptEntry, WindowsAddressEntry, WindowsDnsEntry, WindowsEntry, WindowsRouteEntry
from vpnclient.host.windows.api import InterfaceDns, Windows, open_windows
from vpnclient.host.windows.dns import remove_rules, set_interface
from vpnclient.host.windows.stack import IpFailure, IpStack


class UndoWindows:
    """windows: None is this one, opened when it is first needed."""

    def __init__(self, windows: Windows | None) -> None:
        self._windows = windows
        self._flush = False

    def undo(self, entry: WindowsEntry) -> list[str]:
        """What was undone, for people.  Raises what Windows says if it could not be."""
        windows = self._open()
        if isinstance(entry, NrptEntry):
            self._flush = True
            gone = remove_rules(windows.ip, windows.registry, [entry.rule])
            return [f"DNS rule {name}" for name in gone]
        if isinstance(entry, WindowsDnsEntry):
            self._flush = True
            return self._undo_interface(windows, entry)
        try:
            if isinstance(entry, WindowsRouteEntry):
                gateway = ip_address(entry.gateway) if entry.gateway else None
                IpStack(windows).remove_route(entry.luid, ip_network(entry.dst), gateway)
                return [f"route {entry.dst}"]
            assert isinstance(entry, WindowsAddressEntry)
            IpStack(windows).remove_address(entry.luid, ip_address(entry.address))
            return [f"address {entry.address}"]
        except IpFailure as exc:
            if not exc.missing:
                raise
            return []

    def finish(self) -> None:
        """After the last entry: names are asked anew.  Never raises."""
        if self._flush and self._windows is not None:
            self._windows.ip.flush_dns()

    @staticmethod
    def _undo_interface(windows: Windows, entry: WindowsDnsEntry) -> list[str]:
        guid = UUID(entry.adapter).bytes_le
        codes = [set_interface(windows, guid, InterfaceDns(version, "", "", "")) for version in (4, 6)]
        return [] if any(codes) else [f"DNS servers of the adapter {entry.adapter}"]  # an error: the adapter is gone

    def _open(self) -> Windows:
        if self._windows is None:
            self._windows = open_windows()
        return self._windows
