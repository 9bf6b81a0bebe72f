"""Opening ESP on a real socket of the loopback."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.gp import esp, udp
from protocols.gp.ipsec import EspParameters
from tests.protocols.gp.test_esp import PARAMETERS, Gateway
from transports.errors import Unreachable
from transports.udp import UdpListener, UdpSocket


def parameters(port: int) -> EspParameters:
    known = PARAMETERS
    return EspParameters(port, known.suite, known.outbound, known.inbound, known.source, known.target, "AES, SHA1")


class FakeDialer:
    through_proxy = False

    async def datagrams(self, address: str, port: int, *, local_port: int = 0) -> UdpSocket:
        return UdpSocket.open(address, port, local_port=local_port)


def open_with(answer_after: int | None) -> Any:
    """Against a gateway that answers the ping of that number; None: none."""

    async def run() -> Any:
        listener = UdpListener("127.0.0.1")

        async def serve() -> None:
            _, peer = await listener.accept()
            try:
                for _ in range(answer_after or 0):
                    await peer.receive(5)
                if answer_after is not None:
                    await peer.send(Gateway().reply())
                await asyncio.sleep(60)
            finally:
                peer.close()

        serving = asyncio.ensure_future(serve())
        try:
            return await udp.open_esp(FakeDialer(), "127.0.0.1", parameters(listener.port), 0)  # type: ignore[arg-type]
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            listener.close()

    return asyncio.run(run())


@pytest.mark.parametrize("lost", [0, 2])
def test_the_link_goes_on_where_the_probes_ended(monkeypatch: pytest.MonkeyPatch, lost: int) -> None:
    monkeypatch.setattr(esp, "PROBE_EVERY", 0.05 if lost else 60.0)
    given: dict[str, bytes] = {}

    def link(socket: object, framing: str, *, description: object, largest: int, options: Any) -> Any:
        given.update(dict(options))
        return SimpleNamespace(description=description, framing=framing)

    monkeypatch.setattr(udp, "DatagramLink", link)
    made, sent = open_with(lost)
    assert sent == 1 if not lost else sent > lost  # a slow answer may cost further ones
    assert given["esp.out-sequence"] == sent.to_bytes(4, "big")
    assert set(given) == {"esp.in", "esp.echo", "esp.out", "esp.out-sequence"}
    assert (made.description.name, made.description.host, made.description.detail) == ("ESP", "127.0.0.1", "AES, SHA1")


def test_the_engine_takes_the_options() -> None:
    made, _ = open_with(0)
    made.close()


def test_no_answer_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esp, "PROBE_LIMIT", 0.1)
    monkeypatch.setattr(esp, "PROBE_EVERY", 0.03)
    assert open_with(None) is None


def test_a_port_that_is_closed_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells it at once; it may be the firewall of a gateway that is not ready yet."""
    monkeypatch.setattr(esp, "PROBE_LIMIT", 0.1)
    monkeypatch.setattr(esp, "PROBE_EVERY", 0.03)

    async def run() -> Any:
        listener = UdpListener("127.0.0.1")
        port = listener.port
        listener.close()
        return await udp.open_esp(FakeDialer(), "127.0.0.1", parameters(port), 0)  # type: ignore[arg-type]

    assert asyncio.run(run()) is None


def test_no_way_there_is_no_answer() -> None:
    class NoWay(FakeDialer):
        async def datagrams(self, address: str, port: int, *, local_port: int = 0) -> UdpSocket:
            raise Unreachable("no route")

    assert asyncio.run(udp.open_esp(NoWay(), "192.0.2.1", PARAMETERS, 0)) is None  # type: ignore[arg-type]
