"""Parameters of ESP, and the magic ping (sections 9.3 and 12; vectors of section 18)."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.esp import Decoder, Encoder, Kind
from protocols.framing.esp_sa import Cipher, Mac
from protocols.gp import answers, ipsec, ping
from protocols.gp.ipsec import EspParameters, Unusable
from transports.sink import MemorySink

FOUR, SIX = IPv4Interface("10.99.0.2/32"), IPv6Interface("fd00:99::2/128")
FIELDS = {
    "udp-port": "4501",
    "ipsec-mode": "esp-tunnel",
    "enc-algo": "aes-128-cbc",
    "hmac-algo": "sha1",
    "c2s-spi": "0x1234ABCD",
    "s2c-spi": "89abcdef",
    "ekey-c2s": "<bits>128</bits><val>101112131415161718191a1b1c1d1e1f</val>",
    "akey-c2s": "<bits>160</bits><val>404142434445464748494a4b4c4d4e4f50515253</val>",
    "ekey-s2c": "<bits>128</bits><val>202122232425262728292a2b2c2d2e2f</val>",
    "akey-s2c": "<bits>160</bits><val>606162636465666768696A6B6C6D6E6F70717273</val>",
}
ENDS = "<gw-address>192.0.2.1</gw-address><gw-address-v6>2001:db8::1</gw-address-v6>"


def parsed(
    ends: str = ENDS, addresses: tuple[IPv4Interface | IPv6Interface, ...] = (FOUR, SIX), **changed: str
) -> EspParameters:
    fields = FIELDS | {name.replace("_", "-"): text for name, text in changed.items()}
    block = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if text != "absent")
    root = answers.document(f"<response>{ends}<ipsec>{block}</ipsec></response>".encode(), "response")
    inside = answers.child(root, "ipsec")
    assert inside is not None
    return ipsec.parse(root, inside, addresses)


def test_the_values_of_the_framings_options() -> None:
    found = parsed()
    assert (found.port, found.suite.icv) == (4501, 12)
    keys = bytes(range(0x10, 0x20)) + bytes(range(0x40, 0x54))
    assert dict(found.encoder_options()) == {
        "esp.out": bytes([Cipher.AES_128_CBC, Mac.SHA1_96, 0, 0]) + bytes.fromhex("1234abcd") + keys
    }
    options = dict(found.decoder_options())
    assert options["esp.in"][4:8] == bytes.fromhex("89abcdef")
    assert options["esp.echo"] == b"\x06" + ip_address("2001:db8::1").packed + ping.PATTERN
    assert "1011" not in repr(found)


def test_the_family_of_the_ping() -> None:
    assert parsed().target == ip_address("2001:db8::1")
    four = parsed(addresses=(FOUR,))
    assert (four.source, four.target) == (FOUR.ip, ip_address("192.0.2.1"))  # Q33
    assert dict(four.decoder_options())["esp.echo"][:5] == b"\x04\xc0\x00\x02\x01"
    assert parsed("<gw-address-v6>2001:db8::1/64</gw-address-v6>").target == ip_address("2001:db8::1")


@pytest.mark.parametrize("mode", ["absent", "esp-tunnel"])
def test_other_algorithms(mode: str) -> None:
    key, mac = f"<bits>256</bits><val>{'ab' * 32}</val>", f"<bits>128</bits><val>{'cd' * 16}</val>"
    found = parsed(
        ipsec_mode=mode, enc_algo="AES-256-CBC", hmac_algo="md5", ekey_c2s=key, ekey_s2c=key, akey_c2s=mac, akey_s2c=mac
    )
    assert (found.suite.key, found.suite.mac_key) == (32, 16)
    assert parsed(enc_algo="aes128").suite.key == 16


@pytest.mark.parametrize(
    "changed, says",
    [
        ({"udp_port": "0"}, "udp-port: got '0', want 1 to 65535"),
        ({"udp_port": "99999"}, "udp-port"),
        ({"udp_port": "absent"}, "udp-port: got ''"),
        ({"ipsec_mode": "ah"}, "ipsec-mode: got 'ah'"),
        ({"enc_algo": "aes-128-gcm"}, "enc-algo: got 'aes-128-gcm', want aes-128-cbc"),
        ({"hmac_algo": "absent"}, "hmac-algo: got ''"),
        ({"c2s_spi": "0x0"}, "c2s-spi: got '0x0'"),
        ({"s2c_spi": "123456789"}, "s2c-spi"),
        ({"s2c_spi": "xyz"}, "s2c-spi"),
        ({"ekey_c2s": "<bits>256</bits><val>00</val>"}, "ekey-c2s: got '256' bits, want 128"),
        ({"ekey_c2s": "<bits>128</bits><val>00</val>"}, "ekey-c2s: got 2 characters, want 32 hex digits"),
        ({"akey_s2c": f"<bits>160</bits><val>{'g' * 40}</val>"}, "akey-s2c: got 40 characters, want 40 hex digits"),
        ({"akey_s2c": "absent"}, "akey-s2c: got '' bits"),
    ],
)
def test_faults_are_named_and_never_show_a_key(changed: dict[str, str], says: str) -> None:
    with pytest.raises(Unusable) as caught:
        parsed(**changed)
    assert str(caught.value).startswith(says) and "10111213" not in str(caught.value)


@pytest.mark.parametrize("ends", ["", "<gw-address>gw.example</gw-address>", "<gw-address>fd00::1</gw-address>"])
def test_without_a_magic_address_there_is_no_esp(ends: str) -> None:
    with pytest.raises(Unusable, match="gw-address"):
        parsed(ends, (FOUR,))


@given(st.sampled_from(sorted(FIELDS)), st.text("0123456789abcdefx<>bitsval/ ", max_size=60))
def test_any_text_in_any_field(name: str, text: str) -> None:
    try:
        parsed(**{name.replace("-", "_"): text})
    except (Unusable, answers.MalformedAnswer) as exc:
        assert str(exc)


PINGS = {
    0: "4500002c47474000400127240a630002c000020108000b09474700006d6f6e69746f72000070616e20686120",
    1: "4500002c47474000400127240a630002c000020108000b08474700016d6f6e69746f72000070616e20686120",
}
PING6 = (
    "6000000000183a80fd00009900000000000000000000000220010db80000000000000000000000018000675f"
    "474700016d6f6e69746f72000070616e20686120"
)
REPLY = "4500002c4747400040012724c00002010a63000200001308474700016d6f6e69746f72000070616e20686120"


def test_the_magic_ping() -> None:
    four = ip_address("10.99.0.2"), ip_address("192.0.2.1")
    assert {n: ping.request(*four, n).hex() for n in PINGS} == PINGS
    assert ping.request(ip_address("fd00:99::2"), ip_address("2001:db8::1"), 1).hex() == PING6
    assert ping.request(*four, 65536 + 1).hex() == PINGS[1]


def test_its_reply_through_the_framing() -> None:
    """The gateway's end of the same keys sends the reply; the decoder tells it apart and does not deliver it."""
    ours = parsed(addresses=(FOUR,))
    gateway, sink = Encoder(), MemorySink()
    gateway.set("esp.out", dict(ours.decoder_options())["esp.in"])
    decoder = Decoder(sink)
    for name, value in ours.decoder_options():
        decoder.set(name, value)
    decoder.feed_datagram(gateway.encode(bytes.fromhex(REPLY), bytes(16)))
    control = decoder.next_control()
    assert control is not None and (control.kind, control.payload.hex()) == (Kind.IPV4, REPLY)
    sink.flush()
    assert not sink.take()
