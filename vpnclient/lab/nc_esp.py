"""ESP of Network Connect from the gateway's side: whose datagram came, its keys, and new ones (juniper.md section 8).

    301: our SPI and keys -> client's 302: its SPI and keys -> a probe to our SPI -> link -> 303 on: packets by ESP
    in time: 302 with new ones of ours -> client's 302

A probe may come before the 302 that was sent ahead of it: its socket waits for the keys.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Sequence

from protocols.base import Control, Send, SetOption, Traffic
from protocols.framing.esp import Decoder, Encoder, Kind
from protocols.framing.esp_sa import FIXED, Cipher, Mac
from protocols.framing.oncp import Kind as Kmp
from protocols.nc import esp
from protocols.nc.esp import Keys, Parameters
from transports.errors import TimedOut
from transports.link import DatagramLink, LinkDescription
from transports.sink import MemorySink
from transports.udp import UdpSocket
from vpnclient.lab.nc_settings import NcSettings
from vpnclient.lab.netns import LabError
from vpnclient.lab.site import Exporter, OpenDatagrams, ServerAction
from vpnclient.lab.store import LabSession

FRAMING = "esp"
KEYS_LIMIT = 5.0  # seconds that a socket waits for the client's keys
MAX_EARLY = 8  # datagrams that are looked at before there is a link
EARLY = 0.02  # seconds to wait for one more
OVERHEAD = 24 + 17 + 16  # bytes around a packet, at most
PROBE = b"\0"
LIFETIME_MARGIN = 120  # seconds that keys live on after new ones were sent
CIPHERS = {"aes-128": Cipher.AES_128_CBC, "aes-256": Cipher.AES_256_CBC}
MACS = {"md5": Mac.MD5_96, "sha1": Mac.SHA1_96, "sha256": Mac.SHA256_128}

Random = Callable[[int], bytes]


class EspSide:
    """All tunnels of a gateway, by the SPI that their clients send to."""

    def __init__(self, settings: NcSettings, random: Random = secrets.token_bytes) -> None:
        self._settings, self._random = settings, random
        self._port = 0
        self._tunnels: dict[int, EspTunnel] = {}

    def listens(self, port: int) -> None:
        self._port = port

    def tunnel(self, session: LabSession) -> EspTunnel | None:
        """For a new connection of a session, in the place of the one before; None: there is no ESP."""
        settings = self._settings
        self._tunnels = {spi: held for spi, held in self._tunnels.items() if held.session is not session}
        if not settings.udp or not self._port:
            return None
        parameters = Parameters(
            cipher=CIPHERS[settings.esp_cipher],
            mac=MACS[settings.esp_mac],
            port=self._port,
            lifetime=settings.esp_rekey + LIFETIME_MARGIN if settings.esp_rekey else 0,
            fallback=settings.dpd,
        )
        return EspTunnel(session, parameters, self._make, settings.mtu)

    def on_datagram(self, first: bytes) -> OpenDatagrams | None:
        if len(first) < FIXED.size:
            return None
        tunnel = self._tunnels.get(FIXED.unpack_from(first)[0])
        return None if tunnel is None else OpenDatagrams(tunnel.session, tunnel.open, EspEcho(), tunnel.mtu)

    def _make(self, tunnel: EspTunnel, parameters: Parameters) -> Keys:
        """Keys of an SPI that nobody has; those that the tunnel had are forgotten here."""
        keys = esp.make_keys(self._random, parameters.suite(), self._tunnels)
        self._tunnels = {spi: held for spi, held in self._tunnels.items() if held is not tunnel}
        self._tunnels[keys.spi] = tunnel
        return keys


class EspTunnel:
    """ESP beside one TLS connection."""

    def __init__(
        self,
        session: LabSession,
        parameters: Parameters,
        make: Callable[[EspTunnel, Parameters], Keys],
        mtu: int,
    ) -> None:
        self.session, self.mtu = session, mtu
        self._parameters, self._make = parameters, make
        self._own = make(self, parameters)
        self._theirs: Keys | None = None
        self._known = asyncio.Event()  # theirs
        self._opened = False

    def groups(self) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """Of the configuration."""
        told = self._parameters
        parameters = [
            (1, told.cipher.to_bytes(1, "big")),
            (2, told.mac.to_bytes(1, "big")),
            (3, b"\0"),
            (4, told.port.to_bytes(2, "big")),
            (6, told.lifetime.to_bytes(4, "big")),
            (9, told.fallback.to_bytes(4, "big")),
            (10, b"\0\0\0\1"),
        ]
        return [*self._own.groups(), (esp.Group.PARAMETERS, parameters)]

    def on_keys(self, payload: bytes) -> list[ServerAction]:
        """The client's KMP 302.  Raises ConfigurationRefused."""
        self._theirs = esp.new_offer(payload, self._parameters).outbound
        self._known.set()
        return [SetOption("esp.out", self._theirs.option(self._parameters))]

    def rekey(self) -> list[ServerAction]:
        self._own = self._make(self, self._parameters)
        inbound = self._own.inbound_option(self._parameters)
        return [SetOption("esp.in", inbound), Send(Control(Kmp.ESP_KEYS, self._own.payload()))]

    async def open(self, socket: UdpSocket, first: bytes, export: Exporter) -> DatagramLink:
        """Raises LabError: the client's keys do not come; EngineError."""
        try:
            async with asyncio.timeout(KEYS_LIMIT):
                await self._known.wait()
        except TimeoutError as exc:
            raise LabError(f"{self.session!r}: no ESP keys came within {KEYS_LIMIT:.0f} s") from exc
        assert self._theirs is not None  # it is known
        inbound, outbound = self._own.inbound_option(self._parameters), self._theirs.option(self._parameters)
        options = [("esp.in", inbound), ("esp.out", outbound)]
        if not self._opened:  # a later socket goes on with the numbers of the one before
            sent = await _answer_early(socket, first, inbound, outbound)
            options.append(("esp.out-sequence", sent.to_bytes(4, "big")))
        self._opened = True
        description = LinkDescription("ESP", *socket.peer, f"{self._parameters.port}")
        largest = max(2048, self.mtu + 256) + OVERHEAD
        return DatagramLink(socket, FRAMING, description=description, largest=largest, options=options, inherit=True)


async def _answer_early(socket: UdpSocket, first: bytes, inbound: bytes, outbound: bytes) -> int:
    """Probes that came before there was a link: 9.01 sends no others for a minute.  How many answers were sent."""
    waiting = [first]
    try:
        while len(waiting) < MAX_EARLY:
            waiting.append(await socket.receive(EARLY))
    except TimedOut:
        pass
    decoder, encoder = Decoder(MemorySink()), Encoder()
    decoder.set("esp.in", inbound)
    encoder.set("esp.out", outbound)
    for datagram in waiting:
        decoder.feed_datagram(datagram)
    sent = 0
    while (frame := decoder.next_control()) is not None:
        if frame == Control(Kind.IPV4, PROBE):
            await socket.send(encoder.encode_control(Kind.IPV4, PROBE, secrets.token_bytes(16)))
            sent += 1
    return sent


class EspEcho:
    """Answers every probe."""

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        probes = [frame for frame in frames if frame == Control(Kind.IPV4, PROBE)]
        return [Send(frame, datagrams=True) for frame in probes]

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        return []

    def deadline(self) -> float:
        return math.inf

    def farewell(self, reason: str) -> list[ServerAction]:
        return []  # the stream says it
