"""What the gateway's answer to the CONNECT says of DTLS: X-DTLS headers -> DtlsTerms, or none.

Whatever is wrong here costs the DTLS channel and never the tunnel.  Source: anyconnect.md sections 3.3, 6.1 and 6.2.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from protocols.anyconnect.dtls_ciphers import DtlsMode, Header, find, header_value
from protocols.anyconnect.headers import Headers
from protocols.anyconnect.timers import DtlsTimers
from protocols.networks import shown
from protocols.text import one_line

SESSION_ID = 32  # bytes, exactly
MASTER_SECRET = 48  # bytes
MAX_APP_ID = 32  # bytes
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")


@dataclass(frozen=True, slots=True)
class DtlsOffer:
    """What a CONNECT offers, best first.  master_secret: new for each; the resumption modes use it."""

    modes: tuple[DtlsMode, ...]
    encodings: tuple[str, ...] = ()
    master_secret: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(MASTER_SECRET))

    def headers(self) -> list[tuple[str, str]]:
        """Section 3.1; the first value is a secret."""
        found = [("X-DTLS-Master-Secret", self.master_secret.hex().upper())]
        found += [(header.value, header_value(header, self.modes)) for header in Header]
        found.append(("X-DTLS-Accept-Encoding", ",".join(self.encodings)))
        return [(name, value) for name, value in found if value]


@dataclass(frozen=True, slots=True)
class DtlsTerms:
    """session_id: of the ClientHello, by which the gateway finds the session.  base_mtu: bytes, 0: unknown."""

    mode: DtlsMode
    port: int
    session_id: bytes = field(repr=False)
    timers: DtlsTimers = field(default_factory=DtlsTimers)
    encoding: str = ""
    base_mtu: int = 0


def dtls_terms(headers: Headers, offer: DtlsOffer, force_dpd: int = 0) -> DtlsTerms | None:
    """force_dpd: seconds, 0: as the gateway says.  None: no DTLS in this session."""
    mode = _mode(headers, offer.modes)
    if mode is None:
        return None
    port = headers.number("X-DTLS-Port")
    if not 0 < port <= 65535:
        if port:
            headers.warn("X-DTLS-Port", f"got {port}, want 1 to 65535: DTLS is not used")
        return None
    name, least = ("X-DTLS-Session-ID", SESSION_ID) if mode.resumes else ("X-DTLS-App-ID", 1)
    session_id = _bytes(headers, name, least)
    if session_id is None:
        return None
    encoding = headers.one("X-DTLS-Content-Encoding").lower()
    if encoding in ("none", "identity"):
        encoding = ""
    if encoding and encoding not in offer.encodings:
        headers.warn("X-DTLS-Content-Encoding", f"got {shown(encoding)}, which was not offered: DTLS is not used")
        return None
    return DtlsTerms(mode, port, session_id, _timers(headers, force_dpd), encoding, headers.number("X-CSTP-Base-MTU"))


def _mode(headers: Headers, modes: tuple[DtlsMode, ...]) -> DtlsMode | None:
    """Of two answers the shared key goes first, then DTLS 1.2, then the old one (section 3.3)."""
    found: list[DtlsMode] = []
    for header in (Header.DTLS12, Header.DTLS):
        name = headers.one(header.value)
        if not name:
            continue
        mode = find(header, name, modes)
        if mode is None:
            headers.warn(header.value, f"got {shown(one_line(name))}, which was not offered: DTLS is not used")
        else:
            found.append(mode)
    return min(found, key=lambda mode: mode.resumes, default=None)  # of equals the first: DTLS12


def _bytes(headers: Headers, name: str, least: int) -> bytes | None:
    """Raw bytes of a header in hexadecimal digits; the value may be a secret and is not shown."""
    value = headers.one(name)
    if _HEX.fullmatch(value) and least <= len(value) // 2 <= MAX_APP_ID:
        return bytes.fromhex(value)
    digits = 2 * least if least == MAX_APP_ID else f"2 to {2 * MAX_APP_ID}"
    headers.warn(name, f"got {len(value)} characters, want {digits} hexadecimal digits: DTLS is not used")
    return None


def _timers(headers: Headers, force_dpd: int) -> DtlsTimers:
    method = headers.one("X-DTLS-Rekey-Method").lower()
    negative = headers.one("X-DTLS-Rekey-Time").startswith("-")  # off, like 0
    rekey = headers.number("X-DTLS-Rekey-Time") if method in ("ssl", "new-tunnel") and not negative else 0
    return DtlsTimers(
        dpd=force_dpd or headers.number("X-DTLS-DPD"), keepalive=headers.number("X-DTLS-Keepalive"), rekey=rekey
    )
