"""The twins of the PPP carriers behind one face, and framing built apart from the code under test."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Protocol

from protocols.base import Control
from protocols.framing.ppp_hdlc import HdlcDecoder, HdlcEncoder
from protocols.framing.ppp_prefixed import F5Decoder, F5Encoder, FortinetDecoder, FortinetEncoder
from tests.protocols.framing import twins
from transports.sink import MemorySink, NativeSink

F5, HDLC, FORTINET = "ppp-f5", "ppp-f5-hdlc", "ppp-fortinet"
FRAMINGS = [F5, HDLC, FORTINET]
PARTS = {F5: (F5Decoder, F5Encoder), HDLC: (HdlcDecoder, HdlcEncoder), FORTINET: (FortinetDecoder, FortinetEncoder)}
IPV4, IPV6, LCP, IPCP, IP6CP = 0x0021, 0x0057, 0xC021, 0x8021, 0x8057
ACCM_ALL = 0xFFFFFFFF


class Twin(twins.Twin, Protocol):
    """What these suites need besides."""

    def set(self, option: str, value: bytes) -> None: ...
    def feed_datagram(self, data: bytes) -> None: ...


class PythonTwin:
    def __init__(self, framing: str, slots: int = 64) -> None:
        self.sink: MemorySink | NativeSink = MemorySink(slots)
        decoder, encoder = PARTS[framing]
        self._decoder, self._encoder = decoder(self.sink), encoder()
        self.feed = self._decoder.feed
        self.encode, self.encode_control = self._encoder.encode, self._encoder.encode_control

    def set(self, option: str, value: bytes) -> None:
        self._encoder.set(option, value)
        if option == "ppp.data":
            self._decoder.set(option, value)

    def feed_datagram(self, data: bytes) -> None:
        assert not isinstance(self._decoder, HdlcDecoder)
        self._decoder.feed_datagram(data)

    def control(self) -> tuple[int, bytes] | None:
        frame: Control | None = self._decoder.next_control()
        return None if frame is None else (frame.kind, frame.payload)

    def counters(self) -> dict[str, int]:
        return self._decoder.counters() | self._encoder.counters()


class NativeTwin(twins.NativeTwin):
    def __init__(self, framing: str, slots: int = 64) -> None:
        super().__init__(framing, slots)
        self.set = self.codec.set

    def feed_datagram(self, data: bytes) -> None:
        self.codec.feed_datagram(data, self.sink)


class PlainTwin(NativeTwin):
    """The native one without what is special of this processor."""

    def __init__(self, framing: str, slots: int = 64) -> None:
        super().__init__(framing, slots)
        if framing == HDLC:
            self.set("hdlc.plain", b"\1")


MAKERS = [PythonTwin, NativeTwin, PlainTwin]
IDS = ["python", "native", "plain"]


def fcs(data: bytes) -> int:
    """What is sent: the standard library's CRC-CCITT, with all bits the other way round."""
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{crc_hqx(turned, 0xFFFF):016b}"[::-1], 2) ^ 0xFFFF


def stuffed(data: bytes, accm: int = 0) -> bytes:
    out = bytearray()
    for byte in data:
        if byte in (0x7D, 0x7E) or (byte < 32 and accm >> byte & 1):
            out += bytes([0x7D, byte ^ 0x20])
        else:
            out.append(byte)
    return bytes(out)


def framed(framing: str, packet: bytes, accm: int = 0) -> bytes:
    """A PPP packet on the wire, as the notes draw it."""
    size = len(packet).to_bytes(2, "big")
    if framing == F5:
        return b"\xf5\x00" + size + packet
    if framing == FORTINET:
        return (len(packet) + 6).to_bytes(2, "big") + b"\x50\x50" + size + packet
    return b"\x7e" + stuffed(packet + fcs(packet).to_bytes(2, "little"), accm) + b"\x7e"


def ppp(protocol: int, information: bytes, *, address: bool = False, short: bool = False) -> bytes:
    number = protocol.to_bytes(2, "big")
    return (b"\xff\x03" if address else b"") + (number[1:] if short else number) + information
