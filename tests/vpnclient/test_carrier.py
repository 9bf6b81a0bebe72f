"""One link carried for real: pump, TLS socket pair, AnyConnect's controller; a packet socket in the device's place."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Any

import pytest

from protocols.anyconnect.controller import CstpController
from protocols.anyconnect.timers import Timers
from protocols.base import Tunnel, TunnelConfig
from protocols.framing.cstp import Encoder, Kind
from tests.transports.resting import wait_for_rest
from tests.transports.tlspair import TIMEOUT as PATIENCE
from tests.transports.tlspair import End, tls_pair
from transports.errors import EngineError
from transports.pump import Pump
from vpnclient.carrier import Carrier, Hooks, Outcome, Why

CONFIG = TunnelConfig(addresses=(IPv4Interface("10.0.0.2/24"),), mtu=1400)
ENCODER = Encoder()
ASKED = Outcome(Why.ASKED, "asked to stop")


class Stream:
    """A TlsStream as far as a carrier knows it; `calls`: what became of it."""

    def __init__(self, end: End) -> None:
        self.native = end.native
        self.calls: list[str] = []

    def detach(self, exporter: object = None) -> None:
        self.calls.append("detach")

    def reattach(self) -> None:
        self.calls.append("reattach")

    async def close(self) -> None:
        self.calls.append("close")


@dataclass
class Bench:
    carrier: Carrier
    stream: Stream
    peer: End
    warnings: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        async def go() -> Outcome:
            async with asyncio.timeout(PATIENCE):
                return await self.carrier.run()

        return asyncio.run(go())


@contextmanager
def bench(timers: Timers | None = None) -> Iterator[Bench]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tls_pair() as (client, server):
        ours.setblocking(False)
        stream, warnings = Stream(client), list[str]()
        controller = CstpController(timers or Timers(), time.monotonic())
        device: Any = ours
        link: Any = stream
        tunnel = Tunnel(link, b"", "cstp", CONFIG, controller)
        carrier = Carrier(device, tunnel, Hooks(warn=warnings.append, tick=lambda stats: None))
        yield Bench(carrier, stream, server, warnings)
        assert stream.calls == ["detach", "reattach", "close"]


def test_a_stop_before_it_runs_still_says_goodbye() -> None:
    """Asked to stop while the host was being configured."""
    with bench() as b:
        b.carrier.stop(ASKED, goodbye="user disconnect")
        assert b.run() == ASKED
        assert b.peer.read() == ENCODER.encode_control(Kind.DISCONNECT, b"\xb0user disconnect")


def test_a_stop_without_goodbye_says_nothing() -> None:
    with bench() as b:
        b.carrier.stop(ASKED)
        assert b.run() == ASKED
        assert b.peer.read_once() is None


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (ENCODER.encode_control(Kind.DISCONNECT, b"\xb1over"), Why.ENDED),
        (ENCODER.encode_control(Kind.TERMINATE), Why.ENDED),
        (ENCODER.encode_control(Kind.DISCONNECT), Why.DISMISSED),
        (b"not a frame of CSTP at all", Why.LOST),
    ],
)
def test_what_the_gateway_says_is_the_outcome(frame: bytes, why: Why) -> None:
    with bench() as b:
        b.peer.write(frame)
        assert b.run().why is why


def test_the_end_of_the_link_is_a_loss_and_what_came_before_counts() -> None:
    with bench() as b:
        b.peer.end()
        assert b.run() == Outcome(Why.LOST, "the gateway closed the connection")
    with bench() as b:
        b.peer.write(ENCODER.encode_control(Kind.TERMINATE, b"maintenance"))
        b.peer.end()
        outcome = b.run()
        assert outcome.why is Why.ENDED and "maintenance" in outcome.reason


def test_a_goodbye_that_comes_between_two_looks_is_not_taken_for_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the link was once seen without the goodbye before it, and a dead session connected again."""
    look = Pump.controls

    def late(pump: Pump, *, datagrams: bool = False) -> list[tuple[int, bytes]]:
        monkeypatch.setattr(Pump, "controls", look)
        frames = look(pump)
        b.peer.write(ENCODER.encode_control(Kind.TERMINATE, b"maintenance"))
        b.peer.end()
        while pump.stats().rx_controls == 0:
            time.sleep(0.001)
        wait_for_rest(pump)  # it has posted the end, too
        return frames

    monkeypatch.setattr(Pump, "controls", late)
    with bench() as b:
        assert b.run().why is Why.ENDED


def test_the_clock_of_the_controller_is_kept() -> None:
    with bench(Timers(dpd=1)) as b:
        outcome = b.run()
        assert outcome.why is Why.LOST and "silent" in outcome.reason
        assert b.peer.read() == ENCODER.encode_control(Kind.DPD_REQUEST)


def test_a_pump_that_cannot_start_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pump: Pump) -> None:
        raise EngineError("no thread")

    monkeypatch.setattr(Pump, "start", refuse)
    with bench() as b, pytest.raises(EngineError, match="no thread"):
        b.run()
