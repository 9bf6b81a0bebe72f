"""What a program may want to tell apart beyond protocols/errors.py; the codes are those of the specification."""

from __future__ import annotations

from protocols.errors import ConnectRefused, SignInFailed


class HostCheckFailed(SignInFailed):
    """The host checker failed, or the gateway did not like what it found."""

    code = "nc-host-checker-failed"


class OncpDisabled(ConnectRefused):
    """The gateway talks Pulse only."""

    code = "oncp-disabled"


class OncpRefused(ConnectRefused):
    """The gateway refused the tunnel with a status that nobody knows."""

    code = "oncp-refused"
