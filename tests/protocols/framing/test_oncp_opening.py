"""The beginning of an oNCP stream: status, the first configuration, packets in the midst of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConfigurationRefused, MalformedFrame
from protocols.framing import oncp_opening
from protocols.framing.oncp_opening import Opening, hostname_record, is_foreign
from tests.protocols.framing.test_oncp import DATA, J2, J5, KEYS, TWINS, borders, kmp, record, records
from tests.protocols.framing.twins import cut, in_steps, outcome, wild_cuts
from tests.transports.packets import ipv4

J2_WHOLE = bytes.fromhex("010000") + J2  # as in the notes, section 13
CONFIGURATION = J2[22:]


def fed(chunks: Sequence[bytes]) -> Opening:
    """Feeds until it is decided; what is left over goes behind the rest, as a link's owner would have it."""
    opening = Opening()
    for i, chunk in enumerate(chunks):
        if opening.feed(chunk):
            opening.rest += b"".join(chunks[i + 1 :])
            break
    return opening


def test_j1_the_hostname_record() -> None:
    assert hostname_record("labhost") == bytes.fromhex("1400000400000007006c6162686f7374bb0100000000")
    with pytest.raises(ValueError, match="want <= 255"):
        hostname_record("x" * 256)


def test_j2_for_every_size_of_chunk() -> None:
    for step in range(1, len(J2_WHOLE) + 1):
        opening = fed(in_steps(J2_WHOLE, step))
        assert opening.configuration == CONFIGURATION and opening.status == 0 and opening.rest == b"", step


def test_status_and_configuration_in_one_record() -> None:
    """Q3: one length for both."""
    assert fed([record(b"\0" + J2[2:])]).configuration == CONFIGURATION
    assert fed([record(b"\0" + J2[2:12]) + record(J2[12:])]).configuration == CONFIGURATION


@pytest.mark.parametrize(
    ("wire", "status", "reason"),
    [
        ("010008", 8, None),
        ("0100ff", 255, None),
        ("000001", None, 1),
        ("010000 000008", 0, 8),
    ],
)
def test_refusals_and_ends(wire: str, status: int | None, reason: int | None) -> None:
    data = bytes.fromhex(wire)
    opening = Opening()
    assert [opening.feed(data[i : i + 1]) for i in range(len(data))] == [False] * (len(data) - 1) + [True]
    assert (opening.status, opening.reason, opening.configuration) == (status, reason, None)


def test_packets_in_the_midst_of_the_configuration_are_dropped() -> None:
    """Q9."""
    message = J2[2:]
    between = record(DATA) + J5 + record(kmp(300, ipv4(1400), byte8=1) + DATA)
    between = between.replace(J5, record(kmp(300, J5[22:])))
    wire = b"\1\0\0" + record(message[:7]) + between + record(message[7:200]) + between + record(message[200:])
    opening = fed([wire])
    assert opening.configuration == CONFIGURATION and opening.dropped == 6 and opening.rest == b""


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        KEYS,
        DATA + KEYS,
        DATA[:-1],
        DATA + b"\0",
        kmp(300),
        kmp(300, b"\x60" + bytes(40)),
        kmp(300, ipv4(), byte8=2),
        kmp(300, ipv4(), sender=1),
        b"\1" + DATA[1:],
    ],
)
def test_what_is_no_record_of_packets(odd: bytes) -> None:
    assert not is_foreign(odd)
    assert is_foreign(DATA) and is_foreign(DATA + DATA)


def test_what_follows_the_configuration_goes_to_the_decoder() -> None:
    """A record may end the configuration, and begin the next message."""
    wire = b"\1\0\0" + record(J2[2:] + DATA[:50]) + record(DATA[50:] + KEYS)
    for step in (1, 50, len(wire)):
        opening = fed(in_steps(wire, step))
        assert opening.configuration == CONFIGURATION
        for make in TWINS:
            seen = outcome(make(4), [opening.rest])
            assert seen.packets == (ipv4(84),) and seen.controls == ((302, b"keys"),)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (DATA, "oncp first message: got 300, want 301 (byte 6)"),
        (KEYS, "oncp first message: got 302, want 301 (byte 6)"),
        (b"\0\0\0\0\0\1" + bytes(14), "oncp kmp header: got '000000000001', want 000000000000 (byte 0)"),
    ],
)
def test_what_cannot_come_first(message: bytes, text: str) -> None:
    with pytest.raises(MalformedFrame) as caught:
        fed([b"\1\0\0" + record(message)])
    assert str(caught.value) == text


def test_a_configuration_without_end_is_refused() -> None:
    begun = b"\1\0\0" + record(kmp(301, bytes(60000))[:30])
    with pytest.raises(ConfigurationRefused, match="has no end after") as caught:
        fed([begun] + [record(DATA)] * oncp_opening.MAX_RECORDS)
    assert caught.value.code == "oncp-config-too-large"
    with pytest.raises(ConfigurationRefused, match="1114095 bytes of packets"):
        fed([begun] + [record(kmp(300, ipv4(65515)))] * 17)


@given(st.integers(0, 40000), borders, wild_cuts, st.booleans())
def test_any_records_any_chunks(size: int, cuts: Sequence[int], chunks: Sequence[int], joined: bool) -> None:
    message = kmp(301, bytes(i * 7 % 256 for i in range(size)), byte8=1)
    wire = records(b"\0" + message, cuts) if joined else b"\1\0\0" + records(message, cuts)
    opening = fed(cut(wire + record(DATA), chunks))
    assert opening.configuration == message[20:] and opening.rest == record(DATA)
