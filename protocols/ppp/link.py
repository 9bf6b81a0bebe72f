"""The negotiation on a TLS stream or by DTLS records, before a pump takes the link over."""

from __future__ import annotations

import asyncio
from typing import Protocol

from protocols.errors import ConfigurationRefused
from protocols.ppp.engine import Engine, Phase
from protocols.ppp.opening import Opening
from transports.errors import ConnectionLost, DtlsEnded, TimedOut, Truncated

LEAST_WAIT = 0.001  # seconds for a record


class ByteStream(Protocol):
    """What is needed of a TLS stream."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


class Records(Protocol):
    """What is needed of a DTLS association: one payload is one record, and one record a datagram."""

    async def send(self, payload: bytes) -> None: ...

    async def receive(self, timeout: float) -> bytes:
        """The payload of the next record.  Raises TimeoutError or TimedOut after so many seconds, TransportError."""


async def negotiate(stream: ByteStream, framing: str, engine: Engine, first: bytes) -> Opening:
    """Until packets may flow.  first: framing that was read already.  Begin counts from the loop's time.

    Raises NegotiationFailed, ConfigurationRefused, TransportError.
    """
    clock = asyncio.get_running_loop().time  # monotonic, as everywhere
    opening = Opening(framing, engine)
    await _write(stream, opening.begin(clock()))
    await _write(stream, opening.feed(first, clock()))
    while not opening.done:
        try:
            async with asyncio.timeout_at(opening.deadline()):
                data = await stream.read()
        except TimeoutError:
            await _write(stream, opening.on_time(clock()))
            continue
        except Truncated:
            data = b""
        if not data:
            raise _closed(engine)
        await _write(stream, opening.feed(data, clock()))
        await asyncio.sleep(0)  # a flood that never blocks must not outrun the deadline
        if clock() >= opening.deadline():
            await _write(stream, opening.on_time(clock()))
    if not engine.is_open:
        raise _ended(engine, "the gateway")
    return opening


async def negotiate_records(
    records: Records, framing: str, engine: Engine, first: bytes = b"", *, peer: str = "the gateway"
) -> Opening:
    """The same by records, at either end of the link.  first: a record of PPP that was read already; peer: who it is.

    Raises NegotiationFailed, ConfigurationRefused, TransportError.
    """
    clock = asyncio.get_running_loop().time
    opening = Opening(framing, engine)
    await _send(records, opening.begin(clock()))
    await _send(records, opening.feed_datagram(first, clock()))
    while not opening.done:
        try:
            record = await records.receive(max(opening.deadline() - clock(), LEAST_WAIT))
        except (TimeoutError, TimedOut):
            record = b""
        except DtlsEnded as exc:
            raise ConfigurationRefused("ppp-establish-failed", f"{peer} closed the association: {exc}") from exc
        await _send(records, opening.feed_datagram(record, clock()))
        await asyncio.sleep(0)  # as above
        if clock() >= opening.deadline():
            await _send(records, opening.on_time(clock()))
    if not engine.is_open:
        raise _ended(engine, peer)
    return opening


async def _send(records: Records, payloads: list[bytes]) -> None:
    for payload in payloads:
        await records.send(payload)


async def _write(stream: ByteStream, records: list[bytes]) -> None:
    for record in records:
        await stream.write(record)


def _ended(engine: Engine, peer: str) -> ConfigurationRefused:
    said = f": {engine.reason}" if engine.reason else ""
    return ConfigurationRefused("ppp-establish-failed", f"{peer} ended the link while it was negotiated{said}")


def _closed(engine: Engine) -> Exception:
    """A gateway that cannot give an address closes silently; to try again for ever would be wrong (section 13)."""
    if engine.phase is Phase.ESTABLISH:
        return ConfigurationRefused("ppp-establish-failed", "the gateway closed the connection instead of negotiating")
    return ConnectionLost("the gateway closed the connection while the network layer was negotiated")
