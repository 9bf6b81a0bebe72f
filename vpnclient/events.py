"""What happens in a session, as values.  The session emits; the terminal view, JSON lines and hooks listen.

`to_json` gives each event as a flat JSON object: {"event": "state", "time": ..., ...}.  Secrets never enter an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar


class State(StrEnum):
    """The life of a tunnel.

    signing in -> connecting -> configuring -> connected
                      ^                            |
                      +------ reconnecting <-------+     -> closed
    """

    SIGNING_IN = "signing-in"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChanged:
    event: ClassVar[str] = "state"
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TlsEstablished:
    """Details of the main link, for the log."""

    event: ClassVar[str] = "tls"
    peer: str  # numeric address and port
    version: str
    cipher: str
    pin: str


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """Which way packets go from now on."""

    event: ClassVar[str] = "channel"
    name: str  # TLS, DTLS or ESP
    detail: str = ""  # version and cipher, or why it changed


@dataclass(frozen=True, slots=True)
class Configured:
    """The host is configured: what was set."""

    event: ClassVar[str] = "configured"
    interface: str
    addresses: tuple[str, ...]
    mtu: int
    routes: tuple[str, ...]
    excluded: tuple[str, ...]
    dns: tuple[str, ...]
    search_domains: tuple[str, ...]
    dns_backend: str  # resolved, resolvconf, file, script or off


@dataclass(frozen=True, slots=True)
class Statistics:
    """Totals since the session began; bytes and packets of inner IP."""

    event: ClassVar[str] = "statistics"
    seconds: float  # since connected
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    dropped: int
    reconnects: int
    counters: tuple[tuple[str, int], ...] = ()  # drops and oddities by cause, only those above zero


@dataclass(frozen=True, slots=True)
class Banner:
    event: ClassVar[str] = "banner"
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something is not as it should be; the session goes on."""

    event: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A line for the log; level: info, debug or trace."""

    event: ClassVar[str] = "log"
    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """attempt: which one failed; 0: the link was opened, but ended within seconds, as the one before."""

    event: ClassVar[str] = "retry"
    attempt: int
    wait: float  # seconds
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The session ended with an error."""

    event: ClassVar[str] = "error"
    code: str  # stable name, e.g. "sign-in-refused"
    text: str
    hint: str
    exit_code: int


Event = (
    StateChanged
    | TlsEstablished
    | ChannelChanged
    | Configured
    | Statistics
    | Banner
    | Warned
    | Noted
    | RetryScheduled
    | Failed
)
Listener = Callable[[Event], None]


def to_json(event: Event, at: float) -> dict[str, Any]:
    """The event as a flat object; `at` is Unix time in seconds."""
    return {"event": event.event, "time": round(at, 3), **asdict(event)}
