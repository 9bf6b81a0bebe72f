"""ESP as Debian's openconnect 9.01 sent it to the GlobalProtect lab gateway, read by both twins."""

from __future__ import annotations

import pytest

from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.captures import assert_pings, assert_solicitation, capture
from tests.protocols.framing.esp_twins import TWINS, MakeTwin, option

DATAGRAMS = capture("gp-esp")


@pytest.mark.parametrize("maker", TWINS)
def test_its_packets_are_read(maker: MakeTwin) -> None:
    twin = maker()
    twin.set("esp.in", option(Cipher.AES_128_CBC, Mac.SHA1_96))
    packets = []
    for datagram in DATAGRAMS:
        twin.feed(datagram)
        twin.sink.flush()
        packets.append(twin.sink.take() or b"")
    solicitation, *pings = packets
    assert_solicitation(solicitation)
    assert_pings(pings)
    assert twin.counters()["esp_authentic"] == len(packets)


@pytest.mark.parametrize("maker", TWINS)
def test_each_is_taken_once_and_only_whole(maker: MakeTwin) -> None:
    twin = maker()
    twin.set("esp.in", option(Cipher.AES_128_CBC, Mac.SHA1_96))
    for datagram in DATAGRAMS:
        twin.feed(datagram[:-1] + bytes([datagram[-1] ^ 1]))
        twin.feed(datagram)
        twin.feed(datagram)
    counters = twin.counters()
    assert counters["esp_icv"] == counters["esp_replay"] == counters["esp_authentic"] == len(DATAGRAMS)
