"""The host configuration on what Wine has: its registry, its lists of addresses and routes, the journal's lock.

Wine lacks the functions that change addresses, routes and an adapter's DNS; that is an error with a name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cffi import FFI

from vpnclient.host import system
from vpnclient.host.dns import DnsSettings
from vpnclient.host.journal import Busy, Entry, Journal, NrptEntry, owner_lives, run_dir, this_process
from vpnclient.host.undo import undo_entries
from vpnclient.host.windows.api import Windows, open_windows
from vpnclient.host.windows.dns import (
    INTERFACES,
    LOCAL_TABLE,
    POLICY_TABLE,
    WindowsDns,
    remove_rules_of,
    rule_name,
)
from vpnclient.host.windows.host import WindowsHost
from vpnclient.host.windows.library import FunctionMissing
from vpnclient.host.windows.rows import AddressRow, RouteRow, Table, pack_address
from vpnclient.host.windows.stack import Tunnel

PROFILE = "wine test"
GUID = bytes(range(16))
ADAPTER = "{03020100-0504-0706-0809-0A0B0C0D0E0F}"
MISSING = "CreateIpForwardEntry2"
WISH = DnsSettings("Lab", 1, PROFILE, (ip_address("10.8.0.53"),), ("corp.example",), (), True)


@pytest.fixture
def windows() -> Iterator[Windows]:
    windows = open_windows()
    yield windows
    remove_rules_of(windows, PROFILE)
    for table in INTERFACES.values():
        windows.registry.delete(rf"{table}\{ADAPTER}")
    windows.registry.delete(POLICY_TABLE)


def raw_value(path: str, name: str) -> tuple[int, bytes]:
    """Type and bytes as the registry holds them."""
    ffi = FFI()
    ffi.cdef("""
        int32_t RegGetValueW(void *key, const wchar_t *path, const wchar_t *name, uint32_t flags, uint32_t *kind,
                             uint8_t *data, uint32_t *size);
    """)
    kind, data, size = ffi.new("uint32_t *"), ffi.new("uint8_t[4096]"), ffi.new("uint32_t *", 4096)
    root = ffi.cast("void *", 0xFFFFFFFF80000002)
    assert ffi.dlopen("advapi32.dll").RegGetValueW(root, path, name, 0xFFFF | 0x10000, kind, data, size) == 0
    return kind[0], bytes(ffi.buffer(data, size[0]))


def test_missing_functions_are_named(windows: Windows, tmp_path: Path) -> None:
    with pytest.raises(FunctionMissing, match=rf"this Windows has no .*{MISSING}.* in iphlpapi\.dll"):
        windows.ip.require()
    with pytest.raises(FunctionMissing, match=f"this Windows has no {MISSING} in"):
        windows.ip.create_route(RouteRow().data)
    with pytest.raises(FunctionMissing, match=MISSING):
        WindowsHost(PROFILE, run_dir=tmp_path / "run", windows=windows).prepare()
    assert not (tmp_path / "run").exists()


def test_the_lists_of_addresses_and_routes(windows: Windows) -> None:
    """Wine has these: the offsets of the rows, against structures that we did not write."""
    code, data = windows.ip.addresses()
    addresses = {row.address: row.prefix_length for row in Table(AddressRow, data)}
    assert code == 0 and addresses[ip_address("127.0.0.1")] == 8
    code, data = windows.ip.routes()
    networks = [ip_network(f"{row.destination}/{row.prefix_length}", strict=False) for row in Table(RouteRow, data)]
    assert code == 0 and all(network.version == 4 for network in networks)
    assert windows.ip.best_route(pack_address(ip_address("127.0.0.1")), RouteRow().data) in (0, 50, 1168, 1231)
    assert windows.ip.luid_of_alias("no such interface")[0] != 0


def test_rules_in_the_registry(windows: Windows) -> None:
    entries: list[Entry] = []
    worked, warnings = WindowsDns(windows, Tunnel(1, 1, GUID)).apply(WISH, lambda *new: entries.extend(new))
    assert (worked, warnings) == (True, ())
    rule = rf"{LOCAL_TABLE}\{rule_name(PROFILE, 0)}"
    assert raw_value(rule, "Version") == (4, bytes.fromhex("01000000"))
    assert raw_value(rule, "Name") == (7, bytes.fromhex("2e00 0000 0000"))
    assert raw_value(rule, "GenericDNSServers") == (1, "10.8.0.53\0".encode("utf-16-le"))
    assert raw_value(rule, "ConfigOptions") == (4, bytes.fromhex("08000000"))
    adapter = rf"{INTERFACES[4]}\{ADAPTER}"  # SetInterfaceDnsSettings is missing: as before Windows 10 2004
    assert raw_value(adapter, "NameServer") == (1, "10.8.0.53\0".encode("utf-16-le"))
    result = undo_entries(entries, windows=windows)
    assert (result.warnings, result.failed) == ((), 0)
    assert windows.registry.subkeys(rule) is None and windows.registry.read(adapter, "NameServer") == ""


def test_rules_beside_those_of_group_policy(windows: Windows) -> None:
    windows.registry.write(POLICY_TABLE, {})
    entries: list[Entry] = []
    settings = replace(WISH, split=("lab.example",), everything=False)
    _worked, warnings = WindowsDns(windows, Tunnel(1, 1, GUID)).apply(settings, lambda *new: entries.extend(new))
    assert warnings == ("DNS rules may take effect late: Windows did not read its policy again",)  # Wine has no policy
    assert windows.registry.subkeys(POLICY_TABLE) == (rule_name(PROFILE, 0),)
    rule = rf"{POLICY_TABLE}\{rule_name(PROFILE, 0)}"
    assert raw_value(rule, "Name") == (7, ".corp.example\0.lab.example\0\0".encode("utf-16-le"))
    assert undo_entries(entries, windows=windows).failed == 0
    assert windows.registry.subkeys(POLICY_TABLE) is None


def test_the_journal_is_locked(tmp_path: Path) -> None:
    path = run_dir(tmp_path / "run") / "p.journal"
    mine = Journal.open(path)
    mine.begin("p")
    mine.record(NrptEntry(rule_name("p", 0)))
    code = "import sys; sys.path[:0] = sys.argv[2:]; import pathlib; from vpnclient.host.journal import *\n"
    code += "try: Journal.open(pathlib.Path(sys.argv[1]))\nexcept Busy as exc: print(exc)"
    command = [sys.executable, "-c", code, str(path), *sys.path]
    said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True).stdout
    assert said == f"profile p is already in use by process {os.getpid()}\n"
    with pytest.raises(Busy):
        Journal.open(path)
    mine.close()
    heir = Journal.open(path)
    assert heir.found.entries == (NrptEntry(rule_name("p", 0)),)
    heir.remove()
    assert not path.exists()


def test_who_lives() -> None:
    me = this_process("p")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = system.process_started(child.pid)
    assert started is not None and me.started > 0
    assert owner_lives(replace(me, pid=child.pid, started=started))
    assert not owner_lives(replace(me, pid=child.pid, started=started + 1))
    child.communicate(b"\n")
    assert system.process_started(child.pid) is None and not owner_lives(me)
