"""Undoes journal entries in reverse order; each only if the present state is still ours.

The same code ends a session and cleans up after a crash.  What is missing already counts as undone.  Never raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from vpnclient.host.dns import file, resolvconf, resolved
from vpnclient.host.journal import (
    SURVIVES_BOOT,
    AddressEntry,
    DnsFileEntry,
    DnsResolvconfEntry,
    DnsResolvedEntry,
    Entry,
    LinkEntry,
    RouteEntry,
    WindowsEntry,
)
from vpnclient.host.netlink import Netlink, NetlinkFailure
from vpnclient.host.routes import Kind, Route

if TYPE_CHECKING:
    from vpnclient.host.windows.api import Windows
    from vpnclient.host.windows.undo import UndoWindows


@dataclass(frozen=True, slots=True)
class Undone:
    """undone: what was changed back, newest change first.  failed: entries that are worth another try."""

    undone: tuple[str, ...]
    warnings: tuple[str, ...]
    failed: int


def undo_entries(entries: Sequence[Entry], *, network: bool = True, windows: Windows | None = None) -> Undone:
    """network False: links, addresses and routes are gone (another boot, or their namespace is): only what is on disk.

    windows: None is this Windows, opened for the first entry that needs it.
    """
    return _Undo(network, windows).run(entries)


class _Undo:
    def __init__(self, network: bool, windows: Windows | None) -> None:
        self._network = network
        self._given_windows = windows
        self._windows: UndoWindows | None = None
        self._netlink: Netlink | None = None
        self._names: dict[int, str] = {}
        self._undone: list[str] = []
        self._warnings: list[str] = []

    def run(self, entries: Sequence[Entry]) -> Undone:
        failed = 0
        try:
            for entry in reversed(entries):
                try:
                    self._undo(entry)
                except Exception as exc:  # whatever it is, the other entries must have their turn
                    failed += 1
                    self._warnings.append(f"could not undo {entry.kind}: {exc}")
            if self._windows is not None:
                self._windows.finish()
        finally:
            if self._netlink is not None:
                self._netlink.__exit__(None, None, None)
        return Undone(tuple(self._undone), tuple(dict.fromkeys(self._warnings)), failed)

    def _undo(self, entry: Entry) -> None:
        if isinstance(entry, WindowsEntry):
            if self._network or isinstance(entry, SURVIVES_BOOT):
                self._undone += self._on_windows().undo(entry)
        elif isinstance(entry, DnsFileEntry):
            warning = file.restore(entry)
            self._warnings += [warning] if warning else []
            self._undone += [] if warning else [f"DNS file {entry.path}"]
        elif isinstance(entry, DnsResolvconfEntry):
            if self._network:  # its records do not outlive a boot either
                resolvconf.remove(entry.command, entry.record, openresolv=entry.openresolv)
                self._undone.append(f"DNS record {entry.record}")
        elif self._network and self._has_link(entry.index, entry.name):
            self._undo_on_link(entry)

    def _on_windows(self) -> UndoWindows:
        if self._windows is None:
            from vpnclient.host.windows.undo import UndoWindows  # of no use elsewhere, and start-up counts

            self._windows = UndoWindows(self._given_windows)
        return self._windows

    def _undo_on_link(self, entry: LinkEntry | AddressEntry | RouteEntry | DnsResolvedEntry) -> None:
        if isinstance(entry, DnsResolvedEntry):
            resolved.revert(entry.name)
            self._undone.append(f"DNS of link {entry.name}")
            return
        try:
            if isinstance(entry, RouteEntry):
                gateway = ip_address(entry.gateway) if entry.gateway else None
                route = Route(ip_network(entry.dst), entry.index, Kind.INCLUDE, gateway)
                self._open().remove_route(route, entry.table, entry.proto)
                self._undone.append(f"route {entry.dst}")
            elif isinstance(entry, AddressEntry):
                self._open().remove_address(entry.index, ip_interface(entry.address).ip)
                self._undone.append(f"address {entry.address}")
            else:
                self._undo_link(entry)
        except NetlinkFailure as exc:
            if not exc.missing:
                raise

    def _undo_link(self, entry: LinkEntry) -> None:
        """Down first: a link that is up would at once make itself a link-local address again."""
        netlink = self._open()
        if not entry.up:
            netlink.set_link(entry.index, up=False)
        netlink.set_link(entry.index, mtu=entry.mtu)
        if entry.addr_gen_mode >= 0:
            netlink.set_link(entry.index, addr_gen_mode=entry.addr_gen_mode)
        self._undone.append(f"link {entry.name}")

    def _has_link(self, index: int, name: str) -> bool:
        self._open()
        return self._names.get(index) == name

    def _open(self) -> Netlink:
        if self._netlink is None:
            self._netlink = Netlink()
            self._names = {link.index: link.name for link in self._netlink.links().values()}
        return self._netlink
