"""Events as lines of text, and the figures in them.  Levels as with -q and -v: 0 error, 1 info, 2 debug, 3 trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from vpnclient.events import (
    Banner,
    ChannelChanged,
    Configured,
    Event,
    Failed,
    Noted,
    RetryScheduled,
    State,
    StateChanged,
    Statistics,
    TlsEstablished,
    Warned,
)


class Level(IntEnum):
    ERROR = 0
    INFO = 1
    DEBUG = 2
    TRACE = 3


@dataclass(frozen=True, slots=True)
class Line:
    """style: error, warning, hint, good, dim or "" for plain."""

    level: Level
    text: str
    style: str = ""


_NOTE_LEVELS = {"info": Level.INFO, "debug": Level.DEBUG, "trace": Level.TRACE}
_STATES = {
    State.SIGNING_IN: "signing in",
    State.CONNECTING: "opening the tunnel",
    State.CONFIGURING: "configuring this computer",
    State.CONNECTED: "connected",
    State.RECONNECTING: "reconnecting",
    State.CLOSING: "closing",
    State.CLOSED: "closed",
}


def lines(event: Event) -> list[Line]:
    """What to say about an event.  Statistics: nothing, they come every second; see `statistics`."""
    match event:
        case StateChanged(state, reason):
            return [_state(state, reason)]
        case TlsEstablished():
            return [
                Line(Level.INFO, f"link to {event.peer}: {event.version}, {event.cipher}"),
                Line(Level.DEBUG, f"the gateway's key is {event.pin}"),
            ]
        case ChannelChanged(name, detail):
            return [Line(Level.INFO, f"packets go by {name}" + (f": {detail}" if detail else ""))]
        case Configured():
            return _configured(event)
        case Banner(text):
            return [Line(Level.INFO, part) for part in text.splitlines()]
        case Warned(text):
            return [Line(Level.INFO, f"warning: {text}", "warning")]
        case Noted(text, level):
            return [Line(_NOTE_LEVELS.get(level, Level.DEBUG), text, "dim" if level != "info" else "")]
        case RetryScheduled():
            what = f"attempt {event.attempt} failed" if event.attempt else "the link did not last"
            text = f"{what}: {event.reason}; next in {event.wait:.0f} s"
            return [Line(Level.INFO, text, "warning")]
        case Failed():
            hint = [Line(Level.ERROR, f"hint: {event.hint}", "hint")] if event.hint else []
            return [Line(Level.ERROR, f"error: {event.text}", "error"), *hint]
        case Statistics():
            return []


def _state(state: State, reason: str) -> Line:
    text = _STATES[state] + (f": {reason}" if reason else "")
    match state:
        case State.CONNECTED:
            return Line(Level.INFO, text, "good")
        case State.RECONNECTING:
            return Line(Level.INFO, text, "warning")
    return Line(Level.INFO, text)


def _configured(event: Configured) -> list[Line]:
    def listed(name: str, values: tuple[str, ...]) -> list[Line]:
        return [Line(Level.INFO, f"  {name}: {', '.join(values)}")] if values else []

    return [
        Line(Level.INFO, f"interface {event.interface}: {', '.join(event.addresses)}, MTU {event.mtu}"),
        *listed("routes", event.routes),
        *listed("outside", event.excluded),
        *listed(f"DNS ({event.dns_backend})", event.dns),
        *listed("search", event.search_domains),
    ]


def statistics(event: Statistics) -> list[Line]:
    """The totals, as asked for with SIGUSR1 or at the end; shown at every level (cli-parity 5.3)."""
    found = [
        Line(
            Level.ERROR,
            f"received {size(event.rx_bytes)} ({counted(event.rx_packets, 'packet')}), "
            f"sent {size(event.tx_bytes)} ({counted(event.tx_packets, 'packet')}) in {duration(event.seconds)}; "
            f"{event.dropped} dropped, {counted(event.reconnects, 'reconnect')}",
        )
    ]
    if event.counters:
        causes = (f"{name.replace('_', ' ')} {count}" for name, count in event.counters)
        found.append(Line(Level.ERROR, "  " + ", ".join(causes)))
    return found


def counted(count: int, noun: str) -> str:
    """1 packet, 2 packets."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: float) -> str:
    """Bytes for people: 812 B, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def rate(bits_per_second: float) -> str:
    """Bits per second for people: 940 Mbit/s."""
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits_per_second < 999.5:
            whole = unit == "bit/s" or bits_per_second >= 99.95
            return f"{bits_per_second:.0f} {unit}" if whole else f"{bits_per_second:.1f} {unit}"
        bits_per_second /= 1000
    return f"{bits_per_second:.2f} Gbit/s"


def duration(seconds: float) -> str:
    """0:00:07, or 2 d 03:04:05."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
