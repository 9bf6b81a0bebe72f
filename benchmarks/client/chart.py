"""The chart as SVG: for each case TCP throughput and client CPU per gigabyte, goals as ticks.  No I/O.

    case     down  ▇▇▇▇▇▇▇▇▇▇▇  ┆ 2.5 Gbit/s, 4.1 x          down  ▇▇ ┆ 1.1 s/GB, 0.18 x
                   ▇▇▇ 0.6                                          ▇▇▇▇▇▇▇▇▇▇ 6.1
                   ▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 3.0                               ▇▇ 0.9

Colours follow the reader's light or dark theme; nothing is told by colour alone, as each bar's place in its group and
the legend say whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.client.cases import CASES, Case, Contender
from benchmarks.client.goals import goal_of
from benchmarks.client.spread import Results

WIDTH = 1000
MARGIN = 24
LABELS = 160  # pixels for the names of the cases
WAYS = 38  # and for "down" and "up"
PANEL_GAP = 30
PANEL = (WIDTH - 2 * MARGIN - LABELS - 2 * WAYS - PANEL_GAP) / 2
ROOM = 0.70  # of a panel for the longest bar; the rest is for its text
BAR, BAR_STEP, GROUP_GAP, CASE_GAP = 13, 16, 8, 22
TOP = 104
CONTENDERS = (Contender.OURS, Contender.THEIRS, Contender.BARE)
LEGEND = {Contender.OURS: 88, Contender.THEIRS: 106, Contender.BARE: 96}  # pixels
TEXT = 110  # pixels that the text behind one of our bars takes
CLASSES = {Contender.OURS: "ours", Contender.THEIRS: "theirs", Contender.BARE: "bare"}
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.case { font-size: 13px; font-weight: 600; }
.quiet { fill: #59636e; }
.strong { font-weight: 600; }
.back { fill: #ffffff; stroke: #d1d9e0; }
.rule { stroke: #d1d9e0; stroke-width: 1; }
.spread { stroke: #1f2328; stroke-width: 1; stroke-opacity: 0.55; }
.goal { stroke: #cf222e; stroke-width: 2; }
.ours { fill: #0969da; } .theirs { fill: #d4872a; } .bare { fill: #9aa4af; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .back { fill: #0d1117; stroke: #3d444d; }
  .rule { stroke: #3d444d; }
  .spread { stroke: #e6edf3; }
  .goal { stroke: #ff7b72; }
  .ours { fill: #4493f8; } .theirs { fill: #e3a04f; } .bare { fill: #7d8794; }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of bars.  keys: of down and up; scale: shown / measured."""

    title: str
    hint: str
    keys: tuple[str, str]
    unit: str
    scale: float
    left: float


PANELS = (
    Panel(
        "TCP throughput",
        "longer is better",
        ("down_mbit", "up_mbit"),
        "Gbit/s",
        0.001,
        MARGIN + LABELS + WAYS,
    ),
    Panel(
        "Client CPU time per gigabyte",
        "shorter is better",
        ("down_cpu", "up_cpu"),
        "s/GB",
        1.0,
        MARGIN + LABELS + 2 * WAYS + PANEL + PANEL_GAP,
    ),
)


class Drawing:
    """Elements, top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>')

    def bar(self, x: float, y: float, width: float, kind: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{BAR}" rx="2" class="{kind}"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def svg(self, height: float, about: str) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" role="img" aria-label="{escape(about)}">'
        )
        back = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" class="back"/>'
        return "\n".join([head, f"<style>{STYLE}</style>", back, *self.parts, "</svg>"]) + "\n"


def chart(results: Results, note: str) -> str:
    """note: the machine and the rounds, for the line below the title."""
    drawing = Drawing()
    _head(drawing, note)
    longest = {panel: _longest(panel, results) for panel in PANELS}
    y = float(TOP)
    for case in CASES:
        if case.gateway == "bare" or not _measured(case, results):
            continue
        drawing.line(MARGIN, y - CASE_GAP / 2, WIDTH - MARGIN, y - CASE_GAP / 2, "rule")
        gateway, _, channel = case.title.partition(", ")
        drawing.text(MARGIN, y + 12, gateway, "case")
        drawing.text(MARGIN, y + 28, f"over {channel}", "quiet")
        below = y
        for panel in PANELS:
            below = _case(drawing, panel, case, results, longest[panel], y)
        y = below + CASE_GAP
    return drawing.svg(y, "TCP throughput and CPU time of vpnclient, openconnect and a bare pump")


def _head(drawing: Drawing, note: str) -> None:
    drawing.text(MARGIN, 34, "vpnclient beside openconnect, and the limit of this machine", "title")
    drawing.text(MARGIN, 54, f"{note}; ×: of openconnect's", "quiet")
    x = WIDTH - MARGIN - sum(LEGEND.values()) - 38.0
    for contender, width in LEGEND.items():
        drawing.bar(x, 21, 13, CLASSES[contender])
        drawing.text(x + 18, 32, contender)
        x += width
    drawing.line(x, 20, x, 36, "goal")
    drawing.text(x + 7, 32, "goal")
    for panel in PANELS:
        drawing.text(panel.left, 82, panel.title, "strong")
        drawing.text(panel.left + PANEL, 82, panel.hint, "quiet", "end")


def _measured(case: Case, results: Results) -> bool:
    keys = (key for panel in PANELS for key in panel.keys)
    return any(results.spread(case, contender, key) for key in keys for contender in case.contenders)


def _cases(contender: Contender, case: Case) -> Case:
    return case.limit if contender is Contender.BARE else case


def _goal(case: Case, key: str, results: Results) -> float | None:
    """The value that ours has to reach to meet the goal beside openconnect."""
    goal, theirs = goal_of(case, key, Contender.THEIRS), results.spread(case, Contender.THEIRS, key)
    return goal.limit * theirs.median if goal is not None and theirs is not None else None


def _longest(panel: Panel, results: Results) -> float:
    values = [1e-9]
    for case in CASES:
        for key in panel.keys:
            found = [results.spread(_cases(contender, case), contender, key) for contender in CONTENDERS]
            values += [one.high for one in found if one is not None]
            goal = _goal(case, key, results)
            values += [goal] if goal is not None else []
    return max(values)


def _case(drawing: Drawing, panel: Panel, case: Case, results: Results, longest: float, y: float) -> float:
    """The bars of one case in one panel; where they end."""
    for way, key in zip(("down", "up"), panel.keys, strict=True):
        drawing.text(panel.left - 8, y + 11, way, "quiet", "end")
        for contender in CONTENDERS:
            _bar(drawing, panel, case, contender, key, results, longest, y)
            y += BAR_STEP
        y += GROUP_GAP
    return y - GROUP_GAP


def _bar(
    drawing: Drawing,
    panel: Panel,
    case: Case,
    contender: Contender,
    key: str,
    results: Results,
    longest: float,
    y: float,
) -> None:
    found = results.spread(_cases(contender, case), contender, key)
    if found is None:
        drawing.text(panel.left + 4, y + 11, f"{contender}: not measured", "quiet")
        return
    unit = PANEL * ROOM / longest
    end = panel.left + found.median * unit
    drawing.bar(panel.left, y, found.median * unit, CLASSES[contender])
    text_at = max(end, panel.left + found.high * unit)
    if found.count > 1:
        drawing.line(panel.left + found.low * unit, y + BAR / 2, panel.left + found.high * unit, y + BAR / 2, "spread")
    goal = _goal(case, key, results) if contender is Contender.OURS else None
    if goal is not None:
        at = panel.left + goal * unit
        drawing.line(at, y - 2, at, y + BAR + 2, "goal")
        text_at = max(text_at, at) if at < text_at + TEXT else text_at
    drawing.text(text_at + 6, y + 11, _label(panel, case, contender, key, results, found.median), _weight(contender))


def _weight(contender: Contender) -> str:
    return "strong" if contender is Contender.OURS else "quiet"


def _label(panel: Panel, case: Case, contender: Contender, key: str, results: Results, value: float) -> str:
    shown = value * panel.scale
    text = f"{shown:.1f}" if shown >= 10 else f"{shown:.2f}"
    ratio = results.ratio(case, key, Contender.THEIRS)
    if contender is not Contender.OURS or ratio is None:
        return f"{text} {panel.unit}"
    return f"{text} {panel.unit} · {ratio.median:.{1 if ratio.median >= 1 else 2}f}×"
