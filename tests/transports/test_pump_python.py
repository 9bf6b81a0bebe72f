"""What only a pump on somebody else's framing meets: mistakes in it.  The rest is in test_pump.py, for both pumps."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from protocols.errors import MalformedFrame
from protocols.framing.cstp import MAX_SENT, Decoder, Encoder, Kind
from tests.transports.packets import ipv4
from tests.transports.tlspair import TIMEOUT, End, tls_pair
from transports.framing import FEED_SIZE, Framing
from transports.pump import PumpEvent, PumpEventKind
from transports.pump_python import PythonPump

CSTP = Framing("cstp", Decoder, Encoder, MAX_SENT)


@contextmanager
def pumping(framing: Framing) -> Iterator[tuple[PythonPump, socket.socket, End]]:
    """The pump, the kernel's side of its device, the peer of its link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tls_pair() as (client, server):
        ours.setblocking(False)
        device: Any = ours
        link: Any = client
        pump = PythonPump(device, link, framing, mtu=1400, malformed=MalformedFrame)
        pump.start()
        try:
            yield pump, theirs, server
        finally:
            pump.stop(0)


def event(pump: PythonPump) -> PumpEvent:
    assert select.select([pump], [], [], TIMEOUT)[0]
    (found,) = pump.events()
    return found


class Careless(Decoder):
    def feed(self, data: bytes) -> None:
        raise IndexError("out of range")


class CarelessEncoder(Encoder):
    def encode(self, packet: bytes) -> bytes:
        raise TypeError("not today")


def test_a_mistake_in_a_decoder_names_the_framing() -> None:
    with pumping(replace(CSTP, name="mine", decoder=Careless)) as (pump, _, peer):
        peer.write(b"x")
        text = "framing mine: IndexError: out of range"
        assert event(pump) == PumpEvent(PumpEventKind.STREAM_BROKEN, text)
        pump.send_control(Kind.DISCONNECT, b"bye")
        pump.stop(5)
        assert peer.read() == Encoder().encode_control(Kind.DISCONNECT, b"bye")


def test_a_mistake_in_an_encoder_names_the_framing() -> None:
    with pumping(replace(CSTP, name="mine", encoder=CarelessEncoder)) as (pump, kernel, _):
        kernel.send(ipv4())
        assert event(pump) == PumpEvent(PumpEventKind.STREAM_BROKEN, "framing mine: TypeError: not today")


def test_a_decoder_gets_bounded_pieces_that_lose_nothing() -> None:
    pieces: list[int] = []

    class Watched(Decoder):
        def feed(self, data: bytes) -> None:
            pieces.append(len(data))
            super().feed(data)

    with pumping(replace(CSTP, decoder=Watched)) as (_, kernel, peer):
        peer.write(Encoder().encode(ipv4(1400)))
        assert select.select([kernel], [], [], TIMEOUT)[0]
        assert kernel.recv(2000) == ipv4(1400)
        assert max(pieces) == FEED_SIZE and sum(pieces) == 1408


def test_a_frame_larger_than_a_record_is_not_sent() -> None:
    class Swollen(Encoder):
        def encode(self, packet: bytes) -> bytes:
            return super().encode(packet) + bytes(16384 if len(packet) == 100 else 0)

    with pumping(replace(CSTP, encoder=Swollen)) as (pump, kernel, peer):
        kernel.send(ipv4(100))
        kernel.send(ipv4(200))
        assert peer.read() == Encoder().encode(ipv4(200))
        pump.stop(0)
        assert (pump.stats().tx_packets, pump.stats().dropped_tx_not_ip) == (1, 1)


@pytest.mark.parametrize("size", [0, 16385])
def test_a_framing_that_fits_no_record_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"framing cstp: max_payload: got {size}, want 1\.\.16384"):
        replace(CSTP, max_payload=size)
