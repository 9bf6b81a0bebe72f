"""What `python -m benchmarks.decoders` measures: one table of the framings, their options, twins and goals."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from protocols.framing import array, capsule, compression, cstp, esp, gpst, ift, oncp
from protocols.framing.esp_sa import Cipher, Mac, sa_option, suite_of
from protocols.framing.ppp_hdlc import HdlcDecoder, HdlcEncoder
from protocols.framing.ppp_prefixed import F5Decoder, F5Encoder, FortinetDecoder, FortinetEncoder
from transports.sink import PacketSink

SPI = 0x12345678
Options = tuple[tuple[str, bytes], ...]


class Goal(Enum):
    """What a framing has to reach; the texts are the report's."""

    PACKETS = ">= 5 M packets/s at 64 bytes"
    FEW_ESCAPES = ">= 1000 MB/s"
    ALL_ESCAPES = ">= 400 MB/s"
    RAW = ">= 80 % of libcrypto alone"
    NONE = ""


class Decoder(Protocol):
    """A reference decoder of a stream."""

    def feed(self, data: bytes) -> None: ...


class Encoder(Protocol):
    """A reference encoder."""

    def encode(self, packet: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Twin:
    """The Python twin of a case: a packet to a frame; and bytes of a link, or one datagram, in."""

    encode: Callable[[bytes], bytes]
    take: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One row.  copies: of a decoded packet, at most, beside its way in."""

    name: str
    framing: str
    twin: Callable[[PacketSink], Twin]
    options: Options = ()
    datagrams: bool = False
    content: str = "random"
    goal: Goal = Goal.NONE
    copies: int = 1

    def arguments(self, sink: str, tun: int, size: int, rounds: int) -> list[str]:
        """Of the C program."""
        unit = "datagram" if self.datagrams else "stream"
        options = [f"{name}={value.hex()}" for name, value in self.options]
        return [sink, str(tun), self.framing, unit, self.content, str(size), str(rounds), *options]


def _plain(decoder: Callable[[PacketSink], Decoder], encoder: Callable[[], Encoder], sink: PacketSink) -> Twin:
    return Twin(encoder().encode, decoder(sink).feed)


def _cstp(method: str, sink: PacketSink) -> Twin:
    decoder = cstp.Decoder(sink, compression.make(method))
    return Twin(cstp.Encoder(compression.make(method)).encode, decoder.feed)


def _array_records(sink: PacketSink) -> Twin:
    return Twin(array.Encoder().encode, array.Decoder(sink).feed_datagram)


def _ppp(
    decoder: type[HdlcDecoder | F5Decoder | FortinetDecoder],
    encoder: type[HdlcEncoder | F5Encoder | FortinetEncoder],
    options: Options,
    sink: PacketSink,
) -> Twin:
    taking, sending = decoder(sink), encoder()
    taking.set("ppp.data", b"\3")
    for name, value in options:
        sending.set(name, value)
    return Twin(sending.encode, taking.feed)


def _ppp_datagrams(
    decoder: type[F5Decoder | FortinetDecoder], encoder: type[F5Encoder | FortinetEncoder], sink: PacketSink
) -> Twin:
    taking, sending = decoder(sink), encoder()
    for part in (taking, sending):
        part.set("ppp.data", b"\3")
    return Twin(sending.encode, taking.feed_datagram)


def _esp(option: bytes, iv: int, sink: PacketSink) -> Twin:
    decoder, encoder = esp.Decoder(sink), esp.Encoder()
    decoder.set("esp.in", option)
    encoder.set("esp.out", option)
    return Twin(lambda packet: encoder.encode(packet, os.urandom(iv)), decoder.feed_datagram)


def _sealed(name: str, cipher: Cipher, mac: Mac, *, singly: bool = False) -> Case:
    suite = suite_of(cipher, mac)
    keys = bytes(range(suite.key + suite.salt + suite.mac_key))
    option = sa_option(cipher, mac, SPI, keys)
    options: Options = (("esp.in", option), ("esp.out", option))
    if singly:
        options = (("esp.together", b"\0"), *options)
    twin = partial(_esp, option, suite.iv)
    return Case(f"esp {name}", "esp", twin, options, datagrams=True, goal=Goal.RAW, copies=0)


def _hdlc(name: str, accm: int, goal: Goal) -> Case:
    options = (("ppp.data", b"\3"), ("ppp.accm", accm.to_bytes(4, "big")))
    twin = partial(_ppp, HdlcDecoder, HdlcEncoder, options)
    return Case(f"hdlc {name}", "ppp-f5-hdlc", twin, options, goal=goal, copies=0)


def _compressed(method: str) -> Case:
    options = (("cstp.compression", method.encode()),)
    return Case(f"cstp+{method}", "cstp", partial(_cstp, method), options, content="text")


def _header(name: str, decoder: Callable[[PacketSink], Decoder], encoder: Callable[[], Encoder], copies: int) -> Case:
    """A header and nothing else."""
    return Case(name, name, partial(_plain, decoder, encoder), goal=Goal.PACKETS, copies=copies)


def _prefixed(
    name: str, decoder: type[F5Decoder | FortinetDecoder], encoder: type[F5Encoder | FortinetEncoder]
) -> Case:
    data = (("ppp.data", b"\3"),)
    return Case(name, name, partial(_ppp, decoder, encoder, data), data, goal=Goal.PACKETS)


def _prefixed_datagrams(
    name: str, decoder: type[F5Decoder | FortinetDecoder], encoder: type[F5Encoder | FortinetEncoder]
) -> Case:
    data = (("ppp.data", b"\3"),)
    twin = partial(_ppp_datagrams, decoder, encoder)
    return Case(f"{name}, datagrams", name, twin, data, datagrams=True, goal=Goal.PACKETS)


CASES = (
    _header("cstp", cstp.Decoder, cstp.Encoder, copies=0),
    _header("gpst", gpst.Decoder, gpst.Encoder, copies=0),
    _header("oncp", oncp.Decoder, oncp.Encoder, copies=1),
    _header("ift", ift.Decoder, ift.Encoder, copies=1),
    _header("array", array.Decoder, array.Encoder, copies=1),
    _header("capsule", capsule.Decoder, capsule.Encoder, copies=1),
    _prefixed("ppp-f5", F5Decoder, F5Encoder),
    _prefixed("ppp-fortinet", FortinetDecoder, FortinetEncoder),
    Case("array, datagrams", "array", _array_records, datagrams=True, goal=Goal.PACKETS),
    _prefixed_datagrams("ppp-f5", F5Decoder, F5Encoder),
    _prefixed_datagrams("ppp-fortinet", FortinetDecoder, FortinetEncoder),
    _hdlc("few escapes", 0, Goal.FEW_ESCAPES),
    _hdlc("control escaped", 0xFFFFFFFF, Goal.ALL_ESCAPES),
    _sealed("AES-128-GCM", Cipher.AES_128_GCM, Mac.NONE),
    _sealed("AES-256-GCM", Cipher.AES_256_GCM, Mac.NONE),
    _sealed("AES-128-CBC+SHA1", Cipher.AES_128_CBC, Mac.SHA1_96),
    _sealed("AES-256-CBC+SHA256", Cipher.AES_256_CBC, Mac.SHA256_128),
    _sealed("AES-128-CBC+SHA1, singly", Cipher.AES_128_CBC, Mac.SHA1_96, singly=True),
    _sealed("AES-256-CBC+SHA256, singly", Cipher.AES_256_CBC, Mac.SHA256_128, singly=True),
    _compressed("lzs"),
    _compressed("oc-lz4"),
    _compressed("deflate"),
)
