"""What Debian's openconnect 9.01 said to the lab gateway, as its own dump shows it, read by our decoders."""

from __future__ import annotations

from protocols.base import Control
from protocols.framing.oncp import Decoder, Encoder, Kind
from protocols.framing.oncp_opening import hostname_record
from protocols.nc import esp, kmp
from protocols.nc.esp import Keys
from protocols.nc.tunnel import answer
from transports.sink import MemorySink

HOST_NAME = bytes.fromhex("0f00000400000002 00766dbb0100000000")
TLS_ONLY = bytes.fromhex("240000000000000001 2f010000000100000000000010 00060000000a000200000004 00000578")
WITH_ESP = bytes.fromhex(
    "8e00000000000000012f01000000010000000000001000060000000a00020000"
    "000400000578000000000000012e010000000100000000000056000700000050"
    "000100000004c71156fa000200000040733fdd20e8741bc9e215ff121c78d479"
    "1fbb83acbac8180ee21eac4ab652d9e2e8c5778a000000000000000000000000"
    "00000000000000000000000000000000"
)
# 9.01 sends what the kernel gives it, IPv6 too: a router solicitation.
IPV6 = bytes.fromhex(
    "440000000000000001 2c0100000001000000000000306000000000083afffe80"
    "000000000000adb9a310cdbfc4a7ff0200000000000000000000000000028500"
    "9a0500000000"
)


def read(data: bytes) -> tuple[list[Control], Decoder]:
    decoder, frames = Decoder(MemorySink()), []
    for at in range(len(data)):
        decoder.feed(data[at : at + 1])
        while (frame := decoder.next_control()) is not None:
            frames.append(frame)
    return frames, decoder


def test_the_host_name_is_sent_as_we_do() -> None:
    assert hostname_record("vm") == HOST_NAME


def test_its_answer_is_ours_byte_for_byte() -> None:
    assert answer(1400) == TLS_ONLY
    frames, _ = read(WITH_ESP)
    assert [frame.kind for frame in frames] == [Kind.CONTROL, Kind.ESP_KEYS]
    assert frames[0].payload == esp.mtu_payload(1400)
    keys = esp.read_keys(kmp.read(frames[1].payload))
    assert keys is not None and keys.spi == 0xC71156FA
    assert answer(1400, Keys(keys.spi, keys.block)) == WITH_ESP


def test_ipv6_is_counted_and_nothing_else_happens() -> None:
    frames, decoder = read(IPV6 + TLS_ONLY)
    assert decoder.counters()["oncp_ipv6"] == 1 and len(frames) == 1
    assert Encoder().encode_control(Kind.CONTROL, esp.mtu_payload(1400)) == TLS_ONLY
