"""The goals, and whether they are met.

A goal is a ratio between two contenders in the same run (the median of the rounds' ratios), or holds for our medians.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.client.cases import CASES, FIGURES, Case, Channel, Contender
from benchmarks.client.spread import Results, Spread

TCP = ("down_mbit", "up_mbit", "both_mbit")
CPU = ("down_cpu", "up_cpu", "both_cpu")
UDP64 = ("udp64_up", "udp64_down")


@dataclass(frozen=True, slots=True)
class Goal:
    """For each of `keys`.  limit: of ours / theirs; least: it is the least that is wanted, otherwise the most."""

    keys: tuple[str, ...]
    beside: Contender
    limit: float
    least: bool
    gateway: str = ""
    channel: Channel | None = None
    protocol: str = ""
    variant: str = ""

    def concerns(self, case: Case) -> bool:
        fits = (not self.gateway or case.gateway == self.gateway) and self.protocol in ("", case.protocol)
        fits = fits and (not self.protocol or case.variant == self.variant)
        return Contender.OURS in case.contenders and fits and (self.channel is None or case.channel is self.channel)

    @property
    def text(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}"

    def holds(self, ratio: float) -> bool:
        return ratio >= self.limit if self.least else ratio <= self.limit


@dataclass(frozen=True, slots=True)
class Bound:
    """Of our own median, or of what it has on top of openconnect's."""

    key: str
    limit: float
    on_top: bool
    unit: str

    @property
    def text(self) -> str:
        return f"<= {self.limit:g} {self.unit}{' more' if self.on_top else ''}"


def _lab(channel: Channel, keys: tuple[str, ...], beside: Contender, limit: float, *, least: bool) -> Goal:
    return Goal(keys, beside, limit, least, "lab", channel, "anyconnect")


def _other(protocol: str, channel: Channel, throughput: float, cpu: float, variant: str = "") -> tuple[Goal, Goal]:
    """Beside openconnect, in front of the lab gateway."""
    return (
        Goal(TCP, Contender.THEIRS, throughput, True, "lab", channel, protocol, variant),
        Goal(CPU, Contender.THEIRS, cpu, False, "lab", channel, protocol, variant),
    )


GOALS = (
    _lab(Channel.DTLS, TCP, Contender.THEIRS, 4, least=True),
    _lab(Channel.DTLS, TCP, Contender.BARE, 0.9, least=True),
    _lab(Channel.TLS, TCP, Contender.THEIRS, 3.5, least=True),
    _lab(Channel.TLS, TCP, Contender.BARE, 0.75, least=True),
    Goal(TCP, Contender.THEIRS, 1.3, True, "ocserv"),
    _lab(Channel.DTLS, CPU, Contender.THEIRS, 0.2, least=False),
    _lab(Channel.DTLS, CPU, Contender.BARE, 1.2, least=False),
    _lab(Channel.TLS, CPU, Contender.THEIRS, 0.25, least=False),
    _lab(Channel.TLS, CPU, Contender.BARE, 1.0, least=False),
    Goal(CPU, Contender.THEIRS, 0.4, False, "ocserv"),
    *_other("nc", Channel.ESP, 3, 0.35),
    *_other("nc", Channel.TLS, 3, 0.25),
    *_other("gp", Channel.ESP, 3, 0.35),
    *_other("gp", Channel.TLS, 3, 0.25),
    *_other("f5", Channel.DTLS, 3.5, 0.25),
    *_other("f5", Channel.TLS, 3, 0.25),
    *_other("f5", Channel.TLS, 2, 0.4, "hdlc"),
    *_other("fortinet", Channel.DTLS, 3.5, 0.25),
    Goal(UDP64, Contender.THEIRS, 2, True),
    Goal(("ping_idle",), Contender.THEIRS, 1.05, False),
    Goal(("ping_load",), Contender.THEIRS, 0.5, False),
)
BOUNDS = (Bound("start", 0.5, True, "s"), Bound("memory", 64, False, "MB"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal for one figure of one case.  got: the ratio, or what is bounded."""

    case: Case
    key: str
    beside: Contender | None
    wanted: str
    got: Spread
    met: bool

    @property
    def word(self) -> str:
        return "met" if self.met else "MISSED"


def goal_of(case: Case, key: str, beside: Contender) -> Goal | None:
    return next((g for g in GOALS if g.concerns(case) and key in g.keys and g.beside is beside), None)


def verdicts(results: Results) -> list[Verdict]:
    """Of everything that was measured."""
    found = []
    for case in CASES:
        for figure in FIGURES:
            for beside in (Contender.THEIRS, Contender.BARE):
                goal, ratio = goal_of(case, figure.key, beside), results.ratio(case, figure.key, beside)
                if goal is not None and ratio is not None:
                    found.append(Verdict(case, figure.key, beside, goal.text, ratio, goal.holds(ratio.median)))
        found += _bounds(case, results)
    return found


def _bounds(case: Case, results: Results) -> list[Verdict]:
    found = []
    for bound in BOUNDS:
        ours = results.values(case, Contender.OURS, bound.key)
        theirs = results.values(case, Contender.THEIRS, bound.key)
        if bound.on_top:
            values = [ours[number] - theirs[number] for number in ours if number in theirs]
        else:
            values = list(ours.values())
        if values:
            got = Spread.of(values)
            found.append(Verdict(case, bound.key, None, bound.text, got, got.median <= bound.limit))
    return found


def losses(results: Results) -> list[tuple[Case, str, float]]:
    """Where openconnect is better, by more than the goals allow for noise: case, figure, ratio."""
    found = []
    for case in CASES:
        for figure in FIGURES:
            ratio = results.ratio(case, figure.key, Contender.THEIRS)
            if ratio is None:
                continue
            worse = ratio.median < 1 / NOISE if figure.more else ratio.median > NOISE
            if worse:
                found.append((case, figure.key, ratio.median))
    return found


NOISE = 1.05  # a ratio nearer to one than this is none
