"""One security association of ESP: its option, and the cryptography of one packet; the twin is esp_sa.c.

The value of the options esp.in and esp.out; offset, size in bytes (big-endian):
    0  1  cipher     see Cipher
    1  1  mac        see Mac; 0 with GCM
    2  1  flags      1: replayed and old packets are taken, and counted (esp.in alone)
    3  1  reserved   0
    4  4  SPI        as in the packets, not 0
    8  k  cipher key 16 or 32; GCM: and 4 of salt
  8+k  m  MAC key    16, 20 or 32; GCM: none
Source: ESP notes, sections 1, 2 and 4; RFC 4106.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from protocols.errors import MalformedFrame
from protocols.framing.seqwin import SequenceWindow

FIXED = struct.Struct("!II")  # SPI, sequence number
OPTION = struct.Struct("!BBBBI")
GCM_ICV = 16  # bytes
LENIENT = 1  # flag


class Cipher(IntEnum):
    """Codes of Network Connect and Pulse; those of GCM are our own."""

    AES_128_CBC = 2
    AES_256_CBC = 5
    AES_128_GCM = 32
    AES_256_GCM = 33


class Mac(IntEnum):
    """Codes of Network Connect and Pulse."""

    NONE = 0
    MD5_96 = 1
    SHA1_96 = 2
    SHA256_128 = 3


@dataclass(frozen=True, slots=True)
class Suite:
    """What a pair of algorithms makes of a packet; sizes in bytes."""

    key: int  # of the cipher
    salt: int
    mac_key: int
    digest: str  # as hashlib calls it; empty: GCM
    iv: int
    align: int  # the ciphertext is a multiple of this
    icv: int

    @property
    def overhead(self) -> int:
        """Around the ciphertext."""
        return FIXED.size + self.iv + self.icv

    def padding(self, length: int) -> int:
        """After a payload of `length`, before the last two bytes."""
        return -(length + 2) % self.align


_MACS = {Mac.MD5_96: (16, "md5", 12), Mac.SHA1_96: (20, "sha1", 12), Mac.SHA256_128: (32, "sha256", 16)}


def suite_of(cipher: Cipher, mac: Mac = Mac.NONE) -> Suite:
    """Raises ValueError: not a pair."""
    if cipher in (Cipher.AES_128_GCM, Cipher.AES_256_GCM) and mac is Mac.NONE:
        return Suite(16 if cipher is Cipher.AES_128_GCM else 32, 4, 0, "", 8, 4, GCM_ICV)
    if cipher in (Cipher.AES_128_CBC, Cipher.AES_256_CBC) and mac is not Mac.NONE:
        mac_key, digest, icv = _MACS[mac]
        return Suite(16 if cipher is Cipher.AES_128_CBC else 32, 0, mac_key, digest, 16, 16, icv)
    raise ValueError(f"esp has no pair {cipher.name} and {mac.name}")


def sa_option(cipher: Cipher, mac: Mac, spi: int, keys: bytes, *, lenient: bool = False) -> bytes:
    """The value of esp.in or esp.out.  keys: cipher key, salt of GCM, MAC key, without a gap."""
    return OPTION.pack(cipher, mac, LENIENT if lenient else 0, 0, spi) + keys


@dataclass(slots=True)
class SecurityAssociation:
    """Keys and numbers of one direction."""

    spi: int
    suite: Suite
    lenient: bool
    _key: bytes = field(repr=False)
    _salt: bytes = field(repr=False)
    _mac_key: bytes = field(repr=False)
    window: SequenceWindow = field(default_factory=SequenceWindow)
    used: bool = False  # inbound: an authentic packet came
    sequence: int = 0  # outbound: the next number, 0..2^32

    @property
    def aead(self) -> bool:
        return not self.suite.digest

    def genuine(self, packet: bytes) -> bool:
        """Of CBC: does the ICV hold?"""
        return hmac.compare_digest(self._icv(packet[: -self.suite.icv]), packet[-self.suite.icv :])

    def decrypt(self, packet: bytes) -> bytes | None:
        """The plaintext, trailer included; None: GCM found that it is not genuine."""
        fixed, iv = packet[: FIXED.size], packet[FIXED.size : FIXED.size + self.suite.iv]
        rest = packet[FIXED.size + self.suite.iv :]
        if not self.aead:
            cipher = BlockCipher(AES(self._key), CBC(iv)).decryptor()
            return cipher.update(rest[: -self.suite.icv]) + cipher.finalize()
        try:
            return AESGCM(self._key).decrypt(self._salt + iv, rest, fixed)
        except InvalidTag:
            return None

    def seal(self, next_header: int, payload: bytes, iv: bytes) -> bytes:
        """A packet with the next sequence number, which must be below 2^32."""
        padding = self.suite.padding(len(payload))
        plain = payload + bytes(range(1, padding + 1)) + bytes([padding, next_header])
        fixed = FIXED.pack(self.spi, self.sequence)
        self.sequence += 1
        if self.aead:
            return fixed + iv + AESGCM(self._key).encrypt(self._salt + iv, plain, fixed)
        cipher = BlockCipher(AES(self._key), CBC(iv)).encryptor()
        packet = fixed + iv + cipher.update(plain) + cipher.finalize()
        return packet + self._icv(packet)

    def _icv(self, data: bytes) -> bytes:
        return hmac.digest(self._mac_key, data, self.suite.digest)[: self.suite.icv]


def parse_sa(option: str, value: bytes) -> SecurityAssociation:
    """option: esp.in or esp.out.  Raises MalformedFrame: this cannot be."""
    if len(value) < OPTION.size:
        raise MalformedFrame(f"{option} length", got=len(value), want=f"at least {OPTION.size}", at=0)
    cipher, mac, flags, reserved, spi = OPTION.unpack_from(value)
    suite = _checked_suite(option, cipher, mac)
    if flags > (LENIENT if option == "esp.in" else 0):
        raise MalformedFrame(f"{option} flags", got=flags, want="0 or 1" if option == "esp.in" else "0", at=2)
    if reserved:
        raise MalformedFrame(f"{option} reserved byte", got=reserved, want=0, at=3)
    if not spi:
        raise MalformedFrame(f"{option} spi", got=0, want="another", at=4)
    keys, want = value[OPTION.size :], suite.key + suite.salt + suite.mac_key
    if len(keys) != want:
        raise MalformedFrame(f"{option} keys", got=len(keys), want=want, at=OPTION.size)
    key, salt, mac_key = keys[: suite.key], keys[suite.key :][: suite.salt], keys[suite.key + suite.salt :]
    return SecurityAssociation(spi, suite, flags == LENIENT, key, salt, mac_key)


def _checked_suite(option: str, cipher: int, mac: int) -> Suite:
    if cipher not in list(Cipher):
        raise MalformedFrame(f"{option} cipher", got=cipher, want="2, 5, 32 or 33", at=0)
    aead = cipher in (Cipher.AES_128_GCM, Cipher.AES_256_GCM)
    if aead and mac:
        raise MalformedFrame(f"{option} mac", got=mac, want=0, at=1)
    if not aead and mac not in _MACS:
        raise MalformedFrame(f"{option} mac", got=mac, want="1, 2 or 3", at=1)
    return suite_of(Cipher(cipher), Mac(mac))
