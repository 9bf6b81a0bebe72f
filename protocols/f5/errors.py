"""What a program may want to tell apart beyond protocols/errors.py; the codes are those of the specification."""

from __future__ import annotations

from protocols.errors import ConnectRefused, CookieRejected, SignInFailed


class AccessDenied(SignInFailed):
    """The gateway's policy ends the sign-in."""

    code = "auth-denied"


class SignInRefused(SignInFailed):
    """The gateway does not take the answers."""

    code = "auth-failed"


class SessionRejected(CookieRejected):
    """The gateway no longer knows the session."""

    code = "session-rejected"


class TunnelRefused(ConnectRefused):
    """The gateway will not open the tunnel."""

    code = "tunnel-refused"
