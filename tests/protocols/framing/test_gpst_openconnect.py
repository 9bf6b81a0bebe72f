"""GPST as Debian's openconnect 9.01 sent it to the lab gateway: read and rebuilt by both twins."""

from __future__ import annotations

import pytest

from protocols.framing.gpst import Kind
from tests.protocols.framing.captures import assert_pings, assert_solicitation, capture
from tests.protocols.framing.test_gpst import native_twin, python_twin
from tests.protocols.framing.twins import MakeTwin, in_steps, outcome

CAPTURE = capture("gp-tls")
TWINS = [python_twin, native_twin]
STREAM = b"".join(CAPTURE)


@pytest.mark.parametrize("maker", TWINS)
@pytest.mark.parametrize("pieces", [CAPTURE, in_steps(STREAM, 1), in_steps(STREAM, 7)], ids=["reads", "1", "7"])
def test_everything_is_understood(maker: MakeTwin, pieces: list[bytes]) -> None:
    seen = outcome(maker(64), pieces)
    first, *pings, last = seen.packets
    assert_solicitation(first)
    assert_solicitation(last)
    assert len(pings) == 2
    assert_pings(pings)
    assert seen.controls == ((Kind.KEEPALIVE, b""),) * 2
    assert seen.counted() == {} and seen.error == ""


@pytest.mark.parametrize("maker", TWINS)
def test_our_encoders_make_the_same_bytes(maker: MakeTwin) -> None:
    twin = maker(64)
    seen = outcome(maker(64), CAPTURE)
    frames = [*map(twin.encode, seen.packets), *(twin.encode_control(kind, payload) for kind, payload in seen.controls)]
    assert sorted(frames) == sorted(CAPTURE)
