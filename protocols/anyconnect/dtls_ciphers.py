"""The names by which AnyConnect agrees on DTLS, and what each one means (anyconnect.md section 6.2).

The same name means another version in another header, so a mode is found by header and name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

PSK_NEGOTIATE = "PSK-NEGOTIATE"
# Best first; the last two are for gateways without AEAD.
PSK_SUITES = (
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA256",
    "PSK-AES128-CBC-SHA",
)


class Header(Enum):
    """Where a mode is offered and answered."""

    DTLS = "X-DTLS-CipherSuite"
    DTLS12 = "X-DTLS12-CipherSuite"


class Version(Enum):
    DTLS12 = "DTLS 1.2"
    CISCO = "DTLS 0.9"


@dataclass(frozen=True, slots=True)
class DtlsMode:
    """suites: OpenSSL's names.  resumes: the session of the headers is resumed; otherwise a key is shared.

    weak: offered only when the user asks for it by name.
    """

    header: Header
    name: str
    suites: tuple[str, ...]
    version: Version = Version.DTLS12
    resumes: bool = True
    weak: bool = False


def _resumed(header: Header, version: Version, *pairs: tuple[str, str], weak: bool = False) -> tuple[DtlsMode, ...]:
    return tuple(DtlsMode(header, name, (suite,), version, weak=weak) for name, suite in pairs)


_CBC = ("DHE-RSA-AES256-SHA", "DHE-RSA-AES128-SHA", "AES256-SHA", "AES128-SHA")
MODES = (
    DtlsMode(Header.DTLS, PSK_NEGOTIATE, PSK_SUITES, resumes=False),
    *_resumed(
        *(Header.DTLS, Version.DTLS12),
        ("OC-DTLS1_2-AES256-GCM", "AES256-GCM-SHA384"),
        ("OC2-DTLS1_2-CHACHA20-POLY1305", "PSK-CHACHA20-POLY1305"),
        ("OC-DTLS1_2-AES128-GCM", "AES128-GCM-SHA256"),
    ),
    *_resumed(Header.DTLS, Version.CISCO, *((name, name) for name in _CBC)),
    *_resumed(Header.DTLS, Version.CISCO, *((name, name) for name in ("DES-CBC3-SHA", "DES-CBC-SHA")), weak=True),
    *_resumed(
        *(Header.DTLS12, Version.DTLS12),
        *(
            (name, name)
            for name in (
                "ECDHE-RSA-AES256-GCM-SHA384",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "AES256-GCM-SHA384",
                "AES128-GCM-SHA256",
                *_CBC,
            )
        ),
    ),
)


def offered(wanted: str = "") -> tuple[DtlsMode, ...]:
    """What to offer, best first.  wanted: the user's own list of names, joined by ':'; empty: all but the weak.

    Raises ValueError naming what nobody knows.
    """
    if not wanted:
        return tuple(mode for mode in MODES if not mode.weak)
    names = [name for name in wanted.split(":") if name]
    known = {mode.name for mode in MODES}
    for name in names:
        if name not in known:
            raise ValueError(f"no DTLS cipher is named {name!r}; there are: {', '.join(sorted(known))}")
    return tuple(mode for name in names for mode in MODES if mode.name == name)


def header_value(header: Header, modes: Iterable[DtlsMode]) -> str:
    """The names to offer in a header, joined by ':'; empty: leave it out."""
    return ":".join(mode.name for mode in modes if mode.header is header)


def find(header: Header, name: str, modes: Iterable[DtlsMode]) -> DtlsMode | None:
    """The mode that an answer chose among those offered."""
    return next((mode for mode in modes if mode.header is header and mode.name == name), None)
