"""Security associations of ESP: the replay window, rekey and options, over both twins.

Source: ESP notes, sections 5.1, 6.4, 7 and 15.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing.esp import COUNTERS, Kind
from protocols.framing.esp_sa import Cipher, Mac, parse_sa
from tests.protocols.framing.esp_twins import (
    P4,
    P6,
    SPI,
    TWINS,
    NativeTwin,
    Peer,
    Twin,
    counted,
    listening,
    option,
    outcome,
)
from transports.codec import CodecError

GOOD = option(Cipher.AES_128_CBC, Mac.SHA1_96)
GCM = option(Cipher.AES_128_GCM, Mac.NONE)


@pytest.fixture(params=TWINS, ids=lambda make: make.__name__)
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


# --- the replay window: sections 5.1 and 15 ---------------------------------------------------------------------------

WINDOWS = [
    "0 A, 0 R, 3 A, 1 A, 2 A, 2 R, 70 A, 6 O, 7 A, 7 R, 200 A, 136 O, 137 A, 137 R, ffffffff A, ffffffc0 A, "
    "ffffffc0 R, ffffffbf O, 0 O, ffffffff R",
    "5 A, 0 A, 4 A, 5 R, 0 R",
    "100 A, 36 O, 37 A, 101 A, 37 O, 38 A",
    "63 A, 0 A, 64 A, 0 O, 1 A",
    "0 A, 64 A, 0 O, 1 A, 128 A, 64 O, 65 A",
    "fffffffe A, ffffffff A, ffffffff R, fffffffe R, 0 O, 1 O",
    "0 A, ffffffff A, 0 O",
]
VERDICTS = {"A": "esp_authentic", "R": "esp_replay", "O": "esp_old"}


def steps(window: str) -> list[tuple[int, str]]:
    pairs = [step.split() for step in window.split(", ")]
    return [(int(number, 16 if len(number) == 8 else 10), VERDICTS[verdict]) for number, verdict in pairs]


@pytest.mark.parametrize("cipher", [Cipher.AES_128_CBC, Cipher.AES_256_GCM])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_replay_window(twin: Twin, window: str, cipher: Cipher) -> None:
    peer = Peer(cipher, Mac.NONE if cipher is Cipher.AES_256_GCM else Mac.SHA1_96)
    listening(twin, peer)
    for number, verdict in steps(window):
        before = twin.counters()
        twin.feed(peer.send(b"\0", number))
        after = twin.counters()
        assert [name for name in COUNTERS if after[name] != before[name]] == [verdict], number


@pytest.mark.parametrize("gap", [1, 2, 62, 63, 64, 65, 66, 1 << 31, 0xFFFFFF00])
def test_gaps(twin: Twin, gap: int) -> None:
    """Q18: what lies exactly 63 back is inside, 64 back is too old."""
    peer = Peer()
    listening(twin, peer)
    top = 10 + gap
    seen = outcome(twin, [peer.send(b"\0", n) for n in (10, top, 10, top - 63 if top >= 63 else top, top)])
    assert seen.counters["esp_old"] == (gap >= 64)
    assert seen.counters["esp_authentic"] == 3 - (gap == 63 or top < 63)
    assert seen.counters["esp_replay"] == 5 - seen.counters["esp_authentic"] - seen.counters["esp_old"]


def test_replay_protection_switched_off_by_the_server(twin: Twin) -> None:
    """Section 5.1, Q12: obeyed, and counted all the same."""
    peer = Peer()
    twin.set("esp.in", option(Cipher.AES_128_CBC, Mac.SHA1_96, lenient=True))
    seen = outcome(twin, [peer.send(P4, n) for n in (100, 100, 5, 101)])
    assert len(seen.packets) == 4 and counted(seen) == {"esp_replay": 1, "esp_old": 1}


@given(st.lists(st.integers(0, 300) | st.integers(0xFFFFFF00, 0xFFFFFFFF), max_size=60))
def test_the_window_against_a_set_of_numbers(numbers: list[int]) -> None:
    peer, twin = Peer(), NativeTwin()
    listening(twin, peer)
    seen: set[int] = set()
    for number in numbers:
        fresh = number not in seen and (not seen or number > max(seen) - 64)
        before = twin.counters()["esp_authentic"]
        twin.feed(peer.send(b"\0", number))
        assert (twin.counters()["esp_authentic"] > before) == fresh
        seen |= {number} if fresh else set()


# --- rekey: section 7 -----------------------------------------------------------------------------------------------

OTHER = Peer(Cipher.AES_256_GCM, Mac.NONE, SPI + 1)
THIRD = Peer(Cipher.AES_256_CBC, Mac.SHA256_128, SPI + 2)


def test_the_old_sa_is_taken_with_its_own_algorithms_and_window(twin: Twin) -> None:
    """Q13, Q19."""
    old = Peer()
    listening(twin, old)
    seen = outcome(twin, [old.send(P4, 1)])
    twin.set("esp.in", OTHER.option)
    seen = outcome(twin, [old.send(P4, 2), old.send(P4, 1), OTHER.send(P6, 1, header=41), old.send(P4, 3)])
    assert seen.packets == (P4, P6, P4) and counted(seen) == {"esp_replay": 1}
    assert seen.controls == ((Kind.NEW_SA, b""),)  # once, with the first packet of the new one
    assert outcome(twin, [OTHER.send(P4, 2)]).controls == ()


def test_the_old_sa_expires_when_told(twin: Twin) -> None:
    old = Peer()
    listening(twin, old)
    twin.set("esp.in", OTHER.option)
    twin.set("esp.expire-old", b"")
    seen = outcome(twin, [old.send(P4, 2), OTHER.send(P4, 1)])
    assert seen.packets == (P4,) and counted(seen) == {"esp_spi": 1} and not seen.controls


def test_a_second_rekey_before_traffic_drops_the_oldest(twin: Twin) -> None:
    old = Peer()
    for peer in (old, OTHER, THIRD):
        twin.set("esp.in", peer.option)
    seen = outcome(twin, [old.send(P4, 0), OTHER.send(P4, 0), THIRD.send(P4, 0)])
    assert seen.packets == (P4, P4) and counted(seen) == {"esp_spi": 1}


def test_bad_parameters_leave_the_present_sa(twin: Twin) -> None:
    old = Peer()
    listening(twin, old)
    with pytest.raises((MalformedFrame, CodecError)):
        twin.set("esp.in", OTHER.option[:-1])
    assert outcome(twin, [old.send(P4, 1)]).packets == (P4,)


def test_close_forgets_every_sa(twin: Twin) -> None:
    peer = Peer()
    for one in (OTHER, peer):
        twin.set("esp.in", one.option)
    twin.set("esp.out", peer.option)
    twin.set("esp.close", b"")
    assert counted(outcome(twin, [peer.send(P4, 1), OTHER.send(P4, 1)])) == {"esp_spi": 2}
    with pytest.raises((ValueError, CodecError)):
        twin.encode(P4)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("esp.in", b"", "esp.in length: got 0, want at least 8 (byte 0)"),
        ("esp.out", GOOD[:7], "esp.out length: got 7, want at least 8 (byte 0)"),
        ("esp.in", b"\x09" + GOOD[1:], "esp.in cipher: got 9, want 2, 5, 32 or 33 (byte 0)"),
        ("esp.in", GOOD[:1] + b"\0" + GOOD[2:], "esp.in mac: got 0, want 1, 2 or 3 (byte 1)"),
        ("esp.in", GOOD[:1] + b"\x04" + GOOD[2:], "esp.in mac: got 4, want 1, 2 or 3 (byte 1)"),
        ("esp.in", GCM[:1] + b"\x02" + GCM[2:], "esp.in mac: got 2, want 0 (byte 1)"),
        ("esp.in", GOOD[:2] + b"\x02" + GOOD[3:], "esp.in flags: got 2, want 0 or 1 (byte 2)"),
        ("esp.out", GOOD[:2] + b"\x01" + GOOD[3:], "esp.out flags: got 1, want 0 (byte 2)"),
        ("esp.in", GOOD[:3] + b"\x01" + GOOD[4:], "esp.in reserved byte: got 1, want 0 (byte 3)"),
        ("esp.in", GOOD[:4] + bytes(4) + GOOD[8:], "esp.in spi: got 0, want another (byte 4)"),
        ("esp.in", GOOD + b"\0", "esp.in keys: got 37, want 36 (byte 8)"),
        ("esp.out", GCM[:-4], "esp.out keys: got 16, want 20 (byte 8)"),
        ("esp.expire-old", b"\0", "esp.expire-old length: got 1, want 0 (byte 0)"),
        ("esp.close", b"\0", "esp.close length: got 1, want 0 (byte 0)"),
        ("esp.out-sequence", b"\0", "esp.out-sequence length: got 1, want 4 (byte 0)"),
        ("esp.out-sequence", bytes(4), "esp.out-sequence: no outbound sa"),
        ("esp.echo", b"\x05abcdefgh", "esp.echo version: got 5, want 4 or 6 (byte 0)"),
        ("esp.echo", b"\x04abcd", "esp.echo length: got 5, want 6..69 (byte 0)"),
        ("esp.echo", b"\x06" + bytes(81), "esp.echo length: got 82, want 18..81 (byte 0)"),
        ("esp.lzo", b"\0", "esp.lzo length: got 1, want 0 or 2 (byte 0)"),
        ("esp.lzo", b"\0\0", "esp.lzo room: got 0, want 1..16384 (byte 0)"),
        ("esp.lzo", b"\x40\x01", "esp.lzo room: got 16385, want 1..16384 (byte 0)"),
        ("esp.lantern", b"", "framing esp has no option 'esp.lantern'"),
    ],
)
def test_a_bad_option_is_refused_by_name(twin: Twin, name: str, value: bytes, text: str) -> None:
    with pytest.raises((MalformedFrame, CodecError, ValueError)) as refused:
        twin.set(name, value)
    assert str(refused.value) == text


def test_keys_do_not_show() -> None:
    shown = repr(parse_sa("esp.in", GOOD))
    assert "x10" not in shown and "@AB" not in shown and "spi=" in shown
