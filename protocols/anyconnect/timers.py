"""The times that a gateway's answer sets, as the controllers of both channels take them (anyconnect.md section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RekeyMethod(Enum):
    NONE = "none"
    SSL = "ssl"
    NEW_TUNNEL = "new-tunnel"


@dataclass(frozen=True, slots=True)
class Timers:
    """Of CSTP.  Seconds; 0: none.  session: until the session ends, alert: how long before that to warn."""

    dpd: int = 0
    keepalive: int = 0
    rekey: int = 0
    rekey_method: RekeyMethod = RekeyMethod.NONE
    session: int = 0
    alert: int = 0
    idle: int = 0


@dataclass(frozen=True, slots=True)
class DtlsTimers:
    """Of DTLS.  Seconds; 0: none.  rekey: until a second association takes the place of the first."""

    dpd: int = 0
    keepalive: int = 0
    rekey: int = 0
