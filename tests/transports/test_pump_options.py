"""Pump: which framings it carries, and their options."""

from __future__ import annotations

import pytest

from protocols.framing.compression import make as make_compression
from protocols.framing.cstp import Encoder
from tests.transports.packets import ipv4
from tests.transports.test_pump import opened
from transports.errors import EngineError
from transports.pump import Pump


@pytest.mark.parametrize(("framing", "text"), [("x", "no framing named 'x'"), ("esp", "esp is one of datagrams")])
def test_a_framing_that_no_pump_carries(framing: str, text: str) -> None:
    with opened(Pump, start=False) as b, pytest.raises(EngineError, match=text):
        Pump(b.device, b.link, framing, mtu=1400)  # type: ignore[arg-type]


def test_options_of_the_framing() -> None:
    """Before the start only; what is refused says why."""
    with opened(Pump, start=False) as b:
        pump = b.pump
        assert isinstance(pump, Pump)
        with pytest.raises(EngineError, match="want lzs, oc-lz4, deflate or none"):
            pump.set("cstp.compression", b"zip")
        pump.set("cstp.compression", b"lzs")
        pump.start()
        with pytest.raises(EngineError, match="after the start"):
            pump.set("cstp.compression", b"none")
        packet = ipv4()[:20].replace(b"\x00\x54", b"\x01\x90") + bytes(380)
        b.peer.write(Encoder(make_compression("lzs")).encode(packet))
        assert b.packet() == packet
        b.until(lambda: pump.counters()["cstp_expanded"] == 1)  # published once the turn is over
