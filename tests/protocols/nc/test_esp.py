"""Keys and parameters of ESP: from attributes to options of the framing, and back (sections 5.2, 5.3, 8.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import ConfigurationRefused
from protocols.framing.esp import Decoder, Encoder
from protocols.nc import esp, kmp
from protocols.nc.configuration import negotiate
from protocols.nc.esp import Keys, Parameters, make_keys, new_offer
from protocols.nc.tunnel import answer
from tests.protocols.nc.vectors import J2_PAYLOAD, J3, J4, J11_PAYLOAD
from tests.protocols.refusals import refused
from transports.sink import MemorySink

SECRETS = bytes(range(64))
PARAMETERS = Parameters(cipher=2, mac=2, compression=1, port=4500, lifetime=1200, fallback=15, replay=1)


def test_the_offer_of_the_vector() -> None:
    offer = negotiate(J2_PAYLOAD).esp
    assert offer is not None
    assert offer.parameters == PARAMETERS
    assert (offer.outbound.spi, offer.outbound.block.reveal()) == (0x11223344, SECRETS.hex())


def test_the_answer_of_the_vector() -> None:
    block = bytes(range(0x40, 0x64)) + bytes(28)
    assert answer(1400, Keys(0xA1B2C3D4, Secret(block.hex()))) == J3
    assert answer(1400) == J3[:0] + bytes.fromhex("2400") + J3[2:38]


def test_switching_on_and_off() -> None:
    assert J4[22:] == esp.switch_payload(True)
    assert esp.switch_payload(False) == J4[22:-1] + b"\0"
    assert [esp.read_switch(esp.switch_payload(on)) for on in (True, False)] == [True, False]
    assert esp.read_switch(esp.mtu_payload(1400)) is None
    with refused(ConfigurationRefused, match="attribute 6/1: got 2 bytes, want 1"):
        esp.read_switch(kmp.write([(6, [(1, b"\0\1")])]))


def test_probe_of_the_vector_with_the_options_of_the_framing() -> None:  # J7
    keys = Keys(0x11223344, Secret(SECRETS.hex()))
    encoder = Encoder()
    encoder.set("esp.out", keys.option(PARAMETERS))
    probe = encoder.encode_control(4, b"\0", bytes(range(0xF0, 0x100)))
    assert probe.hex() == (
        "1122334400000000f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffd6974373e135186688d0897966227d74b76c199082c0e8eaf5a861bd"
    )
    decoder = Decoder(MemorySink())
    decoder.set("esp.in", keys.inbound_option(PARAMETERS))
    decoder.feed_datagram(probe)
    found = decoder.next_control()
    assert found is not None and (found.kind, found.payload) == (4, b"\0")


def test_without_protection_from_replay_everything_is_taken() -> None:  # Q12 of esp.md
    keys = Keys(0x11223344, Secret(SECRETS.hex()))
    assert keys.inbound_option(PARAMETERS)[2] == 0
    assert keys.inbound_option(Parameters(cipher=2, mac=2, replay=0))[2] == 1
    assert keys.option(Parameters(cipher=2, mac=2, replay=0))[2] == 0  # what we send has no such thing


@pytest.mark.parametrize(("cipher", "mac", "size"), [(2, 1, 32), (2, 2, 36), (5, 2, 52), (5, 3, 64)])
def test_the_mac_key_follows_the_cipher_key_at_once(cipher: int, mac: int, size: int) -> None:  # Q4 of esp.md
    option = Keys(256, Secret(SECRETS.hex())).option(Parameters(cipher=cipher, mac=mac))
    assert option[8:] == SECRETS[:size]


def test_keys_show_themselves_nowhere() -> None:
    offer = negotiate(J2_PAYLOAD).esp
    assert "000102" not in repr(offer) and "000102" not in repr(kmp.read(J2_PAYLOAD))


def test_new_keys_keep_the_parameters_that_are_not_told_again() -> None:  # J11
    offer = new_offer(J11_PAYLOAD, PARAMETERS)
    assert offer.parameters == PARAMETERS
    assert (offer.outbound.spi, offer.outbound.block.reveal()) == (0x55667788, bytes(range(0x40, 0x80)).hex())
    stronger = new_offer(J11_PAYLOAD + kmp.write([(8, [(1, b"\5"), (2, b"\3")])]), PARAMETERS)
    assert (stronger.parameters.cipher, stronger.parameters.mac, stronger.parameters.port) == (5, 3, 4500)


@pytest.mark.parametrize(
    "payload, text",
    [
        (b"", "without any"),
        (kmp.write([(7, [(1, b"\1\2\3\4")])]), "no SPI and secrets"),
        (kmp.write([(7, [(1, b"\1\2\3\4"), (2, bytes(63))])]), "attribute 7/2: got 63 bytes, want 64"),
        (J11_PAYLOAD + kmp.write([(8, [(1, b"\7")])]), "encryption 7"),
        (J11_PAYLOAD + kmp.write([(6, [(1, b"\1")])]), "attribute 6/1 in a message of ESP keys"),
        (J11_PAYLOAD[:-1], "want at most"),
    ],
)
def test_new_keys_that_cannot_be_used_are_refused(payload: bytes, text: str) -> None:
    with refused(ConfigurationRefused, match=text):
        new_offer(payload, PARAMETERS)


@given(st.binary(max_size=120))
def test_any_message_of_keys_is_an_offer_or_refused(payload: bytes) -> None:
    try:
        assert new_offer(payload, PARAMETERS).outbound.spi
    except ConfigurationRefused as exc:
        assert exc.code == "oncp-bad-config"


def test_our_keys_are_random_and_their_spi_is_free() -> None:
    drawn = iter([b"\0\0\0\xff", b"\0\0\1\0", b"\0\0\1\1", b"k" * 36])
    keys = make_keys(lambda size: next(drawn), PARAMETERS.suite(), avoid=[256])
    assert keys.spi == 257  # neither reserved nor in use
    assert keys.block.reveal() == (b"k" * 36 + bytes(28)).hex()  # the unused tail is zero
    assert len(keys.payload()) == 86


def test_a_generator_that_is_stuck_gives_a_free_spi_all_the_same() -> None:
    assert make_keys(bytes, PARAMETERS.suite(), avoid=[256, 257]).spi == 258
