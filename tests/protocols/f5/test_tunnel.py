"""From a ticket to a tunnel (sections 4 to 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_interface, ip_network

import pytest

from protocols.base import Secret, Ticket, Tunnel, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    NegotiationFailed,
    ProtocolError,
)
from protocols.f5 import F5
from protocols.f5 import tunnel as module
from protocols.ppp.engine import Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import LcpWishes
from tests.protocols.f5.gateway import Dialer, PppStream
from tests.protocols.f5.test_options import NEEDED, document
from tests.protocols.f5.test_profiles import LIST, RESOURCES
from tests.protocols.refusals import refused
from tests.transports.http_doubles import FakeStream, answer, redirect
from transports.errors import ConnectionLost

TICKET = Ticket("f5", "https://vpn.test:4443/", Secret("MRHSession=abc; F5_ST=1z1z1z1700000000z3600"))
DATE = "Date: Tue, 14 Nov 2023 22:33:20 GMT"  # 1700001200
HEAD = (
    b"HTTP/1.0 200 OK\r\nContent-length: 0\r\nX-VPN-client-IP: 10.11.1.2\r\nX-VPN-server-IP: 10.11.1.1\r\n"
    b"X-VPN-client-IPv6: fd00:11::2\r\nX-VPN-server-IPv6: fd00:11::1\r\n\r\n"
)
GATEWAY = Wishes(
    LcpWishes(mru=1400, accm=0, compression=True),
    IpcpWishes(address=IPv4Address("10.11.1.1"), peer=IPv4Address("10.11.1.2"), dns=(IPv4Address("10.11.1.53"),)),
    Ip6cpWishes(bytes(7) + b"\1", bytes(7) + b"\2"),
)
BASE = TunnelOptions(base_mtu=1500, local_hostname="vm", version="1.2.3")
IPV4 = bytes.fromhex("f500002621450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "REQUEST_PAUSE", 0.0)
    yield


def options_of(**fields: str) -> bytes:
    return answer(document({**NEEDED, "IPV6_0": "1", "UseDefaultGateway0": "1", **fields}), DATE)


def told(**fields: str) -> FakeStream:
    """The stream of the configuration."""
    return FakeStream(answer(LIST), options_of(**fields))


def connect(
    *streams: FakeStream, wishes: TunnelOptions = BASE, ticket: Ticket = TICKET, protocol: F5 | None = None
) -> Tunnel:
    opened = (protocol or F5()).connect(Dialer(*streams), ticket, wishes, now=100.0)  # type: ignore[arg-type]
    return asyncio.run(opened)


def test_the_requests() -> None:  # section 6
    http, stream = told(), PppStream(HEAD, GATEWAY)
    connect(http, stream)
    lines = http.written.decode().split("\r\n")
    assert lines[0] == "GET /vdesk/vpn/index.php3?outform=xml&client_version=2.0 HTTP/1.1"
    assert lines.count("Cookie: MRHSession=abc; F5_ST=1z1z1z1700000000z3600") == 2
    assert "GET /vdesk/vpn/connect.php3?resourcename=/Common/one&outform=xml&client_version=2.0 HTTP/1.1" in lines
    assert http.closed
    assert stream.written.startswith(
        b"GET /myvpn?sess=abc123&hdlc_framing=no&ipv4=yes&ipv6=yes&Z=/Common/lab1&hostname=dm0= HTTP/1.1\r\n"
        b"Host: vpn.test:4443\r\nUser-Agent: vpnclient 1.2.3\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "encoded"),
    [("vm", "dm0="), ("client", "Y2xpZW50"), ("lab-host-1", "bGFiLWhvc3QtMQ=="), ("a?>", "YT8+")],
)
def test_host_names(name: str, encoded: str) -> None:  # section 12
    stream = PppStream(HEAD, GATEWAY)
    connect(told(), stream, wishes=TunnelOptions(base_mtu=1500, local_hostname=name))
    assert f"&hostname={encoded} HTTP/1.1".encode() in stream.written


def test_the_tunnel() -> None:
    stream = PppStream(HEAD, GATEWAY, behind=IPV4)
    tunnel = connect(told(DNS0="10.0.0.53", idle_session_timeout="600"), stream)
    assert tunnel.stream is stream and not stream.closed and tunnel.framing == "ppp-f5"
    assert [str(one) for one in tunnel.config.addresses] == ["10.11.1.2/32", "fd00:11::2/128"]
    assert (tunnel.config.mtu, tunnel.config.idle_timeout, tunnel.config.session_timeout) == (1400, 600, 2400)
    assert tunnel.config.dns == (IPv4Address("10.0.0.53"),)
    assert tunnel.config.warnings == ()
    assert tunnel.framing_options == (("ppp.data", b"\3"), ("ppp.pfc", b"\1"), ("ppp.acfc", b"\1"))
    assert tunnel.controller.deadline() == 100 + 2400 - 300  # the warning before the end


class Packed(PppStream):
    """Everything that is ready comes in one read; IP packets with the read of that number."""

    def __init__(self, data_with: int = 0) -> None:
        super().__init__(HEAD, GATEWAY)
        self.reads, self._data_with = 0, data_with

    async def read(self, limit: int = 65536) -> bytes:
        self.reads += 1
        data, self._out = b"".join(self._out), []
        return data + (IPV4 if self.reads == self._data_with else b"")


def test_what_follows_the_negotiation_in_the_same_read_is_not_lost() -> None:
    first = Packed()
    assert connect(told(), first).unread == b""
    assert connect(told(), Packed(data_with=first.reads)).unread == IPV4


def test_hdlc() -> None:  # Q12
    stream = PppStream(HEAD, GATEWAY, "ppp-f5-hdlc")
    tunnel = connect(told(hdlc_framing="yes"), stream)
    assert b"hdlc_framing=yes" in stream.written
    assert tunnel.framing == "ppp-f5-hdlc" and tunnel.framing_options[-1] == ("ppp.accm", bytes(4))
    assert all(record[:1] == record[-1:] == b"\x7e" and record.count(b"\x7e") == 2 for record in stream.records)


def test_without_ipv6() -> None:
    stream = PppStream(HEAD, GATEWAY)
    tunnel = connect(told(), stream, wishes=TunnelOptions(base_mtu=1500, ipv6=False))
    assert b"&ipv6=no&" in stream.written
    assert [one.version for one in tunnel.config.addresses] == [4]
    assert tunnel.framing_options[0] == ("ppp.data", b"\1")


def test_a_small_mtu_carries_no_ipv6() -> None:
    tunnel = connect(told(), PppStream(HEAD, GATEWAY), wishes=TunnelOptions(base_mtu=1500, mtu=1200))
    assert tunnel.config.mtu == 1200 and [one.version for one in tunnel.config.addresses] == [4]
    assert any("ipv6-mtu-too-small" in text for text in tunnel.config.warnings)
    small = Wishes(LcpWishes(mru=1000), GATEWAY.ipcp, GATEWAY.ip6cp)
    tunnel = connect(told(), PppStream(HEAD, small))
    assert tunnel.config.mtu == 1000 and [one.version for one in tunnel.config.addresses] == [4]


def test_a_small_path_carries_ipv6_all_the_same() -> None:
    """A stream has no largest packet."""
    tunnel = connect(told(), PppStream(HEAD, GATEWAY), wishes=TunnelOptions(base_mtu=1300))
    assert tunnel.config.mtu == 1280 and len(tunnel.config.addresses) == 2
    tunnel = connect(told(), PppStream(HEAD, GATEWAY), wishes=TunnelOptions(base_mtu=1300, ipv6=False))
    assert tunnel.config.mtu == 1300 - 52 - 27


def test_without_addresses_in_the_head_ipv4_is_asked_for() -> None:
    tunnel = connect(told(), PppStream(b"HTTP/1.1 201 OK\r\n\r\n", GATEWAY))
    assert [str(one) for one in tunnel.config.addresses] == ["10.11.1.2/32"]
    assert tunnel.config.dns == (IPv4Address("10.11.1.53"),)  # asked for as well
    assert any("told no IPv6 address" in text for text in tunnel.config.warnings)


def test_a_gateway_that_refuses_one_family() -> None:
    only4 = Wishes(GATEWAY.lcp, GATEWAY.ipcp, None)
    tunnel = connect(told(), PppStream(HEAD, only4))
    assert [one.version for one in tunnel.config.addresses] == [4]
    assert any(text == "IP6CP: the peer rejects IP6CP" for text in tunnel.config.warnings)


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        ("401 Unauthorized", CookieRejected, "session-rejected"),
        ("403 Forbidden", CookieRejected, "session-rejected"),
        ("504 Gateway Timeout", CookieRejected, "session-rejected"),
        ("503 Service Unavailable", GatewayUnavailable, "cannot open the tunnel now"),
        ("404 Not Found", ConnectRefused, "tunnel-refused: got HTTP status 404 Not Found, want 200"),
        ("302 Found", ConnectRefused, "tunnel-refused"),
        ("500 Oops", ConnectRefused, "tunnel-refused"),
    ],
)
def test_what_a_status_means(status: str, error: type[ProtocolError], text: str) -> None:
    stream = FakeStream(f"HTTP/1.1 {status}\r\n\r\n".encode())
    with refused(error, text) as caught:
        connect(told(), stream)
    assert stream.closed and "abc" not in str(caught.value)


@pytest.mark.parametrize("value", ["x", "0.0.0.0", "127.0.0.1", "224.0.0.1", "fd00::1", "10.0.0.1/24", "10.0.0.1%1"])
def test_addresses_that_cannot_be(value: str) -> None:
    stream = PppStream(HEAD.replace(b"10.11.1.2\r", value.encode() + b"\r"), GATEWAY)
    with refused(ConfigurationRefused, "config-bad-address"):
        connect(told(), stream)
    assert stream.closed


def test_a_hang_up_before_the_answer_is_tried_again() -> None:
    hung = [FakeStream() for _ in range(4)]
    connect(told(), *hung, PppStream(HEAD, GATEWAY))
    assert all(stream.closed for stream in hung)
    with pytest.raises(ConnectionLost):
        connect(told(), *[FakeStream() for _ in range(10)])


def test_a_gateway_that_closes_instead_of_negotiating() -> None:  # ppp.md section 13
    stream = FakeStream(HEAD)
    stream.info = PppStream(HEAD, GATEWAY).info
    with refused(ConfigurationRefused, "ppp-establish-failed"):
        connect(told(), stream)
    assert stream.closed


def test_a_gateway_that_speaks_something_else() -> None:
    stream = FakeStream(HEAD + bytes.fromhex("f5010004"))
    stream.info = PppStream(HEAD, GATEWAY).info
    with refused(NegotiationFailed, "ppp-bad-encapsulation"):
        connect(told(), stream)
    assert stream.closed


def test_the_session_that_is_refused_with_the_configuration() -> None:
    for first in (redirect("/my.policy"), answer(b"", status="403 No"), answer(b"<html>sign in</html>")):
        with refused(CookieRejected, "session-rejected"):
            connect(FakeStream(first))
    with pytest.raises(GatewayUnavailable):
        connect(FakeStream(answer(b"", status="503 Busy")))
    with refused(ConfigurationRefused, r"config-refused: got HTTP status 500 Oops for /vdesk/vpn/index\.php3,"):
        connect(FakeStream(answer(b"", status="500 Oops")))


def test_an_empty_list_and_the_other_one() -> None:
    empty = answer(b"<favorites type='VPN'/>")
    other = answer(b"<resources><item><id>/Common/x</id></item></resources>")
    http = FakeStream(empty, answer(RESOURCES), other, options_of())
    connect(http, PppStream(HEAD, GATEWAY))
    assert b"GET /list.xml?na=/Common/x%20y HTTP/1.1" in http.written
    assert b"GET /vdesk/vpn/connect.php3?resourcename=/Common/x&outform=xml" in http.written
    for nothing in (answer(b"", status="404 No"), answer(b"<res/>")):
        with refused(ConfigurationRefused, "config-no-profile"):
            connect(FakeStream(empty, nothing))


def test_the_wanted_resource() -> None:
    http = told()
    connect(http, PppStream(HEAD, GATEWAY), wishes=TunnelOptions(base_mtu=1500, authgroup="second"))
    assert b"connect.php3?resourcename=/Common/two&a=b&outform" in http.written


@pytest.mark.parametrize(
    ("cookie", "date", "left", "warned"),
    [
        ("MRHSession=a; F5_ST=1z1z1z1700000000z3600", DATE, 2400, False),
        ("MRHSession=a; F5_ST=1z1z1z1700000000z600", DATE, 0, True),  # over, by the gateway's own clock
        ("MRHSession=a; F5_ST=1z1", DATE, 0, False),
        ("MRHSession=a", DATE, 0, False),
        ("MRHSession=a; F5_ST=1z1z1z1700000000z3600", "Date: yesterday", 0, False),
        ("MRHSession=a; F5_ST=1z1z1z1700000000z3600", "X: y", 0, False),
    ],
)
def test_how_long_the_session_lasts(cookie: str, date: str, left: int, warned: bool) -> None:
    fields = {**NEEDED, "UseDefaultGateway0": "1"}
    http = FakeStream(answer(LIST), answer(document(fields), date))
    tunnel = connect(http, PppStream(HEAD, GATEWAY), ticket=Ticket("f5", TICKET.connect_url, Secret(cookie)))
    assert tunnel.config.session_timeout == left
    assert any("F5_ST" in text for text in tunnel.config.warnings) is warned


def test_the_networks_of_the_options_arrive() -> None:
    tunnel = connect(told(UseDefaultGateway0="0", LAN0="10.0.0.0/8", LAN6_0="fd00::/16"), PppStream(HEAD, GATEWAY))
    assert tunnel.config.split_include == (ip_network("10.0.0.0/8"), ip_network("fd00::/16"))


# --- reconnecting ---


def again(head: bytes = HEAD, peer: str = "10.11.1.2", ticket: Ticket = TICKET) -> Tunnel:
    """The second tunnel of one session, whose first had 10.11.1.2 and fd00:11::2."""
    protocol = F5()
    first = connect(told(), PppStream(HEAD, GATEWAY), protocol=protocol)
    wishes = TunnelOptions(base_mtu=1500, held=first.config.addresses)
    other = Wishes(GATEWAY.lcp, IpcpWishes(address=IPv4Address("10.11.1.1"), peer=IPv4Address(peer)), GATEWAY.ip6cp)
    return connect(told(), PppStream(head, other), wishes=wishes, ticket=ticket, protocol=protocol)


def test_a_reconnect_keeps_its_addresses() -> None:
    assert again().config.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/128"))
    proposed = again(b"HTTP/1.1 200 OK\r\n\r\n")
    assert proposed.config.addresses[0] == ip_interface("10.11.1.2/32")


def test_another_address_ends_the_session() -> None:
    with refused(ConfigurationRefused, r"address-changed: .*10\.11\.1\.9, want 10\.11\.1\.2 as before"):
        again(HEAD.replace(b"10.11.1.2", b"10.11.1.9"))
    with refused(ConfigurationRefused, "address-changed"):
        again(peer="10.11.1.9")
    with refused(ConfigurationRefused, r"address-changed: .*fd00:11::9"):
        again(HEAD.replace(b"fd00:11::2", b"fd00:11::9"))


def test_after_a_new_sign_in_another_address_is_no_surprise() -> None:
    fresh = Ticket("f5", TICKET.connect_url, Secret("MRHSession=new"))
    found = again(HEAD.replace(b"10.11.1.2", b"10.11.1.9"), peer="10.11.1.9", ticket=fresh)
    assert found.config.addresses[0] == ip_interface("10.11.1.9/32")
