"""Opening ESP: pings on a UDP socket until one is answered, then a link of the engine (section 12)."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from protocols.gp.esp import Probe
from protocols.gp.ipsec import EspParameters
from transports.errors import ConnectionLost, TimedOut, Unreachable
from transports.link import DatagramLink, LinkDescription

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.udp import UdpSocket

FRAMING = "esp"
LARGEST = 16384 + 256  # bytes of a datagram: gateways send larger packets than they were told (Q4)
SEQUENCE = 4  # bytes


async def open_esp(
    dialer: Dialer, gateway: str, parameters: EspParameters, local_port: int
) -> tuple[DatagramLink, int] | None:
    """The link and how many probes went out; None: there is no answer.  gateway: numeric address of the TLS peer (Q3).

    Raises EngineError.
    """
    try:
        socket = await dialer.datagrams(gateway, parameters.port, local_port=local_port)
    except Unreachable:
        return None
    try:
        probe = Probe(parameters, secrets.token_bytes, asyncio.get_running_loop().time())
        if not await _answered(probe, socket):
            return None
        description = LinkDescription(
            name="ESP",
            host=gateway,
            port=parameters.port,
            detail=parameters.detail,
            overhead=parameters.suite.overhead,
            path_mtu=socket.path_mtu(),
        )
        sequence = ("esp.out-sequence", probe.sent.to_bytes(SEQUENCE, "big"))
        options = (*parameters.decoder_options(), *parameters.encoder_options(), sequence)
        return DatagramLink(socket, FRAMING, description=description, largest=LARGEST, options=options), probe.sent
    finally:
        socket.close()


async def _answered(probe: Probe, socket: UdpSocket) -> bool:
    """What the network says against it counts as loss: the clock decides (esp.md section 8.3)."""
    loop = asyncio.get_running_loop()
    while not probe.over(loop.time()):
        with suppress(TimedOut):
            try:
                if (datagram := probe.due(loop.time())) is not None:
                    await socket.send(datagram)
                probe.take(await socket.receive(max(probe.deadline() - loop.time(), 0.001)))
            except ConnectionLost:
                await asyncio.sleep(max(probe.deadline() - loop.time(), 0.001))
    return probe.up
