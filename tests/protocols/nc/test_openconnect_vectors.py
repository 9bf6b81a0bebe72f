"""What Debian's openconnect 9.01 said to the lab gateway, as its own dump shows it, read by our decoders."""

from __future__ import annotations

import warnings
from ipaddress import IPv4Address

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside cryptography that scapy touches
    from scapy.layers.inet import IP
    from scapy.layers.ipsec import ESP, SecurityAssociation

from protocols.base import Control, Secret
from protocols.framing import esp as esp_framing
from protocols.framing.oncp import Decoder, Encoder, Kind
from protocols.framing.oncp_opening import hostname_record
from protocols.nc import esp, kmp
from protocols.nc.esp import Keys, Parameters
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

ESP_ECHO = bytes.fromhex(
    "54182c3000000001e5d369a138780612212124f6c79ee49ef88452dc32e59dafae376610a4992f26876c823f92585b9e"
    "8ba2cdb0c3374f7d4a0468c13e7719a88da177af853ee1b90f4388718298f24e5efb0db5ee0515c1f4a059890951d2a7"
    "d44976798a67aa6bf3841484fab0ab09b62b88a924b762162d45f65db949a3989e6319b6"
)
ESP_SOLICITATION = bytes.fromhex(
    "54182c30000000002fab14af3edb589bc737e600092da2a3b0a902d8a11401fda5d738cad527e37ff14d2a6d4a8a958b"
    "5c7fbf6b4d12f674f070fc9c7dcd39d2195089182f6bf342526924956175c9cbacef7b8af0456f66a14cef0776744111"
    "38a5fbb9"
)
# The lab gateway's answer, which it took.
ESP_REPLY = bytes.fromhex(
    "67bd2c0200000000e52d7b8583f01623752d1822258290ba6fe6c88137472d126ce1a3972c97bc834d54b1c9012be117"
    "77df4ddf114a9e085b393e817b1d0f480d14a5dc05b5b1243850c75f53041f7d9e3b87bee6cec61fc43b36a9230ba028"
    "4bd7a8e7942728b83627efd6f8abcd332c65f6bb637338748c652ac5b1ea4e11c582af00"
)
REKEYED = bytes.fromhex(
    "6a00000000000000012e01000000010000000000005600070000005000010000000467bd2c02000200000040e4c2390b"
    "b19608eb363ba1963dfd6516d437dfc0dc76c6e4ffeeb50e1e28e29f9133356400000000000000000000000000000000"
    "000000000000000000000000"
)
# As it told its keys: those of what it sends, and of what it receives.
SENT_WITH = Keys(
    0x54182C30,
    Secret("8defbdea09106af38b5ac6820e21d10611bb19520b70d09c37a0a99a2bf0bc9afd762377" + "00" * 28),
)
PARAMETERS = Parameters(cipher=2, mac=2, port=443)


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


def opened(keys: Keys, *datagrams: bytes) -> bytes:
    """What our decoder finds inside."""
    sink = MemorySink()
    decoder = esp_framing.Decoder(sink)
    decoder.set("esp.in", keys.inbound_option(PARAMETERS))
    for datagram in datagrams:
        decoder.feed_datagram(datagram)
    assert decoder.counters()["esp_authentic"] == len(datagrams)
    sink.flush()
    return sink.take()


def addresses(packet: bytes) -> tuple[str, str]:
    return str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))


def test_its_esp_is_read_by_us() -> None:
    echo = opened(SENT_WITH, ESP_ECHO)
    assert (len(echo), echo[9], echo[20]) == (84, 1, 8) and addresses(echo) == ("10.77.0.2", "10.77.0.1")
    assert opened(SENT_WITH, ESP_SOLICITATION)[0] >> 4 == 6  # 9.01 sends IPv6 by ESP too


def test_what_the_lab_sends_with_the_keys_it_told_is_read_by_us_and_by_scapy() -> None:
    frames, _ = read(REKEYED)
    keys = esp.read_keys(kmp.read(frames[0].payload))
    assert keys is not None and keys.spi == 0x67BD2C02
    reply = opened(keys, ESP_REPLY)
    assert reply[20] == 0 and addresses(reply) == ("10.77.0.1", "10.77.0.2")
    block = bytes.fromhex(keys.block.reveal())
    association = SecurityAssociation(
        ESP, spi=keys.spi, crypt_algo="AES-CBC", crypt_key=block[:16], auth_algo="HMAC-SHA1-96", auth_key=block[16:36]
    )
    outer = IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / ESP(ESP_REPLY)
    assert bytes(association.decrypt(outer))[-len(reply) :] == reply
