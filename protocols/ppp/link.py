"""The negotiation on a TLS stream, before a pump takes it over."""

from __future__ import annotations

import asyncio
from typing import Protocol

from protocols.errors import ConfigurationRefused
from protocols.ppp.engine import Engine, Phase
from protocols.ppp.opening import Opening
from transports.errors import ConnectionLost, Truncated


class ByteStream(Protocol):
    """What is needed of a TLS stream."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


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
        said = f": {engine.reason}" if engine.reason else ""
        raise ConfigurationRefused("ppp-establish-failed", f"the gateway ended the link while it was negotiated{said}")
    return opening


async def _write(stream: ByteStream, records: list[bytes]) -> None:
    for record in records:
        await stream.write(record)


def _closed(engine: Engine) -> Exception:
    """A gateway that cannot give an address closes silently; to try again for ever would be wrong (section 13)."""
    if engine.phase is Phase.ESTABLISH:
        return ConfigurationRefused("ppp-establish-failed", "the gateway closed the connection instead of negotiating")
    return ConnectionLost("the gateway closed the connection while the network layer was negotiated")
