"""--config FILE, as openconnect reads it, and its errors with their lines (cli-parity sections 1 and 10)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnclient.cli.arguments import unfold
from vpnclient.cli.options import CONNECT
from vpnclient.errors import UsageError


def test_a_file_is_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_bytes(
        b"# comment\n\n  user alice smith  \nauthgroup=G\r\nmtu = 1300\nnon-inter\n"
        b"\tform-entry main:a=b=c\ntcp-keepalive\n"
    )
    assert unfold(["-u", "bob", "--config", str(path), "h"], CONNECT) == [
        "-u", "bob", "--user=alice smith  ", "--authgroup=G", "--mtu=1300", "--non-inter", "--form-entry=main:a=b=c",
        "--tcp-keepalive=60", "h",
    ]  # fmt: skip
    assert unfold([f"--config={path}"], CONNECT)[0] == "--user=alice smith  "


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"user a\nusr b\n", ":2: unknown option 'usr'; did you mean user"),
        (b"u b\n", ":1: unknown option 'u'"),
        (b"user\n", ":1: user: needs a value"),
        (b"non-inter yes\n", ":1: non-inter: takes no value"),
        (b"\nconfig other\n", ":2: config: a configuration file cannot name another one"),
        (b"user a\0b\n", ":1: contains a NUL byte"),
        (b"user \xff\n", ":1: not UTF-8 .byte 6 of the line"),
        (b"#" * 65537, ":1: 65537 bytes, a line has at most 65536"),
        (b"#\n" * 600_000, ": more than 1048576 bytes"),
    ],
)
def test_a_bad_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "conf"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        unfold(["--config", str(path)], CONNECT)
    assert str(path) in str(caught.value)


def test_no_file() -> None:
    with pytest.raises(UsageError, match="--config: needs a file name"):
        unfold(["--config"], CONNECT)
    with pytest.raises(UsageError, match="No such file"):
        unfold(["--config", "/nonexistent"], CONNECT)


def test_a_value_that_looks_like_an_option_is_a_value() -> None:
    for words in (
        ["--user", "--config", "h"],
        ["-u", "--config", "h"],
        ["--", "--config", "h"],
        ["-u", "--tcp-keepalive"],
    ):
        assert unfold(words, CONNECT) == words


@given(st.binary(max_size=100))
def test_any_bytes_are_arguments_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_bytes(raw)
    try:
        assert all(word.startswith("--") for word in unfold(["--config", str(path)], CONNECT))
    except UsageError as exc:
        assert f"{path}:" in str(exc)
