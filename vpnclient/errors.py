"""What a user is told when something fails: a stable code, a text, a hint and an exit status.

`explain` maps every error of the floors below (protocols/errors.py, transports/errors.py) to a Failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocols import errors as protocol
from transports import errors as transport


class Exit(IntEnum):
    """Exit statuses of the program; documented in the README."""

    OK = 0
    INTERNAL = 1
    REFUSED = 2  # sign-in or cookie refused
    USAGE = 3  # command line or profile
    UNREACHABLE = 4
    NOT_TRUSTED = 5
    INPUT_NEEDED = 6
    NOT_PERMITTED = 7  # permission or kernel feature missing
    PROTOCOL = 8
    ENDED = 9  # by the gateway
    HOST = 10  # configuring the host failed
    SYSTEM = 11  # the operating system refused something else: a full disk, too many open files
    INTERRUPTED = 130


class ClientError(Exception):
    """Root of the application's errors: code, text, hint, exit status."""

    code = "internal"
    exit_code = Exit.INTERNAL

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class UsageError(ClientError):
    """The command line or a profile is wrong; nothing was contacted."""

    code, exit_code = "usage", Exit.USAGE


class NotPermitted(ClientError):
    """The kernel refuses, or a device or capability is missing."""

    code, exit_code = "not-permitted", Exit.NOT_PERMITTED


class NotOnThisSystem(ClientError):
    """What this system, or this program on it, does not have."""

    code, exit_code = "not-on-this-system", Exit.NOT_PERMITTED


class HostError(ClientError):
    """The host could not be configured; what was done has been undone."""

    code, exit_code = "host-configuration", Exit.HOST


class OutputFailed(ClientError):
    """What was asked for could not be printed."""

    code, exit_code = "output", Exit.SYSTEM


class SessionEnded(ClientError):
    """The gateway ended the session."""

    code, exit_code = "ended-by-gateway", Exit.ENDED


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    text: str
    hint: str
    exit_code: Exit


_KNOWN: tuple[tuple[type[Exception], str, Exit, str], ...] = (
    # first match wins: children before parents
    (
        protocol.ClientCertificateRequired,
        "client-certificate",
        Exit.REFUSED,
        "give one with --certificate (and --sslkey), or ask your administrator which one is expected",
    ),
    (protocol.UnknownGroup, "unknown-group", Exit.REFUSED, "choose one of them with --authgroup"),
    (protocol.SignInFailed, "sign-in-refused", Exit.REFUSED, "check user name and password, then try again"),
    (protocol.CookieRejected, "cookie-rejected", Exit.REFUSED, "the session has expired: sign in again"),
    (protocol.SignInCancelled, "cancelled", Exit.INTERRUPTED, ""),
    (
        protocol.InputRequired,
        "input-required",
        Exit.INPUT_NEEDED,
        "run it in a terminal, or give answers with --user, --passwd-on-stdin or --form-entry",
    ),
    (protocol.GatewayUnavailable, "gateway-unavailable", Exit.UNREACHABLE, "try again in a few minutes"),
    (
        protocol.NotSupported,
        "not-supported",
        Exit.PROTOCOL,
        "ask your administrator for another way to sign in: this version cannot do that yet",
    ),
    (protocol.UnknownProtocol, "unknown-protocol", Exit.USAGE, "choose one of them with --protocol"),
    (protocol.BrokenPlugin, "broken-plugin", Exit.USAGE, "update or remove that package"),
    (
        protocol.ProtocolError,
        "protocol",
        Exit.PROTOCOL,
        "is this the right kind of gateway? run again with -vv and report what it prints",
    ),
    (
        transport.NotTrusted,
        "not-trusted",
        Exit.NOT_TRUSTED,
        "compare the key with the one your administrator names; if it is right, add --servercert with it",
    ),
    (
        transport.ClientCertificateWanted,
        "client-certificate",
        Exit.REFUSED,
        "give one with --certificate (and --sslkey), or ask your administrator which one is expected",
    ),
    (
        transport.IdentityError,
        "client-certificate-file",
        Exit.USAGE,
        "check --certificate, --sslkey and the passphrase",
    ),
    (transport.PinInvalid, "pin", Exit.USAGE, "check --servercert"),
    (transport.Unreachable, "unreachable", Exit.UNREACHABLE, "check the name, your network and any proxy"),
    (transport.ConnectionLost, "connection-lost", Exit.UNREACHABLE, "check your network, then try again"),
    (transport.DatagramTooLarge, "datagram-too-large", Exit.UNREACHABLE, "lower --base-mtu"),
    (transport.ProxyError, "proxy", Exit.UNREACHABLE, "check --proxy and its user and password"),
    (transport.TlsError, "tls", Exit.PROTOCOL, "is this the right port? run again with -vv for details"),
    (transport.DtlsError, "dtls", Exit.PROTOCOL, "the tunnel works without it: --no-dtls"),
    (transport.DatagramTooLarge, "path-mtu", Exit.UNREACHABLE, "the tunnel works without UDP: --no-udp"),
    (transport.HttpError, "http", Exit.PROTOCOL, "is this the right host and port? run again with -vv"),
    (
        transport.DeviceError,
        "device",
        Exit.NOT_PERMITTED,
        "run it as root, or with CAP_NET_ADMIN; in a container the device /dev/net/tun must exist",
    ),
    (transport.EngineError, "engine", Exit.INTERNAL, "build it again: make engine"),
)


_WRONG_PIN = "this is not the key that was pinned: ask your administrator whether it has changed before you connect"


def explain(error: BaseException) -> Failure:
    """What to tell the user about an error of any floor."""
    if isinstance(error, ClientError):
        return Failure(error.code, str(error), error.hint, error.exit_code)
    for kind, code, exit_code, hint in _KNOWN:
        if isinstance(error, kind):
            if getattr(error, "pinned", False):
                hint = _WRONG_PIN
            own = error.code if isinstance(error, protocol.ProtocolError) else ""
            return Failure(own or code, str(error), hint, exit_code)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failure("system", f"{where}{(error.strerror or str(error)).lower()}", "", Exit.SYSTEM)
    return Failure("internal", f"{type(error).__name__}: {error}", "this is a bug: please report it", Exit.INTERNAL)
