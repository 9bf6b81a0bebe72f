"""What a configuration's reader drops is told, and what it keeps is kept once."""

from __future__ import annotations

from protocols.notes import MAX_WARNINGS, Notes


def test_the_same_is_told_once_and_the_rest_counted() -> None:
    notes = Notes()
    for number in range(MAX_WARNINGS + 3):
        notes.warn("route", f"ignored {number}")
        notes.warn("route", f"ignored {number}")
    assert notes.texts()[0] == "route: ignored 0" and len(notes.texts()) == MAX_WARNINGS + 1
    assert notes.texts()[-1] == "and 6 more like these"  # what is no longer kept cannot be told apart


def test_what_can_be_read_is_kept_once() -> None:
    notes = Notes()
    assert notes.distinct((("a", "2"), ("b", "x"), ("c", "1"), ("d", "02")), int, 5) == (2, 1)
    assert notes.texts() == ("b: ignored: invalid literal for int() with base 10: 'x'",)


def test_what_is_too_much_is_dropped_with_all_behind_it() -> None:
    notes = Notes()
    assert notes.distinct((("n", str(number)) for number in range(9)), int, 3) == (0, 1, 2)
    assert notes.texts() == ("n: more than 3: the rest is ignored",)
