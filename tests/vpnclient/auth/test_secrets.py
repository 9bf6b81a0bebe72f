"""Where stored secrets come from, and what is refused (auth-helpers sections 1 and 9)."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from protocols.base import Secret
from vpnclient.auth import secrets
from vpnclient.auth.lines import Lines, SecretSourceFailed
from vpnclient.auth.secrets import SecretSource, SourceKind, fetch
from vpnclient.errors import Exit, explain


def get(kind: SourceKind, *argument: str, environ: dict[str, str] | None = None, stdin: bytes = b"") -> Secret | None:
    given = dict(os.environ) if environ is None else environ
    return fetch(SecretSource(kind, argument), environ=given, stdin=Lines(io.BytesIO(stdin)))


def run(code: str, environ: dict[str, str] | None = None) -> Secret | None:
    return get(SourceKind.COMMAND, sys.executable, "-c", code, environ=environ)


def test_prompt_means_nothing_is_known() -> None:
    assert get(SourceKind.PROMPT) is None


def test_a_variable_is_taken_away() -> None:
    environ = {"PW": "s3cret"}
    assert get(SourceKind.ENV, "PW", environ=environ) == Secret("s3cret")
    assert not environ
    with pytest.raises(SecretSourceFailed, match="PW is not set") as caught:
        get(SourceKind.ENV, "PW", environ=environ)
    assert explain(caught.value).code == "secret-source-failed"
    assert explain(caught.value).exit_code is Exit.INPUT_NEEDED


def test_standard_input() -> None:
    assert get(SourceKind.STDIN, stdin=b"s3cret\nnext\n") == Secret("s3cret")
    with pytest.raises(SecretSourceFailed, match="ended where the password was expected"):
        get(SourceKind.STDIN)


def test_a_command_gives_its_first_line() -> None:
    assert run("print('s3cret \\r'); print('login: alice')") == Secret("s3cret ")


def test_a_command_sees_our_environment_only() -> None:
    assert run("import os; print('|'.join(sorted(os.environ)))", {"A": "1", "LC_CTYPE": "C"}) == Secret("A|LC_CTYPE")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "gave nothing"),
        ("print()", "gave nothing"),
        ("print('s3cret'); raise SystemExit(3)", "exit status 3"),
        ("print('s3\\0cret')", "contains a NUL byte"),
        ("import sys; sys.stdout.buffer.write(b's3cret\\xff')", "not UTF-8"),
        ("print('s3cret' * 20000)", "more than 65536 bytes"),
        ("while True: print('s3cret' * 1000)", "more than 65536 bytes"),
    ],
)
def test_a_command_that_fails(code: str, said: str) -> None:
    with pytest.raises(SecretSourceFailed, match=said) as caught:
        get(SourceKind.COMMAND, sys.executable, "-c", code.replace("s3cret", "s3" + "cret"))
    assert str(caught.value).startswith("command ")


def test_a_command_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", 0.2)
    with pytest.raises(SecretSourceFailed, match="no answer within"):
        run("import time; time.sleep(60)")


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(SecretSourceFailed, match="No such file"):
        get(SourceKind.COMMAND, "/nonexistent/program")


def test_no_shell_sees_the_command() -> None:
    assert get(SourceKind.COMMAND, "/bin/echo", "$HOME;", "a b") == Secret("$HOME; a b")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_bytes(b" s3cret\n\n")
    path.chmod(0o600)
    assert get(SourceKind.FILE, str(path)) == Secret(" s3cret\n")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "pw"
    path.write_bytes(b"s3cret\n")
    path.chmod(mode)
    with pytest.raises(SecretSourceFailed, match=f"others may read it .mode {mode:04o}") as caught:
        get(SourceKind.FILE, str(path))
    assert caught.value.hint.startswith("chmod 600 ")


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "gave nothing"), (b"\n", "gave nothing"), (b"a\0b", "NUL"), (b"x" * 65537, "more than")]
)
def test_a_file_that_holds_no_secret(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "pw"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretSourceFailed, match=said):
        get(SourceKind.FILE, str(path))


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SecretSourceFailed, match=str(path)):
            get(SourceKind.FILE, str(path))
    with pytest.raises(SecretSourceFailed, match="not a regular file"):
        get(SourceKind.FILE, "/dev/null")


def test_describe_names_the_place_only() -> None:
    assert SecretSource(SourceKind.COMMAND, ("pass", "show", "a b")).describe() == "command: pass show 'a b'"
    assert SecretSource(SourceKind.STDIN).describe() == "stdin"
