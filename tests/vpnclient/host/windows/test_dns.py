"""Name servers and rules: exactly what is written, to which table, and what is left when it is refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.vpnclient.host.windows.fake import GUID, TUNNEL, FakeWindows
from vpnclient.host.dns import DnsSettings
from vpnclient.host.journal import Entry, NrptEntry, WindowsDnsEntry
from vpnclient.host.undo import undo_entries
from vpnclient.host.windows.dns import (
    INTERFACES,
    LOCAL_TABLE,
    MAX_RULES,
    POLICY_TABLE,
    WindowsDns,
    interface_settings,
    remove_rules,
    remove_rules_of,
    rule_name,
    rules,
)
from vpnclient.host.windows.stack import Tunnel

SERVERS = (ip_address("10.8.0.53"), ip_address("fd00:8::53"))
NAME = f"{{{str(GUID).upper()}}}"


def wish(search: tuple[str, ...] = (), split: tuple[str, ...] = (), *, everything: bool = False) -> DnsSettings:
    return DnsSettings("Lab", 23, "work", SERVERS, search, split, everything)


class Desk:
    def __init__(self) -> None:
        self.fake = FakeWindows()
        self.entries: list[Entry] = []
        self.dns = WindowsDns(self.fake.windows, Tunnel(TUNNEL, 23, GUID.bytes_le))

    def apply(self, settings: DnsSettings) -> tuple[bool, tuple[str, ...]]:
        return self.dns.apply(settings, lambda *entries: self.entries.extend(entries))

    def undo(self) -> tuple[tuple[str, ...], int]:
        result = undo_entries(self.entries, windows=self.fake.windows)
        return result.warnings, result.failed

    @property
    def rules(self) -> list[str]:
        return [path for path in self.fake.registry.keys if path.endswith("}")]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_rules_have_names_of_their_own_that_never_change() -> None:
    assert rule_name("work", 0) == rule_name("work", 0) != rule_name("home", 0)
    assert len({rule_name("work", number) for number in range(MAX_RULES)}) == MAX_RULES
    assert rule_name("work", 0) == "{BF28BB33-3E34-5441-B0CC-6581586B5371}"


def test_everything(desk: Desk) -> None:
    assert desk.apply(wish(("corp.example",), everything=True)) == (True, ())
    assert desk.fake.registry.keys[rf"{LOCAL_TABLE}\{rule_name('work', 0)}"] == {
        "Version": 1,
        "Name": (".",),
        "GenericDNSServers": "10.8.0.53; fd00:8::53",
        "ConfigOptions": 8,
    }
    four, six = desk.fake.ip.dns[4], desk.fake.ip.dns[6]
    assert (four.servers, four.search, four.domain) == ("10.8.0.53", "corp.example", "corp.example")
    assert six.servers == "fd00:8::53"
    assert desk.entries == [WindowsDnsEntry(NAME), NrptEntry(rule_name("work", 0))]
    assert desk.fake.ip.flushed == 1 and desk.fake.ip.refreshed == 0


def test_split(desk: Desk) -> None:
    """Servers go to the rule alone: the adapter's would be asked for every name."""
    assert desk.apply(wish(("corp.example",), ("lab.example",)))[0]
    (values,) = (desk.fake.registry.keys[path] for path in desk.rules)
    assert values["Name"] == (".corp.example", ".lab.example")
    assert (desk.fake.ip.dns[4].servers, desk.fake.ip.dns[4].search) == ("", "corp.example")


def test_no_domains_at_all(desk: Desk) -> None:
    assert rules(wish()) == ()
    assert [each.servers for each in interface_settings(wish())] == ["10.8.0.53", "fd00:8::53"]
    assert desk.apply(wish()) == (True, ()) and desk.rules == []


def test_fifty_names_a_rule() -> None:
    made = rules(wish(split=tuple(f"d{number}.example" for number in range(1000))))
    assert [len(rule.namespaces) for rule in made] == [50] * 20 and len(made) == MAX_RULES
    assert len({rule.name for rule in made}) == 20


def test_rules_of_a_former_configuration_go(desk: Desk) -> None:
    desk.apply(wish(split=tuple(f"d{number}.example" for number in range(60))))
    assert len(desk.rules) == 2
    desk.apply(wish(split=("lab.example",)))
    assert desk.rules == [rf"{LOCAL_TABLE}\{rule_name('work', 0)}"]


def test_group_policy(desk: Desk) -> None:
    """Its table makes Windows ignore the local one."""
    foreign = rf"{POLICY_TABLE}\{{00000000-0000-0000-0000-000000000001}}"
    desk.fake.registry.keys |= {POLICY_TABLE: {}, foreign: {}}
    assert desk.apply(wish(everything=True)) == (True, ())
    name = rule_name("work", 0)
    tables = [desk.fake.registry.keys[rf"{table}\{name}"] for table in (LOCAL_TABLE, POLICY_TABLE)]
    assert tables[0] == tables[1] and desk.fake.ip.refreshed == 1
    assert desk.undo() == ((), 0)
    assert desk.rules == [foreign] and POLICY_TABLE in desk.fake.registry.keys


def test_an_empty_policy_table_is_not_left(desk: Desk) -> None:
    desk.fake.registry.keys[POLICY_TABLE] = {}
    desk.apply(wish(everything=True))
    desk.undo()
    assert POLICY_TABLE not in desk.fake.registry.keys and desk.fake.ip.refreshed == 2


def test_undone(desk: Desk) -> None:
    desk.apply(wish(("corp.example",), everything=True))
    assert desk.undo() == ((), 0)
    assert desk.rules == [] and desk.fake.ip.flushed == 2
    assert desk.fake.ip.dns[4].servers == desk.fake.ip.dns[4].search == desk.fake.ip.dns[6].servers == ""
    assert desk.undo() == ((), 0)


def test_refused_writes_are_warnings_and_stay_on_the_list(desk: Desk) -> None:
    desk.fake.registry.refused = "DnsPolicyConfig"
    worked, warnings = desk.apply(wish(everything=True))
    assert worked and warnings == ("DNS rules not set: Access is denied",)
    assert NrptEntry(rule_name("work", 0)) in desk.entries
    assert desk.undo() == ((), 0)


def test_refused_deletes_are_tried_again(desk: Desk) -> None:
    desk.apply(wish(everything=True))
    desk.fake.registry.refused = "DnsPolicyConfig"
    warnings, failed = desk.undo()
    assert failed == 1 and "could not undo nrpt: [Errno 13] Access is denied" in warnings
    desk.fake.registry.refused = ""
    assert desk.undo() == ((), 0) and desk.rules == []


def test_refused_servers(desk: Desk) -> None:
    desk.fake.fake.fail_at = 0
    worked, warnings = desk.apply(wish())
    assert worked and warnings == ("DNS servers 10.8.0.53 of the tunnel not set: error 87",)


def test_nothing_worked(desk: Desk) -> None:
    desk.fake.ip.missing.add("SetInterfaceDnsSettings")
    desk.fake.registry.refused = "Services"
    worked, warnings = desk.apply(wish(everything=True))
    assert not worked and len(warnings) == 3


def test_a_windows_before_2004(desk: Desk) -> None:
    desk.fake.ip.missing.add("SetInterfaceDnsSettings")
    desk.apply(wish(("corp.example", "lab.example"), everything=True))
    values = desk.fake.registry.keys[rf"{INTERFACES[4]}\{NAME}"]
    assert values == {"NameServer": "10.8.0.53", "SearchList": "corp.example,lab.example", "Domain": "corp.example"}
    assert desk.fake.registry.keys[rf"{INTERFACES[6]}\{NAME}"]["NameServer"] == "fd00:8::53"
    desk.undo()
    assert set(desk.fake.registry.keys[rf"{INTERFACES[4]}\{NAME}"].values()) == {""}


def test_an_adapter_that_is_gone_is_not_made_again_in_the_registry(desk: Desk) -> None:
    desk.fake.ip.missing.add("SetInterfaceDnsSettings")
    desk.entries = [WindowsDnsEntry(NAME)]
    assert desk.undo() == ((), 0) and not desk.fake.registry.keys


@pytest.mark.parametrize("name", ["", "..", "{1C84CE75}", r"{1C84CE75-7A82-5B9E-8C4C-6F2AE8F1D5D3}\x"])
def test_a_journal_cannot_name_another_key(desk: Desk, name: str) -> None:
    desk.fake.registry.keys[LOCAL_TABLE] = {}
    with pytest.raises(ValueError, match="hexadecimal"):
        remove_rules(desk.fake.ip, desk.fake.registry, [name])
    assert LOCAL_TABLE in desk.fake.registry.keys


def test_rules_that_no_journal_tells_of(desk: Desk) -> None:
    desk.apply(wish(everything=True))
    assert remove_rules_of(desk.fake.windows, "work") == [rule_name("work", 0)]
    assert remove_rules_of(desk.fake.windows, "work") == [] and desk.rules == []
