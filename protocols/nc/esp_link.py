"""The socket of ESP: a datagram link for the pump, made of what the gateway offers (juniper.md section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.base import DatagramChannel
from protocols.nc.esp import Offer
from protocols.nc.esp_path import EspPath

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.link import DatagramLink

FRAMING = "esp"
OVERHEAD = 24 + 17 + 16  # bytes around a packet, at most
LEAST_ROOM = 2048  # bytes: packets larger than the MTU arrive (Q12)


def channel(
    dialer: Dialer, host: str, path: EspPath, offer: Offer, *, mtu: int, local_port: int = 0
) -> DatagramChannel:
    """host: numeric address of the TLS peer.  Nothing is sent before it is opened."""

    async def open_link() -> DatagramLink:
        return await _open(dialer, host, path, describe(offer), mtu, local_port)

    return DatagramChannel("ESP", open_link, path)


def describe(offer: Offer) -> str:
    """For people."""
    suite = offer.parameters.suite()
    return f"AES-{8 * suite.key}-CBC, HMAC-{suite.digest.upper()}-{8 * suite.icv}"


async def _open(dialer: Dialer, host: str, path: EspPath, detail: str, mtu: int, local_port: int) -> DatagramLink:
    """Raises TransportError."""
    from transports.link import DatagramLink, LinkDescription

    socket = await dialer.datagrams(host, path.port, local_port=local_port)
    try:
        description = LinkDescription("ESP", host, path.port, detail, path_mtu=socket.path_mtu())
        largest = max(LEAST_ROOM, mtu + 256) + OVERHEAD
        return DatagramLink(
            *(socket, FRAMING), description=description, largest=largest, options=path.options(), inherit=True
        )
    finally:
        socket.close()
