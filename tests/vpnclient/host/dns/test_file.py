"""A plain resolv.conf: what is written, and that only our own writing is taken back (host-config 3.3)."""

from __future__ import annotations

import base64
import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from vpnclient.host.dns import DnsSettings
from vpnclient.host.dns.file import ResolvConfFile, render, restore
from vpnclient.host.journal import DnsFileEntry, Entry

OLD = "# home\noptions edns0\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch home.example\n"


def settings(
    *servers: str, search: tuple[str, ...] = (), split: tuple[str, ...] = (), everything: bool = True
) -> DnsSettings:
    addresses = tuple(ip_address(text) for text in servers)
    return DnsSettings("tun0", 7, "work", addresses, search, split, everything)


class Log:
    """Stands in for Journal.record; notes what the file was when each entry came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[DnsFileEntry] = []

    def __call__(self, *entries: Entry) -> None:
        for entry in entries:
            assert isinstance(entry, DnsFileEntry)
            if self.path.exists():
                assert self.path.read_bytes() == base64.b64decode(entry.old) or self.entries  # before the change
            self.entries.append(entry)

    def undo(self) -> list[str]:
        return [text for entry in reversed(self.entries) if (text := restore(entry))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(OLD)
    path.chmod(0o640)
    return path


def test_all_names_to_the_tunnel() -> None:
    text, added = render(OLD, settings("10.0.0.1", "fd00::1", search=("corp.example",)), 17)
    assert text.splitlines() == [
        "# Written by vpnclient for profile work, process 17; what was here before comes back when it ends.",
        "# home",
        "options edns0",
        "nameserver 10.0.0.1",
        "nameserver fd00::1",
        "search corp.example home.example",
    ]
    assert added == [text.splitlines()[i] for i in (0, 3, 4, 5)]


def test_old_servers_stay_behind_ours_in_a_split_tunnel() -> None:
    text, _added = render(OLD, settings("10.0.0.1", "10.0.0.2", everything=False), 17)
    assert text.splitlines()[3:] == [
        "nameserver 10.0.0.1",
        "nameserver 10.0.0.2",
        "nameserver 192.0.2.53",
        "search home.example",
    ]


def test_limits_of_libc() -> None:
    many = tuple(f"{'d' * 60}{i}.example" for i in range(20))
    text, _added = render("", settings(*(f"10.0.0.{i}" for i in range(9)), search=many), 17)
    lines = text.splitlines()
    assert sum(line.startswith("nameserver") for line in lines) == 3
    assert len(lines[-1].removeprefix("search ")) <= 256


def test_applied_and_given_back(path: Path) -> None:
    log = Log(path)
    assert ResolvConfFile(path).apply(settings("10.0.0.1"), log) == ()
    assert "nameserver 10.0.0.1" in path.read_text() and path.stat().st_mode & 0o777 == 0o640
    assert log.undo() == [] and path.read_text() == OLD and path.stat().st_mode & 0o777 == 0o640
    assert log.undo() == [] and path.read_text() == OLD  # again: nothing to do
    assert list(path.parent.iterdir()) == [path]


def test_split_dns_is_refused_loudly(path: Path) -> None:
    texts = ResolvConfFile(path).apply(settings("10.0.0.1", split=("corp.example",), everything=False), Log(path))
    assert "cannot do split DNS" in texts[0]


def test_no_split_dns_asked_for_no_warning(path: Path) -> None:
    assert ResolvConfFile(path).apply(settings("10.0.0.1", everything=False), Log(path)) == ()


def test_changed_settings_are_written_over_the_original(path: Path) -> None:
    log, backend = Log(path), ResolvConfFile(path)
    backend.apply(settings("10.0.0.1"), log)
    backend.apply(settings("10.0.0.2"), log)
    backend.apply(settings("10.0.0.2"), log)
    assert len(log.entries) == 2 and "10.0.0.1" not in path.read_text()
    assert log.undo() == [] and path.read_text() == OLD


def test_a_link_is_replaced_and_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "run" / "real.conf"
    target.parent.mkdir()
    target.write_text(OLD)
    path = tmp_path / "resolv.conf"
    path.symlink_to("run/real.conf")
    log, backend = Log(path), ResolvConfFile(path)
    backend.apply(settings("10.0.0.1"), log)
    assert not path.is_symlink() and target.read_text() == OLD
    backend.apply(settings("10.0.0.2"), log)
    target.write_text("nameserver 192.0.2.99\n")  # its owner goes on meanwhile
    assert log.undo() == []
    assert os.readlink(path) == "run/real.conf"


def test_a_link_to_nothing_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.symlink_to("missing")
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    assert not path.is_symlink()
    assert log.undo() == [] and os.readlink(path) == "missing"


def test_a_missing_file_is_missing_again(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    assert path.exists()
    assert log.undo() == [] and not path.exists()


def test_another_programs_file_is_left(path: Path) -> None:
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    path.write_text("nameserver 192.0.2.77\n")
    assert "another program" in log.undo()[0]
    assert path.read_text() == "nameserver 192.0.2.77\n"


def test_only_our_lines_are_taken_out_of_an_edited_file(path: Path) -> None:
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    path.write_text(path.read_text() + "nameserver 192.0.2.77\n")
    assert "only our lines" in log.undo()[0]
    assert path.read_text() == "# home\noptions edns0\nnameserver 192.0.2.77\n"


def test_an_edited_file_is_never_left_without_servers(path: Path) -> None:
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    path.write_text(path.read_text() + "# hello\n")
    log.undo()
    assert "nameserver 192.0.2.53" in path.read_text() and "10.0.0.1" not in path.read_text()


def test_a_removed_file_is_not_made_again(path: Path) -> None:
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    path.unlink()
    assert "is gone" in log.undo()[0] and not path.exists()


def test_a_crash_before_the_write_leaves_nothing_to_undo(path: Path) -> None:
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    path.write_text(OLD)
    assert log.undo() == [] and path.read_text() == OLD


def test_bytes_that_are_no_text_survive(path: Path) -> None:
    path.write_bytes(b"# \xff\xfe\nnameserver 192.0.2.53\n")
    log = Log(path)
    ResolvConfFile(path).apply(settings("10.0.0.1"), log)
    assert b"# \xff\xfe\n" in path.read_bytes()
    assert log.undo() == [] and path.read_bytes() == b"# \xff\xfe\nnameserver 192.0.2.53\n"
