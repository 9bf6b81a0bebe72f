"""Groups of attributes, against every way to lie about a length (section 5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConfigurationRefused
from protocols.nc import kmp
from protocols.nc.kmp import MAX_ATTRIBUTES, Attribute, number, read, write
from tests.protocols.nc.vectors import J2_PAYLOAD
from tests.protocols.refusals import refused

GROUPS = st.lists(
    st.tuples(st.integers(0, 65535), st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=20)), max_size=5)),
    max_size=5,
)


@given(GROUPS)
def test_what_is_written_is_read_again(groups: list[tuple[int, list[tuple[int, bytes]]]]) -> None:
    flat = [Attribute(group, attribute, value) for group, inside in groups for attribute, value in inside]
    assert read(write(groups)) == flat


@given(st.binary(max_size=300))
def test_any_bytes_are_attributes_or_refused(data: bytes) -> None:
    try:
        assert all(isinstance(found, Attribute) for found in read(data))
    except ConfigurationRefused as exc:
        assert exc.code == "oncp-bad-config"


def test_every_truncation_is_refused_or_ends_between_two_groups() -> None:
    whole = read(J2_PAYLOAD)
    clean = 0
    for end in range(len(J2_PAYLOAD)):
        try:
            found = read(J2_PAYLOAD[:end])
        except ConfigurationRefused as exc:
            assert "want" in str(exc)
        else:
            clean += 1
            assert found == whole[: len(found)]
    assert clean == 7  # nothing, and behind each of six groups


@pytest.mark.parametrize(
    "data, text",
    [
        (b"\x00\x01\x00\x00\x00\xff", r"group 1: got a length of 255 at byte 6, want at most 0"),
        (b"\x00\x01\xff\xff\xff\xff" + bytes(8), r"group 1: got a length of 4294967295"),
        (b"\x00\x01\x00", r"group: got 3 bytes at byte 0, want a head of 6"),
        (b"\x00\x01\x00\x00\x00\x03abc", r"attribute of group 1: got 3 bytes at byte 0, want a head of 6"),
        (b"\x00\x01\x00\x00\x00\x07\x00\x02\x00\x00\x00\x02a", r"attribute of group 1 2: got a length of 2"),
    ],
)
def test_a_lie_is_named_with_its_place(data: bytes, text: str) -> None:
    with refused(ConfigurationRefused, match=text):
        read(data)


def test_attributes_are_capped_and_sized() -> None:
    many = write([(9, [(1, b"")] * MAX_ATTRIBUTES)])
    assert len(read(many)) == MAX_ATTRIBUTES
    with refused(ConfigurationRefused, match=f"more than {MAX_ATTRIBUTES} attributes"):
        read(many + write([(9, [(1, b"")])]))
    with refused(ConfigurationRefused, match="attribute 8/4: got 4 bytes, want 2"):
        number(Attribute(8, 4, bytes(4)), 2)
    assert kmp.HEAD.size == 6
