"""Statistics: what the rounds gave, medians with lowest and highest, and ratios within rounds.  No I/O."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.client.cases import Case, Contender


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        known = sorted(values)
        return cls(statistics.median(known), known[0], known[-1], len(known))


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender in one round.  channel: what was really in use; mtu: of the tunnel, bytes."""

    case: str
    contender: Contender
    round: int
    channel: str
    mtu: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """A contender that could not be measured, and why; it was not tried again."""

    case: str
    contender: Contender
    round: int
    text: str


@dataclass(slots=True)
class Results:
    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def failed(self, case: Case, contender: Contender) -> Failure | None:
        return next((f for f in self.failures if f.case == case.name and f.contender is contender), None)

    def values(self, case: Case, contender: Contender, key: str) -> dict[int, float]:
        """By round."""
        return {
            one.round: one.figures[key]
            for one in self.samples
            if one.case == case.name and one.contender is contender and key in one.figures
        }

    def spread(self, case: Case, contender: Contender, key: str) -> Spread | None:
        values = self.values(case, contender, key)
        return Spread.of(values.values()) if values else None

    def ratio(self, case: Case, key: str, beside: Contender) -> Spread | None:
        """Ours by theirs, of the rounds in which both were measured."""
        ours = self.values(case, Contender.OURS, key)
        theirs = self.values(case.limit if beside is Contender.BARE else case, beside, key)
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return Spread.of(ratios) if ratios else None


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` of them do not exceed."""
    known = sorted(values)
    return known[max(0, math.ceil(share * len(known)) - 1)]
