"""Certificates for tests: an authority that issues them, made in memory, for years around a fixed "now".

authority = Authority("Test CA")
server = authority.issue("vpn.test", names=("vpn.test", "127.0.0.1"))
context = ServerContext(server.identity)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from transports.identity import Identity

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LIFE = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key.  chain: the issuers between it and a root."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def identity(self) -> Identity:
        chain = tuple(each.public_bytes(Encoding.DER) for each in self.chain)
        return Identity(self.der, self.key_bytes(encoding=Encoding.DER), chain)

    def key_bytes(
        self,
        password: bytes | None = None,
        *,
        encoding: Encoding = Encoding.PEM,
        form: PrivateFormat = PrivateFormat.PKCS8,
    ) -> bytes:
        encryption: KeySerializationEncryption = NoEncryption()
        if password is not None:
            encryption = BestAvailableEncryption(password)
        return self.key.private_bytes(encoding, form, encryption)

    def write(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """NAME.pem (leaf first, then its chain) and NAME-key.pem, readable by the owner only."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
        certificate.write_bytes(self.pem + b"".join(each.public_bytes(Encoding.PEM) for each in self.chain))
        key.touch(mode=0o600)
        key.write_bytes(self.key_bytes())
        return certificate, key


class Authority(Issued):
    """A CA; a root unless another issued it."""

    def __init__(self, name: str = "Test CA", *, above: Authority | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        usage = _usage(ca=True)
        builder = _builder(name, key, above, datetime.now(UTC) - LIFE, 10 * LIFE)
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
        signed = builder.sign(above.key if above else key, hashes.SHA256())
        chain = (signed, *above.chain) if above else ()
        super().__init__(signed, key, chain)

    def issue(
        self,
        name: str,
        *,
        names: tuple[str, ...] | None = None,
        client: bool = False,
        key: Key | None = None,
        begin: datetime | None = None,
        life: timedelta = LIFE,
    ) -> Issued:
        """names: DNS names and addresses, default `name`; begin: default an hour ago."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        begin = begin or datetime.now(UTC) - timedelta(hours=1)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(name, key, self, begin, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_usage(ca=False), critical=True)
        )
        wanted = (name,) if names is None else names
        if wanted:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(each) for each in wanted]), critical=False
            )
        return Issued(builder.sign(self.key, hashes.SHA256()), key, self.chain)

    def expired(self, name: str) -> Issued:
        return self.issue(name, begin=datetime.now(UTC) - 2 * timedelta(days=10), life=timedelta(days=10))


def self_signed(name: str, *, key: Key | None = None) -> Issued:
    """A certificate that nobody vouches for."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, None, datetime.now(UTC) - timedelta(hours=1), LIFE)
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(name)]), critical=False)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def _builder(
    name: str, key: Key, issuer: Authority | None, begin: datetime, life: timedelta
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
