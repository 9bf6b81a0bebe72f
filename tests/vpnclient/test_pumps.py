"""Which pump carries which framing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from protocols import registry
from protocols.errors import BrokenPlugin
from protocols.framing.cstp import MAX_SENT, Decoder, Encoder
from tests.transports.tlspair import End, tls_pair
from transports.errors import EngineError
from transports.framing import Framing
from transports.pump import Pump
from transports.pump_python import PythonPump
from vpnclient.pumps import AnyPump, make_pump, slowness

LAMP = Framing("lamp", Decoder, Encoder, MAX_SENT)


@pytest.fixture
def link() -> Iterator[End]:
    with tls_pair() as (client, _):
        yield client


def make(link: End, framing: str | Framing) -> AnyPump:
    stream: Any = link
    device: socket.socket = link.sock
    return make_pump(device, stream, framing, mtu=1400)


def test_the_engine_carries_what_it_knows(link: End) -> None:
    assert isinstance(make(link, "cstp"), Pump)
    assert slowness("cstp") == ""


def test_python_carries_the_rest_and_says_so(link: End, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make(link, LAMP), PythonPump)
    monkeypatch.setattr(registry, "load_framing", {"lamp": LAMP}.__getitem__)
    assert isinstance(make(link, "lamp"), PythonPump)
    text = "the framing lamp exists in Python only: packets take the slow way"
    assert slowness("lamp") == slowness(LAMP) == text


def test_a_framing_that_nobody_brought(link: End) -> None:
    with pytest.raises(BrokenPlugin, match="no framing 'lump'"):
        make(link, "lump")


def test_a_framing_that_cannot_be_made_is_named(link: End) -> None:
    def broken(sink: object) -> Decoder:
        raise KeyError("oil")

    with pytest.raises(BrokenPlugin, match="framing 'lamp' cannot be used: KeyError: 'oil'"):
        make(link, Framing("lamp", broken, Encoder, MAX_SENT))


def test_an_mtu_that_does_not_fit_stays_what_it_is(link: End) -> None:
    with pytest.raises(EngineError, match=r"mtu: got 1400, want 68\.\.1000"):
        make(link, Framing("lamp", Decoder, Encoder, 1000))
