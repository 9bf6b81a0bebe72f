"""The tables, for a terminal and as Markdown: medians with lowest and highest, ratios, goals, verdicts, losses."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.client.cases import BARE_TLS, BARE_UDP, CASES, FIGURES, Case, Contender, Figure
from benchmarks.client.goals import Verdict, losses, verdicts
from benchmarks.client.spread import Results, Spread

HEADINGS = ("", "vpnclient", "openconnect", "ratio", "goal", "bare pump", "ratio", "goal")
Cells = tuple[str, ...]


def number(value: float, unit: str) -> str:
    if unit == "packets/s":
        return f"{value / 1000:.0f} k/s" if value >= 10000 else f"{value:.0f} /s"
    digits = 0 if value >= 100 else 1 if value >= 20 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f} {unit}".rstrip()


def spread(one: Spread | None, unit: str) -> str:
    if one is None:
        return ""
    if one.count == 1:
        return number(one.median, unit)
    low, high = (number(value, unit).partition(" ")[0] for value in (one.low, one.high))
    return f"{number(one.median, unit)} ({low} to {high})"


def _goal(verdict: Verdict | None) -> str:
    return "" if verdict is None else f"{verdict.wanted} {verdict.word}"


def rows(case: Case, results: Results) -> Iterator[Cells]:
    """The lines of one case's table, under HEADINGS."""
    judged = {(one.key, one.beside): one for one in verdicts(results) if one.case == case}
    for figure in FIGURES:
        ours, theirs = (results.spread(case, contender, figure.key) for contender in (Contender.OURS, Contender.THEIRS))
        if ours is None and theirs is None:
            continue
        limit = results.spread(case.limit, Contender.BARE, figure.key) if _compared(figure) else None
        ratios = [_ratio(results, case, figure, beside) for beside in (Contender.THEIRS, Contender.BARE)]
        goals = [_goal(judged.get((figure.key, beside))) for beside in (Contender.THEIRS, Contender.BARE)]
        own = _goal(judged.get((figure.key, None)))
        unit = figure.unit
        cells = (figure.title, spread(ours, unit), spread(theirs, unit), ratios[0], own or goals[0])
        yield (*cells, spread(limit, unit), ratios[1], goals[1])


def _compared(figure: Figure) -> bool:
    """Whether the bare pump's figure says anything: it has neither a sign-in nor a program around it."""
    return bool(figure.measure)


def _ratio(results: Results, case: Case, figure: Figure, beside: Contender) -> str:
    ratio = results.ratio(case, figure.key, beside) if beside is Contender.THEIRS or _compared(figure) else None
    return spread(ratio, "")


def bare_rows(results: Results) -> Iterator[Cells]:
    """What the bare pump does where no case stands beside it."""
    for figure in FIGURES:
        cells = [spread(results.spread(case, Contender.BARE, figure.key), figure.unit) for case in (BARE_UDP, BARE_TLS)]
        if _compared(figure) and any(cells):
            yield (figure.title, *cells)


def failure_lines(results: Results) -> list[str]:
    return [f"{one.contender} in {one.case}, round {one.round + 1}: {one.text}" for one in results.failures]


def missed_lines(results: Results) -> list[str]:
    titles = {figure.key: figure for figure in FIGURES}
    lines = []
    for one in verdicts(results):
        if not one.met:
            beside = f" of {one.beside}'s" if one.beside else ""
            unit = "" if one.beside else titles[one.key].unit
            got = f"{spread(one.got, unit)}{beside}"
            lines.append(f"{one.case.title}, {titles[one.key].title}: {got}, wanted {one.wanted}")
    return lines


def loss_lines(results: Results) -> list[str]:
    titles = {figure.key: figure.title for figure in FIGURES}
    return [f"{case.title}, {titles[key]}: {ratio:.2f} of openconnect's" for case, key, ratio in losses(results)]


def summary(results: Results) -> str:
    judged = verdicts(results)
    met = sum(one.met for one in judged)
    failed = f", {len(results.failures)} not measured" if results.failures else ""
    return f"{met} of {len(judged)} goals met{failed}"


# --- terminal -------------------------------------------------------------------------------------------------------


def show(results: Results, console: Console) -> None:
    for case in CASES:
        lines = list(rows(case, results)) if case.gateway != "bare" else []
        if lines:
            _table(console, case.title, HEADINGS, lines)
    alone = list(bare_rows(results))
    if alone:
        _table(console, "The bare pump: the limit of this machine", ("", "over UDP", "over TLS"), alone)
    for title, texts, style in (
        ("Not measured", failure_lines(results), "bold red"),
        ("Goals missed", missed_lines(results), "red"),
        ("Where openconnect is better", loss_lines(results), "yellow"),
    ):
        console.print(f"[{style}]{title}[/]: {'' if texts else 'none'}")
        for text in texts:
            console.print(f"  {escape(text)}", soft_wrap=True)
    console.print(f"[bold]{summary(results)}[/]")


def _table(console: Console, title: str, headings: Cells, lines: list[Cells]) -> None:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("", "goal") else "right")
    for cells in lines:
        table.add_row(*(_coloured(cell) for cell in cells))
    console.print(table)


def _coloured(cell: str) -> str:
    for word, style in (("MISSED", "red"), ("met", "green")):
        if cell.endswith(f" {word}"):
            return f"{escape(cell.removesuffix(word))}[{style}]{word}[/]"
    return escape(cell)


# --- Markdown -------------------------------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    parts = []
    for case in CASES:
        lines = list(rows(case, results)) if case.gateway != "bare" else []
        if lines:
            parts.append(f"**{case.title}**\n\n{_markdown_table(HEADINGS, lines)}")
    alone = list(bare_rows(results))
    if alone:
        parts.append(f"**The bare pump**\n\n{_markdown_table(('', 'over UDP', 'over TLS'), alone)}")
    for title, texts in (("Not measured", failure_lines(results)), ("Goals missed", missed_lines(results))):
        if texts:
            parts.append(f"{title}:\n\n" + "\n".join(f"* {text}" for text in texts))
    return "\n\n".join(parts) + "\n"


def _markdown_table(headings: Cells, lines: list[Cells]) -> str:
    rule = ["---" if heading in ("", "goal") else "---:" for heading in headings]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *lines))
