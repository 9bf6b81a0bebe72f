"""resolvconf: openresolv (knows exclusive and private records) or Debian's (knows neither).

Source: host-config specification, section 3.2.
"""

from __future__ import annotations

from vpnclient.host.commands import run
from vpnclient.host.dns import DnsSettings, Recorder
from vpnclient.host.journal import DnsResolvconfEntry

RECORD = "vpnclient"  # second part of the record's name


class Resolvconf:
    name = "resolvconf"

    def __init__(self, tool: str, *, openresolv: bool) -> None:
        self._tool, self._openresolv = tool, openresolv

    def apply(self, settings: DnsSettings, record: Recorder) -> tuple[str, ...]:
        name = f"{settings.interface}.{RECORD}"
        record(DnsResolvconfEntry(self._tool, name, self._openresolv))
        run((self._tool, "-a", name, *self._flags(settings)), text(settings))
        if settings.split and not settings.everything and not self._openresolv:
            return ("this host's resolvconf cannot do split DNS: every name is asked at the tunnel's servers too",)
        return ()

    def _flags(self, settings: DnsSettings) -> tuple[str, ...]:
        """-m 0: before all others; -x: nobody else's servers; -p: for the record's own domains only."""
        if not self._openresolv:
            return ()
        return ("-m", "0", "-x" if settings.everything else "-p")


def text(settings: DnsSettings) -> str:
    """The record; with private records the searched names are also the routed ones."""
    lines = [f"nameserver {server}" for server in settings.servers]
    names = (*settings.search, *settings.split)
    if names:
        lines.append(f"search {' '.join(names)}")
    return "\n".join(lines) + "\n"


def remove(tool: str, record: str, *, openresolv: bool) -> None:
    """Delete the record; openresolv has to be told (-f) that a missing one is fine.  Raises CommandFailed."""
    run((tool, *(("-f",) if openresolv else ()), "-d", record))
