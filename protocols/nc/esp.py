"""What both ends tell each other about ESP: algorithms, SPI, keys; and how these become options of the framing.

Each end makes the SPI and the keys for what it receives, and tells the other in a KMP 301 or 302.
Source: juniper.md sections 5.2, 5.3 and 8; esp.md sections 2 and 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from protocols.base import Secret
from protocols.framing.esp_sa import Cipher, Mac, Suite, sa_option, suite_of
from protocols.nc import kmp
from protocols.nc.kmp import Attribute

BLOCK = 64  # bytes of secrets in a message; the keys come first, one behind the other
LEAST_SPI = 256  # below are those that RFC 4303 reserves
SPI_TRIES = 16
CIPHERS = frozenset({Cipher.AES_128_CBC, Cipher.AES_256_CBC})
MACS = frozenset({Mac.MD5_96, Mac.SHA1_96, Mac.SHA256_128})


class Group(IntEnum):
    CONTROL = 6
    KEYS = 7
    PARAMETERS = 8


SPI, SECRETS = 1, 2  # of KEYS
ESP, MTU = 1, 2  # of CONTROL


@dataclass(frozen=True, slots=True)
class Parameters:
    """Group 8, as told.  lifetimes and fallback: 0: none told.  replay: whether replayed packets are to be dropped."""

    cipher: int = 0
    mac: int = 0
    compression: int = 0
    port: int = 0
    lifetime_bytes: int = 0
    lifetime: int = 0  # seconds
    fallback: int = 0  # seconds without a sign of life until TLS is used
    replay: int = 1

    def suite(self) -> Suite:
        """Raises ValueError: algorithms that nobody knows."""
        if self.cipher not in CIPHERS or self.mac not in MACS:
            raise ValueError(f"got encryption {self.cipher} and HMAC {self.mac}, want 2 or 5, and 1, 2 or 3")
        return suite_of(Cipher(self.cipher), Mac(self.mac))


_SIZES = {
    1: ("cipher", 1),
    2: ("mac", 1),
    3: ("compression", 1),
    4: ("port", 2),
    5: ("lifetime_bytes", 4),
    6: ("lifetime", 4),
    9: ("fallback", 4),
    10: ("replay", 4),
}


@dataclass(frozen=True, slots=True)
class Keys:
    """SPI and secrets for one direction.  block: BLOCK bytes, in hex."""

    spi: int
    block: Secret

    def option(self, parameters: Parameters) -> bytes:
        """The value of esp.in or esp.out.  Raises ValueError."""
        suite = parameters.suite()
        keys = bytes.fromhex(self.block.reveal())[: suite.key + suite.mac_key]
        return sa_option(Cipher(parameters.cipher), Mac(parameters.mac), self.spi, keys)

    def inbound_option(self, parameters: Parameters) -> bytes:
        """As `option`; where the gateway protects nothing from replay, replayed packets are taken (Q12 of esp.md)."""
        option = bytearray(self.option(parameters))
        option[2] = 0 if parameters.replay else 1
        return bytes(option)

    def groups(self) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """As attributes: what tells the other end."""
        return [(Group.KEYS, [(SPI, self.spi.to_bytes(4, "big")), (SECRETS, bytes.fromhex(self.block.reveal()))])]

    def payload(self) -> bytes:
        """Of the KMP 302."""
        return kmp.write(self.groups())


@dataclass(frozen=True, slots=True)
class Offer:
    """A gateway that can do ESP: its parameters, and the keys for what we send."""

    parameters: Parameters
    outbound: Keys


def read_parameters(attributes: Iterable[Attribute], before: Parameters) -> Parameters:
    """What is told, on top of what held before.  Raises ConfigurationRefused: an attribute of a wrong size."""
    for attribute in attributes:
        known = _SIZES.get(attribute.number) if attribute.group == Group.PARAMETERS else None
        if known is not None:
            before = replace(before, **{known[0]: kmp.number(attribute, known[1])})
    return before


def read_keys(attributes: Iterable[Attribute]) -> Keys | None:
    """None: not told whole.  Raises ConfigurationRefused: an attribute of a wrong size."""
    spi, block = 0, b""
    for attribute in attributes:
        if attribute.group != Group.KEYS:
            continue
        if attribute.number == SPI:
            spi = kmp.number(attribute, 4)
        elif attribute.number == SECRETS:
            if len(attribute.value) != BLOCK:
                raise kmp.bad(f"attribute {attribute.name}: got {len(attribute.value)} bytes, want {BLOCK}")
            block = attribute.value
    return Keys(spi, Secret(block.hex())) if spi and block else None


def offer(attributes: list[Attribute], before: Parameters) -> tuple[Offer | None, str]:
    """What the gateway offers; if nothing that can be used, why not (empty: it does not speak of ESP at all).

    Raises ConfigurationRefused: an attribute of a wrong size.
    """
    parameters = read_parameters(attributes, before)
    keys = read_keys(attributes)
    if not any(attribute.group in (Group.KEYS, Group.PARAMETERS) for attribute in attributes):
        return None, ""
    if keys is None:
        return None, "the gateway gave no SPI and secrets (7/1, 7/2)"
    if not parameters.port:
        return None, "the gateway gave no UDP port (8/4)"
    try:
        parameters.suite()
    except ValueError as exc:
        return None, str(exc)
    return Offer(parameters, keys), ""


def new_offer(payload: bytes, before: Parameters) -> Offer:
    """New keys in a KMP 302; parameters that are not told again hold on.  Raises ConfigurationRefused."""
    attributes = kmp.read(payload)
    stray = next((one for one in attributes if one.group not in (Group.KEYS, Group.PARAMETERS)), None)
    if stray is not None:
        raise kmp.bad(f"attribute {stray.name} in a message of ESP keys, want groups 7 and 8")
    found, why = offer(attributes, before)
    if found is None:
        raise kmp.bad(why or "a message of ESP keys without any")
    return found


def make_keys(random: Callable[[int], bytes], suite: Suite, avoid: Iterable[int] = ()) -> Keys:
    """SPI and keys for what we receive.  avoid: SPIs in use."""
    used = set(avoid)
    spi = 0
    for _try in range(SPI_TRIES):
        spi = int.from_bytes(random(4), "big")
        if spi >= LEAST_SPI and spi not in used:
            break
    else:
        spi = next(candidate for candidate in range(LEAST_SPI, LEAST_SPI + len(used) + 1) if candidate not in used)
    keys = random(suite.key + suite.mac_key)
    return Keys(spi, Secret((keys + bytes(BLOCK - len(keys))).hex()))


def mtu_payload(mtu: int) -> bytes:
    """Of the KMP 303 that tells the MTU; bytes."""
    return kmp.write([(Group.CONTROL, [(MTU, mtu.to_bytes(4, "big"))])])


def switch_payload(on: bool) -> bytes:
    """Of the KMP 303 that turns ESP on or off."""
    return kmp.write([(Group.CONTROL, [(ESP, bytes([on]))])])


def read_switch(payload: bytes) -> bool | None:
    """What a KMP 303 of the gateway says of ESP; None: nothing.  Raises ConfigurationRefused."""
    said = None
    for attribute in kmp.read(payload):
        if attribute.group == Group.CONTROL and attribute.number == ESP:
            said = bool(kmp.number(attribute, 1))
    return said
