"""Pins; the vectors are of auth-helpers.md section 11 (the P-256 key with private value 1)."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import Authority, self_signed
from transports.errors import PinInvalid, TlsError
from transports.pins import Pin, mistaken_kind, pin_of, public_key

ONE = self_signed("one.test", key=ec.derive_private_key(1, ec.SECP256R1())).der
OTHER = self_signed("other.test").der

SPKI = (
    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945"
    "d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
SHA1 = "sha1:dba4cd68fd2ec53aaacb454c84da9cd90499e654"
SHA256 = "sha256:5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3"
PIN = "pin-sha256:XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM="


def test_the_public_key_is_cut_out_of_the_certificate() -> None:
    assert public_key(ONE).hex() == SPKI
    assert pin_of(ONE) == PIN


def test_the_public_key_is_what_the_library_finds() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for issued in (Authority("CA").issue("a.test", names=("a.test",) * 60), self_signed("b.test", key=rsa_key)):
        spki = issued.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert public_key(issued.der) == spki


@pytest.mark.parametrize(
    "text",
    [
        SHA1,
        SHA1.upper().replace("SHA1", "sha1"),
        SHA256,
        SHA256.upper().replace("SHA256", "sha256"),
        PIN,
        PIN.rstrip("="),
        f"  {PIN}\n",
        hashlib.sha1(ONE).hexdigest(),
        hashlib.sha1(ONE).hexdigest().upper(),
        f"cert-sha256:{hashlib.sha256(ONE).hexdigest()}",
    ],
)
def test_every_format_matches_its_own_certificate_only(text: str) -> None:
    pin = Pin.parse(text)
    assert pin.matches(ONE)
    assert not pin.matches(OTHER)
    assert Pin.parse(str(pin)) == pin


@pytest.mark.parametrize(
    ("text", "matches"), [("sha256:5CD2", True), ("pin-sha256:XNJS", True), ("pin-sha256:xnjs", False)]
)
def test_prefixes(text: str, matches: bool) -> None:
    assert Pin.parse(text, allow_prefix=True).matches(ONE) is matches
    with pytest.raises(PinInvalid, match=r"got 4 characters, want \d+$"):
        Pin.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:5cd",  # under four characters
        SHA256 + "0",  # longer than the digest
        "sha256:5cd252zz",
        "pin-sha256:XNJS-wzo",  # the alphabet of URLs
        "pin-sha256:X=JS",
        "md5:5cd252fb0ce8932436faf8ccd1040981",
        ":5cd252fb",
        "sha256:5cd252fb:0ce89324",
        "not a pin",
        "sha1:５５５５",  # digits, but not hex digits of ASCII
    ],
)
def test_malformed_pins_are_named_when_they_are_read(text: str) -> None:
    with pytest.raises(PinInvalid, match="want ") as caught:
        Pin.parse(text, allow_prefix=True)
    assert isinstance(caught.value, ValueError)


def test_a_word_without_a_prefix_is_told_what_a_pin_looks_like() -> None:
    with pytest.raises(PinInvalid, match=r"^'zzz': want pin-sha256:BASE64"):
        Pin.parse("zzz")


def test_the_other_kind_of_sha1_is_pointed_out() -> None:  # Q12
    of_certificate, of_key = hashlib.sha1(ONE).hexdigest(), SHA1.removeprefix("sha1:")
    assert "without sha1:" in mistaken_kind([Pin.parse(f"sha1:{of_certificate}")], ONE)
    assert f"sha1:{of_key}" in mistaken_kind([Pin.parse(of_key)], ONE)
    assert mistaken_kind([Pin.parse(SHA1), Pin.parse(PIN)], OTHER) == ""


def test_a_damaged_certificate_is_an_error_wherever_it_is_cut() -> None:
    for cut in range(len(ONE)):
        with pytest.raises(TlsError, match="tls-certificate-invalid"):
            public_key(ONE[:cut])


@pytest.mark.parametrize(
    "data", [b"\x30\x80", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x84\xff\xff\xff\xff", b"\x02\x01\x00"]
)
def test_hostile_lengths(data: bytes) -> None:
    with pytest.raises(TlsError, match="tls-certificate-invalid"):
        public_key(data)
