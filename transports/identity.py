"""A client certificate and its key, from PEM, DER and PKCS#12 files.

Recognised in this order: PKCS#12, PEM, DER (PKCS#8, then traditional).  The leaf is the certificate whose public key
is the key's, wherever it stands in the file.  Source: auth-helpers.md sections 3.1 and 9, Q29, Q30.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from transports.errors import IdentityError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

AskPassword = Callable[[str, str], str | None]  # form id, prompt -> password; None or empty: give up

MAX_FILE = 1024 * 1024  # bytes of a certificate or key file
MAX_CERTIFICATE = 64 * 1024  # bytes of one certificate
MAX_CHAIN = 10  # certificates sent
PASSWORD_TRIES = 3
EXPIRY_WARNING = 60  # days

_T = TypeVar("_T")
_PEM_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY|TSS2? KEY BLOB)-----.*?-----END \1-----", re.DOTALL)
_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Identity:
    """What proves who we are in a handshake.  key: PKCS#8 DER, not encrypted."""

    certificate: bytes
    key: bytes = field(repr=False)
    chain: tuple[bytes, ...] = ()

    def expiry_warning(self, now: float, days: int = EXPIRY_WARNING) -> str:
        """now: Unix seconds.  A text if the certificate has expired or will within `days`, else empty."""
        from cryptography import x509

        end = x509.load_der_x509_certificate(self.certificate).not_valid_after_utc
        left = end.timestamp() - now
        when = end.strftime("%Y-%m-%d %H:%M UTC")
        if left < 0:
            return f"the client certificate expired on {when}"
        return f"the client certificate expires on {when}" if left < days * 86400 else ""


def load_identity(certificate: Path, key: Path | None, ask_password: AskPassword) -> Identity:
    """key: None if it is in the certificate's file.

    ask_password gets the stable form id of the file's kind and a prompt; after a wrong password it is asked again,
    PASSWORD_TRIES times in all.  Raises IdentityError.
    """
    return _Loader(ask_password).load(certificate, key or certificate)


class _Loader:
    def __init__(self, ask_password: AskPassword) -> None:
        self._ask = ask_password

    def load(self, certificate: Path, key: Path) -> Identity:
        data = _read(certificate)
        certificates: list[x509.Certificate]
        private: PrivateKeyTypes | None
        if _is_pkcs12(data):
            private, certificates = self._pkcs12(certificate, data)
            if key != certificate or private is None:
                private = self._key(key, _read(key))
        else:
            certificates = _certificates(certificate, data)
            private = self._key(key, data if key == certificate else _read(key))
        return _assemble(certificate, key, certificates, private)

    def _key(self, path: Path, data: bytes) -> PrivateKeyTypes:
        if _is_pkcs12(data):
            private, _certificates = self._pkcs12(path, data)
            if private is None:
                raise IdentityError("client-cert-unreadable", f"{path}: no private key in this PKCS#12 file")
            return private
        return self._pem_key(path, data) if b"-----BEGIN " in data else self._der_key(path, data)

    def _pem_key(self, path: Path, data: bytes) -> PrivateKeyTypes:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        found = _PEM_KEY.search(data)
        if found is None:
            raise IdentityError("client-cert-unreadable", f"{path}: no private key in this PEM file")
        kind, block = found[1].decode(), found[0] + b"\n"
        if kind.startswith("TSS"):
            raise IdentityError("client-cert-unsupported", f"{path}: {kind}: keys in a TPM are not supported")
        pkcs8 = kind.endswith("ENCRYPTED PRIVATE KEY")
        encrypted = pkcs8 or b"Proc-Type: 4,ENCRYPTED" in block
        form = "openconnect_pkcs8" if pkcs8 else "openconnect_pem"
        return self._unlock(path, form, encrypted, lambda password: load_pem_private_key(block, password))

    def _der_key(self, path: Path, data: bytes) -> PrivateKeyTypes:
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        encrypted = _inner_tag(data) == 0x30  # EncryptedPrivateKeyInfo begins with an algorithm, all others a version
        return self._unlock(path, "openconnect_pkcs8", encrypted, lambda password: load_der_private_key(data, password))

    def _pkcs12(self, path: Path, data: bytes) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
        from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

        for silent in (None, b""):  # Q30: they give different keys
            try:
                store = load_pkcs12(data, silent)
                break
            except ValueError:
                continue
        else:
            store = self._unlock(path, "openconnect_pkcs12", True, lambda password: load_pkcs12(data, password))
        held = [entry.certificate for entry in (store.cert, *store.additional_certs) if entry is not None]
        if not held:
            raise IdentityError("client-cert-unreadable", f"{path}: no certificate in this PKCS#12 file")
        return store.key, held

    def _unlock(self, path: Path, form: str, encrypted: bool, load: Callable[[bytes | None], _T]) -> _T:
        """What `load` makes of the right password; libraries cannot tell a wrong one from a damaged file."""
        from cryptography.exceptions import UnsupportedAlgorithm

        try:
            if not encrypted:
                return load(None)
            for _attempt in range(PASSWORD_TRIES):
                password = self._ask(form, f"Password of {path}")
                if not password:
                    raise IdentityError("key-password", f"{path}: it is encrypted and no password was given")
                try:
                    return load(password.encode())
                except ValueError:
                    continue
        except UnsupportedAlgorithm as exc:  # Q29
            raise IdentityError(
                "client-cert-unsupported", f"{path}: {exc}; convert it with openssl pkcs12 -legacy"
            ) from exc
        except (ValueError, TypeError) as exc:
            raise IdentityError("client-cert-unreadable", f"{path}: {exc}") from exc
        raise IdentityError("key-password", f"{path}: wrong password {PASSWORD_TRIES} times, or a damaged file")


def _read(path: Path) -> bytes:
    if str(path).startswith(("pkcs11:", "system:", "keystore:")):
        raise IdentityError("client-cert-unsupported", f"{path}: only certificates in files are supported")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as exc:
        raise IdentityError("client-cert-unreadable", f"{path}: {exc.strerror}") from exc
    if len(data) > MAX_FILE:
        raise IdentityError("client-cert-unreadable", f"{path}: larger than {MAX_FILE} bytes")
    return data


def _inner_tag(data: bytes) -> int:
    """The DER tag of the first element inside the outermost sequence; -1: there is none."""
    return next(iter(_inside(data)[:1]), -1)


def _inside(data: bytes) -> bytes:
    """The first bytes inside the outermost DER sequence; nothing else is looked at."""
    if len(data) < 4 or data[0] != 0x30:
        return b""
    start = 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)
    return data[start : start + 3]


def _is_pkcs12(data: bytes) -> bool:
    return _inside(data) == b"\x02\x01\x03"  # version 3 comes first (RFC 7292); PKCS#8 has 0 or 1, others no number


def _certificates(path: Path, data: bytes) -> list[x509.Certificate]:
    from cryptography import x509

    try:
        if _PEM_CERTIFICATE in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as exc:
        raise IdentityError("tls-certificate-invalid", f"{path}: no certificate that can be read: {exc}") from exc


def _assemble(certificate: Path, key: Path, certificates: list[x509.Certificate], private: PrivateKeyTypes) -> Identity:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    public = _spki(private.public_key())
    leaf = next((each for each in certificates if _spki_of(each) == public), None)
    if leaf is None:
        raise IdentityError("client-cert-mismatch", f"the key in {key} belongs to no certificate in {certificate}")
    ours = leaf.public_bytes(Encoding.DER)
    chain = tuple(each.public_bytes(Encoding.DER) for each in _chain(leaf, certificates))
    if len(chain) + 1 > MAX_CHAIN or max(map(len, (ours, *chain))) > MAX_CERTIFICATE:
        want = f"want at most {MAX_CHAIN} certificates of {MAX_CERTIFICATE} bytes"
        raise IdentityError("tls-certificate-invalid", f"{certificate}: {want}")
    return Identity(ours, private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), chain)


def _chain(leaf: x509.Certificate, certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """The issuers of the leaf, each the next one's subject, without the root; what does not belong is left out."""
    chain: list[x509.Certificate] = []
    last = leaf
    while last.issuer != last.subject:
        issuer = next((each for each in certificates if each.subject == last.issuer and each not in chain), None)
        if issuer is None or issuer.issuer == issuer.subject:
            break
        chain.append(issuer)
        last = issuer
    return chain


def _spki(key: PublicKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _spki_of(certificate: x509.Certificate) -> bytes:
    return _spki(certificate.public_key())
