"""What a person needs to see of a certificate.  Texts of a certificate are the peer's: cleaned and capped here."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

from transports.errors import CertificateSummary
from transports.pins import pin_of

if TYPE_CHECKING:
    from cryptography import x509

MAX_TEXT = 512  # characters of a name
MAX_NAMES = 100  # alternative names shown


def summarize(certificate: bytes) -> CertificateSummary:
    """certificate: DER.  What cannot be parsed is shown as such: a summary is part of an error already."""
    from cryptography import x509  # slow to import, needed for few certificates

    try:
        return _summary(x509.load_der_x509_certificate(certificate), certificate)
    except (ValueError, x509.InvalidVersion) as exc:
        text = f"unreadable certificate: {clean(str(exc))}"
        return CertificateSummary("unreadable", "unreadable", "", "", (), pin_of(certificate), text)


def clean(text: str) -> str:
    """Without control characters, which a terminal would obey, and not longer than MAX_TEXT."""
    return "".join(c if c.isprintable() else "." for c in text[:MAX_TEXT])


def _summary(parsed: x509.Certificate, der: bytes) -> CertificateSummary:
    subject, issuer = clean(parsed.subject.rfc4514_string()), clean(parsed.issuer.rfc4514_string())
    begin, end = _utc(parsed.not_valid_before_utc), _utc(parsed.not_valid_after_utc)
    names, pin = _names(parsed), pin_of(der)
    lines = (
        ("subject", subject),
        ("issuer", issuer),
        ("serial", f"{parsed.serial_number:x}"),
        ("valid from", begin),
        ("valid until", end),
        ("valid for", ", ".join(names) or "no name"),
        ("key", pin),
        ("sha-256", hashlib.sha256(der).hexdigest()),
        ("sha-1", hashlib.sha1(der, usedforsecurity=False).hexdigest()),
    )
    text = "\n".join(f"{label + ':':<13}{value}" for label, value in lines)
    return CertificateSummary(subject, issuer, begin, end, names, pin, text)


def _utc(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(parsed: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()
    names = (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))
    return tuple(clean(name) for name in names[:MAX_NAMES])
