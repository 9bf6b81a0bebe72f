"""Which way a tunnel goes, DTLS or TLS (sections 6 and 8), with doubles for both."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_interface
from typing import Any

import pytest

from protocols.base import Reconnect, Secret, SetMtu, Ticket, Traffic, Tunnel
from protocols.errors import ConfigurationRefused, CookieRejected
from protocols.fortinet import Fortinet, hello, request, udp
from protocols.fortinet import tunnel as tunnel_module
from protocols.fortinet.tunnel import COMES_BACK, DATAGRAM_DPD
from protocols.ppp.ipcp import IpcpWishes
from tests.protocols.fortinet import test_tunnel
from tests.protocols.fortinet.gateway import ACCEPTED, PEER, REFUSED, QuietRecords, QuietStream, TlsDialer
from tests.protocols.fortinet.test_document import EXAMPLE
from tests.protocols.fortinet.test_tunnel import BASE, TICKET, no_pause, told
from tests.protocols.refusals import refused
from tests.transports.http_doubles import FakeStream, answer
from transports.errors import DtlsTimedOut

__all__ = ["no_pause"]
NO_ANSWER = DtlsTimedOut("no answer within 5 s")
FELL_BACK = "udp port 10443: no answer by DTLS (no answer within 5 s), packets go by TLS"


class BothWays(TlsDialer):
    """Hands out streams, and one association: or why there is none."""

    def __init__(self, records: QuietRecords | Exception, *streams: FakeStream) -> None:
        super().__init__(*streams)
        self.records, self.asked = records, 0

    def address_of(self, host: str) -> str | None:
        return "192.0.2.1" if self.dialed else None

    async def dtls(self, host: str, port: int, **more: object) -> QuietRecords:
        self.asked += 1
        assert (host, port, more["address"]) == ("vpn.test", 10443, "192.0.2.1")
        if isinstance(self.records, Exception):
            raise self.records
        return self.records


def connect(dialer: BothWays, protocol: Fortinet | None = None, **more: Any) -> Tunnel:
    """more: as `test_tunnel.connect` has it."""
    wishes, ticket, now = more.get("wishes", BASE), more.get("ticket", TICKET), more.get("now", 100.0)
    opened = (protocol or Fortinet()).connect(dialer, ticket, wishes, now=now)  # type: ignore[arg-type]
    return test_tunnel.asyncio.run(opened)


def accepting() -> QuietRecords:
    return QuietRecords(ACCEPTED)


def test_dtls_first() -> None:
    records = accepting()
    dialer = BothWays(records, told(EXAMPLE, "Set-Cookie: SVPNCOOKIE=new%0a; path=/"))
    tunnel = connect(dialer)
    assert records.sent[0] == hello.encode(Secret("new%0a"))  # Q13
    assert tunnel.stream is None and tunnel.link == "the link" and tunnel.framing == "ppp-fortinet"  # type: ignore[comparison-overlap]
    assert tunnel.config.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/64"))
    assert tunnel.config.mtu == 1427 and tunnel.config.warnings == ()  # section 11 of the PPP notes
    assert records.linked["framing"] == "ppp-fortinet" and records.linked["options"] == (("ppp.data", b"\3"),)
    assert records.closed and len(dialer.dialed) == 1
    assert all(record[2:4] == b"PP" for record in records.sent[1:])


def test_an_answer_that_was_lost() -> None:  # Q18
    records = QuietRecords()
    tunnel = connect(BothWays(records, told()))
    assert tunnel.stream is None and tunnel.config.addresses[0] == ip_interface("10.11.1.2/32")


@pytest.mark.parametrize(
    ("body", "wishes", "cookie"),
    [
        (EXAMPLE.replace(b'dtls="1"', b'dtls="0"'), {}, "abc"),
        (EXAMPLE, {"datagrams": False}, "abc"),
        (EXAMPLE, {}, "x" * (hello.MAX_COOKIE + 1)),
    ],
    ids=["not offered", "not wanted", "long cookie"],
)
def test_tls_at_once(body: bytes, wishes: dict[str, Any], cookie: str) -> None:
    dialer, ticket = BothWays(accepting(), told(body), QuietStream()), replace(TICKET, cookie=Secret(cookie))
    tunnel = connect(dialer, wishes=replace(BASE, **wishes), ticket=ticket)
    assert tunnel.stream is dialer.streams[1] and dialer.asked == 0
    said = [text for text in tunnel.config.warnings if "TLS" in text]
    assert len(said) == (len(cookie) > 10) and "xxx" not in "".join(said)


def test_no_dtls_through_a_proxy() -> None:
    dialer = BothWays(accepting(), told(), QuietStream())
    dialer.through_proxy = True
    assert connect(dialer).stream is dialer.streams[1] and dialer.asked == 0


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (NO_ANSWER, FELL_BACK),
        (QuietRecords(REFUSED), "udp port 10443: the gateway refuses DTLS ('fail'), packets go by TLS"),
        (QuietRecords(ACCEPTED, NO_ANSWER, wishes=None), "no tunnel by DTLS (no answer within 5 s), packets go by TLS"),
    ],
    ids=["silence", "refusal", "no ppp"],
)
def test_tls_behind_a_new_configuration(records: QuietRecords | Exception, why: str) -> None:
    dialer = BothWays(records, told(), told(), QuietStream())
    tunnel = connect(dialer)
    assert tunnel.stream is dialer.streams[2] and dialer.asked == 1
    assert [stream.requests for stream in dialer.streams[:2]] == [dialer.streams[0].requests] * 2
    (said,) = tunnel.config.warnings
    assert said.endswith(why)
    assert isinstance(records, Exception) or records.closed


def test_a_gateway_that_consents_and_says_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel_module, "PATIENCE", 0.05)
    records = QuietRecords(ACCEPTED, wishes=None)
    dialer = BothWays(records, told(), told(), QuietStream())
    tunnel = connect(dialer)
    assert tunnel.stream is dialer.streams[2] and records.closed
    assert "no tunnel by DTLS (LCP came to no agreement" in tunnel.config.warnings[0]


def test_a_path_that_takes_too_little() -> None:
    records = QuietRecords(ACCEPTED)
    records.path = 600
    dialer = BothWays(records, told(), told(), QuietStream())
    tunnel = connect(dialer)
    assert tunnel.stream is dialer.streams[2] and "leaves 527 bytes for a packet" in tunnel.config.warnings[0]


def test_another_address_is_another_session_by_either_way() -> None:
    protocol = Fortinet()
    first = connect(BothWays(accepting(), told()), protocol)
    other = replace(PEER, ipcp=IpcpWishes(IPv4Address("10.11.1.1"), peer=IPv4Address("10.11.1.9")))
    wishes = replace(BASE, held=first.config.addresses, asked=True)
    with refused(ConfigurationRefused, "address-changed"):
        connect(BothWays(QuietRecords(ACCEPTED, wishes=other), told()), protocol, wishes=wishes)


def test_a_cookie_that_a_refusal_spent() -> None:
    dialer = BothWays(QuietRecords(REFUSED), told(), FakeStream(answer(b"no", status="403 No"), answer(b"")))
    with refused(CookieRejected, "session-rejected: .*with --no-dtls"):
        connect(dialer)


def test_a_session_comes_back_by_tls_and_a_new_one_begins_by_dtls() -> None:
    protocol = Fortinet()
    first = connect(BothWays(accepting(), told()), protocol)
    held = replace(BASE, held=first.config.addresses)
    dialer = BothWays(accepting(), told(), QuietStream())
    second = connect(dialer, protocol, wishes=held, now=200.0)
    assert second.stream is dialer.streams[1] and dialer.asked == 0
    assert second.config.warnings == (f"dtls: {COMES_BACK}",)
    third = connect(BothWays(accepting(), told(), QuietStream()), protocol, wishes=held, now=300.0)
    assert third.config.warnings == ()  # once is enough
    other = Ticket("fortinet", TICKET.connect_url, Secret("SVPNCOOKIE=other"))
    assert connect(BothWays(accepting(), told()), protocol, ticket=other).stream is None


def test_the_user_may_ask_for_dtls() -> None:  # section 6
    protocol = Fortinet()
    first = connect(BothWays(NO_ANSWER, told(), told(), QuietStream()), protocol)
    held = replace(BASE, held=first.config.addresses, asked=True)
    second = connect(BothWays(accepting(), told()), protocol, wishes=held, now=200.0)
    assert second.stream is None and second.config.warnings == ()
    dialer = BothWays(NO_ANSWER, told(), told(), QuietStream())
    third = connect(dialer, protocol, wishes=held, now=300.0)
    assert third.stream is dialer.streams[2] and third.config.warnings == (FELL_BACK,)
    without = connect(BothWays(accepting(), told(), QuietStream()), protocol, wishes=replace(held, datagrams=False))
    assert without.stream is not None


def test_a_refusal_holds_after_a_new_sign_in_and_silence_does_not() -> None:
    other = Ticket("fortinet", TICKET.connect_url, Secret("SVPNCOOKIE=other"))
    for records, again in ((QuietRecords(REFUSED), 0), (NO_ANSWER, 1)):
        protocol = Fortinet()
        connect(BothWays(records, told(), told(), QuietStream()), protocol)
        dialer = BothWays(accepting(), told(), QuietStream())
        connect(dialer, protocol, ticket=other)
        assert dialer.asked == again


def quiet(tunnel: Tunnel, seconds: float) -> list[object]:
    """What the controller does when nothing came for so long; the engine began at the loop's time."""
    began = tunnel.controller.deadline() - seconds
    return list(tunnel.controller.on_time(Traffic(began, began), began + 2 * seconds + 0.1))


@pytest.mark.parametrize(
    ("interval", "force", "dpd"), [(b"10", 0, 10), (b"25", 0, 25), (b"0", 0, DATAGRAM_DPD), (b"25", 7, 7)]
)
def test_dtls_is_never_without_dead_peer_detection(interval: bytes, force: int, dpd: int) -> None:
    body = EXAMPLE.replace(b'heartbeat-interval="10"', b'heartbeat-interval="%s"' % interval)
    tunnel = connect(BothWays(accepting(), told(body)), wishes=replace(BASE, force_dpd=force))
    (ending,) = quiet(tunnel, dpd)
    assert isinstance(ending, Reconnect) and "silent for" in ending.reason


def test_a_path_that_takes_less() -> None:
    tunnel = connect(BothWays(accepting(), told()))
    controller: Any = tunnel.controller
    assert controller.on_path_mtu(1500, 101.0) == [] and controller.on_path_mtu(1400, 102.0) == [SetMtu(1327)]
    (ending,) = controller.on_path_mtu(1300, 103.0)
    assert isinstance(ending, Reconnect)  # no IPv6 fits any more
    four = connect(BothWays(QuietRecords(ACCEPTED, wishes=replace(PEER, ip6cp=None)), told())).controller
    assert four.on_path_mtu(1300, 103.0) == [SetMtu(1227)]  # type: ignore[attr-defined]


def test_the_limits_are_those_of_the_notes() -> None:
    assert (udp.LIMIT, udp.REPEAT, hello.MAX_COOKIE, request.SILENCE) == (5, 1, 1150, 30)
