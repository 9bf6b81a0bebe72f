"""The journal: what is on disk before a change, who owns it, what a damaged one still gives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnclient.errors import HostError
from vpnclient.host import journal, system
from vpnclient.host.journal import (
    AddressEntry,
    Busy,
    DnsFileEntry,
    DnsResolvconfEntry,
    DnsResolvedEntry,
    Entry,
    Journal,
    LinkEntry,
    RouteEntry,
    decode,
    encode,
    journal_path,
    owner_lives,
    parse,
    run_dir,
    this_process,
)

ENTRIES: tuple[Entry, ...] = (
    LinkEntry(7, "tun0", 1500, False, 0),
    AddressEntry(7, "tun0", "10.0.0.2/32"),
    RouteEntry("203.0.113.1/32", "192.0.2.1", 2, "eth0", 254, 142),
    DnsResolvedEntry(7, "tun0"),
    DnsResolvconfEntry("/sbin/resolvconf", "tun0.vpnclient", True),
    DnsFileEntry("/etc/resolv.conf", True, False, "", 0o644, 0, 0, "", "00" * 32, "# x\nnameserver 10.0.0.1"),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)
def test_entries_survive_the_file(entry: Entry) -> None:
    assert decode(encode(entry)) == entry
    assert encode(entry).count(b"\n") == 1


@given(st.binary())
def test_any_bytes_are_entries_or_damage(data: bytes) -> None:
    found = parse(data)
    assert found.header or not data or found.damaged


def test_damaged_lines_do_not_hide_the_others() -> None:
    lines = [encode(this_process("p")), encode(ENTRIES[0]), b'{"do":"route","dst":5}\n', b"[1]\n", encode(ENTRIES[1])]
    found = parse(b"".join(lines) + encode(ENTRIES[2])[:-9])
    assert found.entries == ENTRIES[:2] and found.header is not None
    assert [text.split(":")[0] for text in found.damaged] == ["line 3", "line 4", "line 6"]


def test_a_number_is_not_a_truth() -> None:  # bool is an int in Python
    with pytest.raises(journal.DamagedLine, match="link up: got 1, want bool"):
        decode(encode(LinkEntry(7, "tun0", 1500, True, 0)).replace(b"true", b"1"))


def test_entries_are_on_disk_when_record_returns(tmp_path: Path) -> None:
    path = tmp_path / "p.journal"
    mine = Journal.open(path)
    mine.begin("p")
    mine.record(*ENTRIES)
    found = parse(path.read_bytes())
    assert found.entries == ENTRIES and found.damaged == ()
    assert found.header is not None and found.header.pid == os.getpid()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mine.remove()
    assert not path.exists()


def test_a_second_client_of_the_profile_is_refused(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "work")
    mine = Journal.open(path)
    mine.begin("work")
    code = "import sys, pathlib; from vpnclient.host.journal import *\n"
    code += "try: Journal.open(pathlib.Path(sys.argv[1]))\nexcept Busy as exc: print(exc)"
    said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert said == f"profile work is already in use by process {os.getpid()}\n"
    with pytest.raises(Busy):
        Journal.open(path)
    mine.close()
    Journal.open(path).remove()


def test_a_start_waits_for_somebody_who_cleans_up_in_passing(tmp_path: Path) -> None:
    """Another profile's start, or `restore`, holds our dead client's journal for a moment."""
    path = tmp_path / "work.journal"
    path.write_bytes(encode(replace(this_process("work"), pid=1, started=1)))
    cleaner = Journal.open(path)
    with pytest.raises(Busy) as caught:
        Journal.open(path)
    assert caught.value.passing
    threading.Timer(0.2, cleaner.remove).start()
    Journal.open(path, patience=10).remove()


def test_a_client_that_lives_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "work.journal"
    mine = Journal.open(path)
    mine.begin("work")
    with pytest.raises(Busy):
        Journal.open(path, patience=3600)
    mine.remove()


def test_a_crash_while_the_journal_is_begun_anew_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_arguments: object) -> int:
        raise KeyboardInterrupt

    path = tmp_path / "work.journal"
    old = Journal.open(path)
    old.begin("work", ENTRIES)
    monkeypatch.setattr(os, "write", crash)
    with pytest.raises(KeyboardInterrupt):
        old.begin("work", ENTRIES)
    old.close()
    assert set(parse(path.read_bytes()).entries) == set(ENTRIES)


def test_what_a_dead_owner_left_is_found(tmp_path: Path) -> None:
    path = tmp_path / "p.journal"
    dead = Journal.open(path)
    dead.begin("p")
    dead.record(ENTRIES[1])
    dead.close()
    heir = Journal.open(path)
    assert heir.found.entries == (ENTRIES[1],)
    heir.begin("p", heir.found.entries)
    assert heir.entries == [ENTRIES[1]] and parse(path.read_bytes()).entries == (ENTRIES[1],)
    heir.remove()


def test_a_journal_is_not_a_link(tmp_path: Path) -> None:
    path = tmp_path / "p.journal"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot open the journal"):
        Journal.open(path)


def test_owner_is_pid_and_start_time_and_boot() -> None:
    me = this_process("p")
    parent = os.getppid()
    lives = replace(me, pid=parent, started=journal.process_started(parent) or 0)
    assert owner_lives(lives)
    assert not owner_lives(replace(lives, started=lives.started + 1))
    assert not owner_lives(replace(lives, boot="another"))
    assert not owner_lives(replace(lives, pid=2**22 + 1))
    assert not owner_lives(me)


def test_a_dead_process_that_nobody_has_collected_owns_nothing() -> None:
    """After `kill -9` under a parent that does not wait, `restore` must not take it for a running client."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = replace(this_process("p"), pid=child.pid, started=journal.process_started(child.pid) or 0)
        assert owner_lives(owner)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert journal.process_started(child.pid) is None and not owner_lives(owner)


def test_our_namespace_lives() -> None:
    assert system.namespace_lives(system.network_namespace())
    assert not system.namespace_lives(1)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("work", "work.journal"),
        ("../../etc/x", "%2e%2e%2f%2e%2e%2fetc%2fx.journal"),
        ("vpn.example:443", "vpn%2eexample%3a443.journal"),
        ("", "default.journal"),
    ],
)
def test_profile_names_cannot_leave_the_directory(tmp_path: Path, profile: str, name: str) -> None:
    assert journal_path(tmp_path, profile) == tmp_path / name
    assert len(journal_path(tmp_path, "x" * 5000).name) < 200


def test_the_directory_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(journal.RUN_DIR_VARIABLE, str(tmp_path / "a" / "b"))
    made = run_dir()
    assert made == tmp_path / "a" / "b" and stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o770)
    with pytest.raises(HostError, match="writable by others"):
        run_dir()
