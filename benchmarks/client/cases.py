"""What is compared: a table of gateways, protocols and channels, and the figures that are taken of each.

A further protocol of the lab gateway is a further line in CASES.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Channel(StrEnum):
    """What carries the packets; the values are what a client calls it when it tells."""

    TLS = "TLS"
    DTLS = "DTLS"
    ESP = "ESP"

    @property
    def datagrams(self) -> bool:
        return self is not Channel.TLS


class Contender(StrEnum):
    OURS = "vpnclient"
    THEIRS = "openconnect"
    BARE = "bare pump"


CLIENTS = (Contender.OURS, Contender.THEIRS)


@dataclass(frozen=True, slots=True)
class Case:
    """Both clients in front of one gateway over one channel; or, with the gateway "bare", the bare pump by itself.

    variant: of the gateway, in a word; serve: what `lab serve` is told for it.
    """

    gateway: str
    protocol: str
    channel: Channel
    variant: str = ""
    serve: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As `--only` wants it."""
        if self.gateway == "bare":
            return f"bare-{'udp' if self.channel.datagrams else 'tls'}"
        protocol = "" if self.protocol == "anyconnect" else f"-{self.protocol}"
        return f"{self.gateway}{protocol}-{self.channel.lower()}" + (f"-{self.variant}" if self.variant else "")

    @property
    def title(self) -> str:
        if self.gateway == "bare":
            return f"over {'UDP' if self.channel.datagrams else 'TLS'}"
        protocol = "" if self.protocol == "anyconnect" else f" {self.protocol}"
        gateway = "lab gateway" if self.gateway == "lab" else self.gateway
        return f"{gateway}{protocol}, {self.channel}" + (f" with {self.variant.upper()}" if self.variant else "")

    @property
    def contenders(self) -> tuple[Contender, ...]:
        return (Contender.BARE,) if self.gateway == "bare" else CLIENTS

    @property
    def measures(self) -> tuple[str, ...]:
        return MEASURES if self.protocol in ("anyconnect", "") else OTHERS

    @property
    def limit(self) -> Case:
        """The bare pump over the same kind of channel."""
        return BARE_UDP if self.channel.datagrams else BARE_TLS


BARE_UDP = Case("bare", "", Channel.DTLS)
BARE_TLS = Case("bare", "", Channel.TLS)
CASES = (
    Case("lab", "anyconnect", Channel.DTLS),
    Case("lab", "anyconnect", Channel.TLS),
    Case("ocserv", "anyconnect", Channel.DTLS),
    Case("ocserv", "anyconnect", Channel.TLS),
    Case("lab", "nc", Channel.ESP),
    Case("lab", "nc", Channel.TLS),
    Case("lab", "gp", Channel.ESP),
    Case("lab", "gp", Channel.TLS),
    Case("lab", "f5", Channel.DTLS),
    Case("lab", "f5", Channel.TLS),
    Case("lab", "f5", Channel.TLS, "hdlc", ("--hdlc",)),
    Case("lab", "fortinet", Channel.DTLS),
    Case("lab", "fortinet", Channel.TLS),
    BARE_UDP,
    BARE_TLS,
)

UDP_SIZES = (64, 576, 1400)  # bytes of IP packet
OTHERS = ("down", "up")  # taken of the other protocols: the engine under them is the same
MEASURES = ("ping", "down", "up", "both", *(f"udp{size}" for size in UDP_SIZES))


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table.  more: is better; measure: what has to run for it ("": it always comes)."""

    key: str
    title: str
    unit: str
    more: bool = False
    measure: str = ""


def _throughput(mode: str, title: str) -> tuple[Figure, Figure]:
    return (
        Figure(f"{mode}_mbit", f"TCP {title}", "Mbit/s", more=True, measure=mode),
        Figure(f"{mode}_cpu", f"client CPU, {title}", "s/GB", measure=mode),
    )


def _udp(size: int) -> tuple[Figure, Figure]:
    up, down = (
        Figure(f"udp{size}_{way}", f"UDP {size} bytes, {way}", "packets/s", more=True, measure=f"udp{size}")
        for way in ("up", "down")
    )
    return up, down


FIGURES = (
    *_throughput("down", "down"),
    *_throughput("up", "up"),
    *_throughput("both", "both at once"),
    *(figure for size in UDP_SIZES for figure in _udp(size)),
    Figure("ping_idle", "ping, idle", "ms", measure="ping"),
    Figure("ping_idle_p99", "ping, idle, p99", "ms", measure="ping"),
    Figure("ping_load", "ping, under load", "ms", measure="ping"),
    Figure("ping_load_p99", "ping, under load, p99", "ms", measure="ping"),
    Figure("memory", "resident memory", "MB"),
    Figure("start", "start to configured", "s"),
    Figure("start_cpu", "CPU until then", "s"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """One `--only CASE/MEASURE`; either may be a pattern, and what is left out is everything."""

    case: str = "*"
    measure: str = "*"

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Raises ValueError: it selects nothing."""
        case, _, measure = text.partition("/")
        wanted = cls(case or "*", measure or "*")
        if not any(wanted.takes(one) for one in CASES):
            raise ValueError(f"got case {case!r}, want one of {', '.join(one.name for one in CASES)}, or a pattern")
        if not any(fnmatchcase(one, wanted.measure) for one in MEASURES):
            raise ValueError(f"got measure {measure!r}, want one of {', '.join(MEASURES)}, or a pattern")
        return wanted

    def takes(self, case: Case) -> bool:
        return fnmatchcase(case.name, self.case)


def select(only: tuple[Selection, ...]) -> dict[Case, tuple[str, ...]]:
    """The cases to run, with their measures in order."""
    only = only or (Selection(),)
    chosen = {}
    for case in CASES:
        measures = tuple(
            name for name in case.measures if any(one.takes(case) and fnmatchcase(name, one.measure) for one in only)
        )
        if measures:
            chosen[case] = measures
    return chosen
