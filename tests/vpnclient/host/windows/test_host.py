"""WindowsHost on a Windows of dictionaries: the order of things, and undoing them after a failure at every step."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from protocols.base import TunnelConfig
from tests.vpnclient.host.windows.fake import TUNNEL, WIFI, Crash, FakeInterface, FakeWindows
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.journal import parse
from vpnclient.host.restore import Outcome, restore_all
from vpnclient.host.windows.dns import LOCAL_TABLE, rule_name
from vpnclient.host.windows.host import WindowsHost
from vpnclient.host.windows.library import FunctionMissing

GATEWAY = ip_address("203.0.113.1")
FULL = TunnelConfig(
    addresses=(ip_interface("10.8.0.2/24"), ip_interface("fd00:8::2/64")),
    mtu=1400,
    dns=(ip_address("10.8.0.53"),),
    search_domains=("corp.example",),
)
SPLIT = replace(
    FULL,
    addresses=(ip_interface("10.8.0.2/32"),),
    split_include=(ip_network("10.20.0.0/16"), ip_network("10.0.0.0/8")),
    split_exclude=(ip_network("10.20.3.0/24"),),
    split_dns=("corp.example",),
)
RULE = rule_name("work", 0)


def plan(config: TunnelConfig = FULL, **changes: object) -> HostPlan:
    return replace(HostPlan("Lab", config, (GATEWAY,), "work"), **changes)


class Bench:
    """A host on a fake Windows, and what it looked like before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self.fake = FakeWindows()
        self.host = self.new_host()
        self.before = self.look()

    def new_host(self) -> WindowsHost:
        return WindowsHost("work", run_dir=self.folder, windows=self.fake.windows)

    def look(self) -> tuple[object, ...]:
        rules = [key for key in self.fake.registry.keys if key.endswith("}")]
        servers = sorted(each.servers for each in self.fake.ip.dns.values() if each.servers)
        return sorted(self.fake.ip.route_rows), list(self.fake.ip.address_rows), rules, servers

    @property
    def log(self) -> list[str]:
        return self.fake.fake.log

    def entries(self) -> list[str]:
        found = parse((self.folder / "work.journal").read_bytes())
        assert not found.damaged
        return [entry.kind for entry in found.entries]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_full_tunnel_in_order(bench: Bench) -> None:
    bench.host.prepare()
    assert bench.log == []
    applied = bench.host.apply(plan())
    assert bench.log == [
        f"interface {TUNNEL:#x} family 2 mtu 1400",
        f"interface {TUNNEL:#x} family 23 mtu 1400",
        "+address 10.8.0.2",
        "+address fd00:8::2",
        "+route 203.0.113.1/32 via 192.0.2.1",  # the way to the gateway before anything that covers it
        "+route 10.8.0.0/24",
        "+route fd00:8::/64",
        "+route 0.0.0.0/1",
        "+route 128.0.0.0/1",
        "+route ::/1",
        "+route 8000::/1",
        "dns 4 10.8.0.53",
        "dns 6 -",
        f"+key {RULE}",
    ]
    assert bench.fake.ip.route_texts(WIFI)[-1] == "203.0.113.1/32 via 192.0.2.1"
    assert applied.routes == ("0.0.0.0/0", "::/0", "10.8.0.0/24", "fd00:8::/64")
    assert (applied.dns, applied.search_domains, applied.dns_backend) == (("10.8.0.53",), ("corp.example",), "windows")
    assert applied.warnings == ()
    assert bench.entries() == ["windows-address"] * 2 + ["windows-route"] * 7 + ["windows-dns", "nrpt"]
    assert bench.host.undo() == ()
    assert bench.look() == bench.before and list(bench.folder.iterdir()) == []


def test_split_routes_and_an_exclude(bench: Bench) -> None:
    applied = bench.host.apply(plan(SPLIT))
    assert applied.routes == ("10.0.0.0/8", "10.20.0.0/16") and applied.excluded == ("10.20.3.0/24",)
    assert bench.fake.ip.route_texts(TUNNEL) == ["10.0.0.0/8", "10.20.0.0/16"]
    assert bench.fake.ip.route_texts(WIFI)[-1] == "10.20.3.0/24 via 192.0.2.1"
    assert bench.fake.registry.keys[rf"{LOCAL_TABLE}\{RULE}"]["Name"] == (".corp.example",)
    bench.host.undo()
    assert bench.look() == bench.before


@pytest.mark.parametrize("code", [5, 87, 1168])
def test_undone_after_a_failure_at_every_step(tmp_path: Path, code: int) -> None:
    """What must work ends in an error with all undone; what need not is a warning, and undone later."""
    whole = Bench(tmp_path / "whole")
    whole.host.apply(plan(SPLIT))
    outcomes = []
    for number in range(whole.fake.fake.changes):
        bench = Bench(tmp_path / str(number))
        bench.fake.fake.fail_at, bench.fake.fake.code = number, code
        try:
            outcomes.append(bool(bench.host.apply(plan(SPLIT)).warnings))
        except HostError as exc:
            outcomes.append(None)
            assert f"(error {code})" in str(exc)
            assert ("administrator" in exc.hint) == (code == 5)
        else:
            assert bench.host.undo() == ()
        assert bench.look() == bench.before and list(bench.folder.iterdir()) == []
    routes = [None] * 3 if code == 5 else [True] * 3
    assert outcomes == [None, None, *routes, False, False, True]  # an interface without servers of its own


def test_the_gateway_route_must_be_had(bench: Bench) -> None:
    bench.fake.ip.codes["203.0.113.1/32 via 192.0.2.1"] = 87
    with pytest.raises(HostError, match=r"cannot add route 203\.0\.113\.1/32"):
        bench.host.apply(plan())
    assert bench.look() == bench.before


def test_undone_after_a_crash_at_every_step(tmp_path: Path) -> None:
    whole = Bench(tmp_path / "whole")
    whole.host.apply(plan())
    for number in range(whole.fake.fake.changes):
        bench = Bench(tmp_path / str(number))
        bench.fake.fake.crash_at = number
        with pytest.raises(Crash):
            bench.host.apply(plan())
        bench.fake.fake.dead = False
        assert bench.look() != bench.before or number < 3
        bench.new_host().recover()
        assert bench.look() == bench.before and list(bench.folder.iterdir()) == []


def test_a_crash_while_undoing(tmp_path: Path) -> None:
    for number in range(11):
        bench = Bench(tmp_path / str(number))
        bench.host.apply(plan())
        bench.fake.fake.crash_at = bench.fake.fake.changes + number
        with pytest.raises(Crash):
            bench.host.undo()
        bench.fake.fake.dead = False
        (report,) = restore_all(bench.folder, bench.fake.windows)
        assert report.outcome is Outcome.RESTORED and bench.look() == bench.before


def test_after_a_reboot_rules_still_go(bench: Bench) -> None:
    """Routes and addresses went with the boot, and the same ones now are somebody else's."""
    bench.host.apply(plan())
    bench.fake.fake.crash_at = bench.fake.fake.changes
    with pytest.raises(Crash):
        bench.host.undo()
    bench.fake.fake.dead = False
    path = bench.folder / "work.journal"
    head, _newline, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(head.replace(b'"boot":"', b'"boot":"another-') + b"\n" + rest)
    routes = list(bench.fake.ip.route_rows)
    (report,) = restore_all(bench.folder, bench.fake.windows)
    assert report.outcome is Outcome.RESTORED and f"DNS rule {RULE}" in report.undone
    assert bench.fake.ip.route_rows == routes and bench.look()[2:] == ([], [])


def test_rules_without_a_journal_go_at_the_start(bench: Bench) -> None:
    bench.fake.registry.keys |= {LOCAL_TABLE: {}, rf"{LOCAL_TABLE}\{RULE}": {}}
    assert bench.host.prepare() == ("1 old DNS rules removed",)
    assert bench.look() == bench.before


def test_what_cannot_be_undone_is_kept_for_the_next_start(bench: Bench) -> None:
    bench.host.apply(plan())
    bench.fake.registry.refused = LOCAL_TABLE
    left = bench.host.undo()
    assert len(left) == 2 and "could not undo nrpt" in left[0] and "next start" in left[1]
    bench.fake.registry.refused = ""
    warnings = bench.new_host().prepare()
    assert warnings == (f"undone what a crash of work had left: DNS rule {RULE}, DNS servers of the adapter "
                        "{8E5F0B5C-9D0A-4C55-9C8B-1A2B3C4D5E6F}",)  # fmt: skip
    assert bench.look() == bench.before


def test_refused_dns_is_a_warning(bench: Bench) -> None:
    bench.fake.registry.refused = LOCAL_TABLE
    applied = bench.host.apply(plan(SPLIT))
    assert applied.warnings == ("DNS rules not set: Access is denied",) and applied.dns_backend == "off"
    assert "nrpt" in bench.entries()


def test_the_gateway_is_not_pinned_where_nothing_covers_it(bench: Bench) -> None:
    bench.host.apply(plan(SPLIT))
    assert not [text for text in bench.fake.ip.route_texts() if text.startswith("203.0.113.1/32")]


def test_of_two_ways_the_one_that_windows_takes(bench: Bench) -> None:
    bench.fake.ip.interfaces[77] = FakeInterface("Cable", 77, metric=10)
    bench.fake.ip.add(77, "0.0.0.0/0", "198.51.100.1")
    bench.host.apply(plan())
    assert bench.fake.ip.route_texts(77)[-1] == "203.0.113.1/32 via 198.51.100.1"


def test_the_gateway_route_follows_to_another_network(bench: Bench) -> None:
    bench.host.apply(plan())
    bench.fake.ip.interfaces[77] = FakeInterface("Cable", 77)
    bench.fake.ip.add(77, "0.0.0.0/0", "198.51.100.1")
    bench.fake.ip.interfaces[WIFI].connected = False
    assert bench.host.before_reconnect() == ()
    assert bench.fake.ip.route_texts(77)[-1] == "203.0.113.1/32 via 198.51.100.1"
    assert "203.0.113.1/32 via 192.0.2.1" not in bench.fake.ip.route_texts(WIFI)
    bench.host.undo()
    assert bench.fake.ip.route_texts(77) == ["0.0.0.0/0 via 198.51.100.1"]


def test_no_way_to_the_gateway(bench: Bench) -> None:
    bench.fake.ip.interfaces[WIFI].connected = False
    with pytest.raises(HostError, match="no route to the gateway 203"):
        bench.host.apply(plan())
    assert bench.look() == bench.before


def test_the_hosts_own_routes_stay(bench: Bench) -> None:
    bench.fake.ip.add(WIFI, "10.20.0.0/16", "192.0.2.9")
    before = bench.look()
    applied = bench.host.apply(plan(SPLIT))
    assert "route 10.20.0.0/16 not set: this host has one of its own" in applied.warnings
    assert "10.20.0.0/16" not in applied.routes
    bench.host.undo()
    assert bench.look() == before


def test_a_route_that_came_meanwhile_is_not_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another client of the same gateway pins it between our look and our own route (5010)."""
    look = bench.host._look

    def slow(*arguments: object) -> object:
        snapshot = look(*arguments)
        bench.fake.ip.add(WIFI, "203.0.113.1/32", "192.0.2.1")
        return snapshot

    monkeypatch.setattr(bench.host, "_look", slow)
    bench.host.apply(plan())
    assert bench.host.undo() == ()
    assert bench.fake.ip.route_texts(WIFI)[-1] == "203.0.113.1/32 via 192.0.2.1"


def test_update_changes_only_what_differs(bench: Bench) -> None:
    bench.host.apply(plan(SPLIT))
    bench.log.clear()
    changed = replace(
        SPLIT, addresses=(ip_interface("10.8.0.9/32"),), split_include=(ip_network("10.20.0.0/16"),), split_exclude=()
    )
    applied = bench.host.update(plan(changed))
    assert bench.log == [
        f"interface {TUNNEL:#x} family 2 mtu 1400",
        "+address 10.8.0.9",
        "-route 10.0.0.0/8",
        "-route 10.20.3.0/24 via 192.0.2.1",
        "-address 10.8.0.2",
    ]
    assert applied.routes == ("10.20.0.0/16",)
    bench.host.update(plan(replace(changed, dns=())))
    assert bench.look()[2:] == ([], [])
    bench.host.undo()
    assert bench.look() == bench.before


def test_stale_addresses_go_first(bench: Bench) -> None:
    bench.fake.ip.add_address(TUNNEL, "10.8.0.7", 24)
    bench.fake.ip.add_address(TUNNEL, "fe80::7", 64)
    bench.host.apply(plan(SPLIT))
    assert bench.log[1:3] == ["-address 10.8.0.7", "+address 10.8.0.2"]


def test_ipv6_switched_off(bench: Bench) -> None:
    bench.fake.ip.interfaces[TUNNEL].versions = (4,)
    bench.fake.registry.keys[r"SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters"] = {"DisabledComponents": 0xFF}
    applied = bench.host.apply(plan())
    assert applied.warnings == ("tunnel address fd00:8::2/64 dropped: this host has IPv6 switched off",)
    assert bench.fake.fake.now == 0 and "::/0" not in applied.routes


def test_ipv6_that_never_comes(bench: Bench) -> None:
    bench.fake.ip.interfaces[TUNNEL].versions = (4,)
    assert "IPv6 switched off" in bench.host.apply(plan()).warnings[0]
    assert bench.fake.fake.now >= 15


def test_a_windows_that_lacks_functions_is_told_before_anything_is_done(bench: Bench) -> None:
    bench.fake.ip.missing.add("all")
    with pytest.raises(FunctionMissing, match="this Windows has no CreateIpForwardEntry2") as caught:
        bench.host.prepare()
    assert "Windows 10" in caught.value.hint and not bench.folder.exists()


def test_another_dns_choice_is_told(bench: Bench) -> None:
    assert bench.host.apply(plan(dns="resolved")).warnings == (
        "DNS by resolved is not for Windows: set as Windows does it",
    )
    assert bench.new_host().undo() == ()


def test_dns_off(bench: Bench) -> None:
    assert bench.host.apply(plan(dns="off")).dns_backend == "off"
    assert bench.look()[2:] == ([], [])
