"""Verdicts."""

from __future__ import annotations

import pytest

from benchmarks.client.cases import BARE_UDP, CASES, FIGURES, Contender
from benchmarks.client.goals import BOUNDS, GOALS, goal_of, losses, verdicts
from benchmarks.client.spread import Results
from tests.benchmarks.client.made import LAB_DTLS, LAB_TLS, OCSERV_TLS, everything, sample


def test_every_goal_names_figures_and_concerns_a_case() -> None:
    known = {figure.key for figure in FIGURES}

    for goal in GOALS:
        assert set(goal.keys) <= known
        assert any(goal.concerns(case) for case in CASES)
        assert not goal.concerns(BARE_UDP)
    assert {bound.key for bound in BOUNDS} <= known


def test_a_client_that_is_ten_times_better_and_equals_the_pump_meets_all() -> None:
    judged = verdicts(everything(better=10.0))

    assert len(judged) > 50
    assert [one for one in judged if not one.met] == []


def test_an_equal_client_misses_what_asks_for_more() -> None:
    missed = {(one.case.name, one.key, one.beside) for one in verdicts(everything(better=1.0)) if not one.met}

    assert ("lab-dtls", "down_mbit", Contender.THEIRS) in missed
    assert ("ocserv-tls", "up_cpu", Contender.THEIRS) in missed
    assert ("lab-tls", "ping_load", Contender.THEIRS) in missed
    assert ("lab-tls", "ping_idle", Contender.THEIRS) not in missed


@pytest.mark.parametrize(("ours", "theirs", "met"), [(350.0, 100.0, True), (349.0, 100.0, False), (1.0, 1000.0, False)])
def test_the_least_ratio_of_throughput(ours: float, theirs: float, met: bool) -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, down_mbit=ours),
            sample(LAB_TLS, Contender.THEIRS, down_mbit=theirs),
        ]
    )

    (verdict,) = verdicts(results)

    assert verdict.met is met and verdict.word == ("met" if met else "MISSED") and verdict.wanted == ">= 3.5"


def test_goals_differ_by_gateway_and_channel() -> None:
    limits = [goal_of(case, "down_cpu", Contender.THEIRS) for case in (LAB_DTLS, LAB_TLS, OCSERV_TLS)]

    assert [goal.limit if goal else None for goal in limits] == [0.2, 0.25, 0.4]
    assert goal_of(OCSERV_TLS, "down_cpu", Contender.BARE) is None


def test_start_is_held_against_openconnects_and_memory_against_a_number() -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, start=0.7, memory=65.0),
            sample(LAB_TLS, Contender.THEIRS, start=0.3, memory=14.0),
        ]
    )

    assert {one.key: one.met for one in verdicts(results)} == {"start": True, "memory": False}


def test_losses_are_told_beyond_noise() -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, udp576_up=90.0, udp1400_up=97.0, ping_idle=2.0),
            sample(LAB_TLS, Contender.THEIRS, udp576_up=100.0, udp1400_up=100.0, ping_idle=1.0),
        ]
    )

    assert [(case.name, key) for case, key, _ in losses(results)] == [
        ("lab-tls", "udp576_up"),
        ("lab-tls", "ping_idle"),
    ]
