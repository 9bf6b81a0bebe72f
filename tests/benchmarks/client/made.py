"""Results for the tests: both clients and the bare pump, with chosen ratios."""

from __future__ import annotations

from benchmarks.client.cases import CASES, CLIENTS, FIGURES, Case, Channel, Contender
from benchmarks.client.spread import Results, Sample

LAB_TLS, LAB_DTLS, OCSERV_TLS = (
    next(case for case in CASES if case.name == name) for name in ("lab-tls", "lab-dtls", "ocserv-tls")
)


def sample(case: Case, contender: Contender, round_: int = 0, **figures: float) -> Sample:
    return Sample(case.name, contender, round_, case.channel, 1400, figures)


def everything(better: float = 10.0, rounds: int = 3) -> Results:
    """Ours is `better` times as good as openconnect in all, and equal to the bare pump."""
    samples = []
    for case in CASES:
        for contender in case.contenders:
            for number in range(rounds):
                figures = {}
                for figure in FIGURES:
                    good = contender not in CLIENTS or contender is Contender.OURS
                    value = 1000.0 if figure.unit in ("Mbit/s", "packets/s") else 1.0
                    factor = better if figure.more else 1 / better
                    figures[figure.key] = value * (factor if good else 1.0) * (1 + number / 100)
                samples.append(Sample(case.name, contender, number, Channel.TLS, 1400, figures))
    return Results(samples)
