"""What a program may want to tell apart beyond protocols/errors.py; the codes are those of the specification."""

from __future__ import annotations

from protocols.errors import ConnectRefused, CookieRejected, NegotiationFailed, SignInFailed


class SignInRefused(SignInFailed):
    """The gateway does not take the answers."""

    code = "auth-failed"


class PasswordExpired(SignInFailed):
    """The password must be changed first, in a browser."""

    code = "auth-password-expired"


class SessionRejected(CookieRejected):
    """The gateway no longer knows the session, or gives it no other tunnel."""

    code = "session-rejected"


class TunnelRefused(ConnectRefused):
    """The gateway will not open the tunnel."""

    code = "tunnel-refused"


class TunnelTimeout(NegotiationFailed):
    """The gateway said nothing at all."""

    def __init__(self, text: str) -> None:
        super().__init__("tunnel-timeout", text)
