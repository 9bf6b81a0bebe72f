"""What a protocol is: three steps and the values that pass between them.

    authenticate(http, user, options)  -> Ticket    who we are and where to connect; needs no root
    connect(dialer, ticket, options)   -> Tunnel    the main link, its configuration, its controller
    controller                                      sans-IO: control frames and the clock in, actions out

A protocol knows its gateway's language and nothing of TUN devices, routes or terminals.  Plug-ins import these
names from `vpnclient.api`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.framing import Framing
    from transports.http import HttpClient
    from transports.link import DatagramLink, LinkDescription
    from transports.tls import TlsStream

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


class Secret:
    """A text that never shows itself in repr, str, logs or tracebacks; `reveal()` hands it out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(...)"


# --- asking the user -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    value: str  # what is sent
    label: str  # what is shown


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a form.  `kind`: text, password, select or hidden."""

    name: str
    label: str
    kind: str
    value: str = ""  # preset
    choices: tuple[Choice, ...] = ()
    is_group: bool = False  # this select chooses the login group
    once: bool = False  # a code of a second factor: never answered from memory


@dataclass(frozen=True, slots=True)
class Form:
    """What the gateway asks.  Texts are already stripped of control characters and capped."""

    form_id: str  # stable identifier for --form-entry, e.g. "main", "challenge"
    fields: tuple[Field, ...]
    banner: str = ""
    message: str = ""
    error: str = ""


class User(Protocol):
    """Who answers questions during a sign-in: a terminal, a script, a test."""

    async def fill(self, form: Form) -> dict[str, str]:
        """Answers for every text, password and select field of the form, by field name.

        Also for hidden fields that the user chose to override.  Show banner, error and message first.
        Raises SignInCancelled, InputRequired.
        """

    async def choose_group(self, form: Form, group: Field) -> str:
        """The `value` of the wanted group.  Raises UnknownGroup, SignInCancelled, InputRequired."""

    def say(self, text: str) -> None:
        """Tell the user something on the way (progress, warnings)."""


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """How to sign in; from the command line and the profile."""

    url: str  # https://host[:port]/path[?query]
    user_agent: str = ""  # empty: the protocol's default
    version: str = "0.1.0"  # told to the gateway
    os_name: str = "linux-64"
    local_hostname: str = "localhost"
    authgroup: str = ""
    external_auth: bool = False  # advertise browser sign-in
    has_client_certificate: bool = False
    xml_post: bool = True  # False: go straight to the legacy HTML form
    allow_password: bool = True
    csd_wrapper: str = ""  # the user's own program that checks this host; empty: none
    csd_user: str = ""  # run it as this user; empty: as ourselves
    csd_interval: int = 0  # seconds between two checks; 0: as the gateway says
    ipv6: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The outcome of a sign-in: enough to open the tunnel in another process, by another user.

    cookie: as printed by --authenticate (a secret).  address: numeric address signed in to, or "" behind a proxy.
    connect_url: https://name[:port]/.  fingerprint: pin-sha256:... of the certificate seen.
    notes: what the protocol learned besides, for a tunnel in the same process; a split sign-in does without.
    """

    protocol: str
    connect_url: str
    cookie: Secret
    address: str = ""
    fingerprint: str = ""
    banner: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


# --- the tunnel ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TunnelOptions:
    """What to ask for when opening the tunnel."""

    user_agent: str = ""
    version: str = "0.1.0"
    os_name: str = "linux-64"
    local_hostname: str = "localhost"
    ipv6: bool = True
    mtu: int = 0  # bytes; 0: as the gateway says
    base_mtu: int = 0  # bytes, path MTU; 0: measured
    force_dpd: int = 0  # seconds; 0: as the gateway says
    datagrams: bool = True  # False: the stream alone, no UDP
    dtls_ciphers: str = ""  # the protocol's names, joined by ':'; empty: its own list
    local_port: int = 0  # of UDP; 0: any
    compression: bool = False  # offer methods without state: what one packet holds says nothing of another
    held: tuple[Interface, ...] = ()  # addresses held before, on reconnect
    asked: bool = False  # the user asked for a new link: also what is not tried by itself may be tried
    authgroup: str = ""  # the wanted group, for gateways that offer several ways in after the sign-in
    csd_wrapper: str = ""  # the user's own program that checks this host; empty: none
    csd_user: str = ""  # run it as this user; empty: as ourselves
    csd_interval: int = 0  # seconds between two checks; 0: as the gateway says
    minimal_report: bool = False  # without a program: report no more than what must be said
    local_time: str = ""  # MM/DD/YYYY HH:MM:SS, for reports


@dataclass(frozen=True, slots=True)
class TunnelConfig:
    """What the gateway wants of the host.  No split_include for a family that has an address: its default route.

    Addresses carry their prefix (a missing mask is /32 or /128).  mtu: bytes of inner IP packet.  Times: seconds,
    0 = none.  raw: every option as the gateway named it, for scripts, without secrets.
    """

    addresses: tuple[Interface, ...]
    mtu: int
    dns: tuple[Address, ...] = ()
    nbns: tuple[IPv4Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    tunnel_all_dns: bool = False
    split_include: tuple[Network, ...] = ()
    split_exclude: tuple[Network, ...] = ()
    exclude_local_lan: bool = False  # 0.0.0.0/32 excluded (anyconnect.md Q24): keep attached networks outside
    client_bypass: bool = True  # a family without an address may leave the host outside the tunnel
    banner: str = ""
    proxy_pac: str = ""
    idle_timeout: int = 0
    session_timeout: int = 0
    disconnected_timeout: int = 0
    dynamic_dns: bool = False  # resolve the gateway's name again on reconnect
    warnings: tuple[str, ...] = ()  # options that were dropped or repaired, one text each
    raw: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """A frame that is not data, between the engine and a controller.  `kind` is the framing's own number."""

    kind: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Traffic:
    """When the link was last alive: monotonic seconds of the last bytes received and sent, counted by the engine.

    Of a datagram channel also what used its keys up since the tunnel was opened: datagrams that left, and the bytes of
    the busier direction.
    """

    received_at: float
    sent_at: float
    sent: int = 0
    moved: int = 0


# Actions: what a controller wants done.  The session carries them out, in order.


@dataclass(frozen=True, slots=True)
class Send:
    """Send a control frame: on the stream, or on the datagram channel beside it.

    A tunnel that has only one link sends everything on that.
    """

    frame: Control
    datagrams: bool = False


@dataclass(frozen=True, slots=True)
class OpenDatagrams:
    """Open the datagram channel; `DatagramController.on_up` or `on_failed` tells the outcome.

    One that is open goes on until the new one takes its place.
    """


@dataclass(frozen=True, slots=True)
class CloseDatagrams:
    """Say goodbye on the datagram channel, or stop opening it."""


@dataclass(frozen=True, slots=True)
class UseDatagrams:
    """Send packets by the datagram channel while it is there, or by the stream.  Both are received from.

    detail: for people, of the way packets go now.
    """

    yes: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SetOption:
    """An option of the running datagram channel's framing: new keys.  `value` may be a secret."""

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetMtu:
    """The tunnel carries packets of at most this many bytes from now on."""

    mtu: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The link is no longer good: open a new one with the same ticket."""

    reason: str
    planned: bool = False  # a rekey by new tunnel, not a failure: no back-off, no warning


@dataclass(frozen=True, slots=True)
class Rekey:
    """Renew the keys of the main link in place (TLS 1.2 renegotiation, TLS 1.3 KeyUpdate)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The gateway ended the session: do not reconnect."""

    reason: str
    code: int = 0  # the wire's reason byte, if any


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The gateway closed the session without saying why; it may only be restarting.

    One attempt with the ticket tells: a gateway that is there and refuses it has ended the session.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the user, go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Errand:
    """Work beside the tunnel, such as a report on a connection of its own; what it returns is carried out.

    One at a time: a second one is not begun.  It ends with the tunnel.  What it raises, a ProtocolError or a
    TransportError, is the tunnel's failure: it is opened again.
    """

    run: Callable[[], Awaitable[list[Action]]]


Action = (
    Send
    | Reconnect
    | Rekey
    | Ended
    | Dismissed
    | Warn
    | OpenDatagrams
    | CloseDatagrams
    | UseDatagrams
    | SetOption
    | SetMtu
    | Errand
)


class Controller(Protocol):
    """The sans-IO life of one tunnel.  Times are monotonic seconds, named `now`."""

    def on_control(self, frame: Control, now: float) -> list[Action]:
        """What to do about a control frame.  Raises ProtocolError: drop the link and reconnect."""

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        """What to do now that time has passed (call at `deadline()`, or earlier)."""

    def deadline(self) -> float:
        """When to call `on_time` next; inf: never."""

    def on_rekeyed(self, ok: bool, now: float) -> list[Action]:
        """The engine has finished, or failed, a Rekey."""

    def goodbye(self, reason: str) -> list[Action]:
        """Frames that end the session at the gateway (the user asked to stop)."""


@runtime_checkable
class LearnsPathMtu(Protocol):
    """An optional part of a Controller whose tunnel is a datagram link alone."""

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        """The way to the gateway takes IP packets of at most so many bytes, as the kernel has learned."""


class DatagramController(Protocol):
    """The sans-IO life of a datagram channel beside a stream; it comes and goes while the stream stays.

    Its actions and those of the stream's Controller are carried out alike: the two may be one object.
    """

    def begin(self, now: float) -> list[Action]:
        """The stream is carried from now on."""

    def on_up(self, link: LinkDescription, now: float) -> list[Action]:
        """The channel is open and receives; packets leave by it after UseDatagrams."""

    def on_failed(self, reason: str, now: float, *, hopeless: bool = False) -> list[Action]:
        """It could not be opened.  hopeless: it never will be in this session.  An earlier link may still run."""

    def on_lost(self, reason: str, now: float) -> list[Action]:
        """The link that was up failed; packets go by the stream already."""

    def on_path_mtu(self, mtu: int, now: float) -> list[Action]:
        """The way to the gateway takes IP packets of at most so many bytes, as the kernel has learned."""

    def on_control(self, frame: Control, now: float) -> list[Action]:
        """What to do about a control frame that came by it.  Raises ProtocolError: drop the tunnel and reconnect."""

    def on_time(self, traffic: Traffic, now: float) -> list[Action]:
        """What to do now; `traffic` is the channel's own."""

    def deadline(self) -> float:
        """When to call `on_time` next; inf: never."""


@dataclass(frozen=True, slots=True)
class DatagramChannel:
    """How packets also go, by UDP.  `name`: as people know it: DTLS, ESP.

    open: makes a link that a pump can carry; raises ProtocolError or TransportError, DatagramsImpossible when trying
    again is in vain.  It may be called again, also while an earlier link still runs.
    """

    name: str
    open: Callable[[], Awaitable[DatagramLink]]
    controller: DatagramController


@dataclass(slots=True)
class Tunnel:
    """An open tunnel, before packets flow.

    stream: the main link, positioned at the first byte of framing.  unread: framing bytes already read from it.
    framing: the name of a decoder and encoder pair, or the pair itself.  datagrams: the channel beside the stream.
    link: instead of a stream, a datagram link that carries everything; peer: the gateway's numeric address then.
    """

    stream: TlsStream | None
    unread: bytes
    framing: str | Framing
    config: TunnelConfig
    controller: Controller
    framing_options: tuple[tuple[str, bytes], ...] = ()  # as negotiated, for a framing of the engine
    datagrams: DatagramChannel | None = None
    link: DatagramLink | None = None


class VpnProtocol(Protocol):
    """A VPN protocol, built in or of a plug-in; see registry.py for how it is found."""

    name: str  # as in --protocol
    title: str  # as people know it

    async def authenticate(self, http: HttpClient, user: User, options: SignInOptions) -> Ticket:
        """Sign in.  Raises ProtocolError or TransportError."""

    async def connect(self, dialer: Dialer, ticket: Ticket, options: TunnelOptions, now: float) -> Tunnel:
        """Open the tunnel.  Raises ProtocolError or TransportError."""

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        """A ticket from what another process printed.  Raises MalformedAnswer."""


@runtime_checkable
class LogsOut(Protocol):
    """An optional part of a VpnProtocol: the session does not end at the gateway with the goodbye on its link."""

    async def logout(self, http: HttpClient, ticket: Ticket) -> None:
        """End the session at the gateway, so that its cookie is dead; the link is closed already.

        Not called when the session is to live on.  Raises ProtocolError or TransportError, which only warn.
        """
