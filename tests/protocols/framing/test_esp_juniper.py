"""The ESP packets of Network Connect and Pulse, on both twins.  Vectors: Juniper notes, J7 to J9."""

from __future__ import annotations

import pytest

from protocols.framing.esp import Encoder, Kind
from protocols.framing.esp_sa import Cipher, Mac, sa_option, suite_of
from tests.protocols.framing.esp_twins import TWINS, Twin, run

IV = run(0xF0, 16)
PROBE = "1122334400000000f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
J7 = {  # the cipher key is 00 01 02 ..., the MAC's the bytes after it
    (Cipher.AES_128_CBC, Mac.SHA1_96): "d6974373e135186688d0897966227d74b76c199082c0e8eaf5a861bd",
    (Cipher.AES_128_CBC, Mac.MD5_96): "d6974373e135186688d0897966227d749bf222e8910e678da0b48670",
    (Cipher.AES_256_CBC, Mac.SHA1_96): "f257b62c32feabb5ab5709e82b2f6ca6f72d30fe302c0574c78c7308",
    (Cipher.AES_256_CBC, Mac.SHA256_128): "f257b62c32feabb5ab5709e82b2f6ca66e8d9071c2ff22384a9ef0804760bc15",
}
J8 = bytes.fromhex(
    "1122334400000007f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffcdbb73a22b6bfa1298f6f5afa1d7036d1a83617aea85ed776bcfba517e0028d0"
    "a810d4d47eda07788fb3cd81"
)
J5_PACKET = bytes.fromhex("4500001c0001000040fd65d00a0900020a09000170696e6730303031")
J9_PLAIN = bytes.fromhex("450000480001000040fd65a40a0900010a090002") + b"abcdefgh" * 5 + b"xyz" * 4
J9_PACKED = bytes.fromhex(
    "000a450000480001000040fd65a40a0900010a09000261626364656667683a1c000d6566676878797a78797a78797a78797a110000"
)
J9 = bytes.fromhex(
    "a1b2c3d400000001f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff7f35ba45f6b0eead8c00e7bee681dfbc82033fe8e2c998bacc18fed82027860f"
    "d4fd8a6ac8c878130a0c44d19e61cb4687353147c95a5feb1bd19a47f4f392fac5e5bcc4f3f7b032db82acb5"
)


def keyed(cipher: Cipher, mac: Mac, spi: int = 0x11223344, first: int = 0) -> bytes:
    suite = suite_of(cipher, mac)
    return sa_option(cipher, mac, spi, run(first, suite.key + suite.mac_key))


@pytest.fixture(params=TWINS, ids=lambda make: make.__name__)
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


@pytest.mark.parametrize(("cipher", "mac"), J7)
def test_j7_probe(twin: Twin, cipher: Cipher, mac: Mac) -> None:
    datagram = bytes.fromhex(PROBE + J7[cipher, mac])
    twin.set("esp.in", keyed(cipher, mac))
    twin.feed(datagram)
    assert twin.control() == (Kind.IPV4, b"\0")
    encoder = Encoder()
    encoder.set("esp.out", keyed(cipher, mac))
    assert encoder.encode_control(Kind.IPV4, b"\0", IV) == datagram


def test_j8_packet(twin: Twin) -> None:
    keys = keyed(Cipher.AES_128_CBC, Mac.SHA1_96)
    twin.set("esp.in", keys)
    twin.feed(J8)
    twin.sink.flush()
    assert twin.sink.take() == J5_PACKET
    encoder = Encoder()
    encoder.set("esp.out", keys)
    encoder.set("esp.out-sequence", bytes([0, 0, 0, 7]))
    assert encoder.encode(J5_PACKET, IV) == J8


def test_j9_compressed_packet(twin: Twin) -> None:
    keys = keyed(Cipher.AES_128_CBC, Mac.SHA1_96, 0xA1B2C3D4, 0x40)
    twin.set("esp.in", keys)
    twin.set("esp.lzo", bytes([0, 72]))
    twin.feed(J9)
    twin.sink.flush()
    assert twin.sink.take() == J9_PLAIN
    assert twin.sink.stats().packets == 1
    encoder = Encoder()
    encoder.set("esp.out", keys)
    encoder.set("esp.out-sequence", bytes([0, 0, 0, 1]))
    assert encoder.encode_control(Kind.LZO, J9_PACKED, IV) == J9
