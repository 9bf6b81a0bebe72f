"""Is the server the right one?  Pins first and quietly, then the chain and the name, then a person.

Source: auth-helpers.md section 4.2; Q11: with pins and a CA file both must hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from transports.certificates import summarize
from transports.errors import NotTrusted
from transports.pins import Pin, mistaken_kind

Judge = Callable[[NotTrusted], Awaitable[bool]]  # asks a person: go on all the same?

MAX_REMEMBERED = 64  # certificates that a person accepted, in this process

_UNKNOWN, _NOT_CA, _WEAK = "signer unknown", "signer not a CA", "weak algorithm"
_PURPOSE, _LIMITS = "not valid for servers", "name outside the signer's limits"
_REASONS = {  # X509_V_ERR_*: x509_vfy.h of OpenSSL 3
    2: _UNKNOWN, 18: _UNKNOWN, 19: _UNKNOWN, 20: _UNKNOWN, 21: _UNKNOWN, 27: _UNKNOWN,
    24: _NOT_CA, 25: "chain too long", 32: _NOT_CA, 37: _NOT_CA, 79: _NOT_CA,
    66: _WEAK, 67: _WEAK, 68: _WEAK, 76: _WEAK,
    9: "not yet valid", 10: "expired", 13: "malformed dates", 14: "malformed dates",
    4: "bad signature", 6: "bad signature", 7: "bad signature", 77: "bad signature", 78: "bad signature",
    22: "chain too long", 23: "revoked", 26: _PURPOSE, 28: "rejected", 34: "unknown critical extension",
    47: _LIMITS, 48: _LIMITS,
    62: "host name mismatch", 64: "host name mismatch",
}  # fmt: skip


def reason_of(faults: Iterable[int]) -> str:
    """The texts of X509_V_ERR_* codes, each once, in the order found."""
    return "; ".join(dict.fromkeys(_REASONS.get(fault, f"verification error {fault}") for fault in faults))


class Verdict:
    """The policy of one TlsContext, with what a person has accepted so far (by host, for this process only)."""

    def __init__(self, pins: tuple[Pin, ...], cafile: Path | None, judge: Judge | None) -> None:
        self._pins, self._cafile, self._judge = pins, cafile, judge
        self._accepted: dict[tuple[str, str], bytes] = {}  # host and port: SHA-256 of the certificate

    async def check(
        self, host: str, place: tuple[str, str], certificate: bytes, faults: tuple[int, ...], *, ask: bool = True
    ) -> None:
        """host: the name wanted.  place: host and port, for which a person accepts.  faults: what verification found.

        Without `ask` nobody is asked, and what was accepted for another port of the host will do.  Raises NotTrusted.
        """
        if self._pins:
            self._check_pins(host, certificate, faults)
            return
        if not faults:
            return
        digest = hashlib.sha256(certificate).digest()
        if self._accepted.get(place) == digest or (not ask and self._accepted_elsewhere(place[0], digest)):
            return
        error = NotTrusted(host, reason_of(faults), summarize(certificate))
        if not ask or self._judge is None or not await self._judge(error):
            raise error
        if len(self._accepted) < MAX_REMEMBERED:
            self._accepted[place] = digest

    def _accepted_elsewhere(self, host: str, digest: bytes) -> bool:
        return any(place[0] == host and accepted == digest for place, accepted in self._accepted.items())

    def _check_pins(self, host: str, certificate: bytes, faults: tuple[int, ...]) -> None:
        if not any(pin.matches(certificate) for pin in self._pins):
            hint = mistaken_kind(self._pins, certificate)
            reason = f"no pin matches; {hint}" if hint else "no pin matches"
            raise NotTrusted(host, reason, summarize(certificate), pinned=True)
        if self._cafile is not None and faults:
            raise NotTrusted(host, reason_of(faults), summarize(certificate), pinned=True)
