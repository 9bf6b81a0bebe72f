"""Everything that can go wrong inside a protocol, as one tree.

    ProtocolError
        MalformedFrame         bytes that break the layout of a frame
        MalformedAnswer        a document, header or form that breaks the specification
        UnexpectedFrame        legal, but not in this state
        SignInFailed           the gateway refused what the user gave
            UnknownGroup       the wanted group is not among the gateway's
            ClientCertificateRequired
        NotSupported           the gateway demands what this version cannot do
        SignInCancelled        the user gave up at a prompt
        InputRequired          a field needs an answer and nobody can be asked
        CookieRejected         the session cookie is dead: sign in again
        GatewayUnavailable     the gateway says: not now (retry inside the reconnect window)
        DatagramsImpossible    no datagram channel in this session, however often it is tried
        UnknownProtocol        no protocol of that name
        BrokenPlugin           another package's protocol cannot be used
        NegotiationFailed      both ends could not agree on the link this time
        ConnectRefused         the gateway refused the tunnel for good
        ConfigurationRefused   the tunnel's configuration cannot be used (no address, no MTU, ...)

Texts are for people, in lower case: what came, what was wanted, where; never a cookie, key or password.  What a program
may want to tell apart is in `code`.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Root of this package's errors; never raised itself.  `code` names the case; empty: the class says it all."""

    code = ""


class MalformedFrame(ProtocolError):
    """The gateway sent bytes that break the layout of a frame."""

    def __init__(self, field: str, *, got: object, want: object, at: int) -> None:
        super().__init__(f"{field}: got {got!r}, want {want} (byte {at})")
        self.field, self.at = field, at


class MalformedAnswer(ProtocolError):
    """A document, header or form breaks the specification.  `code` names the case, e.g. auth-malformed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class UnexpectedFrame(ProtocolError):
    """A frame that is legal, but not in this state."""

    def __init__(self, what: str, *, state: str) -> None:
        super().__init__(f"unexpected {what} in state {state}")
        self.state = state


class SignInFailed(ProtocolError):
    """The gateway refused what the user gave; the text is the gateway's."""


class UnknownGroup(SignInFailed):
    """The wanted group is not among those the gateway offers."""

    def __init__(self, wanted: str, offered: tuple[str, ...]) -> None:
        super().__init__(f"no group {wanted!r}; the gateway offers: {', '.join(offered) or 'none'}")
        self.wanted, self.offered = wanted, offered


class ClientCertificateRequired(SignInFailed):
    """The gateway wants a client certificate and got none, or an unacceptable one."""


class NotSupported(ProtocolError):
    """The gateway demands what this version cannot do.  `code`: csd-required, sso-required, mca-unavailable, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class SignInCancelled(ProtocolError):
    """The user gave up at a prompt."""


class InputRequired(ProtocolError):
    """A field needs an answer, and nobody can be asked (no terminal, or --non-inter)."""


class CookieRejected(ProtocolError):
    """The session cookie is dead; a new sign-in is needed."""


class GatewayUnavailable(ProtocolError):
    """The gateway cannot serve now; worth another try inside the reconnect window."""


class ConnectRefused(ProtocolError):
    """The gateway refused the tunnel for good."""

    code = "connect-refused"


class ConfigurationRefused(ProtocolError):
    """The tunnel's configuration cannot be used.  `code`: no-address, no-mtu, mtu-too-small, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NegotiationFailed(ProtocolError):
    """Both ends could not agree on the link; another attempt may.  `code`: ppp-negotiation-timeout, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class DatagramsImpossible(ProtocolError):
    """The datagram channel cannot work in this session; the stream can."""


class UnknownProtocol(ProtocolError):
    """No protocol of that name."""

    def __init__(self, wanted: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no protocol {wanted!r}; there are: {', '.join(known)}")
        self.wanted, self.known = wanted, known


class BrokenPlugin(ProtocolError):
    """Another package's protocol cannot be used; the text names the package."""
