"""The <ipsec> block: parameters of ESP in UDP, and the magic ping that activates it (sections 9.3 and 12; esp.md).

udp-port  enc-algo  hmac-algo  c2s-spi  s2c-spi  ekey-c2s akey-c2s (we send)  ekey-s2c akey-s2c (we receive)
a key: <bits>N</bits><val>N/4 hex digits</val>
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeVar

from protocols import networks
from protocols.base import Address, Interface, Secret
from protocols.framing.esp_sa import Cipher, Mac, Suite, sa_option, suite_of
from protocols.gp import ping
from protocols.gp.answers import value
from protocols.networks import shown
from protocols.text import one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

T = TypeVar("T")

CIPHERS = {"aes-128-cbc": Cipher.AES_128_CBC, "aes128": Cipher.AES_128_CBC, "aes-256-cbc": Cipher.AES_256_CBC}
MACS = {"sha1": Mac.SHA1_96, "md5": Mac.MD5_96, "sha256": Mac.SHA256_128}
KEYS = ("ekey-c2s", "akey-c2s", "ekey-s2c", "akey-s2c")
_SPI = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,8})")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_PORT = re.compile(r"[0-9]{1,5}")
_BITS = re.compile(r"[0-9]{1,4}")


class Unusable(Exception):
    """ESP cannot be used: which field, what came, what was wanted; never a key."""


@dataclass(frozen=True, slots=True)
class EspParameters:
    """outbound, inbound: values of the framing's options esp.out and esp.in.  source, target: of the magic ping."""

    port: int
    suite: Suite
    outbound: Secret = field(repr=False)
    inbound: Secret = field(repr=False)
    source: Address
    target: Address
    detail: str = ""  # the algorithms, for people

    def decoder_options(self) -> tuple[tuple[str, bytes], ...]:
        version = b"\x06" if isinstance(self.target, IPv6Address) else b"\x04"
        echo = version + self.target.packed + ping.PATTERN
        return (("esp.in", bytes.fromhex(self.inbound.reveal())), ("esp.echo", echo))

    def encoder_options(self) -> tuple[tuple[str, bytes], ...]:
        return (("esp.out", bytes.fromhex(self.outbound.reveal())),)


def parse(root: _Element, block: _Element, addresses: tuple[Interface, ...]) -> EspParameters:
    """root: the whole configuration.  Raises Unusable."""
    cipher, mac = _algorithm(block, "enc-algo", CIPHERS), _algorithm(block, "hmac-algo", MACS)
    suite = suite_of(cipher, mac)
    mode = value(block, "ipsec-mode") or "esp-tunnel"
    if mode != "esp-tunnel":
        raise Unusable(f"ipsec-mode: got {shown(one_line(mode))}, want esp-tunnel")
    sizes = {"ekey-c2s": suite.key, "akey-c2s": suite.mac_key, "ekey-s2c": suite.key, "akey-s2c": suite.mac_key}
    keys = {name: _key(block, name, size) for name, size in sizes.items()}
    source, target = _ends(root, addresses)
    outbound = sa_option(cipher, mac, _spi(block, "c2s-spi"), keys["ekey-c2s"] + keys["akey-c2s"])
    inbound = sa_option(cipher, mac, _spi(block, "s2c-spi"), keys["ekey-s2c"] + keys["akey-s2c"])
    detail = f"{cipher.name.replace('_', '-')}, HMAC-{mac.name.replace('_', '-')}"
    return EspParameters(_port(block), suite, Secret(outbound.hex()), Secret(inbound.hex()), source, target, detail)


def _algorithm(block: _Element, name: str, known: dict[str, T]) -> T:
    text = value(block, name).lower()
    if text not in known:
        raise Unusable(f"{name}: got {shown(one_line(text))}, want {', '.join(known)}")
    return known[text]


def _port(block: _Element) -> int:
    text = value(block, "udp-port")
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise Unusable(f"udp-port: got {shown(one_line(text))}, want 1 to 65535")
    return int(text)


def _spi(block: _Element, name: str) -> int:
    text = value(block, name)
    match = _SPI.fullmatch(text)
    if match is None or not int(match[1], 16):
        raise Unusable(f"{name}: got {shown(one_line(text))}, want up to 8 hex digits, not 0")
    return int(match[1], 16)


def _key(block: _Element, name: str, size: int) -> bytes:
    """size: bytes, as the algorithm wants it."""
    bits, digits = value(block, name, "bits"), value(block, name, "val")
    if not _BITS.fullmatch(bits) or int(bits) != size * 8:
        raise Unusable(f"{name}: got {shown(one_line(bits))} bits, want {size * 8}")
    if len(digits) != size * 2 or not _HEX.fullmatch(digits):
        raise Unusable(f"{name}: got {len(digits)} characters, want {size * 2} hex digits")
    return bytes.fromhex(digits)


def _ends(root: _Element, addresses: tuple[Interface, ...]) -> tuple[Address, Address]:
    """IPv6 if both ends have it: then both families pass; else IPv4 (section 12, Q33)."""
    held = {one.version: one.ip for one in addresses}
    for version, name in ((6, "gw-address-v6"), (4, "gw-address")):
        text = value(root, name).partition("/")[0]
        if not text or version not in held:
            continue
        try:
            target = networks.address(text)
        except ValueError as exc:
            raise Unusable(f"{name}: {exc}") from exc
        if target.version != version:
            raise Unusable(f"{name}: got {shown(text)}, want an IPv{version} address")
        return held[version], target
    raise Unusable("no gw-address of a family that has an address")
