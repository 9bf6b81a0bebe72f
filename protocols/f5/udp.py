"""The way by DTLS (section 7): whether there is one, and an association over which a tunnel was asked for.

handshake --> request --1 s--> request ... --answer, PPP--> Answered
                                       --limit--> DtlsTimedOut
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.errors import DatagramsImpossible
from protocols.f5 import answer, request
from protocols.f5.request import MAX_PROBE, Given
from protocols.ppp import mtu
from transports.errors import DtlsTimedOut, NotTrusted, TimedOut

if TYPE_CHECKING:
    from protocols.f5.plan import Plan
    from transports.dialer import Dialer
    from transports.records import DtlsRecords

LIMIT = 5.0  # seconds for handshake and answer, while the user waits
LIMIT_BESIDE = 12.0  # the same, while packets go by TLS
REPEAT = 1.0  # seconds between two requests


@dataclass(frozen=True, slots=True)
class Answered:
    """records: open.  given: our addresses, as the answer told them; None: it was lost.  first: PPP read already."""

    records: DtlsRecords
    given: Given | None
    first: bytes = b""


def is_there(dialer: Dialer, plan: Plan) -> bool:
    """Whether the gateway offers DTLS, the user wants it, and a request fits."""
    offered = plan.options.port_dtls and plan.wishes.datagrams and not plan.options.hdlc
    if not offered or dialer.through_proxy or not dialer.address_of(plan.url.host):
        return False
    size = len(plan.record())
    if size > MAX_PROBE:
        plan.notes.warn("tunnel_dtls", f"the request has {size} bytes, a datagram {MAX_PROBE}: packets go by TLS")
    return size <= MAX_PROBE


async def knock(dialer: Dialer, plan: Plan, limit: float) -> Answered:
    """Ask for a tunnel by DTLS.  limit: seconds in all.

    Raises DatagramsImpossible: not in this session; SessionRejected, MalformedAnswer, ConfigurationRefused;
    TransportError: nobody answered, which may change.
    """
    from transports.dtls import Version  # loads the engine

    until = asyncio.get_running_loop().time() + limit
    address = dialer.address_of(plan.url.host)
    assert address, "knock where is_there says no"
    version = Version.DTLS12 if plan.options.dtls_12 else Version.DTLS10  # Q11
    try:
        records = await dialer.dtls(
            plan.url.host,
            plan.options.port_dtls,
            address=address,
            local_port=plan.wishes.local_port,
            version=version,
            limit=limit,
        )
    except NotTrusted as exc:
        raise DatagramsImpossible(str(exc)) from exc
    try:
        size = size_of(plan, records)(records.path_mtu())
        if plan.ipv6 and size < mtu.MIN_IPV6 <= (plan.wishes.mtu or mtu.MIN_IPV6):
            raise DatagramsImpossible(f"{size} bytes fit a datagram, too few for IPv6")
        return await _ask(records, plan.record(), until, limit)
    except BaseException:
        records.close()
        raise


async def _ask(records: DtlsRecords, wanted: bytes, until: float, limit: float) -> Answered:
    clock = asyncio.get_running_loop().time
    while clock() < until:
        await records.send(wanted)
        again = min(clock() + REPEAT, until)
        while (left := again - clock()) > 0:
            try:
                record = await records.receive(left)
            except (TimeoutError, TimedOut):
                break
            if answer.is_ppp(record):
                return Answered(records, None, record)
            response = answer.parse(record)
            if response is not None:
                answer.judge(response)
                return Answered(records, request.addresses(response), response.body)
            await asyncio.sleep(0)  # whoever floods us stops nobody else
    raise DtlsTimedOut(f"no answer to the request within {limit:g} s")


def size_of(plan: Plan, records: DtlsRecords, *, compressed: bool = True) -> Callable[[int], int]:
    """From the path's MTU to the packet's."""
    base = plan.wishes.base_mtu

    def size(path: int) -> int:
        return mtu.over_dtls(
            plan.framing,
            path=min(path or base, base or path),
            outer_ipv6=":" in records.peer[0],
            cipher=records.info.cipher,
            wanted=plan.wishes.mtu,
            compressed=compressed,
        )

    return size
