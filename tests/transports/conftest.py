"""What several test modules of transports run with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from transports.engine import lib
from transports.tls import TlsStream


@pytest.fixture(params=["libssl", "own"])
def records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes the records of TLS 1.3 once the handshake of a TlsStream is done: a pump's are always our own."""
    plain = TlsStream.handshake

    async def handshake(
        stream: TlsStream, on_certificate: Callable[[bytes, tuple[int, ...]], Awaitable[None]] | None
    ) -> None:
        await plain(stream, on_certificate)
        lib.ve_tls_take_over(stream.native)

    if request.param == "own":
        monkeypatch.setattr(TlsStream, "handshake", handshake)
