"""Lines of standard input: caps, chunks and waking."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest

from vpnclient.auth.lines import MAX_LINE, Lines, SecretSourceFailed, Woken
from vpnclient.errors import Exit, explain


@pytest.fixture
def pipe() -> Iterator[tuple[Lines, int]]:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as stream:
        yield Lines(stream), writer


def test_lines_of_a_stream() -> None:
    lines = Lines(io.BytesIO(b"one\r\ntwo\n\nlast without end"))
    assert [lines.next() for _ in range(5)] == ["one", "two", "", "last without end", None]


def test_lines_of_a_pipe_in_pieces(pipe: tuple[Lines, int]) -> None:
    lines, writer = pipe
    os.write(writer, b"a\nb\nc")
    assert [lines.next(), lines.next()] == ["a", "b"]
    os.write(writer, b"d\n")
    assert lines.next() == "cd"
    os.close(writer)
    assert lines.next() is None


def test_the_longest_line_and_one_more_byte() -> None:
    assert Lines(io.BytesIO(b"x" * MAX_LINE + b"\n")).next() == "x" * MAX_LINE
    for text in (b"x" * (MAX_LINE + 1) + b"\n", b"x" * 100_000):
        with pytest.raises(SecretSourceFailed, match="secret too long") as caught:
            Lines(io.BytesIO(text)).next()
        assert explain(caught.value).exit_code is Exit.INPUT_NEEDED


@pytest.mark.parametrize(("raw", "said"), [(b"se\0cret\n", "NUL"), (b"secret\xff\n", "not UTF-8 .byte 6")])
def test_what_no_secret_may_hold(raw: bytes, said: str) -> None:
    with pytest.raises(SecretSourceFailed, match=said) as caught:
        Lines(io.BytesIO(raw)).next()
    assert "cret" not in str(caught.value) and caught.value.__cause__ is None


def test_waking_ends_a_read(pipe: tuple[Lines, int]) -> None:
    lines, writer = pipe
    woken, waker = os.pipe()
    os.write(waker, b"x")
    with pytest.raises(Woken):
        lines.next(woken)
    for descriptor in (writer, woken, waker):
        os.close(descriptor)


def test_a_pipe_is_no_terminal(pipe: tuple[Lines, int]) -> None:
    assert pipe[0].terminal is None
    os.close(pipe[1])
    assert Lines(io.BytesIO()).terminal is None
