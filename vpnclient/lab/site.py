"""The seam between a lab gateway's shell (sockets, TUN, pump) and a protocol's pages and frames.

    shell: Request -> Site.respond -> Page         answered, the connection goes on
                                   -> OpenTunnel   answered, then the connection becomes a tunnel
    tunnel: frames and time -> ServerController -> Send, Rekey, Hangup, Note
    first datagram of a peer -> Site.on_datagram -> OpenDatagrams    a second channel of a tunnel, or a tunnel by itself
                                                 -> Introduction -> OpenDatagrams    when the peer has said who it is

Nothing here does I/O: a protocol's side of the lab is tested with requests in and answers out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from protocols.base import Control, Rekey, Send, SetOption, Traffic, UseDatagrams, Warn
from transports.framing import Framing
from transports.link import DatagramLink
from transports.tls import ServerContext
from transports.udp import UdpSocket
from vpnclient.lab.store import LabSession

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.  certificate: DER of the client certificate of its TLS connection, or empty."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    certificate: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, any case of its name; empty: not there."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    def cookies(self) -> Mapping[str, str]:
        pairs = (part.strip().partition("=") for part in self.header("cookie").split(";"))
        return {name: value for name, _, value in pairs if name}


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    reason: str
    headers: Headers = ()
    body: bytes = b""
    close: bool = False  # end the connection afterwards


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the link.  forget: the session ends too and its cookie is dead; else the client may come back."""

    reason: str
    forget: bool


# SetOption, UseDatagrams: of the channel beside the stream, as on the client's side.
ServerAction = Send | Rekey | Hangup | Warn | SetOption | UseDatagrams


class ServerController(Protocol):
    """The gateway's side of a tunnel's life; like protocols.base.Controller, times are monotonic seconds."""

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        """What to do about the frames that came since the last call, at most as many as the engine's queue holds."""

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]: ...

    def deadline(self) -> float: ...

    def farewell(self, reason: str) -> list[ServerAction]:
        """The frames that tell the client the session is over."""


Records = bytes | tuple[bytes, ...]  # a tuple: each leaves as a TLS record of its own


class Opening(Protocol):
    """What both sides say between the head of the answer and the framing."""

    def begin(self) -> Records:
        """What the gateway says at once."""

    def feed(self, data: bytes) -> Records:
        """Take any number of bytes of the client's; what the gateway answers.  Raises ProtocolError."""

    def rest(self) -> bytes | None:
        """None: more is to come from the client.  Else the opening is over, and this is the framing's already."""


@runtime_checkable
class Negotiates(Protocol):
    """An optional part of an Opening: what both sides agreed on, the framing must be told."""

    def options(self) -> tuple[tuple[str, bytes], ...]:
        """Once there is a rest."""


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """Answer with this head, go through the opening if there is one, then speak `framing` on the connection."""

    session: LabSession
    reason: str
    headers: Headers
    framing: str | Framing
    mtu: int
    controller: ServerController
    options: tuple[tuple[str, bytes], ...] = ()  # of a framing of the engine
    opening: Opening | None = None
    head: bytes | None = None  # sent as it is, in place of an HTTP answer; empty: nothing is said


@runtime_checkable
class OpensTunnels(Protocol):
    """An optional part of a site whose tunnels are not opened by CONNECT."""

    def opens_tunnel(self, method: str, target: str) -> bool:
        """Whether nothing but the head of such a request is HTTP, whatever length it tells."""


Exporter = Callable[[str, int], bytes]  # label, length -> keying material of the client's TLS connection


@dataclass(frozen=True, slots=True)
class OpenDatagrams:
    """A first datagram names this session: make a link of its socket.

    open: takes the socket, that datagram and what the session's stream exports; it may speak with the client first
    (a handshake).  controller: for the frames that come by it.  alone: it is the tunnel; a stream that the session has
    is ended.
    """

    session: LabSession
    open: Callable[[UdpSocket, bytes, Exporter], Awaitable[DatagramLink]]
    controller: ServerController
    mtu: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Introduction:
    """A first datagram names nobody: whose it is, the peer says by and by.

    meet: takes the socket, that datagram and the gateway's certificate; what it gives has no use for the datagram any
    more.  Raises LabError, TransportError, ProtocolError.
    """

    meet: Callable[[UdpSocket, bytes, ServerContext], Awaitable[OpenDatagrams]]


@runtime_checkable
class TakesDatagrams(Protocol):
    """An optional part of a site whose tunnels have a datagram channel."""

    def listens(self, port: int) -> None:
        """The UDP port of the gateway, told before the first request."""

    def on_datagram(self, first: bytes, now: float) -> OpenDatagrams | Introduction | None:
        """The first datagram of a new peer, which may be anybody; None: it is ignored."""


class Site(Protocol):
    """What a protocol says in answer to HTTP requests."""

    name: str

    def respond(self, request: Request, now: float) -> Page | OpenTunnel: ...
