"""The SVG chart."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.client.cases import CASES, Channel, Contender
from benchmarks.client.chart import PANELS, WIDTH, chart
from benchmarks.client.spread import Results
from tests.benchmarks.client.made import LAB_TLS, everything, sample

SVG = "{http://www.w3.org/2000/svg}"


def drawn(results: Results, note: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(chart(results, note))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def bars(root: ElementTree.Element, kind: str) -> list[float]:
    return [float(one.get("width", "")) for one in root.iter(f"{SVG}rect") if one.get("class") == kind]


def test_every_case_has_a_bar_for_each_contender_panel_and_direction() -> None:
    root = drawn(everything())
    cases = [case for case in CASES if case.gateway != "bare"]

    for kind in ("ours", "theirs", "bare"):
        assert len(bars(root, kind)) == 1 + 4 * len(cases)  # one of them in the legend
    for channel in Channel:
        shown = [text for text in texts(root) if text.split(" with ")[0] == f"over {channel}"]
        assert len(shown) == sum(case.channel is channel for case in cases)


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, up_mbit=3000.0),
            sample(LAB_TLS, Contender.THEIRS, up_mbit=750.0),
        ]
    )
    root = drawn(results)

    assert bars(root, "ours")[1] / bars(root, "theirs")[1] == pytest.approx(4, rel=0.01)
    assert "3.00 Gbit/s · 4.0×" in texts(root)
    assert "0.75 Gbit/s" in texts(root)


def test_a_goal_is_a_tick_where_the_bar_has_to_end() -> None:
    results = Results(
        [
            sample(LAB_TLS, Contender.OURS, up_mbit=1750.0),
            sample(LAB_TLS, Contender.THEIRS, up_mbit=1000.0),
        ]
    )
    root = drawn(results)
    ticks = [float(one.get("x1", "")) for one in root.iter(f"{SVG}line") if one.get("class") == "goal"]

    assert ticks[1] - PANELS[0].left == pytest.approx(2 * bars(root, "ours")[1], abs=0.2)


def test_what_was_not_measured_is_said_in_its_place() -> None:
    root = drawn(Results([sample(LAB_TLS, Contender.THEIRS, up_mbit=750.0)]))

    assert texts(root).count("vpnclient: not measured") == 4


def test_a_note_is_text_and_no_markup() -> None:
    assert "<b> & co; ×: of openconnect's" in texts(drawn(everything(), "<b> & co"))


@pytest.mark.parametrize("better", [0.1, 1.0, 20.0])
def test_nothing_is_drawn_outside(better: float) -> None:
    root = drawn(everything(better=better))
    height = float(root.get("height", ""))

    for one in root.iter(f"{SVG}rect"):
        assert 0 <= float(one.get("x", "")) and float(one.get("x", "")) + float(one.get("width", "")) <= WIDTH
        assert float(one.get("y", "")) + float(one.get("height", "")) <= height
    for one in root.iter(f"{SVG}text"):
        assert float(one.get("x", "")) <= WIDTH and float(one.get("y", "")) <= height


def test_both_themes_are_served() -> None:
    assert "prefers-color-scheme: dark" in chart(everything(), "")
