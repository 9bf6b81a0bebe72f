"""A row is never of another channel than it says: what clients tell, and what the kernel counts."""

from __future__ import annotations

import pytest

from benchmarks.client.cases import Channel
from benchmarks.client.contenders import WrongChannel, channel_told, check_told
from benchmarks.client.run import check_counted

TLS, DTLS = ({"event": "channel", "name": name} for name in ("TLS", "DTLS"))
OTHER = {"event": "state", "state": "connected"}


def test_the_channel_is_told_by_an_event_of_its_own() -> None:
    assert channel_told(DTLS) == "DTLS"
    assert channel_told(OTHER) == channel_told({"event": "profile", "name": "DTLS"}) == ""


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (Channel.TLS, []),
        (Channel.TLS, [OTHER, TLS]),
        (Channel.DTLS, [DTLS]),
        (Channel.DTLS, [TLS, OTHER, DTLS, OTHER]),
    ],
)
def test_the_wanted_channel_from_when_it_was_there(wanted: Channel, seen: list[dict[str, str]]) -> None:
    check_told(seen, wanted)


@pytest.mark.parametrize(
    ("wanted", "seen", "found"),
    [
        (Channel.TLS, [TLS, DTLS], "DTLS"),
        (Channel.DTLS, [], "TLS"),
        (Channel.DTLS, [TLS], "TLS"),
        (Channel.DTLS, [TLS, DTLS, TLS, DTLS], "TLS"),
    ],
)
def test_another_channel_is_told_loudly(wanted: Channel, seen: list[dict[str, str]], found: str) -> None:
    with pytest.raises(WrongChannel, match=f"asked for {wanted}, ran over {found}"):
        check_told(seen, wanted)


def test_the_kernel_counts_datagrams_where_they_are_wanted() -> None:
    check_counted(Channel.DTLS, 100_000_000, 70000)
    check_counted(Channel.DTLS, 100_000_000, 1600)  # of 64 KiB each
    check_counted(Channel.TLS, 100_000_000, 12)  # keepalives, names


@pytest.mark.parametrize(("wanted", "counted"), [(Channel.DTLS, 12), (Channel.ESP, 0), (Channel.TLS, 70000)])
def test_the_kernel_counts_against_the_claim(wanted: Channel, counted: int) -> None:
    with pytest.raises(WrongChannel, match=f"asked for {wanted}, ran over .*100 MB of TCP, {counted} datagrams"):
        check_counted(wanted, 100_000_000, counted)
