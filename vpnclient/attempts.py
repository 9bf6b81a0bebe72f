"""What the attempts of one reconnect have met so far, and what follows from it.  Pure: no clock, no I/O.

the link failed, the gateway cannot be reached     wait, try again (backoff.py)
the cookie is refused                              sign in again at once, with what the user answered before
the gateway is not available, twice                the same: ocserv says so of a cookie that it has forgotten
another certificate, a refused sign-in             the end
"""

from __future__ import annotations

from protocols.errors import (
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    InputRequired,
    NotSupported,
    ProtocolError,
    SignInCancelled,
    SignInFailed,
)
from transports.errors import NotTrusted

UNAVAILABLE_BEFORE_SIGN_IN = 2  # a gateway that was restarted answers an unknown cookie with 503 (cli-parity.md 6.2)


class Attempts:
    """One reconnect.  can_sign_in: False when the cookie was given and nobody can be asked for another."""

    def __init__(self, *, can_sign_in: bool) -> None:
        self.number = 0
        self.expired: ProtocolError | None = None  # why a new sign-in is needed
        self._can_sign_in = can_sign_in
        self._unavailable = 0
        self._renewed = False

    def signed_in(self) -> None:
        self.expired, self._renewed = None, True

    def hopeless(self, error: Exception) -> bool:
        """No later attempt can help."""
        self.number += 1
        # Never go on with another certificate (host-config.md section 5), nor with a refused password.
        if isinstance(error, NotTrusted | SignInFailed | InputRequired | SignInCancelled):
            return True
        if isinstance(error, ConnectRefused | ConfigurationRefused | NotSupported):  # said for good
            return True
        if error is self.expired:  # signing in again was not possible
            return True
        return isinstance(error, CookieRejected) and (self._renewed or not self._can_sign_in)

    def wants_sign_in_now(self, error: Exception) -> bool:
        """The cookie is dead, or may be: sign in with the next attempt, which follows at once."""
        if isinstance(error, GatewayUnavailable) and self._can_sign_in and not self._renewed:
            self._unavailable += 1
        if isinstance(error, CookieRejected) or self._unavailable >= UNAVAILABLE_BEFORE_SIGN_IN:
            self._unavailable = 0
            self.expired = error if isinstance(error, ProtocolError) else None
            return True
        return False
