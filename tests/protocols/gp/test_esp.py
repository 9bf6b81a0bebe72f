"""Probing and life of ESP (section 12; esp.md section 8)."""

from __future__ import annotations

from ipaddress import ip_address
from math import inf

import pytest

from protocols.base import Action, Control, Errand, LearnsPathMtu, Reconnect, Secret, Send, SetMtu, Traffic, Warn
from protocols.errors import UnexpectedFrame
from protocols.framing.esp import Encoder, Kind
from protocols.framing.esp_sa import Cipher, Mac, sa_option, suite_of
from protocols.gp import ping
from protocols.gp.config import Timers
from protocols.gp.esp import EspController, Probe, Size, State, probe
from protocols.gp.ipsec import EspParameters
from protocols.gp.life import Schedule

UP = sa_option(Cipher.AES_128_CBC, Mac.SHA1_96, 0x1111, bytes(36))
DOWN = sa_option(Cipher.AES_128_CBC, Mac.SHA1_96, 0x2222, bytes(range(36)))
CLIENT, MAGIC = ip_address("10.99.0.2"), ip_address("192.0.2.1")
PARAMETERS = EspParameters(
    4501, suite_of(Cipher.AES_128_CBC, Mac.SHA1_96), Secret(UP.hex()), Secret(DOWN.hex()), CLIENT, MAGIC
)


class Gateway:
    """The other end of the keys."""

    def __init__(self) -> None:
        self._out = Encoder()
        self._out.set("esp.out", DOWN)

    def says(self, packet: bytes) -> bytes:
        return self._out.encode(packet, bytes(16))

    def reply(self, sequence: int = 0) -> bytes:
        rest = ping.request(CLIENT, MAGIC, sequence)[24:]
        return self.says(ping.reply(MAGIC, CLIENT, rest))


def probing() -> Probe:
    return Probe(PARAMETERS, lambda size: bytes(range(size)), 100.0)


def test_one_ping_a_second_for_five_seconds() -> None:
    """And each has a number of its own."""
    probe = probing()
    sent = []
    now = 100.0
    while not probe.over(now):
        if datagram := probe.due(now):
            sent.append((now, datagram[:8].hex()))
        now = max(probe.deadline(), now)
        if probe.deadline() == now and probe.over(now):
            break
    assert [at for at, _ in sent] == [100.0, 101.0, 102.0, 103.0, 104.0] and now == 105.0
    assert [start for _, start in sent] == [f"00001111{n:08x}" for n in range(5)]
    assert probe.sent == 5 and probe.due(105.0) is None and not probe.up


def test_the_answer_ends_it() -> None:
    probe = probing()
    assert probe.due(100.0) and probe.due(100.5) is None
    probe.take(Gateway().reply())
    assert probe.up and probe.over(100.6) and probe.sent == 1


def test_other_packets_do_not_count() -> None:
    probe, gateway = probing(), Gateway()
    assert probe.due(100.0)
    udp = bytes.fromhex("4500001e00010000401165fe0a6300020a63000912340009000a00006162")
    for datagram in (b"", b"\xff", b"rubbish" * 20, gateway.says(udp), gateway.reply()[:-1] + b"\0"):
        probe.take(datagram)
    assert not probe.up
    probe.take(gateway.reply())
    assert probe.up


SIZE = Size(mtu=1406, least=1280, outer_ipv6=False)


def controller(timers: Timers | None = None, *, dpd: float = 10.0, report: int = 0) -> EspController:
    async def work() -> list[Action]:
        return []

    return EspController(Schedule(timers or Timers(), 100.0, dpd, report), PARAMETERS, work, SIZE, now=100.0, sent=1)


def at(esp: EspController, now: float, received: float = 100.0) -> list[Action]:
    return esp.on_time(Traffic(received, now), now)


def test_silence_is_probed_and_then_it_is_dead() -> None:
    esp = controller()
    assert esp.deadline() == 110.0 and at(esp, 109.9) == []
    assert at(esp, 110.0) == [Send(Control(Kind.IPV4, ping.request(CLIENT, MAGIC, 2)))]
    assert esp.deadline() == 115.0 and at(esp, 114.9) == []
    assert at(esp, 115.0) == [Send(probe(PARAMETERS, 3))]
    assert at(esp, 120.0) == [Reconnect("ESP: the gateway was silent for 20 s")]
    assert esp.state is State.DEAD and esp.deadline() == inf and at(esp, 200.0) == []


def test_what_comes_keeps_it_up_and_what_leaves_does_not() -> None:
    esp = controller()
    assert at(esp, 119.0, received=115.0) == []
    assert esp.deadline() == 125.0
    assert len(at(esp, 125.0, received=115.0)) == 1


def test_control_frames() -> None:
    esp = controller()
    for kind in (Kind.IPV4, Kind.IPV6, Kind.NEW_SA, Kind.DUMMY):
        assert esp.on_control(Control(kind, b"x"), 101.0) == []
    with pytest.raises(UnexpectedFrame):
        esp.on_control(Control(99), 101.0)


def test_new_keys_and_the_end_of_the_login() -> None:
    assert at(controller(Timers(tunnel=66), dpd=1e6), 106.0) == [Reconnect("new keys are due", planned=True)]
    (warning,) = at(controller(Timers(session=50), dpd=1e6), 150.0)
    assert isinstance(warning, Warn)


def test_new_keys_before_the_numbers_run_out() -> None:
    esp = controller(dpd=1e6)
    assert esp.on_time(Traffic(100.0, 100.0, sent=0xF0000000 - 2), 101.0) == []
    (action,) = esp.on_time(Traffic(100.0, 100.0, sent=0xF0000000 - 1), 102.0)
    assert isinstance(action, Reconnect) and action.planned and "sequence numbers" in action.reason


def test_host_reports_are_made_beside_it() -> None:
    esp = controller(dpd=1e6, report=50)
    (errand,) = at(esp, 150.0)
    assert isinstance(errand, Errand) and at(esp, 151.0) == []
    assert esp.deadline() == 200.0
    assert isinstance(at(esp, 200.0)[0], Errand)


def test_no_frame_says_goodbye() -> None:
    esp = controller()
    assert esp.goodbye("bye") == [] and esp.state is State.DONE and esp.on_rekeyed(True, 1.0) == []


def test_the_ping_of_the_other_family() -> None:
    six = EspParameters(
        4501, PARAMETERS.suite, PARAMETERS.outbound, PARAMETERS.inbound, ip_address("fd00::2"), ip_address("fd00::1")
    )
    assert probe(six, 0).kind == Kind.IPV6


def test_a_path_that_takes_less_makes_packets_smaller() -> None:
    esp = controller()
    assert isinstance(esp, LearnsPathMtu)
    assert esp.on_path_mtu(1500, 101.0) == []  # all that the tunnel carries fits
    assert esp.on_path_mtu(1400, 102.0) == [SetMtu(1326)]
    assert esp.on_path_mtu(1500, 103.0) == [] and esp.on_path_mtu(1400, 104.0) == []  # it never grows


def test_a_path_too_narrow_for_the_tunnel_leaves_it_to_tls() -> None:
    esp = controller()
    assert esp.on_path_mtu(1340, 101.0) == [Reconnect("ESP: the way takes 1340 bytes, too few for packets of 1280")]
    assert esp.state is State.DEAD and esp.on_path_mtu(1000, 102.0) == [] and at(esp, 103.0) == []
