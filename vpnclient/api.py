"""What a plug-in may import; everything else may change without notice.

A package brings, each named by an entry point:

    vpnclient.protocols   name -> a class with the methods of VpnProtocol
    vpnclient.framings    name -> a Framing, if a Tunnel names it instead of carrying it
    vpnclient.lab         name -> a class that makes a Site, for `vpnclient lab serve NAME`

It raises the errors below, and its texts never hold a cookie, key or password.  docs/writing-a-plugin.md tells how.
"""

from __future__ import annotations

from protocols.base import (
    Action,
    Address,
    Choice,
    Control,
    Controller,
    Dismissed,
    Ended,
    Errand,
    Field,
    Form,
    Interface,
    LogsOut,
    Network,
    Reconnect,
    Rekey,
    Secret,
    Send,
    SignInOptions,
    Ticket,
    Traffic,
    Tunnel,
    TunnelConfig,
    TunnelOptions,
    User,
    VpnProtocol,
    Warn,
)
from protocols.errors import (
    ClientCertificateRequired,
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    MalformedFrame,
    NotSupported,
    ProtocolError,
    SignInCancelled,
    SignInFailed,
    UnexpectedFrame,
    UnknownGroup,
)
from transports.dialer import Dialer
from transports.errors import (
    ConnectionLost,
    HttpError,
    NotTrusted,
    TlsError,
    TransportError,
    Unreachable,
)
from transports.framing import FEED_SIZE, MAX_FRAME, Decoder, Encoder, Framing
from transports.http import HttpClient, Response, open_stream
from transports.sink import MemorySink, PacketSink, Reservation
from transports.tls import TlsInfo, TlsStream
from vpnclient.events import Event, Listener
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import (
    Hangup,
    Negotiates,
    Opening,
    OpensTunnels,
    OpenTunnel,
    Page,
    Request,
    ServerAction,
    ServerController,
    Site,
)
from vpnclient.lab.store import Exhausted, LabSession, Store

__all__ = [
    "FEED_SIZE",
    "MAX_FRAME",
    "Action",
    "Address",
    "Choice",
    "ClientCertificateRequired",
    "ConfigurationRefused",
    "ConnectRefused",
    "ConnectionLost",
    "Control",
    "Controller",
    "CookieRejected",
    "Decoder",
    "Dialer",
    "Dismissed",
    "Encoder",
    "Ended",
    "Errand",
    "Event",
    "Exhausted",
    "Field",
    "Form",
    "Framing",
    "GatewayUnavailable",
    "Hangup",
    "HttpClient",
    "HttpError",
    "InputRequired",
    "Interface",
    "LabSession",
    "LabSettings",
    "Listener",
    "LogsOut",
    "MalformedAnswer",
    "MalformedFrame",
    "MemorySink",
    "Negotiates",
    "Network",
    "NotSupported",
    "NotTrusted",
    "OpenTunnel",
    "Opening",
    "OpensTunnels",
    "PacketSink",
    "Page",
    "ProtocolError",
    "Reconnect",
    "Rekey",
    "Request",
    "Reservation",
    "Response",
    "Secret",
    "Send",
    "ServerAction",
    "ServerController",
    "SignInCancelled",
    "SignInFailed",
    "SignInOptions",
    "Site",
    "Store",
    "Ticket",
    "TlsError",
    "TlsInfo",
    "TlsStream",
    "Traffic",
    "TransportError",
    "Tunnel",
    "TunnelConfig",
    "TunnelOptions",
    "UnexpectedFrame",
    "UnknownGroup",
    "Unreachable",
    "User",
    "VpnProtocol",
    "Warn",
    "open_stream",
]
