"""Everything that can go wrong below a protocol, as one tree.

    TransportError
        Unreachable            no address, refused, timed out, no route
        ConnectionLost         it worked, then it ended without being asked to
            Truncated          the peer ended TCP without TLS's close_notify
            TimedOut           connected, but no (whole) answer within the deadline
        DatagramTooLarge       larger than the path takes; a smaller one may pass
        TlsError               the handshake or a record failed
            NotTrusted         the certificate failed verification or no pin matched
            ClientCertificateWanted   the peer ended the handshake for want of a client certificate
        DtlsError                  the handshake of an association failed, or the association died
            DtlsTimedOut           nobody answered in time
            DtlsRefused            ICMP says that nobody is there
            DtlsNotResumed         the peer wants a full handshake: it does not know our secret
            DtlsEnded              the association was closed in order
        PinInvalid             a configured pin cannot be read (also a ValueError)
        IdentityError          a client certificate or its key cannot be used
        HttpError              the answer breaks HTTP or one of our caps
        ProxyError             the proxy refused or broke its protocol
            ProxyAuthFailed
        DeviceError            the packet device cannot be opened or went away
        EngineError            the native engine is missing, of another version, or refused a call

Texts are lower case: what came, what was wanted, where; never a cookie, key or password.
"""

from __future__ import annotations

from dataclasses import dataclass


class TransportError(Exception):
    """Root of this package's errors; never raised itself."""


class Unreachable(TransportError):
    """No connection could be made to a host."""


class ConnectionLost(TransportError):
    """An established connection ended without being asked to."""


class TimedOut(ConnectionLost):
    """The peer is connected but did not answer in time; `seconds` is the deadline that passed."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what}: no answer within {seconds:g} s")
        self.seconds = seconds


class DatagramTooLarge(TransportError):
    """A datagram of `size` bytes does not fit an IP packet of `mtu` bytes, the path's; 0: not known."""

    def __init__(self, what: str, size: int, mtu: int) -> None:
        super().__init__(f"{what}: a datagram of {size} bytes, the path takes packets of {mtu}")
        self.size, self.mtu = size, mtu


class Truncated(ConnectionLost):
    """The peer ended TCP without TLS's close_notify; what was read before is whole records."""


class TlsError(TransportError):
    """The TLS handshake or a record failed."""


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """What a person needs to judge a certificate."""

    subject: str
    issuer: str
    not_before: str  # ISO 8601, UTC
    not_after: str
    names: tuple[str, ...]  # DNS names and IP addresses it is valid for
    pin: str  # pin-sha256:BASE64 of its public key
    text: str  # several lines, for display on demand


class NotTrusted(TlsError):
    """The server's certificate failed verification, or no configured pin matched it.

    reason: one distinct text, e.g. "signer unknown", "expired", "host name mismatch", "no pin matches".
    pinned: pins were configured (then nobody may override interactively).
    """

    def __init__(self, host: str, reason: str, certificate: CertificateSummary, *, pinned: bool = False) -> None:
        super().__init__(f"certificate of {host} not trusted: {reason} (its key is {certificate.pin})")
        self.host, self.reason, self.certificate, self.pinned = host, reason, certificate, pinned


class ClientCertificateWanted(TlsError):
    """The peer ended the handshake because it wants a (different) client certificate."""


class DtlsError(TransportError):
    """The handshake of a DTLS association failed, or the association died."""


class DtlsTimedOut(DtlsError):
    """Nobody answered the handshake in time."""


class DtlsRefused(DtlsError):
    """The network says that nobody is there (ICMP)."""


class DtlsNotResumed(DtlsError):
    """The peer wants a full handshake where it should resume: it does not know our secret, and may be anybody."""


class DtlsEnded(DtlsError):
    """The association was closed in order, by either side."""


class PinInvalid(TransportError, ValueError):
    """A configured pin cannot be read; known before any network use."""


class IdentityError(TransportError):
    """A client certificate or its key cannot be used.

    `code`: client-cert-mismatch, client-cert-unreadable, client-cert-unsupported, tls-certificate-invalid or
    key-password.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class HttpError(TransportError):
    """An answer breaks HTTP, or is larger than we accept."""


class ProxyError(TransportError):
    """The proxy refused the connection or broke its protocol."""


class ProxyAuthFailed(ProxyError):
    """The proxy wants credentials, or refused the ones it got."""


class DeviceError(TransportError):
    """A packet device cannot be opened, was refused, or went away."""


class EngineError(TransportError):
    """The native engine is missing, of another version, or refused a call."""
