"""ESP of GlobalProtect from the gateway's side: keys for a session, and whose first datagram came.

The magic address is the gateway's own in the tunnel, so that its kernel answers the pings; only the first one, which
nobody but us has read, is answered here.  Source: globalprotect.md sections 9.3, 12 and 17; esp.md.
"""

from __future__ import annotations

import itertools
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from protocols.base import Control, Traffic
from protocols.framing.esp import Decoder, Encoder
from protocols.framing.esp_sa import FIXED, Cipher, Mac, sa_option, suite_of
from protocols.gp import ping
from transports.link import DatagramLink, LinkDescription
from transports.sink import MemorySink
from transports.udp import UdpSocket
from vpnclient.lab import gp_xml as xml
from vpnclient.lab.gp_tunnel import SILENCE
from vpnclient.lab.site import Exporter, Hangup, ServerAction

FRAMING = "esp"
LARGEST = 16384 + 256  # bytes of a datagram
LINK_NUMBERS = 2**24  # sequence numbers kept for one link of the same keys
LEAST_SPI = 256  # below are those that RFC 4303 reserves
CIPHERS = {"aes-128-cbc": Cipher.AES_128_CBC, "aes-256-cbc": Cipher.AES_256_CBC}
MACS = {"sha1": Mac.SHA1_96, "md5": Mac.MD5_96, "sha256": Mac.SHA256_128}
_REPLIES = {8: 0, 128: 129}  # ICMP and ICMPv6: echo request -> echo reply


@dataclass(frozen=True, slots=True)
class Half:
    """Keys of one direction."""

    spi: int
    cipher_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one getconfig; the next one makes others.  up: client to gateway."""

    cipher: str
    mac: str
    up: Half
    down: Half
    links: Iterator[int] = field(default_factory=itertools.count, compare=False)  # their numbers

    @classmethod
    def make(cls, cipher: str, mac: str) -> Keys:
        suite = suite_of(CIPHERS[cipher], MACS[mac])

        def half() -> Half:
            spi = LEAST_SPI + secrets.randbelow(2**32 - LEAST_SPI)
            return Half(spi, secrets.token_bytes(suite.key), secrets.token_bytes(suite.mac_key))

        return cls(cipher, mac, half(), half())

    def block(self, port: int) -> str:
        """The <ipsec> element."""

        def key(name: str, value: bytes) -> str:
            return xml.element(name, xml.text("bits", len(value) * 8), xml.text("val", value.hex()))

        return xml.element(
            "ipsec",
            xml.text("udp-port", port),
            xml.text("ipsec-mode", "esp-tunnel"),
            xml.text("enc-algo", self.cipher),
            xml.text("hmac-algo", self.mac),
            xml.text("c2s-spi", f"0x{self.up.spi:08X}"),
            xml.text("s2c-spi", f"0x{self.down.spi:08X}"),
            key("akey-s2c", self.down.mac_key),
            key("ekey-s2c", self.down.cipher_key),
            key("akey-c2s", self.up.mac_key),
            key("ekey-c2s", self.up.cipher_key),
        )

    def option(self, half: Half) -> bytes:
        return sa_option(CIPHERS[self.cipher], MACS[self.mac], half.spi, half.cipher_key + half.mac_key)

    def is_ping(self, datagram: bytes) -> bytes:
        """The magic ping that is in it, genuine; empty: there is none."""
        sink = MemorySink()
        decoder = Decoder(sink)
        decoder.set("esp.in", self.option(self.up))
        decoder.feed_datagram(datagram)
        sink.flush()
        packet = sink.take() or b""
        return packet if packet.find(ping.PATTERN) in (28, 48) else b""

    async def open(self, socket: UdpSocket, first: bytes, export: Exporter) -> DatagramLink:
        """Answer the first ping, then leave the socket to the engine."""
        encoder = Encoder()
        encoder.set("esp.out", self.option(self.down))
        sequence = next(self.links) * LINK_NUMBERS  # what an earlier link sent must not look like a replay of it
        encoder.set("esp.out-sequence", struct.pack("!I", sequence))
        if reply := reply_to(self.is_ping(first)):
            await socket.send(encoder.encode(reply, secrets.token_bytes(16)))
        description = LinkDescription("ESP", *socket.peer, f"{self.cipher}, {self.mac}")
        options = (
            ("esp.in", self.option(self.up)),
            ("esp.out", self.option(self.down)),
            ("esp.out-sequence", struct.pack("!I", sequence + 1)),
        )
        return DatagramLink(socket, FRAMING, description=description, largest=LARGEST, options=options)


def spi_of(datagram: bytes) -> int:
    """0: there is none."""
    return int(FIXED.unpack_from(datagram)[0]) if len(datagram) >= FIXED.size else 0


def reply_to(packet: bytes) -> bytes:
    """The echo reply to an echo request; empty: it is none."""
    header = 20 if packet[:1] == b"\x45" else 40
    if len(packet) < header + 8 or packet[header] not in _REPLIES:
        return b""
    ends = (packet[12:16], packet[16:20]) if header == 20 else (packet[8:24], packet[24:40])
    return ping.reply(ip_address(ends[1]), ip_address(ends[0]), packet[header + 4 :])


class EspServer:
    """One link of one session.  expires_at: monotonic seconds; then the session ends."""

    def __init__(self, expires_at: float, now: float) -> None:
        self._expires_at, self._heard_at = expires_at, now

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        return []  # none of them wants an answer

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        self._heard_at = max(self._heard_at, traffic.received_at)
        if now >= self._expires_at:
            return self.farewell("session timeout")
        if now >= self._heard_at + SILENCE:
            return [Hangup(f"silent for {now - self._heard_at:.0f} s", forget=False)]
        return []

    def deadline(self) -> float:
        return min(self._expires_at, self._heard_at + SILENCE)

    def farewell(self, reason: str) -> list[ServerAction]:
        """No frame tells a client that its session is over."""
        return [Hangup(reason, forget=True)]
