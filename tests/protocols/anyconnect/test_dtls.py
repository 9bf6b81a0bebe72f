"""The socket of the DTLS channel: a local port that the link before still has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protocols.anyconnect import dtls
from transports.errors import Unreachable
from transports.udp import UdpSocket


class Dialer:
    async def datagrams(self, address: str, port: int, *, local_port: int = 0) -> UdpSocket:
        return UdpSocket.open(address, port, local_port=local_port)


def test_a_port_that_is_about_to_be_given_back_is_waited_for() -> None:
    async def run() -> None:
        dialer: Any = Dialer()
        before = await dtls._socket(dialer, "127.0.0.1", 9, 0)
        port = before.local_port
        asyncio.get_running_loop().call_later(dtls.PORT_PAUSE, before.close)
        after = await dtls._socket(dialer, "127.0.0.1", 9, port)
        assert after.local_port == port
        after.close()

    asyncio.run(run())


def test_a_port_that_somebody_keeps_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls, "PORT_PAUSE", 0.0)

    async def run() -> None:
        dialer: Any = Dialer()
        held = await dtls._socket(dialer, "127.0.0.1", 9, 0)
        with pytest.raises(Unreachable, match=f"port {held.local_port}"):
            await dtls._socket(dialer, "127.0.0.1", 9, held.local_port)
        held.close()

    asyncio.run(run())
