"""The table of cases, and what `--only` takes of it."""

from __future__ import annotations

import pytest

from benchmarks.client.cases import BARE_TLS, BARE_UDP, CASES, FIGURES, MEASURES, Case, Channel, Contender, Selection
from benchmarks.client.cases import select as chosen_of

OVER_TLS = {case.name: ("down",) for case in CASES if case.channel is Channel.TLS}


def chosen(*texts: str) -> dict[str, tuple[str, ...]]:
    return {case.name: measures for case, measures in chosen_of(tuple(map(Selection.parse, texts))).items()}


def test_names_are_unique_and_tell_gateway_protocol_and_channel() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert Case("lab", "anyconnect", Channel.DTLS).name == "lab-dtls"
    assert Case("lab", "gp", Channel.ESP).name == "lab-gp-esp"
    assert Case("lab", "gp", Channel.ESP).title == "lab gateway gp, ESP"
    assert Case("lab", "f5", Channel.TLS, "hdlc").name == "lab-f5-tls-hdlc"
    assert Case("lab", "f5", Channel.TLS, "hdlc").title == "lab gateway f5, TLS with HDLC"


def test_a_case_is_held_against_the_bare_pump_of_its_kind_of_channel() -> None:
    assert Case("lab", "gp", Channel.ESP).limit is BARE_UDP
    assert Case("lab", "anyconnect", Channel.TLS).limit is BARE_TLS
    assert BARE_UDP.contenders == (Contender.BARE,)


def test_every_figure_comes_of_a_measure_or_always() -> None:
    assert {figure.measure for figure in FIGURES} == {"", *MEASURES}
    assert len({figure.key for figure in FIGURES}) == len(FIGURES)


def test_without_a_selection_everything_runs() -> None:
    assert chosen() == {case.name: case.measures for case in CASES}


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (("lab-tls",), {"lab-tls": MEASURES}),
        (("lab-tls/udp64",), {"lab-tls": ("udp64",)}),
        (("*-tls*/down", "bare-tls/up"), {**OVER_TLS, "bare-tls": ("down", "up")}),
        (("bare-*/ping",), {"bare-udp": ("ping",), "bare-tls": ("ping",)}),
        (("/both",), {case.name: ("both",) for case in CASES if "both" in case.measures}),
    ],
)
def test_patterns_select_cases_and_measures(texts: tuple[str, ...], wanted: dict[str, tuple[str, ...]]) -> None:
    assert chosen(*texts) == wanted


@pytest.mark.parametrize("text", ["lab-quic", "lab-tls/udp63", "*/tcp"])
def test_a_selection_of_nothing_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"want one of .*(lab-tls|udp64)"):
        Selection.parse(text)
