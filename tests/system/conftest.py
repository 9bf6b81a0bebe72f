"""What the tests against real peers share.  They need root: without it they fail, they are never skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vpnclient.lab.netns import Pair, missing_requirements, pair


@pytest.fixture
def namespaces() -> Iterator[Pair]:
    """Two joined namespaces; the client's default route goes to a next hop that swallows everything."""
    lacks = missing_requirements()
    assert not lacks, "the tests in tests/system need: " + "; ".join(lacks)
    with pair(default_route="dummy") as both:
        yield both


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Where the client under test keeps its journals."""
    return tmp_path / "run"
