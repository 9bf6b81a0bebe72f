"""Texts of gateways before they reach a terminal (cli-parity.md section 10)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.text import MAX_TEXT, clean, one_line, printable


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Welcome\r\nto the lab\r", "Welcome\nto the lab"),
        ("\x1b[31mred\x1b[0m alert", "red alert"),
        ("\x1b]0;title\x07text", "text"),
        ("\x9b2Jgone", "gone"),
        ("a\x00b\x07c\x7f", "abc"),
        ("\u202eevil\u2066", "evil"),
        ("tab\tstays", "tab\tstays"),
        ("\x1bcreset", "reset"),
        ("\x1b[", ""),
    ],
)
def test_what_a_terminal_could_obey_is_taken_out(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text())
def test_nothing_but_text_tabs_and_line_feeds_is_left(raw: str) -> None:
    shown = clean(raw)
    assert len(shown) <= MAX_TEXT
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n"]
    assert "\n" not in one_line(raw)


def test_long_texts_are_cut() -> None:
    assert len(clean("x" * 1_000_000)) == MAX_TEXT


@given(st.binary())
def test_text_frames_are_printable(data: bytes) -> None:
    assert printable(data).isprintable()


def test_bytes_that_cannot_be_shown_are_dots() -> None:  # section 4
    assert printable(b"bye\x00\xff\n!") == "bye...!"
