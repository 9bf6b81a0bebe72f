"""Opening a tunnel by DTLS: handshake and hello (section 6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protocols.base import Secret
from protocols.fortinet import hello, udp
from tests.protocols.fortinet.gateway import ACCEPTED, HEARTBEAT, REFUSED, QuietRecords
from transports.errors import (
    CertificateSummary,
    ConnectionLost,
    DtlsEnded,
    DtlsError,
    DtlsRefused,
    DtlsTimedOut,
    NotTrusted,
    TimedOut,
    Unreachable,
)

COOKIE = Secret("abc%0a==")
PLACE = udp.Place("vpn.test", "192.0.2.1", 10443, 4711)
LCP = bytes.fromhex("001650500010c0210101000e01040569050611223344")
CERTIFICATE = CertificateSummary("s", "i", "", "", (), "pin-sha256:AAAA", "")


class Dialer:
    def __init__(self, records: QuietRecords | Exception) -> None:
        self._records = records
        self.asked: list[object] = []

    async def dtls(self, host: str, port: int, *, address: str, local_port: int, limit: float) -> Any:
        self.asked = [host, port, address, local_port, limit]
        if isinstance(self._records, Exception):
            raise self._records
        return self._records


def way(records: QuietRecords | Exception) -> udp.Way | udp.NoWay:
    dialer: Any = Dialer(records)
    found = asyncio.run(udp.open_way(dialer, PLACE, COOKIE))
    assert dialer.asked == ["vpn.test", 10443, "192.0.2.1", 4711, udp.LIMIT]
    return found


def silent(*answers: bytes | Exception) -> QuietRecords:
    return QuietRecords(*answers, wishes=None)


@pytest.mark.parametrize(
    ("answers", "first"),
    [((ACCEPTED,), b""), ((LCP,), LCP), ((HEARTBEAT, TimedOut("dtls", 1), HEARTBEAT, ACCEPTED), b"")],
    ids=["answer", "ppp", "heartbeats"],
)
def test_a_gateway_that_consents(
    answers: tuple[bytes | Exception, ...], first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "REPEAT", udp.LIMIT)
    records = silent(*answers)
    found = way(records)
    assert isinstance(found, udp.Way) and found.first == first and found.records is records  # type: ignore[comparison-overlap]
    assert records.sent == [hello.encode(COOKIE)] and not records.closed


@pytest.mark.parametrize(
    ("came", "why", "refused"),
    [
        (REFUSED, "the gateway refuses DTLS ('fail')", True),
        (hello.encode(COOKIE), "the gateway answered by DTLS with something unknown", True),
        (DtlsEnded("closed"), "the gateway closed the DTLS association in place of an answer", True),
        (DtlsError("died"), "no answer by DTLS (died)", False),
        (ConnectionLost("no one listens"), "no answer by DTLS (no one listens)", False),
    ],
)
def test_one_that_does_not(came: bytes | Exception, why: str, refused: bool) -> None:
    records = silent(came)
    assert way(records) == udp.NoWay(why, refused) and records.closed


def test_a_hello_that_is_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "LIMIT", 60.0)
    monkeypatch.setattr(udp, "REPEAT", 0.01)
    records = QuietRecords(ACCEPTED, wishes=None, deaf=2)
    assert isinstance(way(records), udp.Way) and len(records.sent) >= 3
    assert set(records.sent) == {hello.encode(COOKIE)}


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "LIMIT", 0.05)
    records = silent(HEARTBEAT)
    assert way(records) == udp.NoWay("no answer by DTLS to the session's cookie") and records.closed


def test_signs_of_life_without_end_are_no_answer() -> None:
    records = silent(*[HEARTBEAT] * (udp.MAX_RECORDS + 1))
    assert isinstance(way(records), udp.NoWay)


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (DtlsTimedOut("within 5 s"), "no answer by DTLS (within 5 s)"),
        (DtlsRefused("the network says: no"), "no answer by DTLS (the network says: no)"),
        (Unreachable("no route"), "no way by DTLS (no route)"),
        (
            NotTrusted("vpn.test", "expired", CERTIFICATE),
            "no way by DTLS (certificate of vpn.test not trusted: expired",
        ),
    ],
)
def test_a_handshake_that_fails(failure: Exception, why: str) -> None:
    found = way(failure)
    assert isinstance(found, udp.NoWay) and found.why.startswith(why) and not found.refused


def test_whoever_stops_waiting_leaves_nothing_open() -> None:
    records = silent()

    async def run() -> None:
        dialer: Any = Dialer(records)
        attempt = asyncio.ensure_future(udp.open_way(dialer, PLACE, COOKIE))
        while not records.sent:
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)

    asyncio.run(run())
    assert records.closed
