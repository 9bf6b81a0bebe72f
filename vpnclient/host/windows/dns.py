"""Name resolution on Windows: the adapter's name servers, and rules that send names to them (NRPT).

Windows asks the servers of all adapters at once and takes the first answer, so servers alone decide nothing: a rule
for "." sends every name into the tunnel, rules for domains only theirs.  Where group policy has a table of its own
Windows ignores the local one, so the rules are written to both.  Rules outlive us and a reboot: their GUIDs are fixed
for a profile, they are in the journal, and are deleted at the start and at the end.
Source: Wintun notes, section 12, steps 5 and 6; host-config specification, section 3.5; [MS-GPNRPT].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid5

from protocols.base import Address
from vpnclient.host.dns import MAX_DOMAINS, DnsSettings, Recorder
from vpnclient.host.journal import NrptEntry, WindowsDnsEntry
from vpnclient.host.windows.api import InterfaceDns, IpHelper, Registry, RegistryValue, Windows
from vpnclient.host.windows.library import FunctionMissing
from vpnclient.host.windows.stack import Tunnel, braces

LOCAL_TABLE = r"SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig"
POLICY_TABLE = r"SOFTWARE\Policies\Microsoft\Windows NT\DNSClient\DnsPolicyConfig"
INTERFACES = {
    4: r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces",
    6: r"SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters\Interfaces",
}
MAX_NAMES = 50  # of one rule
MAX_RULES = -(-MAX_DOMAINS // MAX_NAMES)
_NAMESPACE = UUID("5ba8c7ce-6f0e-4b5e-9c8b-3f8f0a4f1d27")  # ours, for the GUIDs of rules
_NRPT_VERSION = 1
_GENERIC_SERVERS = 8  # ConfigOptions: only GenericDNSServers is given


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the table.  name: its GUID in braces.  namespaces: ".corp.example" and all below; ".": everything."""

    name: str
    namespaces: tuple[str, ...]
    servers: tuple[Address, ...]

    def values(self) -> Mapping[str, RegistryValue]:
        return {
            "Version": _NRPT_VERSION,
            "Name": self.namespaces,
            "GenericDNSServers": "; ".join(str(server) for server in self.servers),
            "ConfigOptions": _GENERIC_SERVERS,
        }


def rule_name(profile: str, number: int) -> str:
    return braces(uuid5(_NAMESPACE, f"{profile}/{number}"))


def rules(settings: DnsSettings) -> tuple[Rule, ...]:
    """None where the gateway names no domain and does not want everything: then its servers are asked with others."""
    if settings.everything:
        return (Rule(rule_name(settings.profile, 0), (".",), settings.servers),)
    names = [f".{name}" for name in dict.fromkeys((*settings.search, *settings.split))]
    parts = [tuple(names[at : at + MAX_NAMES]) for at in range(0, len(names), MAX_NAMES)]
    return tuple(Rule(rule_name(settings.profile, n), part, settings.servers) for n, part in enumerate(parts))


def interface_settings(settings: DnsSettings) -> Iterator[InterfaceDns]:
    """One for each IP version.  With rules for some domains only, the adapter has no servers: others are not ours."""
    everything = settings.everything or not rules(settings)
    for version in (4, 6):
        servers = [str(server) for server in settings.servers if server.version == version and everything]
        domain = settings.search[0] if settings.search else ""
        yield InterfaceDns(version, ",".join(servers), ",".join(settings.search), domain)


def set_interface(windows: Windows, guid: bytes, settings: InterfaceDns) -> int:
    """By SetInterfaceDnsSettings; before Windows 10 2004, by the registry.  Raises OSError; returns an error code."""
    try:
        return windows.ip.set_interface_dns(guid, settings)
    except FunctionMissing:
        path = rf"{INTERFACES[settings.version]}\{braces(UUID(bytes_le=guid))}"
        if settings.servers or windows.registry.subkeys(path) is not None:
            values = {"NameServer": settings.servers, "SearchList": settings.search, "Domain": settings.domain}
            windows.registry.write(path, values)
        return 0


class WindowsDns:
    """Never fatal: what Windows refuses is a warning.  Entries stay in the journal, so clean-up tries it again."""

    name = "windows"

    def __init__(self, windows: Windows, tunnel: Tunnel) -> None:
        self._windows, self._tunnel = windows, tunnel

    def apply(self, settings: DnsSettings, record: Recorder) -> tuple[bool, tuple[str, ...]]:
        """Set, or set anew.  Returns whether any of it worked, and warnings.  Raises HostError: no journal."""
        wanted = rules(settings)
        record(WindowsDnsEntry(self._tunnel.name), *(NrptEntry(rule.name) for rule in wanted))
        warnings: list[str] = []
        servers = self._set_interface(settings, warnings)
        ruled = self._set_rules(settings.profile, wanted, warnings)
        self._windows.ip.flush_dns()
        return servers or ruled, tuple(warnings)

    def _set_interface(self, settings: DnsSettings, warnings: list[str]) -> bool:
        """Whether the adapter has servers now."""
        worked = False
        for each in interface_settings(settings):
            try:
                code = set_interface(self._windows, self._tunnel.guid, each)
                why = f"error {code}" if code else ""
            except OSError as exc:
                why = exc.strerror or str(exc)
            if each.servers:  # none for an IP version that this host has switched off is no loss
                worked |= not why
                warnings += [f"DNS servers {each.servers} of the tunnel not set: {why}"] if why else []
        return worked

    def _set_rules(self, profile: str, wanted: tuple[Rule, ...], warnings: list[str]) -> bool:
        """Whether rules are in force now."""
        registry = self._windows.registry
        try:
            policy = registry.subkeys(POLICY_TABLE) is not None
            for table in (LOCAL_TABLE, POLICY_TABLE) if policy else (LOCAL_TABLE,):
                for rule in wanted:
                    registry.write(rf"{table}\{rule.name}", rule.values())
            names = [rule_name(profile, number) for number in range(len(wanted), MAX_RULES)]
            remove_rules(self._windows.ip, registry, names)  # of a former configuration
        except OSError as exc:
            warnings.append(f"DNS rules not set: {exc.strerror or exc}")
            return False
        if policy and wanted and not self._windows.ip.refresh_policy():
            warnings.append("DNS rules may take effect late: Windows did not read its policy again")
        return bool(wanted)


def remove_rules(ip: IpHelper, registry: Registry, names: list[str]) -> list[str]:
    """Delete rules from both tables; returns those that were there.  Raises OSError.

    A policy table that is left empty goes too: an empty one would still keep Windows from the local one.
    """
    gone: list[str] = []
    in_policy = False
    for name in names:
        path = braces(UUID(name))  # whatever a journal says: only ever a rule, never the table
        local = registry.delete(rf"{LOCAL_TABLE}\{path}")
        policy = registry.delete(rf"{POLICY_TABLE}\{path}")
        in_policy |= policy
        if local or policy:
            gone.append(name)
    if in_policy:
        if registry.subkeys(POLICY_TABLE) == ():
            registry.delete(POLICY_TABLE)
        ip.refresh_policy()
    return gone


def remove_rules_of(windows: Windows, profile: str) -> list[str]:
    """Whatever rules of a profile there are, in a journal or not.  Raises OSError."""
    gone = remove_rules(windows.ip, windows.registry, [rule_name(profile, n) for n in range(MAX_RULES)])
    if gone:
        windows.ip.flush_dns()
    return gone
