"""The ESP twins behind one face, and what their tests share.

The C twin comes twice where its engine can do several packets of CBC at once: as it is, which does a few one by one,
and with `esp.together`, so that a single one is done as several are.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from protocols.framing import esp
from protocols.framing.esp_sa import Cipher, Mac, sa_option, suite_of
from transports.codec import CodecError, NativeCodec
from transports.sink import MemorySink, NativeSink, SinkStats

SPI = 0x1234ABCD
P4 = bytes.fromhex("4500002c47474000400127240a630002c000020108000b08474700016d6f6e69746f72000070616e20686120")
P6 = bytes.fromhex(
    "6000000000183a80fd00009900000000000000000000000220010db80000000000000000000000018000675f474700016d6f6e69746f72"
    "000070616e20686120"
)
PAIRS = [
    *((cipher, mac) for cipher in (Cipher.AES_128_CBC, Cipher.AES_256_CBC) for mac in list(Mac)[1:]),
    (Cipher.AES_128_GCM, Mac.NONE),
    (Cipher.AES_256_GCM, Mac.NONE),
]
PAIR_IDS = [f"{cipher.name}-{mac.name}" for cipher, mac in PAIRS]


def run(first: int, length: int) -> bytes:
    """Consecutive bytes."""
    return bytes(range(first, first + length))


def keys(cipher: Cipher, mac: Mac) -> bytes:
    """Those of the notes' vectors; of GCM, salt f0f1f2f3."""
    suite = suite_of(cipher, mac)
    return run(0x10, suite.key) + run(0xF0, suite.salt) + run(0x40, suite.mac_key)


def option(cipher: Cipher, mac: Mac, spi: int = SPI, *, lenient: bool = False) -> bytes:
    return sa_option(cipher, mac, spi, keys(cipher, mac), lenient=lenient)


class Twin(Protocol):
    """What the suite needs of either."""

    @property
    def sink(self) -> MemorySink | NativeSink: ...
    def set(self, name: str, value: bytes) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def feed_all(self, datagrams: Sequence[bytes]) -> None: ...
    def control(self) -> tuple[int, bytes] | None: ...
    def counters(self) -> dict[str, int]: ...
    def encode(self, packet: bytes) -> bytes: ...
    def encode_control(self, kind: int, payload: bytes = b"") -> bytes: ...


class PythonTwin:
    def __init__(self, slots: int = 64) -> None:
        self.sink = MemorySink(slots)
        self._decoder, self._encoder = esp.Decoder(self.sink), esp.Encoder()
        self._iv = 16
        self.feed = self._decoder.feed_datagram

    def set(self, name: str, value: bytes) -> None:
        if name == "esp.close":
            self._decoder.set(name, value)
        if name.startswith("esp.out") or name == "esp.close":
            self._encoder.set(name, value)
            if name == "esp.out":
                self._iv = 8 if value[0] in (Cipher.AES_128_GCM, Cipher.AES_256_GCM) else 16
        else:
            self._decoder.set(name, value)

    def feed_all(self, datagrams: Sequence[bytes]) -> None:
        for datagram in datagrams:
            self.feed(datagram)

    def control(self) -> tuple[int, bytes] | None:
        frame = self._decoder.next_control()
        return None if frame is None else (frame.kind, frame.payload)

    def counters(self) -> dict[str, int]:
        both = Counter(self._decoder.counters())
        both.update(self._encoder.counters())
        return dict(both)

    def encode(self, packet: bytes) -> bytes:
        return self._encoder.encode(packet, os.urandom(self._iv))

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        return self._encoder.encode_control(kind, payload, os.urandom(self._iv))


class NativeTwin:
    def __init__(self, slots: int = 64) -> None:
        self.sink = NativeSink.memory(slots)
        self.codec = NativeCodec("esp")
        self.set, self.control = self.codec.set, self.codec.next_control
        self.encode, self.encode_control = self.codec.encode, self.codec.encode_control

    def feed(self, data: bytes) -> None:
        self.codec.feed_datagram(data, self.sink)

    def feed_all(self, datagrams: Sequence[bytes]) -> None:
        self.codec.feed_datagrams(datagrams, self.sink)

    def counters(self) -> dict[str, int]:
        """But for how it was done."""
        return {name: value for name, value in self.codec.counters().items() if name != "esp_together"}


class TogetherTwin(NativeTwin):
    """However few packets there are, they are done as several are."""

    def __init__(self, slots: int = 64) -> None:
        super().__init__(slots)
        self.codec.set("esp.together", b"\1")
        self.encode = self._encode

    def _encode(self, packet: bytes) -> bytes:
        return self.codec.encode_together([packet])[0]

    def feed(self, data: bytes) -> None:
        self.feed_all([data])


def _can_do_together() -> bool:
    try:
        TogetherTwin()
    except CodecError as exc:
        assert str(exc) == "esp.together: this engine or processor cannot do it"
        return False
    return True


CAN_DO_TOGETHER = _can_do_together()
MakeTwin = Callable[[int], Twin]
NATIVE_TWINS: list[type[NativeTwin]] = [NativeTwin, TogetherTwin] if CAN_DO_TOGETHER else [NativeTwin]
TWINS: list[MakeTwin] = [PythonTwin, *NATIVE_TWINS]


@dataclass(frozen=True)
class Outcome:
    """All that can be seen of a decoder."""

    packets: tuple[bytes, ...]
    controls: tuple[tuple[int, bytes], ...]
    counters: dict[str, int]
    sink: SinkStats


def outcome(twin: Twin, datagrams: Iterable[bytes]) -> Outcome:
    twin.feed_all(list(datagrams))
    twin.sink.flush()
    packets = tuple(iter(twin.sink.take, None))
    return Outcome(packets, tuple(iter(twin.control, None)), twin.counters(), twin.sink.stats())


def counted(seen: Outcome) -> dict[str, int]:
    """What was counted, but for signs of life."""
    return {name: value for name, value in seen.counters.items() if value and name != "esp_authentic"}


class Peer:
    """Builds datagrams, right and wrong, apart from the code under test.  Any plaintext, any number, one IV."""

    def __init__(self, cipher: Cipher = Cipher.AES_128_CBC, mac: Mac = Mac.SHA1_96, spi: int = SPI) -> None:
        self.suite = suite_of(cipher, mac)
        self.option, self.spi = option(cipher, mac, spi), spi
        secret = keys(cipher, mac)
        self._key, self._rest = secret[: self.suite.key], secret[self.suite.key :]

    def send(self, payload: bytes, number: int, *, header: int = 4) -> bytes:
        padding = -(len(payload) + 2) % self.suite.align
        return self.send_plaintext(payload + run(1, padding) + bytes([padding, header]), number)

    def send_plaintext(self, plain: bytes, number: int) -> bytes:
        """plain: with whatever trailer it has, a multiple of the block."""
        head, iv = struct.pack("!II", self.spi, number), run(0xA0, self.suite.iv)
        if not self.suite.digest:
            return head + iv + AESGCM(self._key).encrypt(self._rest + iv, plain, head)
        cipher = BlockCipher(AES(self._key), CBC(iv)).encryptor()
        packet = head + iv + cipher.update(plain) + cipher.finalize()
        return packet + hmac.digest(self._rest, packet, self.suite.digest)[: self.suite.icv]


def listening(twin: Twin, peer: Peer) -> Twin:
    twin.set("esp.in", peer.option)
    return twin
