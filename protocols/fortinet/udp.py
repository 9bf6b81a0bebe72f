"""Opening a tunnel by DTLS, before TLS is tried (section 6).

handshake --> HELLO, again every second --ok, or PPP at once (Q18)--> PPP
    | refused, not trusted, 5 s in all       | fail, or the same 5 s
    +-------------------> NoWay: TLS <-------+
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.fortinet import hello
from protocols.fortinet.hello import Answer
from protocols.framing.ppp_prefixed import RECORD_HEADER
from protocols.text import printable
from transports.errors import DtlsEnded, DtlsRefused, DtlsTimedOut, TimedOut, TransportError

if TYPE_CHECKING:
    from protocols.base import Secret
    from protocols.ppp.link import Records
    from transports.dialer import Dialer
    from transports.records import DtlsRecords

LIMIT = 5.0  # seconds from the start of the attempt to the gateway's consent
REPEAT = 1.0  # seconds between two hellos
LEAST_WAIT = 0.001  # seconds for a record
MAX_RECORDS = 1000  # that are no answer: signs of life, in five seconds


@dataclass(frozen=True, slots=True)
class Way:
    """The gateway consents.  first: a record of PPP that came in place of its answer; empty: none."""

    records: DtlsRecords = field(repr=False)
    first: bytes


@dataclass(frozen=True, slots=True)
class NoWay:
    """why: for people.  refused: the gateway said so itself."""

    why: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """host: the name to verify; address: numeric, where TLS reached it."""

    host: str
    address: str
    port: int
    local_port: int = 0


async def open_way(dialer: Dialer, place: Place, cookie: Secret) -> Way | NoWay:
    """Raises nothing that a network or a gateway can cause."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LIMIT
    try:
        records = await dialer.dtls(
            place.host, place.port, address=place.address, local_port=place.local_port, limit=LIMIT
        )
    except (DtlsTimedOut, DtlsRefused) as exc:
        return NoWay(f"no answer by DTLS ({exc})")
    except TransportError as exc:
        return NoWay(f"no way by DTLS ({exc})")
    try:
        found = await greet(records, cookie, until)
    except BaseException:
        records.close()
        raise
    if isinstance(found, NoWay):
        records.close()
        return found
    return Way(records, found)


async def greet(records: Records, cookie: Secret, until: float) -> bytes | NoWay:
    """The gateway's first record of PPP, or nothing: it answered.  until: the loop's time."""
    loop, said = asyncio.get_running_loop(), hello.encode(cookie)
    due, ignored = loop.time(), 0
    try:
        while loop.time() < until and ignored < MAX_RECORDS:
            if loop.time() >= due:
                await records.send(said)
                due = loop.time() + REPEAT
            try:
                came = await records.receive(max(min(due, until) - loop.time(), LEAST_WAIT))
            except (TimeoutError, TimedOut):
                continue
            match hello.decode(came):
                case Answer.OK:
                    return b""
                case Answer.PPP:
                    return came
                case Answer.FAIL:
                    return NoWay(_refusal(came), refused=True)
                case Answer.NOTHING:
                    ignored += 1
    except DtlsEnded:
        return NoWay("the gateway closed the DTLS association in place of an answer", refused=True)
    except TransportError as exc:
        return NoWay(f"no answer by DTLS ({exc})")
    return NoWay("no answer by DTLS to the session's cookie")


def _refusal(came: bytes) -> str:
    """The record says no secret of ours, unless it repeats what we sent."""
    text = came[RECORD_HEADER:]
    if not text.startswith(hello.ANSWER):
        return "the gateway answered by DTLS with something unknown"
    return f"the gateway refuses DTLS ({printable(text[len(hello.ANSWER) :].rstrip(bytes(1)))[:40]!r})"
