"""The script contract: host-config sections 1.1, 1.2, 11, 13 and quirks Q1, Q2, Q9."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from protocols.base import TunnelConfig
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.script import MAX_TEXTS, ScriptHost, environment, inherited

CONFIG = TunnelConfig(  # section 1.4
    addresses=(ip_interface("192.168.77.190/24"), ip_interface("fd77:77:0:caf0::2/64")),
    mtu=1472,
    dns=(ip_address("192.168.77.1"), ip_address("192.168.77.2")),
    nbns=(IPv4Address("192.168.77.3"), IPv4Address("0.0.0.0")),
    search_domains=("corp.example",),
    split_dns=("corp.example", "lab.example"),
    split_include=(ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"), ip_network("fd99::/64")),
    split_exclude=(ip_network("10.1.5.0/24"),),
    banner="Welcome\x1b[2J\nto the lab\x07",
    idle_timeout=1800,
    raw=(("X-CSTP-MTU", "1472"), ("X-CSTP-Banner", "Wel\x00come\nreason=evil")),
)
PLAN = HostPlan("tun0", CONFIG, (ip_address("203.0.113.1"), ip_address("203.0.113.9")), "work")

EXPECTED = {
    "TUNDEV": "tun0",
    "VPNGATEWAY": "203.0.113.1",
    "IDLE_TIMEOUT": "1800",
    "INTERNAL_IP4_ADDRESS": "192.168.77.190",
    "INTERNAL_IP4_MTU": "1472",
    "INTERNAL_IP4_NETMASK": "255.255.255.0",
    "INTERNAL_IP4_NETMASKLEN": "24",
    "INTERNAL_IP4_NETADDR": "192.168.77.0",
    "INTERNAL_IP4_DNS": "192.168.77.1 192.168.77.2",
    "INTERNAL_IP4_NBNS": "192.168.77.3",
    "INTERNAL_IP6_ADDRESS": "fd77:77:0:caf0::2",
    "INTERNAL_IP6_NETMASK": "fd77:77:0:caf0::2/64",
    "CISCO_DEF_DOMAIN": "corp.example",
    "CISCO_SPLIT_DNS": "lab.example,corp.example",
    "CISCO_BANNER": "Welcome[2J\nto the lab",
    "CISCO_CSTP_OPTIONS": "X-CSTP-MTU=1472\nX-CSTP-Banner=Welcomereason=evil",
    "CISCO_SPLIT_INC": "2",
    "CISCO_SPLIT_INC_0_ADDR": "10.2.0.0",
    "CISCO_SPLIT_INC_0_MASK": "255.255.0.0",
    "CISCO_SPLIT_INC_0_MASKLEN": "16",
    "CISCO_SPLIT_INC_1_ADDR": "10.1.0.0",
    "CISCO_SPLIT_INC_1_MASK": "255.255.0.0",
    "CISCO_SPLIT_INC_1_MASKLEN": "16",
    "CISCO_SPLIT_EXC": "1",
    "CISCO_SPLIT_EXC_0_ADDR": "10.1.5.0",
    "CISCO_SPLIT_EXC_0_MASK": "255.255.255.0",
    "CISCO_SPLIT_EXC_0_MASKLEN": "24",
    "CISCO_IPV6_SPLIT_INC": "1",
    "CISCO_IPV6_SPLIT_INC_0_ADDR": "fd99::",
    "CISCO_IPV6_SPLIT_INC_0_MASKLEN": "64",
}


def test_the_verified_example() -> None:  # sections 1.4 and 13
    assert environment(PLAN) == (EXPECTED, ())


def test_a_bare_configuration_sets_nothing_more() -> None:
    config = TunnelConfig(addresses=(ip_interface("10.0.0.2/32"),), mtu=0)
    assert environment(HostPlan("tun0", config, ()))[0] == {"TUNDEV": "tun0", "INTERNAL_IP4_ADDRESS": "10.0.0.2"}
    assert "TUNDEV" not in environment(HostPlan("", config, ()))[0]


def test_ipv6_servers_are_among_the_ipv4_ones() -> None:  # Q2; at most three
    servers = tuple(ip_address(text) for text in ("fd00::53", "0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
    found, _ = environment(replace(PLAN, config=replace(CONFIG, dns=servers)))
    assert found["INTERNAL_IP4_DNS"] == "fd00::53 10.0.0.1 10.0.0.2"


def test_without_ipv6_nothing_of_it_is_told() -> None:
    found, _ = environment(replace(PLAN, ipv6=False))
    assert not [name for name in found if "IP6" in name or "IPV6" in name]


def test_default_routes_are_told_as_they_came() -> None:
    config = replace(CONFIG, split_include=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    found, _ = environment(replace(PLAN, config=config))
    assert (found["CISCO_SPLIT_INC_0_ADDR"], found["CISCO_SPLIT_INC_0_MASK"]) == ("0.0.0.0", "0.0.0.0")
    assert (found["CISCO_IPV6_SPLIT_INC_0_ADDR"], found["CISCO_IPV6_SPLIT_INC_0_MASKLEN"]) == ("::", "0")


def test_texts_are_capped_the_important_ones_stay() -> None:
    config = replace(CONFIG, banner="é" * MAX_TEXTS, raw=(("X-Big", "x" * MAX_TEXTS),))
    found, warnings = environment(replace(PLAN, config=config))
    assert found["CISCO_DEF_DOMAIN"] == "corp.example"
    texts = ("CISCO_DEF_DOMAIN", "CISCO_SPLIT_DNS", "CISCO_BANNER", "CISCO_CSTP_OPTIONS", "CISCO_PROXY_PAC")
    assert sum(len(found.get(name, "").encode()) for name in texts) <= MAX_TEXTS
    assert len(warnings) == 2


def test_too_many_routes_are_an_error() -> None:
    many = tuple(ip_network(f"10.{i // 256}.{i % 256}.0/24") for i in range(10_001))
    with pytest.raises(HostError, match="too large"):
        environment(replace(PLAN, config=replace(CONFIG, split_include=many)))


def test_the_largest_configuration_fits_into_an_environment(tmp_path: Path) -> None:
    many = tuple(ip_network(f"10.{i // 256}.{i % 256}.0/24") for i in range(10_000))
    config = replace(CONFIG, split_include=many, split_exclude=(), banner="x" * MAX_TEXTS)
    assert ScriptHost("true").apply(replace(PLAN, config=config)).dns_backend == "script"


def test_our_own_environment_does_not_leak_in() -> None:
    ours = {
        "PATH": "/bin",
        "CISCO_BANNER": "old",
        "INTERNAL_IP4_ADDRESS": "old",
        "VPNFD": "3",
        "reason": "old",
        "VPNCLIENT_PASSWORD": "hunter2",
        "VPNCLIENT_RUN_DIR": "/run/x",
    }
    assert inherited(ours) == {"PATH": "/bin", "VPNCLIENT_RUN_DIR": "/run/x"}


# a script that writes down what it sees, one file a call


class Dump:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = f"n=$(ls {folder} | wc -l); env -0 > {folder}/$n; ps -o pgid= -p $$ > {folder}.pgid"

    def calls(self) -> Iterator[dict[str, str]]:
        for path in sorted(self.folder.iterdir(), key=lambda path: int(path.name)):
            pairs = path.read_text().split("\0")[:-1]
            yield dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture
def dump(tmp_path: Path) -> Dump:
    folder = tmp_path / "calls"
    folder.mkdir()
    return Dump(folder)


def test_all_reasons_in_order(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISCO_SPLIT_INC_7_ADDR", "stale")
    host = ScriptHost(dump.command, log_level=2)
    assert host.prepare() == ()
    assert host.before_reconnect() == ()  # the tunnel is not up: no call
    applied = host.apply(PLAN)
    assert applied.dns_backend == "script" and applied.excluded == ("10.1.5.0/24",)
    assert host.before_reconnect() == ()
    changed = replace(PLAN, config=replace(CONFIG, dns=()))
    assert "keeps the first one" in host.update(changed).warnings[0]
    assert host.undo() == () and host.undo() == ()
    calls = list(dump.calls())
    assert [call["reason"] for call in calls] == [
        "pre-init",
        "connect",
        "attempt-reconnect",
        "reconnect",
        "disconnect",
    ]
    for call in calls:
        assert (call["VPNPID"], call["LOG_LEVEL"]) == (str(os.getpid()), "2")
        assert "CISCO_SPLIT_INC_7_ADDR" not in call
    for call in calls[1:]:  # the values of the first connect, for ever
        assert {name: call[name] for name in EXPECTED} == EXPECTED


def test_pre_init_with_a_known_configuration(dump: Dump) -> None:
    ScriptHost(dump.command).prepare(replace(PLAN, interface=""))
    (call,) = dump.calls()
    assert call["reason"] == "pre-init" and call["VPNGATEWAY"] == "203.0.113.1" and "TUNDEV" not in call


def test_the_script_has_its_own_process_group(dump: Dump) -> None:  # cli-parity Q3
    ScriptHost(dump.command).apply(PLAN)
    assert int(Path(f"{dump.folder}.pgid").read_text()) != os.getpgrp()


def test_a_failing_connect_is_undone_and_an_error(tmp_path: Path) -> None:  # cli-parity Q4
    log = tmp_path / "log"
    host = ScriptHost(f"echo $reason >> {log}; [ $reason != connect ] || exit 3")
    with pytest.raises(HostError, match="script for connect ended with status 3"):
        host.apply(PLAN)
    assert log.read_text() == "connect\ndisconnect\n"
    assert host.undo() == ()


def test_a_failing_connect_may_be_ignored() -> None:
    applied = ScriptHost("exit 3", strict=False).apply(PLAN)
    assert applied.warnings == ("script for connect ended with status 3",)


def test_other_failures_are_warnings() -> None:
    host = ScriptHost("[ $reason = connect ] || exit 1")
    assert host.prepare() == ("script for pre-init ended with status 1",)
    host.apply(PLAN)
    assert host.before_reconnect() == ("script for attempt-reconnect ended with status 1",)
    assert host.update(PLAN).warnings == ("script for reconnect ended with status 1",)
    assert host.undo() == ("script for disconnect ended with status 1",)


def test_death_by_signal_is_told() -> None:
    with pytest.raises(HostError, match="ended by signal 9"):
        ScriptHost("kill -9 $$").apply(PLAN)


def test_output_goes_to_standard_error() -> None:  # standard output may carry JSON lines
    code = (
        "from vpnclient.host.script import ScriptHost\n"
        "ScriptHost('echo out; echo err >&2; read x; echo read=$x').prepare()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, input="typed\n")
    assert (done.stdout, done.stderr) == ("", "out\nerr\nread=\n")
