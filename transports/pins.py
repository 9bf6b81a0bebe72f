"""Pins: fingerprints that name the one key or certificate a server may have.

    pin-sha256:BASE64   SHA-256 of the public key (DER SubjectPublicKeyInfo); case counts
    sha256:HEX          the same in hex
    sha1:HEX            SHA-1 of the public key
    HEX                 SHA-1 of the whole certificate
    cert-sha256:HEX     SHA-256 of the whole certificate (openfortivpn's trusted-cert)

Source: auth-helpers.md section 4.1, Q12.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from transports.errors import PinInvalid, TlsError

MIN_PREFIX = 4  # characters of a shortened pin
_MAX_SHOWN = 80  # characters of a malformed pin in an error

_INTEGER, _SEQUENCE, _VERSION = 0x02, 0x30, 0xA0  # DER tags
_BEFORE_KEY = (_INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE)  # serial, algorithm, issuer, validity, subject


class PinKind(Enum):
    """Value: prefix, digest, of the key (True) or the certificate (False), length in characters."""

    KEY_BASE64 = ("pin-sha256", "sha256", True, 44)
    KEY_SHA256 = ("sha256", "sha256", True, 64)
    KEY_SHA1 = ("sha1", "sha1", True, 40)
    CERTIFICATE_SHA1 = ("", "sha1", False, 40)
    CERTIFICATE_SHA256 = ("cert-sha256", "sha256", False, 64)

    @property
    def prefix(self) -> str:
        return self.value[0]

    @property
    def length(self) -> int:
        return self.value[3]

    def of(self, certificate: bytes) -> str:
        """The pin's value for a DER certificate."""
        _prefix, name, of_key, _length = self.value
        digest = hashlib.new(name, public_key(certificate) if of_key else certificate).digest()
        return base64.b64encode(digest).decode() if self is PinKind.KEY_BASE64 else digest.hex()


_KINDS = {kind.prefix: kind for kind in PinKind}


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin; `value` may be a prefix of at least MIN_PREFIX characters, hex in lower case."""

    kind: PinKind
    value: str

    @classmethod
    def parse(cls, text: str, *, allow_prefix: bool = False) -> Pin:
        """allow_prefix: take shortened values, as the reference does.  Raises PinInvalid."""
        prefix, colon, value = text.strip().rpartition(":")
        kind = _KINDS.get(prefix.lower())
        if kind is None or (colon and not prefix):
            raise PinInvalid(f"unknown kind in {text[:_MAX_SHOWN]!r}, want one of {', '.join(filter(None, _KINDS))}")
        if kind is PinKind.KEY_BASE64:
            value, good = _checked_base64(value)
        else:
            value, good = value.lower(), re.fullmatch("[0-9A-Fa-f]*", value) is not None
        if not good and not prefix:
            raise PinInvalid(f"{text[:_MAX_SHOWN]!r}: want pin-sha256:BASE64, or the 40 hex digits of a SHA-1")
        if not good:
            alphabet = "base64" if kind is PinKind.KEY_BASE64 else "hex digits"
            raise PinInvalid(f"{text[:_MAX_SHOWN]!r}: want {alphabet} after the prefix")
        least = MIN_PREFIX if allow_prefix else kind.length
        if not least <= len(value) <= kind.length:
            want = f"{least} to {kind.length}" if allow_prefix else f"{kind.length}"
            raise PinInvalid(f"{text[:_MAX_SHOWN]!r}: got {len(value)} characters, want {want}")
        return cls(kind, value)

    def matches(self, certificate: bytes) -> bool:
        """certificate: DER.  Raises TlsError if it cannot be parsed."""
        return self.kind.of(certificate).startswith(self.value)

    def __str__(self) -> str:
        return f"{self.kind.prefix}:{self.value}" if self.kind.prefix else self.value


def _checked_base64(value: str) -> tuple[str, bool]:
    """The value with its padding, and whether its characters are right."""
    if len(value) == PinKind.KEY_BASE64.length - 1 and not value.endswith("="):
        value += "="  # people lose it when they copy
    return value, re.fullmatch("[A-Za-z0-9+/]*=?", value) is not None


def pin_of(certificate: bytes) -> str:
    """The recommended pin of a DER certificate: pin-sha256:...; it survives renewal with the same key."""
    return f"pin-sha256:{PinKind.KEY_BASE64.of(certificate)}"


def mistaken_kind(pins: Iterable[Pin], certificate: bytes) -> str:
    """A hint if a SHA-1 pin would match as the other kind: both have 40 digits (Q12).  Empty: it would not."""
    for pin in pins:
        if pin.kind is PinKind.KEY_SHA1 and Pin(PinKind.CERTIFICATE_SHA1, pin.value).matches(certificate):
            return f"{pin} is the SHA-1 of the certificate: give it without sha1:"
        if pin.kind is PinKind.CERTIFICATE_SHA1 and Pin(PinKind.KEY_SHA1, pin.value).matches(certificate):
            return f"{pin} is the SHA-1 of the public key: give it as sha1:{pin.value}"
    return ""


def public_key(certificate: bytes) -> bytes:
    """The DER SubjectPublicKeyInfo inside a DER certificate (RFC 5280, section 4.1).  Raises TlsError."""
    outer, _end = _element(certificate, 0, len(certificate), _SEQUENCE)
    at, end = _element(certificate, outer, len(certificate), _SEQUENCE)
    if certificate[at : at + 1] == bytes([_VERSION]):
        _content, at = _element(certificate, at, end, _VERSION)
    for tag in _BEFORE_KEY:
        _content, at = _element(certificate, at, end, tag)
    _content, after = _element(certificate, at, end, _SEQUENCE)
    return certificate[at:after]


def _element(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the DER element at `at` begins and ends; it must have `tag` and lie before `end`."""
    if end - at < 2 or data[at] != tag:
        raise TlsError(f"tls-certificate-invalid: want DER tag {tag:02x} (byte {at})")
    size, content = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or count > end - content:
            raise TlsError(f"tls-certificate-invalid: bad DER length (byte {at + 1})")
        size = int.from_bytes(data[content : content + count])
        content += count
    if size > end - content:
        raise TlsError(f"tls-certificate-invalid: DER length {size}, want <= {end - content} (byte {at + 1})")
    return content, content + size
