"""Cleaning up after a client that died.  Files only: what concerns links and routes is in tests/system."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from vpnclient.errors import HostError
from vpnclient.host import journal, restore
from vpnclient.host.dns import DnsSettings
from vpnclient.host.dns.file import ResolvConfFile
from vpnclient.host.journal import Header, Journal, RouteEntry, encode, this_process
from vpnclient.host.restore import Outcome, restore_all, still_to_undo

OLD = "nameserver 192.0.2.53\n"
FOREIGN = RouteEntry("198.51.100.0/24", "", 999_999, "nosuch0", 254, 142)  # its link does not exist


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(OLD)
    return path


def crash(folder: Path, resolv_conf: Path, *, damage: bytes = b"", header: Header | None = None) -> Path:
    """What a client leaves that dies with a written resolv.conf."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "work.journal"
    mine = Journal.open(path)
    mine.begin("work")
    mine.record(FOREIGN)
    settings = DnsSettings("tun0", 7, "work", (ip_address("10.0.0.1"),), (), (), True)
    ResolvConfFile(resolv_conf).apply(settings, mine.record)
    mine.close()
    lines = path.read_bytes().splitlines(keepends=True)
    if header is not None:
        lines[0] = encode(header)
    path.write_bytes(b"".join(lines) + damage)
    return path


def test_nothing_to_do(tmp_path: Path) -> None:
    assert restore_all(tmp_path / "run") == []


def test_the_file_comes_back(tmp_path: Path, resolv_conf: Path) -> None:
    path = crash(tmp_path / "run", resolv_conf)
    (report,) = restore_all(tmp_path / "run")
    assert (report.profile, report.outcome, report.warnings) == ("work", Outcome.RESTORED, ())
    assert report.undone == (f"DNS file {resolv_conf}",)
    assert resolv_conf.read_text() == OLD and not path.exists()


def test_a_running_client_is_left_alone(tmp_path: Path, resolv_conf: Path) -> None:
    path = crash(tmp_path / "run", resolv_conf)
    owner = Journal.open(path)
    (report,) = restore_all(tmp_path / "run")
    assert report.outcome is Outcome.IN_USE and report.profile == "work" and report.pid
    assert resolv_conf.read_text() != OLD and path.exists()
    owner.close()


def test_a_living_owner_counts_even_if_its_lock_is_lost(tmp_path: Path, resolv_conf: Path) -> None:
    living = replace(this_process("work"), pid=1, started=journal.process_started(1) or 0)
    crash(tmp_path / "run", resolv_conf, header=living)
    (report,) = restore_all(tmp_path / "run")
    assert (report.outcome, report.pid) == (Outcome.IN_USE, 1)
    assert resolv_conf.read_text() != OLD


def test_after_a_reboot_files_still_come_back(tmp_path: Path, resolv_conf: Path) -> None:
    crash(tmp_path / "run", resolv_conf, header=replace(this_process("work"), boot="an earlier one"))
    (report,) = restore_all(tmp_path / "run")
    assert report.outcome is Outcome.RESTORED and resolv_conf.read_text() == OLD


def test_a_damaged_journal_gives_what_it_can_and_is_kept(tmp_path: Path, resolv_conf: Path) -> None:
    path = crash(tmp_path / "run", resolv_conf, damage=b'{"do":"route","dst":\n')
    (report,) = restore_all(tmp_path / "run")
    assert report.outcome is Outcome.DAMAGED and "line 4" in report.warnings[1]
    assert resolv_conf.read_text() == OLD
    assert not path.exists() and path.with_suffix(".damaged").exists()
    assert restore_all(tmp_path / "run") == []


def test_a_journal_without_a_head_is_undone_too(tmp_path: Path, resolv_conf: Path) -> None:
    path = crash(tmp_path / "run", resolv_conf)
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert [report.outcome for report in restore_all(tmp_path / "run")] == [Outcome.DAMAGED]
    assert resolv_conf.read_text() == OLD


def test_another_namespace_is_reported(tmp_path: Path, resolv_conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = crash(tmp_path / "run", resolv_conf, header=replace(this_process("work"), netns=12345))
    monkeypatch.setattr(restore, "namespace_lives", lambda inode: inode == 12345)
    (report,) = restore_all(tmp_path / "run")
    assert report.outcome is Outcome.ELSEWHERE and "another network namespace" in report.warnings[0]
    assert path.exists() and resolv_conf.read_text() != OLD
    heir = Journal.open(path)
    with pytest.raises(HostError, match="belongs to another network namespace"):
        still_to_undo(heir)
    heir.close()
    monkeypatch.setattr(restore, "namespace_lives", lambda inode: False)  # gone, and its routes with it
    assert [report.outcome for report in restore_all(tmp_path / "run")] == [Outcome.RESTORED]
    assert resolv_conf.read_text() == OLD


def test_what_cannot_be_undone_is_kept(tmp_path: Path, resolv_conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    path = crash(tmp_path / "run", resolv_conf)
    with monkeypatch.context() as patch:
        patch.setattr("vpnclient.host.dns.file._replace", refuse)
        (report,) = restore_all(tmp_path / "run")
    assert report.outcome is Outcome.INCOMPLETE and "Read-only file system" in report.warnings[0]
    assert path.exists()
    assert [report.outcome for report in restore_all(tmp_path / "run")] == [Outcome.RESTORED]
    assert resolv_conf.read_text() == OLD


def test_a_directory_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as for anybody but root
    with pytest.raises(HostError, match="cannot read the directory") as caught:
        restore_all(tmp_path)
    assert caught.value.hint == "run it as root"
