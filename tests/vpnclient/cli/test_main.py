"""The program around its commands: overview, version, unknown words, profiles, restore."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.vpnclient.auth.terminals import terminal
from vpnclient import __version__
from vpnclient.cli.main import COMMANDS, app
from vpnclient.errors import Exit
from vpnclient.host import restore as restoring
from vpnclient.host.restore import Outcome, RestoreReport


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VPNCLIENT_PROFILE_DIR", str(tmp_path))
    return tmp_path


def test_help_names_every_command() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert name in result.stdout and line.split(",")[0][:30] in result.stdout


def test_without_a_command_the_overview_and_a_usage_status() -> None:
    result = invoke()
    assert result.exit_code == Exit.USAGE and "connect" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0 and "Usage: " in result.stdout
    assert "--install-completion" not in result.stdout


@pytest.mark.parametrize("words", [("--version",), ("-V",), ("version",)])
def test_version(words: tuple[str, ...]) -> None:
    result = invoke(*words)
    assert result.exit_code == 0 and result.stdout.startswith(f"vpnclient {__version__} ")
    assert "protocols: anyconnect" in result.stdout


@pytest.mark.parametrize(
    ("word", "hint"), [("conect", "did you mean vpnclient connect?"), ("vpn.test", "vpnclient connect vpn.test")]
)
def test_an_unknown_command(word: str, hint: str) -> None:
    result = invoke(word)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith(f"error: no such command: '{word}'\nhint: ") and hint in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("connect", "--quiet=yes", "h"), "connect"),
        (("profile", "show"), "profile show"),
        (("lab", "demo", "--seconds", "0.5"), "lab demo"),  # iperf3 would take it for no end
    ],
)
def test_a_wrong_use_leads_to_the_help_of_that_command(words: tuple[str, ...], hint: str) -> None:
    result = invoke(*words)
    assert result.exit_code == Exit.USAGE and result.stderr.endswith(f"\nhint: see vpnclient {hint} --help\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("lab", "serve", "foo"), "there is vpnclient lab serve anyconnect"),
        (("profile", "shw"), "there is vpnclient profile show\n"),
        (("profile", "x"), "there is vpnclient profile list | show | check"),
    ],
)
def test_an_unknown_command_of_a_group(words: tuple[str, ...], hint: str) -> None:
    result = invoke(*words)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith(f"error: no such command: '{words[-1]}'\n") and hint in result.stderr


def test_profiles_in_a_pipe(folder: Path) -> None:
    (folder / "work.yaml").write_text("server: vpn.test\ntitle: Work\n")
    (folder / "bad.yaml").write_text("usr: x\n")
    (folder / "empty.yaml").write_text("")
    result = invoke("profile", "list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"bad\t(invalid)\t2 problems; see profile check\t{folder}/bad.yaml",
        f"empty\t(invalid)\t1 problem; see profile check\t{folder}/empty.yaml",
        f"work\tvpn.test\tWork\t{folder}/work.yaml",
    ]


def test_no_profiles(folder: Path) -> None:
    result = invoke("profile", "list")
    assert (result.exit_code, result.stdout) == (0, "") and str(folder) in result.stderr


def test_show_hides_secrets(folder: Path) -> None:
    (folder / "work.yaml").write_text(
        "server: vpn.test\npassword: {file: /etc/pw}\nproxy: http://u:hunter2@p:1\n"
        "form: {main: {a: hunter2}}\nipv6: no\nreconnect-timeout: forever\n"
    )
    result = invoke("profile", "show", "work")
    assert "hunter2" not in result.stdout
    assert result.stdout.splitlines() == [
        f"(file)\t{folder}/work.yaml",
        "server\tvpn.test",
        "password\tfile: /etc/pw",
        "form\tmain:a=...",
        "proxy\thttp://...@p:1",
        "reconnect-timeout\tforever",
        "ipv6\tfalse",
    ]


def test_check(folder: Path) -> None:
    good, bad = folder / "good.yaml", folder / "bad.yaml"
    good.write_text("server: vpn.test\n")
    assert invoke("profile", "check").stdout == f"{good}: good\n"
    bad.write_text("server: vpn.test\nmtu: x\nusr: y\n")
    for words in ((), ("good", "bad"), ("good", str(bad))):
        result = invoke("profile", "check", *words)
        assert result.exit_code == Exit.USAGE
        assert f"{bad}:2: mtu: " in result.stdout and f"{bad}:3: usr: " in result.stdout
    assert "did you mean good?" in invoke("profile", "check", "goood").stderr


def test_a_profile_that_is_not_there(folder: Path) -> None:
    result = invoke("profile", "show", "nothing")
    assert result.exit_code == Exit.USAGE and f"error: no profile 'nothing' in {folder}" in result.stderr


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Outcome.RESTORED, 0), (Outcome.IN_USE, 0), (Outcome.INCOMPLETE, Exit.HOST), (Outcome.DAMAGED, Exit.HOST)],
)
def test_restore(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, code: int) -> None:
    report = RestoreReport("work", Path("/x"), outcome, 42, ("route 10.0.0.0/8",), ("odd",))
    monkeypatch.setattr(restoring, "restore_all", lambda: [report])
    result = invoke("restore")
    assert result.exit_code == code
    owner = " by process 42" if outcome is Outcome.IN_USE else ""
    assert result.stdout == f"work: {outcome}{owner}\n  undone: route 10.0.0.0/8\n  warning: odd\n"


def test_nothing_to_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "restore_all", lambda: [])
    assert invoke("restore").stdout == "nothing to restore\n"


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vpnclient", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_profile_names_are_completed(folder: Path) -> None:
    (folder / "work.yaml").write_text("server: vpn.test\n")
    found = program(
        "connect", "w", _VPNCLIENT_COMPLETE="complete_bash", COMP_WORDS="vpnclient connect w", COMP_CWORD="2"
    )
    assert found.stdout.split() == ["work"]


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "vpnclient", "version"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_no_bug_of_ours(unbuffered: str) -> None:
    command = [sys.executable, "-m", "vpnclient", "version"]
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=environ)
    assert done.stderr.startswith("error: ") and done.stderr.endswith("no space left on device\n")
    assert done.stderr.count("\n") == 1 and done.returncode == Exit.SYSTEM


def test_tables_on_a_terminal(folder: Path) -> None:
    (folder / "work.yaml").write_text("server: vpn.test\ntitle: '[b]Work[/b]'\n")
    with terminal() as screen:
        subprocess.run(
            [sys.executable, "-m", "vpnclient", "profile", "list"],
            stdout=screen.err.fileno(),
            env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
            timeout=60,
            check=True,
        )
        shown = screen.rest()
    assert "gateway" in shown and "[b]Work[/b]" in shown and "\t" not in shown


def test_closed_streams_lead_nowhere() -> None:
    """Without them the status would be that of a bug, and the next descriptor opened would get our messages."""
    command = f"{sys.executable} -m vpnclient connect https://127.0.0.1:x/ <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], timeout=60).returncode == Exit.USAGE
    command = f"{sys.executable} -m vpnclient profile show nothing 2>&1 <&-"
    said = subprocess.run(["/bin/sh", "-c", command], timeout=60, capture_output=True, text=True).stdout
    assert said.startswith("error: no profile 'nothing'")
