"""Every native decoder into every native sink: what was framed arrives at the device, placed as the sink promises.

On Windows this is the way of a packet from a record to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocols.framing import lzo
from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import option
from tests.protocols.framing.test_esp import VECTORS
from tests.transports.packets import ipv4, ipv6
from tests.transports.sinks import EVERY, Place
from transports.codec import NativeCodec
from transports.sink import NativeSink

STREAMS = ["array", "capsule", "cstp", "gpst", "ift", "oncp", "ppp-f5", "ppp-f5-hdlc", "ppp-fortinet"]
IPV4_ONLY = ("oncp",)  # its gateways know no other
PACKETS = [ipv4(20 + 7 * i, mark=i) for i in range(190)]
METHODS = ["lzs", "oc-lz4", "deflate"]
CHUNKS = (1, 7, 1000, 65536)  # bytes; another chunking each time


@pytest.fixture(params=[name for name in EVERY if name != "python"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with EVERY[request.param]() as place:
        yield place


@pytest.mark.parametrize("framing", STREAMS)
def test_a_stream_is_decoded_into_the_device(place: Place, framing: str) -> None:
    assert isinstance(place.sink, NativeSink)
    encoder, decoder = NativeCodec(framing), NativeCodec(framing)
    if framing.startswith("ppp-"):
        for codec in (encoder, decoder):
            codec.set("ppp.data", b"\3")  # both versions were negotiated
    packets = PACKETS if framing in IPV4_ONLY else [*PACKETS, ipv6(), ipv6(1280)]
    arrived: list[bytes] = []
    for i in range(0, len(packets), 20):
        stream = b"".join(map(encoder.encode, packets[i : i + 20]))
        chunk = CHUNKS[i // 20 % len(CHUNKS)]
        for at in range(0, len(stream), chunk):
            decoder.feed(stream[at : at + chunk], place.sink)
        arrived += place.arrived()
    assert arrived == packets
    stats = place.sink.stats()
    assert (stats.in_place + stats.copied, stats.moved, stats.packets) == (len(packets), 0, len(packets))


@pytest.mark.parametrize("framing", STREAMS)
def test_a_stalled_stream_does_not_hold_back_datagrams(place: Place, framing: str) -> None:
    """Two links, one sink.  Wherever the stream stands still, what comes by ESP goes on, in place and unmoved."""
    assert isinstance(place.sink, NativeSink)
    stream, esp, decoder = NativeCodec(framing), NativeCodec("esp"), NativeCodec(framing)
    for name in ("esp.out", "esp.in"):
        esp.set(name, option(Cipher.AES_256_GCM, Mac.NONE))
    if framing.startswith("ppp-"):
        for codec in (stream, decoder):
            codec.set("ppp.data", b"\3")
    packets = [ipv4(48, mark=1), ipv4(300, mark=2)]
    data = b"".join(map(stream.encode, packets))
    arrived: list[bytes] = []
    for i, byte in enumerate(data):
        decoder.feed(bytes([byte]), place.sink)
        if i % 8 == 0:
            decoder.park(place.sink)
            esp.feed_datagram(esp.encode(ipv4(60, mark=i)), place.sink)
            arrived += (seen := place.arrived())
            assert seen[-1] == ipv4(60, mark=i)
    arrived += place.arrived()
    assert [packet for packet in arrived if len(packet) != 60] == packets
    stats = place.sink.stats()
    assert (stats.packets, stats.copied, stats.parked) == (len(arrived), 2, 2)
    assert (stats.in_place, stats.moved, stats.expanded) == (len(arrived) - 2, 0, 0)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_compressed_expands_into_the_device(place: Place, method: str) -> None:
    """Into a reservation of the largest size, which shrinks: never more than the one at a time, never moved."""
    assert isinstance(place.sink, NativeSink)
    encoder, decoder = NativeCodec("cstp"), NativeCodec("cstp")
    for codec in (encoder, decoder):
        codec.set("cstp.compression", method.encode())
    arrived: list[bytes] = []
    for i in range(0, len(PACKETS), 20):
        for packet in PACKETS[i : i + 20]:
            decoder.feed(encoder.encode(packet), place.sink)
        arrived += place.arrived()
    assert arrived == PACKETS
    stats = place.sink.stats()
    assert decoder.counters()["cstp_expanded"] > len(PACKETS) // 2
    assert (stats.in_place + stats.copied, stats.moved, stats.packets) == (len(PACKETS), 0, len(PACKETS))


def test_a_datagram_that_grows_expands_into_the_device(place: Place) -> None:
    """Vector Z of the ESP notes: its reservation, as long as the ciphertext, has to grow."""
    assert isinstance(place.sink, NativeSink)
    cipher, mac, _, _, stream, datagram = VECTORS["Z"]
    codec = NativeCodec("esp")
    codec.set("esp.in", option(cipher, mac))
    codec.set("esp.lzo", (1500).to_bytes(2, "big"))
    codec.feed_datagram(bytes.fromhex(datagram), place.sink)
    assert place.arrived() == [lzo.expand(stream, 90)]
    assert (place.sink.stats().expanded, codec.counters()["esp_lzo"]) == (1, 0)


def test_datagrams_are_decrypted_into_the_device(place: Place) -> None:
    assert isinstance(place.sink, NativeSink)
    for cipher, mac in ((Cipher.AES_128_CBC, Mac.SHA1_96), (Cipher.AES_256_GCM, Mac.NONE)):
        codec = NativeCodec("esp")
        keys = option(cipher, mac)
        codec.set("esp.out", keys)
        codec.set("esp.in", keys)
        for i in range(0, len(PACKETS), 20):
            for packet in PACKETS[i : i + 20]:
                codec.feed_datagram(codec.encode(packet), place.sink)
            assert place.arrived() == PACKETS[i : i + 20]
    stats = place.sink.stats()
    assert (stats.in_place, stats.copied, stats.moved) == (2 * len(PACKETS), 0, 0)
