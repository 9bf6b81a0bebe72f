"""What the docs quote and link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
GUIDE = ROOT / "docs" / "adding-a-protocol.md"
_LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
_EXCERPT = re.compile(r"^```(?:python|c)\n(?:#|//) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXCERPTS = _EXCERPT.findall(GUIDE.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_the_guide_quotes() -> None:
    assert len(EXCERPTS) == GUIDE.read_text().count("```") // 2 > 5


@pytest.mark.parametrize(("path", "quoted"), EXCERPTS, ids=[path for path, _ in EXCERPTS])
def test_what_is_quoted_is_in_the_code(path: str, quoted: str) -> None:
    code = (ROOT / path).read_text()
    assert [part for part in quoted.split("...\n") if part not in code] == []
