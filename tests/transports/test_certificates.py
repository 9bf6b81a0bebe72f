"""What a person is shown of a certificate that wants to cause trouble."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from transports.certificates import MAX_NAMES, MAX_TEXT, summarize
from transports.pins import pin_of

# GeneralNames (RFC 5280, 4.2.1.6): a kind that the library refuses, an address of 3 bytes, a name that is not ASCII.
X400, SHORT_ADDRESS, NOT_ASCII = (
    bytes.fromhex(text) for text in ("30 04 a3 02 30 00", "30 05 87 03 0a 00 00", "30 05 82 03 ff ff ff")
)


def certificate(common_name: str = "vpn.test", extension: x509.ExtensionType | None = None) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("names", [X400, SHORT_ADDRESS, NOT_ASCII, b"junk", b""])
def test_names_that_cannot_be_read_are_left_out(names: bytes) -> None:
    der = certificate(extension=x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, names))
    summary = summarize(der)
    assert (summary.names, summary.subject) == ((), "CN=vpn.test")


def test_a_version_that_does_not_exist_is_shown_as_unreadable() -> None:
    der = certificate().replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)
    summary = summarize(der)
    assert (summary.subject, summary.pin) == ("unreadable", pin_of(der))
    assert summary.text.startswith("unreadable certificate: ")


def test_what_is_shown_is_clean_and_bounded() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("a" * 5 + "\x1b[2J")] * (MAX_NAMES + 1))
    summary = summarize(certificate("evil\x1b]0;x\x07", names))
    assert summary.subject.isprintable() and "\x1b" not in summary.text
    assert len(summary.names) == MAX_NAMES and summary.names[0] == "aaaaa.[2J"
    assert len(summary.subject) <= MAX_TEXT
