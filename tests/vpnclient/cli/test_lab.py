"""`vpnclient lab serve` refuses what it cannot serve, in one line, before it listens."""

from __future__ import annotations

import io
import sys

import pytest

from vpnclient.cli import lab
from vpnclient.errors import UsageError


@pytest.mark.parametrize(
    "text, wanted",
    [("192.0.2.1:443", ("192.0.2.1", 443)), ("[::1]:0", ("::1", 0)), ("127.0.0.1:65535", ("127.0.0.1", 65535))],
)
def test_listen(text: str, wanted: tuple[str, int]) -> None:
    assert lab.host_and_port(text) == wanted


@pytest.mark.parametrize("text", ["", "443", "localhost:443", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":443"])
def test_listen_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="--listen: got"):
        lab.host_and_port(text)


def test_a_password_a_line_for_each_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
    users = lab.read_users(["a", "b"], True)
    assert {name: secret.reveal() for name, secret in users.items()} == {"a": "one", "b": "two"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    with pytest.raises(UsageError, match="got 1 passwords, want 2, one a line"):
        lab.read_users(["a", "b"], True)


def test_without_a_terminal_it_says_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(UsageError) as caught:
        lab.read_users(["a"], False)
    assert caught.value.hint == "add --password-stdin"


def test_addresses_are_named_by_their_option() -> None:
    with pytest.raises(UsageError, match=r"--route: '10.0.0.0/33' does not appear"):
        lab.parse_all("--route", ["10.0.0.0/33"], lab.ipaddress.ip_network)


def test_log_lines_are_single_and_printable(capsys: pytest.CaptureFixture[str]) -> None:
    lab._log("a\nb\x1b[0m")
    assert capsys.readouterr().err == "a.b.[0m\n"
