"""The lab gateway's side of ESP, on the loopback: a socket that comes before its keys, and keys that change."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import replace

import pytest

from protocols.base import Control, Secret, Send, SetOption, Traffic, UseDatagrams, Warn
from protocols.errors import ConfigurationRefused
from protocols.framing.esp import Decoder, Encoder
from protocols.framing.oncp import Kind
from protocols.nc import esp
from protocols.nc.configuration import negotiate
from protocols.nc.esp import Keys, Offer
from transports.sink import MemorySink
from transports.udp import UdpListener, UdpSocket
from vpnclient.lab import nc_esp as module
from vpnclient.lab.nc_esp import EspEcho, EspSide, EspTunnel
from vpnclient.lab.nc_settings import NcSettings
from vpnclient.lab.nc_tunnel import NcServer, configuration
from vpnclient.lab.netns import LabError
from vpnclient.lab.store import LabSession, Store

SETTINGS = NcSettings(users={"test": Secret("secret")})
PROBE = Control(4, b"\0")


def counting() -> module.Random:
    numbers = itertools.count(1)
    return lambda size: (next(numbers).to_bytes(2, "big") * size)[:size]


def sessions() -> Store:
    names = itertools.count()
    return Store(SETTINGS.network, None, life=0, token=lambda: f"cookie-{next(names)}")


def make(settings: NcSettings = SETTINGS) -> tuple[EspSide, EspTunnel, LabSession]:
    side, session = EspSide(settings, counting()), sessions().add("test", "", 0.0)
    side.listens(4500)
    tunnel = side.tunnel(session)
    assert tunnel is not None
    return side, tunnel, session


def told(tunnel: EspTunnel, session: LabSession, settings: NcSettings = SETTINGS) -> Offer:
    """What a client reads of it."""
    offer = negotiate(configuration(settings, session, tunnel)).esp
    assert offer is not None
    return offer


class Client:
    """The other end: its keys, and a codec on them."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.own = esp.make_keys(counting(), offer.parameters.suite())
        self.encoder, self.decoder = Encoder(), Decoder(MemorySink())
        self.encoder.set("esp.out", offer.outbound.option(offer.parameters))
        self.decoder.set("esp.in", self.own.inbound_option(offer.parameters))

    def probe(self, number: int) -> bytes:
        return self.encoder.encode_control(4, b"\0", bytes([number]) * 16)


@pytest.mark.parametrize(("cipher", "mac"), [("aes-128", "md5"), ("aes-128", "sha1"), ("aes-256", "sha256")])
def test_what_is_told(cipher: str, mac: str) -> None:
    settings = replace(SETTINGS, esp_cipher=cipher, esp_mac=mac, dpd=7, esp_rekey=300)
    _, tunnel, session = make(settings)
    parameters = told(tunnel, session, settings).parameters
    assert (parameters.port, parameters.lifetime, parameters.fallback, parameters.replay) == (4500, 420, 7, 1)
    assert parameters.suite().digest == mac and parameters.suite().key == int(cipher[-3:]) // 8
    assert told(tunnel, session, replace(settings, esp_rekey=0)).parameters.lifetime == 420


def test_without_udp_nothing_is_told() -> None:
    side = EspSide(replace(SETTINGS, udp=False), counting())
    side.listens(4500)
    session = sessions().add("test", "", 0.0)
    assert side.tunnel(session) is None and EspSide(SETTINGS).tunnel(session) is None
    assert negotiate(configuration(SETTINGS, session, None)).esp is None


def test_a_datagram_finds_its_session_by_its_spi() -> None:
    side, tunnel, session = make()
    first = Client(told(tunnel, session)).probe(1)
    offered = side.on_datagram(first)
    assert offered is not None and offered.session is session and not offered.alone
    assert side.on_datagram(b"\0" * 60) is None and side.on_datagram(first[:7]) is None
    again = side.tunnel(session)
    assert again is not None and side.on_datagram(first) is None  # of the connection before
    tunnel = again
    probe = Client(told(tunnel, session)).probe(1)
    assert side.on_datagram(probe) is not None
    tunnel.rekey()
    assert side.on_datagram(probe) is None


def test_probes_that_come_before_the_keys_are_answered_and_the_numbers_go_on() -> None:
    _, tunnel, session = make()
    client = Client(told(tunnel, session))

    async def go() -> None:
        listener = UdpListener("127.0.0.1")
        peer = UdpSocket.open("127.0.0.1", listener.port)
        await peer.send(client.probe(1))
        first, accepted = await listener.accept()
        await peer.send(client.probe(2))
        opening = asyncio.ensure_future(tunnel.open(accepted, first, lambda label, length: b""))
        await asyncio.sleep(0.01)
        assert not opening.done()
        (set_out,) = tunnel.on_keys(client.own.payload())
        assert isinstance(set_out, SetOption) and set_out.name == "esp.out"
        link = await opening
        for _ in range(2):
            client.decoder.feed_datagram(await peer.receive(5.0))
            assert client.decoder.next_control() == PROBE
        assert link.description.name == "ESP"
        link.close()
        for one in (accepted, peer, listener):
            one.close()

    asyncio.run(go())
    assert client.decoder.counters()["esp_authentic"] == 2


def test_keys_that_never_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYS_LIMIT", 0.02)
    _, tunnel, _ = make()

    async def go() -> None:
        listener = UdpListener("127.0.0.1")
        socket = UdpSocket.open("127.0.0.1", listener.port)
        with pytest.raises(LabError, match="no ESP keys came"):
            await tunnel.open(socket, b"", lambda label, length: b"")
        socket.close()
        listener.close()

    asyncio.run(go())


def test_every_probe_is_answered() -> None:
    echo = EspEcho()
    frames = [PROBE, Control(59), PROBE]
    assert echo.on_controls(frames, 0.0) == [Send(PROBE, datagrams=True)] * 2
    assert echo.on_time(Traffic(0.0, 0.0), 1.0) == [] and echo.deadline() == math.inf and echo.farewell("x") == []


def test_the_stream_brings_keys_and_switches() -> None:
    _, tunnel, session = make()
    client = Client(told(tunnel, session))
    server = NcServer(replace(SETTINGS, esp_rekey=10), session, tunnel, now=0.0)
    frames = [
        Control(Kind.ESP_KEYS, client.own.payload()),
        Control(Kind.CONTROL, esp.switch_payload(True)),
        Control(Kind.CONTROL, esp.switch_payload(False)),
        Control(Kind.ESP_KEYS, b"x"),
    ]
    actions = server.on_controls(frames, 0.0)
    assert [action.yes for action in actions if isinstance(action, UseDatagrams)] == [True, False]
    assert [action.name for action in actions if isinstance(action, SetOption)] == ["esp.out"]
    assert isinstance(actions[-1], Warn) and "KMP 302: group" in actions[-1].text
    assert server.on_time(Traffic(9.0, 9.0), 9.0) == [] and server.deadline() == 10.0
    rekeyed = server.on_time(Traffic(9.0, 9.0), 10.0)
    (inbound,) = (action for action in rekeyed if isinstance(action, SetOption))
    (sent,) = (action.frame for action in rekeyed if isinstance(action, Send))
    offer = esp.new_offer(sent.payload, client.offer.parameters)
    assert (inbound.name, sent.kind) == ("esp.in", Kind.ESP_KEYS)
    assert inbound.value[4:8] == offer.outbound.spi.to_bytes(4, "big")
    assert server.deadline() == 11.0  # a look at the session


def test_bad_keys_of_a_client_are_refused() -> None:
    _, tunnel, _ = make()
    with pytest.raises(ConfigurationRefused):
        tunnel.on_keys(Keys(5, Secret("00" * 63)).payload())
