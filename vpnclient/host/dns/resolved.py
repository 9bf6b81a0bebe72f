"""systemd-resolved, through resolvectl: per-link servers and domains, real split DNS.

Settings live in resolved and go with the link, so undoing is `resolvectl revert` if the link is still there.
Source: host-config specification, section 3.1.
"""

from __future__ import annotations

from vpnclient.host.commands import CommandFailed, run
from vpnclient.host.dns import DnsSettings, Recorder
from vpnclient.host.journal import DnsResolvedEntry


class Resolved:
    name = "resolved"

    def apply(self, settings: DnsSettings, record: Recorder) -> tuple[str, ...]:
        record(DnsResolvedEntry(settings.index, settings.interface))
        warnings: list[str] = []
        for command in commands(settings):
            try:
                run(command)
            except CommandFailed as exc:
                if command[1] in ("dns", "domain"):
                    raise
                warnings.append(str(exc))  # default-route: since 240 only; flushing is a courtesy
        return tuple(warnings)


def domains(settings: DnsSettings) -> list[tuple[str, bool]]:
    """(name, routing only) as SetLinkDomains takes them; "." is every name."""
    listed = [(name, False) for name in settings.search] + [(name, True) for name in settings.split]
    return [*listed, (".", True)] if settings.everything else listed


def commands(settings: DnsSettings) -> list[tuple[str, ...]]:
    """What to run, in order.  No domains at all: "" empties the link's list."""
    texts = [f"~{name}" if routing else name for name, routing in domains(settings)] or [""]
    return [
        ("resolvectl", "dns", settings.interface, *map(str, settings.servers)),
        ("resolvectl", "domain", settings.interface, *texts),
        ("resolvectl", "default-route", settings.interface, "true" if settings.everything else "false"),
        ("resolvectl", "flush-caches"),
    ]


def revert(name: str) -> None:
    """Forget the link's settings.  Raises CommandFailed."""
    run(("resolvectl", "revert", name))
