"""Errors with their codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from protocols.errors import ProtocolError


@contextmanager
def refused(kind: type[ProtocolError], match: str) -> Iterator[pytest.ExceptionInfo[ProtocolError]]:
    """As pytest.raises; match: is looked for in `code: text`."""
    with pytest.raises(kind) as caught:
        yield caught
    said = f"{caught.value.code}: {caught.value}"
    assert re.search(match, said), f"got {said!r}, want {match!r}"
