"""DTLS first: which way a tunnel takes, what it asks for, and what turns it to TLS (section 7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from protocols.base import Reconnect, Secret, Send, Traffic, Tunnel, TunnelOptions
from protocols.errors import ConfigurationRefused, CookieRejected
from protocols.f5 import F5, udp
from protocols.f5 import tunnel as module
from protocols.f5.way import WayBack
from protocols.ppp.automaton import Limits
from protocols.ppp.controller import PppController
from protocols.ppp.lcp import LcpWishes
from tests.protocols.f5.gateway import Dialer, PppRecords, PppStream
from tests.protocols.f5.test_tunnel import BASE, GATEWAY, HEAD, TICKET, options_of, told
from tests.protocols.refusals import refused
from tests.transports.http_doubles import FakeStream
from transports.dtls import Version
from transports.errors import (
    CertificateSummary,
    DtlsEnded,
    DtlsRefused,
    DtlsTimedOut,
    NotTrusted,
    TlsError,
)

OFFERED = {"tunnel_dtls": "1", "tunnel_port_dtls": "4433", "dtls_v1_2_supported": "1"}
CERTIFICATE = CertificateSummary("a", "b", "", "", (), "pin-sha256:AAAA", "")
LOST = b""
ANSWER_504 = b"HTTP/1.1 504 Gone\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For gateways that say nothing: nobody waits for them as long as people would."""
    monkeypatch.setattr(udp, "LIMIT", 0.1)
    monkeypatch.setattr(module, "BY_DATAGRAMS", Limits(whole_link=0.1))


def run(dialer: Dialer, wishes: TunnelOptions = BASE, protocol: F5 | None = None) -> Tunnel:
    connecting = (protocol or F5()).connect(dialer, TICKET, wishes, now=100.0)  # type: ignore[arg-type]
    return asyncio.run(connecting)


def by_udp(found: PppRecords | Exception, *streams: FakeStream, **fields: str) -> Dialer:
    return Dialer(told(**{**OFFERED, **fields}), *streams, associations=(found,))


def warnings(tunnel: Tunnel) -> list[str]:
    return [text for text in tunnel.config.warnings if text.startswith("udp port")]


def test_the_tunnel() -> None:
    records = PppRecords(HEAD, GATEWAY)
    dialer = by_udp(records)
    tunnel = run(dialer)
    assert tunnel.stream is None and tunnel.link is records
    assert records.linked == ("ppp-f5", (("ppp.data", b"\3"), ("ppp.pfc", b"\1"), ("ppp.acfc", b"\1")))
    assert [str(one) for one in tunnel.config.addresses] == ["10.11.1.2/32", "fd00:11::2/128"]
    assert tunnel.config.mtu == 1400 and tunnel.config.warnings == ()  # the gateway's MRU
    asked = {"address": "192.0.2.1", "local_port": 0, "version": Version.DTLS12, "limit": 5.0}
    assert dialer.asked == [{"host": "vpn.test", "port": 4433, **asked}]
    assert len(dialer.dialed) == 1  # the configuration


def test_the_request_is_that_of_tls_byte_for_byte() -> None:
    records, stream = PppRecords(HEAD, GATEWAY), PppStream(HEAD, GATEWAY)
    run(by_udp(records))
    run(Dialer(told(), stream))
    assert stream.written.startswith(records.requests[0])
    assert records.requests[0].endswith(b"User-Agent: vpnclient 1.2.3\r\n\r\n") and b"Cookie" not in records.requests[0]


def test_the_packet_is_as_large_as_a_datagram_holds() -> None:
    large = replace(GATEWAY, lcp=LcpWishes(mru=1500, compression=True))
    assert run(by_udp(PppRecords(HEAD, large))).config.mtu == 1430
    assert run(by_udp(PppRecords(HEAD, large, path=1450))).config.mtu == 1380
    plain = replace(GATEWAY, lcp=LcpWishes(mru=1500))
    assert run(by_udp(PppRecords(HEAD, plain))).config.mtu == 1427
    assert run(by_udp(PppRecords(HEAD, large)), replace(BASE, mtu=1300)).config.mtu == 1300
    assert run(by_udp(PppRecords(HEAD, large)), replace(BASE, base_mtu=1400)).config.mtu == 1330


def test_where_the_path_is_too_small_for_ipv6_there_is_tls() -> None:
    records = PppRecords(HEAD, GATEWAY, path=1300)
    tunnel = run(by_udp(records, PppStream(HEAD, GATEWAY)))
    assert tunnel.stream is not None and records.closed
    assert warnings(tunnel) == [
        "udp port 4433: no way by DTLS (1230 bytes fit a datagram, too few for IPv6), packets go by TLS"
    ]
    tunnel = run(by_udp(PppRecords(HEAD, GATEWAY, path=1300)), replace(BASE, mtu=1200))  # the user's wish
    assert tunnel.stream is None and [one.version for one in tunnel.config.addresses] == [4]
    tunnel = run(by_udp(PppRecords(HEAD, GATEWAY, path=1300)), replace(BASE, ipv6=False))
    assert tunnel.stream is None and tunnel.config.mtu == 1230


def test_a_smaller_path_is_followed() -> None:
    controller = run(by_udp(PppRecords(HEAD, GATEWAY))).controller
    assert isinstance(controller, PppController)
    assert [type(action).__name__ for action in controller.on_path_mtu(1400, 101.0)] == ["SetMtu"]
    (action,) = controller.on_path_mtu(1300, 102.0)
    assert isinstance(action, Reconnect)


@pytest.mark.parametrize(("field", "version"), [("1", Version.DTLS12), ("0", Version.DTLS10), ("", Version.DTLS10)])
def test_a_gateway_that_does_not_say_1_2_gets_1_0(field: str, version: Version) -> None:  # Q11
    dialer = by_udp(PppRecords(HEAD, GATEWAY), dtls_v1_2_supported=field)
    run(dialer, replace(BASE, local_port=5555))
    assert dialer.asked[0]["version"] is version and dialer.asked[0]["local_port"] == 5555


@pytest.mark.parametrize(
    ("fields", "wishes"),
    [
        ({"tunnel_dtls": "0"}, BASE),
        ({"tunnel_port_dtls": ""}, BASE),  # Q10
        ({"tunnel_port_dtls": "65536"}, BASE),
        ({"hdlc_framing": "yes"}, BASE),
        ({"ur_Z": "z" * 1200}, BASE),
        ({}, replace(BASE, datagrams=False)),
    ],
)
def test_where_dtls_is_off(fields: dict[str, str], wishes: TunnelOptions) -> None:
    framing = "ppp-f5-hdlc" if "hdlc_framing" in fields else "ppp-f5"
    dialer = by_udp(PppRecords(HEAD, GATEWAY), PppStream(HEAD, GATEWAY, framing), **fields)
    tunnel = run(dialer, wishes)
    assert tunnel.stream is not None and dialer.asked == [] and isinstance(tunnel.controller, PppController)
    assert any("want 0 to 65535" in text or "a datagram 1200" in text for text in tunnel.config.warnings) is bool(
        {"65536", "z" * 1200} & set(fields.values())
    )


def test_behind_a_proxy_there_is_none() -> None:
    dialer = by_udp(PppRecords(HEAD, GATEWAY), PppStream(HEAD, GATEWAY))
    dialer.through_proxy = True
    assert run(dialer).stream is not None and dialer.asked == []


def test_the_request_is_repeated_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "REPEAT", 0.02)
    records = PppRecords(HEAD, GATEWAY, deaf=2)
    assert run(by_udp(records)).link is records
    assert len(records.requests) >= 3 and len(set(records.requests)) == 1


def falls_back(found: PppRecords | Exception) -> tuple[Tunnel, str]:
    """A tunnel over TLS, and the one warning that says why."""
    dialer = by_udp(found, PppStream(HEAD, GATEWAY))
    tunnel = run(dialer)
    assert tunnel.stream is not None and len(dialer.asked) == 1
    (warning,) = warnings(tunnel)
    assert not isinstance(found, PppRecords) or found.closed
    match = re.fullmatch(r"udp port 4433: (.*), packets go by TLS", warning)
    assert match is not None, warning
    return tunnel, match[1]


@pytest.mark.parametrize(
    ("found", "said", "may_change"),
    [
        (DtlsRefused("nobody is there"), "no answer by DTLS (nobody is there)", True),
        (DtlsTimedOut("no handshake within 5 s"), "no answer by DTLS (no handshake within 5 s)", True),
        (TlsError("alert"), "no way by DTLS (alert)", True),
        (
            NotTrusted("vpn.test", "expired", CERTIFICATE),
            "no way by DTLS (certificate of vpn.test not trusted: ",
            False,
        ),
        (PppRecords(ANSWER_504, GATEWAY), "no way by DTLS (got HTTP status 504 Gone by DTLS, want 200)", False),
        (PppRecords(b"HTTP/1.1 what\r\n\r\n", GATEWAY), "no way by DTLS (got 'HTTP/1.1 what'", False),
        (PppRecords(HEAD.replace(b"10.11.1.2", b"127.0.0.1"), GATEWAY), "no way by DTLS (X-VPN-client-IP", False),
    ],
)
def test_what_turns_it_to_tls(found: PppRecords | Exception, said: str, may_change: bool) -> None:
    tunnel, warning = falls_back(found)
    assert warning.startswith(said)
    assert isinstance(tunnel.controller, WayBack) is may_change


def test_a_gateway_that_does_not_answer_the_request(impatient: None) -> None:
    tunnel, warning = falls_back(PppRecords(LOST, None))
    assert warning == "no answer by DTLS (no answer to the request within 0.1 s)"
    assert isinstance(tunnel.controller, WayBack)


def test_a_gateway_that_does_not_speak_ppp(impatient: None) -> None:
    tunnel, warning = falls_back(PppRecords(HEAD, None))
    assert warning.startswith("no tunnel by DTLS (LCP came to no agreement")
    assert isinstance(tunnel.controller, PppController)


def test_a_session_that_is_refused_is_over() -> None:
    records = PppRecords(b"HTTP/1.1 403 Forbidden\r\n\r\n", GATEWAY)
    with refused(CookieRejected, "session-rejected"):
        run(by_udp(records, PppStream(HEAD, GATEWAY)))
    assert records.closed


def test_an_answer_that_was_lost_needs_the_ipv6_address_of_before() -> None:
    tunnel = run(by_udp(PppRecords(LOST, GATEWAY), PppStream(HEAD, GATEWAY)))
    assert tunnel.stream is not None
    assert "the answer was lost, and with it our IPv6 address" in warnings(tunnel)[0]
    assert isinstance(tunnel.controller, WayBack)  # TLS has told it now
    tunnel = run(by_udp(PppRecords(LOST, GATEWAY)), replace(BASE, ipv6=False))
    assert tunnel.stream is None and [str(one) for one in tunnel.config.addresses] == ["10.11.1.2/32"]


def test_a_late_answer_does_not_disturb_ppp() -> None:
    records = PppRecords(HEAD, GATEWAY)
    records.waiting.put_nowait(b"what is this?")
    records.waiting.put_nowait(HEAD + bytes.fromhex("f5000008ff03c02109070004"))
    assert run(by_udp(records)).link is records


def test_dpd_is_never_off() -> None:
    plain = told(**OFFERED)
    plain.script[1] = options_of(**OFFERED).replace(b"Date: ", b"X: ")  # so the session's end is unknown

    def deadline(wishes: TunnelOptions) -> float:
        async def connect() -> float:
            dialer = Dialer(FakeStream(*plain.script), associations=(PppRecords(HEAD, GATEWAY),))
            now = asyncio.get_running_loop().time()
            tunnel = await F5().connect(dialer, TICKET, wishes, now)  # type: ignore[arg-type]
            return tunnel.controller.deadline() - now

        return asyncio.run(connect())

    assert 10 <= deadline(BASE) < 25
    assert 100 <= deadline(replace(BASE, force_dpd=100)) < 115


def test_it_speaks_where_only_the_gateway_does() -> None:
    """What is between forgets a way of datagrams that nobody takes."""

    async def spoken() -> list[object]:
        dialer = Dialer(told(**OFFERED), associations=(PppRecords(HEAD, GATEWAY),))
        now = asyncio.get_running_loop().time()
        tunnel = await F5().connect(dialer, TICKET, BASE, now)  # type: ignore[arg-type]
        return list(tunnel.controller.on_time(Traffic(received_at=now + 11, sent_at=now), now + 11))

    (action,) = asyncio.run(spoken())
    assert isinstance(action, Send) and action.frame.payload[:1] == b"\x09"


# --- afterwards ---


class Life:
    """One session: what its tunnels are given."""

    def __init__(self) -> None:
        self.protocol = F5(dtls_every=60.0)
        self.wishes = BASE

    def connect(
        self, *streams: FakeStream, associations: tuple[PppRecords | Exception, ...] = ()
    ) -> tuple[Tunnel, Dialer]:
        dialer = Dialer(*streams, associations=associations)
        tunnel = run(dialer, self.wishes, self.protocol)
        self.wishes = replace(BASE, held=tunnel.config.addresses)
        return tunnel, dialer

    def fall_back(self, back: PppRecords | Exception) -> Tunnel:
        """Nobody answers at first; `back` is what a later look finds."""
        found = DtlsRefused("the network says: refused"), back
        return self.connect(told(**OFFERED), PppStream(HEAD, GATEWAY), associations=found)[0]

    def look(self, tunnel: Tunnel) -> list[object]:
        """The errand that is due a minute later, done."""
        controller = tunnel.controller
        assert isinstance(controller, WayBack)
        return list(asyncio.run(controller._look()))


def test_after_dtls_died_there_is_tls_at_once_and_then_the_way_back() -> None:
    life = Life()
    tunnel, _ = life.connect(told(**OFFERED), associations=(PppRecords(HEAD, GATEWAY),))
    assert tunnel.stream is None
    back = PppRecords(HEAD, GATEWAY)
    tunnel, dialer = life.connect(told(**OFFERED), PppStream(HEAD, GATEWAY), associations=(back,))
    assert tunnel.stream is not None and dialer.asked == [] and warnings(tunnel) == []
    (action,) = life.look(tunnel)
    assert action == Reconnect("DTLS answers: packets go by it again", planned=True)
    assert dialer.asked[0]["limit"] == udp.LIMIT_BESIDE
    tunnel, dialer = life.connect()  # nothing is asked for: it is ready
    assert tunnel.link is back and dialer.dialed == []
    assert tunnel.config.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/128"))


def test_the_way_back_knows_the_addresses_when_the_answer_is_lost() -> None:
    life = Life()
    tunnel = life.fall_back(PppRecords(LOST, GATEWAY))
    life.look(tunnel)
    tunnel, _ = life.connect()
    assert tunnel.stream is None and len(tunnel.config.addresses) == 2


def test_a_way_back_on_which_ppp_fails_is_the_last_one(impatient: None) -> None:
    life = Life()
    tunnel = life.fall_back(PppRecords(HEAD, None))
    life.look(tunnel)
    tunnel, dialer = life.connect(told(**OFFERED), PppStream(HEAD, GATEWAY))
    assert tunnel.stream is not None and "no tunnel by DTLS (LCP" in warnings(tunnel)[0]
    assert isinstance(tunnel.controller, PppController) and dialer.asked == []


def test_a_way_back_that_is_too_small_disturbs_nothing() -> None:
    life, narrow = Life(), PppRecords(HEAD, GATEWAY, path=1300)
    tunnel = life.fall_back(narrow)
    assert life.look(tunnel) == [] and narrow.closed
    assert life.protocol._way_of(TICKET.cookie).off


def test_another_address_ends_the_session_by_dtls_too() -> None:
    life = Life()
    other = HEAD.replace(b"10.11.1.2", b"10.11.1.9")
    tunnel = life.fall_back(PppRecords(other, GATEWAY))
    life.look(tunnel)
    with refused(ConfigurationRefused, "address-changed"):
        life.connect()


@pytest.mark.parametrize(
    "leave",
    [
        lambda life: asyncio.run(life.protocol.logout(None, TICKET)),
        lambda life: life.protocol._way_of(Secret("MRHSession=new")),
    ],
)
def test_what_nobody_took_is_closed(leave: Callable[[Life], object]) -> None:
    life, back = Life(), PppRecords(HEAD, GATEWAY)
    tunnel = life.fall_back(back)
    life.look(tunnel)
    assert not back.closed
    try:
        leave(life)
    except AttributeError:
        pass  # there is no HTTP here
    assert back.closed


@pytest.mark.parametrize(
    ("found", "later"),
    [
        (DtlsTimedOut("nobody"), True),
        (DtlsEnded("closed"), True),
        (NotTrusted("vpn.test", "expired", CERTIFICATE), False),
        (PppRecords(b"HTTP/1.1 403 Forbidden\r\n\r\n", GATEWAY), False),
    ],
)
def test_what_fails_beside_a_tunnel_does_it_no_harm(found: PppRecords | Exception, later: bool) -> None:
    life = Life()
    tunnel = life.fall_back(found)
    assert life.look(tunnel) == []
    controller = tunnel.controller
    controller.on_time(Traffic(1000.0, 1000.0), 1000.0)
    assert (controller.deadline() == 1060.0) is later
