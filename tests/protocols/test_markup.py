"""Trees of documents that anybody may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import markup
from protocols.errors import MalformedAnswer

READERS = (markup.xml, markup.html)


def test_sloppy_documents_are_read() -> None:
    root = markup.xml(b"\n\n<a><b>one</c><b>two</b>", code="bad", limit=100)
    assert markup.local_name(root) == "a" and markup.text(next(markup.children(root))).startswith("one")
    page = markup.html(b"<p>Hello <b>you", code="bad", limit=100)
    assert markup.text(page) == "Hello you"
    assert markup.text(None) == ""


def test_a_namespace_is_no_part_of_the_name() -> None:
    assert markup.local_name(markup.xml(b'<x:a xmlns:x="urn:x"/>', code="bad", limit=100)) == "a"


@pytest.mark.parametrize("read", READERS)
def test_size_and_depth_are_capped(read: object) -> None:
    assert callable(read)
    with pytest.raises(MalformedAnswer, match=r"^[a-z]+ of 101 bytes, want at most 100"):
        read(b"x" * 101, code="bad", limit=100)
    with pytest.raises(MalformedAnswer, match=f"deeper than {markup.MAX_DEPTH}"):
        read(b"<div>" * 70 + b"</div>" * 70, code="bad", limit=10_000)


@pytest.mark.parametrize("body", [b"", b" ", b"hello"])
def test_what_is_no_xml_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match=r"^unparsable XML"):
        markup.xml(body, code="bad", limit=100)


def test_document_types_and_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "lol">]><a>&x;</a>'
    with pytest.raises(MalformedAnswer, match="document type"):
        markup.xml(bomb, code="bad", limit=100)


@given(st.one_of(st.binary(max_size=300), st.text("<>/ab&;!\"'= ", max_size=100).map(str.encode)))
def test_anything_gives_a_tree_or_the_callers_error(body: bytes) -> None:
    for read in READERS:
        try:
            markup.text(read(body, code="bad", limit=1000))
        except MalformedAnswer as exc:
            assert exc.code == "bad"
