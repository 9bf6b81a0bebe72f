"""ESP as Debian's openconnect 9.01 sent it to the GlobalProtect lab gateway, read by both twins."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import TWINS, MakeTwin, option

CAPTURE = Path(__file__).parents[2] / "data" / "openconnect-9.01-gp-esp.hex"


def datagrams() -> list[bytes]:
    return [bytes.fromhex(line) for line in CAPTURE.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("maker", TWINS)
def test_its_packets_are_read(maker: MakeTwin) -> None:
    twin = maker()
    twin.set("esp.in", option(Cipher.AES_128_CBC, Mac.SHA1_96))
    packets = []
    for datagram in datagrams():
        twin.feed(datagram)
        twin.sink.flush()
        packets.append(twin.sink.take() or b"")
    solicitation, *pings = packets
    assert solicitation[:1] == b"\x60" and solicitation[6] == 58 and solicitation[40] == 133
    assert pings and all(
        len(packet) == 84 and packet[20] == 8 and packet[16:20] == b"\x0a\x4d\x00\x01" for packet in pings
    )
    assert twin.counters()["esp_authentic"] == len(packets)


@pytest.mark.parametrize("maker", TWINS)
def test_each_is_taken_once_and_only_whole(maker: MakeTwin) -> None:
    twin = maker()
    twin.set("esp.in", option(Cipher.AES_128_CBC, Mac.SHA1_96))
    for datagram in datagrams():
        twin.feed(datagram[:-1] + bytes([datagram[-1] ^ 1]))
        twin.feed(datagram)
        twin.feed(datagram)
    counters = twin.counters()
    assert counters["esp_icv"] == counters["esp_replay"] == counters["esp_authentic"] == len(datagrams())
