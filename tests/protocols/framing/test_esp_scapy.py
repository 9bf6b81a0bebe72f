"""ESP against an independent implementation, scapy's layers.ipsec, both ways for every pair of algorithms."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside cryptography that scapy touches
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import ESP, SecurityAssociation
    from scapy.packet import Raw

from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import (
    PAIR_IDS,
    PAIRS,
    SPI,
    TWINS,
    Twin,
    counted,
    keys,
    option,
    outcome,
    run,
)

SIZES = [0, 1, 2, 3, 13, 14, 15, 16, 17, 100, 1372]  # bytes of data


@pytest.fixture(params=TWINS, ids=lambda make: make.__name__)
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


def association(cipher: Cipher, mac: Mac) -> Any:
    secret, size = keys(cipher, mac), 32 if "256" in cipher.name else 16
    if mac is Mac.NONE:
        crypt, auth, mac_key = secret, None, None
    else:
        names = {Mac.MD5_96: "HMAC-MD5-96", Mac.SHA1_96: "HMAC-SHA1-96", Mac.SHA256_128: "SHA2-256-128"}
        crypt, auth, mac_key = secret[:size], names[mac], secret[size:]
    return SecurityAssociation(
        ESP,
        spi=SPI,
        crypt_algo="AES-GCM" if mac is Mac.NONE else "AES-CBC",
        crypt_key=crypt,
        auth_algo=auth,
        auth_key=mac_key,
        tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"),
    )


def inner() -> list[Any]:
    four = [IP(src="10.99.0.1", dst="10.99.0.2") / ICMP() / Raw(run(0, size % 200)) for size in SIZES]
    six = [IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=9, dport=9) / Raw(b"x" * size) for size in SIZES]
    return [*four, *six]


@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_what_scapy_encrypts_is_decoded(twin: Twin, cipher: Cipher, mac: Mac) -> None:
    sa, sent = association(cipher, mac), inner()
    twin.set("esp.in", option(cipher, mac))
    seen = outcome(twin, [bytes(sa.encrypt(packet)[ESP]) for packet in sent])
    assert seen.packets == tuple(bytes(packet) for packet in sent) and not counted(seen)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_what_is_encoded_scapy_decrypts(twin: Twin, cipher: Cipher, mac: Mac) -> None:
    sa, sent = association(cipher, mac), inner()
    twin.set("esp.out", option(cipher, mac))
    for number, packet in enumerate(sent):
        outer = IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / ESP(twin.encode(bytes(packet)))
        assert (outer[ESP].spi, outer[ESP].seq) == (SPI, number)
        assert bytes(sa.decrypt(IP(bytes(outer)))) == bytes(packet)  # scapy checks the ICV
