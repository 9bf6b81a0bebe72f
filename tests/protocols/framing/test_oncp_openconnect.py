"""oNCP as Debian's openconnect 9.01 sent it to the lab gateway: read and rebuilt by both twins."""

from __future__ import annotations

import pytest

from protocols.framing.oncp import Kind
from tests.protocols.framing.captures import assert_pings, capture
from tests.protocols.framing.test_oncp import native_twin, python_twin
from tests.protocols.framing.twins import MakeTwin, in_steps, outcome

CAPTURE = capture("nc-tls")
TWINS = [python_twin, native_twin]
STREAM = b"".join(CAPTURE)
MTU = bytes.fromhex("00060000000a00020000000400000578")  # 1400


@pytest.mark.parametrize("maker", TWINS)
@pytest.mark.parametrize("pieces", [CAPTURE, in_steps(STREAM, 1), in_steps(STREAM, 7)], ids=["reads", "1", "7"])
def test_everything_is_understood(maker: MakeTwin, pieces: list[bytes]) -> None:
    seen = outcome(maker(64), pieces)
    assert len(seen.packets) == 2
    assert_pings(seen.packets)
    assert seen.controls == ((Kind.CONTROL, MTU),)
    assert seen.counted() == {"oncp_ipv6": 2} and seen.error == ""  # 9.01 sends what its kernel gives it


@pytest.mark.parametrize("maker", TWINS)
def test_our_encoders_make_the_same_bytes(maker: MakeTwin) -> None:
    twin = maker(64)
    seen = outcome(maker(64), CAPTURE)
    frames = [*(twin.encode_control(kind, payload) for kind, payload in seen.controls), *map(twin.encode, seen.packets)]
    assert frames == [CAPTURE[0], *CAPTURE[2:4]]
