"""resolvectl and resolvconf as they are called, with stand-ins that write down their words."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from vpnclient.host.commands import CommandFailed
from vpnclient.host.dns import DnsSettings, detect, resolvconf, resolved
from vpnclient.host.journal import DnsResolvconfEntry, DnsResolvedEntry, Entry

SETTINGS = DnsSettings("tun0", 7, "work", (ip_address("10.0.0.1"),), ("corp.example",), ("lab.example",), False)


class Tool:
    """A shell script of that name, first in PATH.  `said`: one line per call."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path, self._log = folder / name, folder / f"{name}.log"
        self.behave("exit 0")

    def behave(self, how: str) -> None:
        self.path.write_text(f'#!/bin/sh\necho "$*" >> {self._log}\n{how}\n')
        self.path.chmod(0o755)

    @property
    def said(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(detect, "_SEARCH_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def log() -> list[Entry]:
    return []


def test_resolved_is_told_everything_after_the_journal(folder: Path, log: list[Entry]) -> None:
    tool = Tool(folder, "resolvectl")

    def record(*entries: Entry) -> None:
        assert tool.said == []
        log.extend(entries)

    assert resolved.Resolved().apply(SETTINGS, record) == ()
    assert log == [DnsResolvedEntry(7, "tun0")]
    assert tool.said == [
        "dns tun0 10.0.0.1",
        "domain tun0 corp.example ~lab.example",
        "default-route tun0 false",
        "flush-caches",
    ]
    resolved.revert("tun0")
    assert tool.said[-1] == "revert tun0"


def test_an_old_resolved_without_default_route(folder: Path) -> None:
    Tool(folder, "resolvectl").behave('[ $1 != default-route ] || { echo "Unknown command" >&2; exit 1; }')
    assert resolved.Resolved().apply(SETTINGS, lambda *_: None) == (
        "resolvectl default-route tun0 false: Unknown command",
    )


def test_a_resolved_that_refuses(folder: Path) -> None:
    Tool(folder, "resolvectl").behave('echo "Link tun0 is managed." >&2; exit 1')
    with pytest.raises(CommandFailed, match=r"resolvectl dns tun0 10\.0\.0\.1: Link tun0 is managed\."):
        resolved.Resolved().apply(SETTINGS, lambda *_: None)


def test_openresolv(folder: Path, log: list[Entry]) -> None:
    tool = Tool(folder, "resolvconf")
    tool.behave(f'[ "$1" != --version ] || echo "openresolv 3.13.2"; [ "$1" != -a ] || cat > {folder}/record')
    facts = detect.gather("resolvconf", folder / "resolv.conf")
    assert (facts.resolvconf, facts.openresolv) == (str(tool.path), True)
    backend = resolvconf.Resolvconf(facts.resolvconf, openresolv=facts.openresolv)
    assert backend.apply(SETTINGS, lambda *entries: log.extend(entries)) == ()
    assert log == [DnsResolvconfEntry(str(tool.path), "tun0.vpnclient", True)]
    assert (folder / "record").read_text() == "nameserver 10.0.0.1\nsearch corp.example lab.example\n"
    resolvconf.remove(str(tool.path), "tun0.vpnclient", openresolv=True)
    assert tool.said == ["--version", "-a tun0.vpnclient -m 0 -p", "-f -d tun0.vpnclient"]


def test_debians_resolvconf(folder: Path) -> None:
    tool = Tool(folder, "resolvconf")
    tool.behave('[ "$1" != --version ] || exit 99; cat > /dev/null')
    facts = detect.gather("auto", folder / "resolv.conf")
    assert (facts.resolvconf, facts.openresolv) == (str(tool.path), False)
    texts = resolvconf.Resolvconf(facts.resolvconf, openresolv=False).apply(SETTINGS, lambda *_: None)
    assert "cannot do split DNS" in texts[0]
    resolvconf.remove(str(tool.path), "tun0.vpnclient", openresolv=False)
    assert tool.said == ["--version", "-a tun0.vpnclient", "-d tun0.vpnclient"]


def test_resolveds_own_resolvconf_is_none(folder: Path) -> None:
    Tool(folder, "resolvectl")
    (folder / "resolvconf").symlink_to("resolvectl")
    assert detect.find_resolvconf() == ""


def test_facts_of_links_and_nsswitch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nsswitch = folder / "nsswitch.conf"
    monkeypatch.setattr(detect, "NSSWITCH", nsswitch)
    nsswitch.write_text("passwd: files\nhosts: files resolve [!UNAVAIL=return] dns # resolve\n")
    path = folder / "etc" / "resolv.conf"
    path.parent.mkdir()
    path.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    Tool(folder, "resolvectl")
    facts = detect.gather("auto", path)
    assert facts.link == str(folder / "run/systemd/resolve/stub-resolv.conf")
    assert facts.wants_resolved and facts.resolved_answers and not facts.mounted
    assert detect.choose("auto", facts).backend == "resolved"
    Tool(folder, "resolvectl").behave("exit 1")
    nsswitch.write_text("hosts: files dns # resolve\n")
    assert not detect.gather("auto", path).wants_resolved


def test_a_missing_tool_is_named(folder: Path) -> None:
    with pytest.raises(CommandFailed, match="resolvectl revert tun0: No such file"):
        resolved.revert("tun0")
