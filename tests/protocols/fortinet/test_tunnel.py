"""From a ticket to a tunnel (sections 4 to 8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_interface

import pytest

from protocols.base import Secret, Ticket, Tunnel, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    NegotiationFailed,
    NotSupported,
    ProtocolError,
)
from protocols.fortinet import Fortinet, request
from protocols.ppp.engine import Wishes
from protocols.ppp.ipcp import IpcpWishes
from tests.protocols.fortinet.gateway import PEER, QuietStream, TlsDialer
from tests.protocols.fortinet.test_document import EXAMPLE, FOUR, document
from tests.protocols.refusals import refused
from tests.transports.http_doubles import FakeDialer, FakeStream, answer, redirect
from transports.http import HttpClient

TICKET = Ticket("fortinet", "https://vpn.test:10443/", Secret("SVPNCOOKIE=abc%0a=="))
BASE = TunnelOptions(base_mtu=1500, version="1.2.3")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(request, "LISTEN", 0.02)
    yield


def told(body: bytes = EXAMPLE, *headers: str) -> FakeStream:
    """The stream of the configuration."""
    return FakeStream(answer(body, *headers))


def connect(
    *streams: FakeStream,
    wishes: TunnelOptions = BASE,
    ticket: Ticket = TICKET,
    protocol: Fortinet | None = None,
    now: float = 100.0,
) -> Tunnel:
    opened = (protocol or Fortinet()).connect(TlsDialer(*streams), ticket, wishes, now=now)  # type: ignore[arg-type]
    return asyncio.run(opened)


def test_the_requests() -> None:
    http, stream = told(), QuietStream()
    connect(http, stream)
    assert http.written.startswith(b"GET /remote/fortisslvpn_xml?dual_stack=1 HTTP/1.1\r\n")
    for sent in (http.written, stream.written):
        assert b"Host: vpn.test:10443\r\n" in sent and b"Cookie: SVPNCOOKIE=abc%0a==\r\n" in sent
        assert b"User-Agent: Mozilla/5.0 SV1\r\n" in sent
    assert stream.written.startswith(b"GET /remote/sslvpn-tunnel HTTP/1.1\r\n")
    assert http.closed and not stream.closed


def test_without_ipv6() -> None:
    http = told()
    tunnel = connect(http, QuietStream(), wishes=replace(BASE, ipv6=False, user_agent="Own 1"))
    assert http.requests == [b"GET /remote/fortisslvpn_xml HTTP/1.1"] and b"User-Agent: Own 1\r\n" in http.written
    assert [one.version for one in tunnel.config.addresses] == [4] and tunnel.config.warnings == ()


@pytest.mark.parametrize("waits", [False, True])
def test_the_tunnel(waits: bool) -> None:  # Q1: whoever speaks first
    stream = QuietStream(waits=waits)
    tunnel = connect(told(), stream)
    assert tunnel.stream is stream and tunnel.framing == "ppp-fortinet"
    assert tunnel.config.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/64"))
    assert (tunnel.config.mtu, tunnel.config.idle_timeout, tunnel.config.session_timeout) == (1418, 300, 28800)
    assert tunnel.framing_options == (("ppp.data", b"\3"),)
    assert all(record[2:4] == b"PP" for record in stream.records)
    assert stream.records[0][6:].startswith(bytes.fromhex("c0210101000e0104058a0506"))  # no ff 03; MRU and magic
    assert tunnel.controller.deadline() <= time.monotonic() + 10  # the heartbeat's interval


def test_a_small_mtu_carries_no_ipv6() -> None:
    tunnel = connect(told(), QuietStream(), wishes=replace(BASE, mtu=1200))
    assert tunnel.config.mtu == 1200 and [one.version for one in tunnel.config.addresses] == [4]
    assert any("ipv6-mtu-too-small" in text for text in tunnel.config.warnings)


def test_ipv6_that_the_gateway_rejects() -> None:  # Q12 of the PPP notes
    tunnel = connect(told(), QuietStream(replace(PEER, ip6cp=None)))
    assert [one.version for one in tunnel.config.addresses] == [4]
    assert any("IP6CP" in text for text in tunnel.config.warnings)


def test_servers_are_asked_for_if_none_is_told() -> None:
    ipcp = IpcpWishes(IPv4Address("10.11.1.1"), peer=IPv4Address("10.11.1.2"), dns=(IPv4Address("10.0.0.53"),))
    tunnel = connect(told(document()), QuietStream(Wishes(PEER.lcp, ipcp)))
    assert tunnel.config.dns == (IPv4Address("10.0.0.53"),)


@pytest.mark.parametrize(
    ("first", "error", "text"),
    [
        (answer(b"", status="401 No"), CookieRejected, "session-rejected"),
        (redirect("/remote/login?err=1"), CookieRejected, "session-rejected"),
        (redirect("/elsewhere"), ConfigurationRefused, "config-refused: got HTTP status 302"),
        (answer(b"", status="404 No"), ConfigurationRefused, "config-refused: .*FortiOS 7.6"),
        (answer(b"", status="500 No"), ConfigurationRefused, "config-refused"),
        (answer(b"", status="503 Busy"), GatewayUnavailable, "cannot tell"),
        (answer(b"<html/>"), CookieRejected, "session-rejected"),
        (answer(b"no") + b"", ConfigurationRefused, "config-bad-xml"),
        (answer(EXAMPLE, "Set-Cookie: SVPNCOOKIE=; path=/"), CookieRejected, "took the session's cookie back"),
    ],
)
def test_configurations_that_are_refused(first: bytes, error: type[ProtocolError], text: str) -> None:
    stream = FakeStream(first)
    with refused(error, text) as caught:
        connect(stream)
    assert stream.closed and "abc" not in str(caught.value)


def test_an_old_gateway_and_one_that_says_no() -> None:
    forbidden = answer(b"no", status="403 No")
    with refused(NotSupported, "unsupported-fortios4"):
        connect(FakeStream(forbidden, answer(b"old")))
    for second in (answer(b""), forbidden):
        http = FakeStream(forbidden, second)
        with refused(CookieRejected, "session-rejected: .*tunnel mode"):
            connect(http)
        assert http.requests[1] == b"GET /remote/fortisslvpn HTTP/1.1"


def silent(*script: object) -> FakeStream:
    """A tunnel's stream that says this and ends."""
    stream = FakeStream(*script)
    stream.info = QuietStream().info
    return stream


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", CookieRejected, "session-rejected"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", ConnectRefused, "tunnel-refused"),
        (b"", ConnectRefused, "tunnel-refused: .*without an answer"),
        (bytes.fromhex("0016505000"), ConfigurationRefused, "ppp-establish-failed"),
        (bytes.fromhex("001950500012"), NegotiationFailed, "ppp-bad-encapsulation"),
    ],
)
def test_tunnels_that_are_refused(said: bytes, error: type[ProtocolError], text: str) -> None:
    stream = silent(*[said] if said else [])
    with refused(error, text):
        connect(told(), stream)
    assert stream.closed


def test_padded_chunks() -> None:  # Q6
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    http = FakeStream(head + b"%x    \r\n%s\r\n0\r\n\r\n" % (len(EXAMPLE), EXAMPLE))
    assert connect(http, QuietStream()).config.session_timeout == 28800


def test_a_renewed_cookie_is_used_from_then_on() -> None:  # Q13
    protocol, stream = Fortinet(), QuietStream()
    connect(told(EXAMPLE, "Set-Cookie: SVPNCOOKIE=new; path=/", "Set-Cookie: other=1"), stream, protocol=protocol)
    assert b"Cookie: SVPNCOOKIE=new; other=1\r\n" in stream.written
    http = told()
    connect(http, QuietStream(), protocol=protocol)
    assert b"Cookie: SVPNCOOKIE=new\r\n" in http.written
    out = FakeStream(answer(b""))
    asyncio.run(protocol.logout(HttpClient(FakeDialer(out), user_agent="x"), TICKET))  # type: ignore[arg-type]
    assert b"Cookie: SVPNCOOKIE=new\r\n" in out.written


# --- reconnecting ---


def again(body: bytes, *streams: FakeStream, protocol: Fortinet | None = None, now: float = 200.0) -> Tunnel:
    """The second tunnel of one session, whose first had 10.11.1.2 and fd00:11::2."""
    protocol = protocol or Fortinet()
    first = connect(told(), QuietStream(), protocol=protocol)
    wishes = replace(BASE, held=first.config.addresses)
    return connect(told(body), *streams, wishes=wishes, protocol=protocol, now=now)


def test_a_reconnect_keeps_its_addresses() -> None:
    assert again(EXAMPLE, QuietStream()).config.addresses[0] == ip_interface("10.11.1.2/32")
    with refused(ConfigurationRefused, r"address-changed: .*10\.11\.1\.9, want 10\.11\.1\.2 as before"):
        again(EXAMPLE.replace(b"10.11.1.2'", b"10.11.1.9'"))
    with refused(ConfigurationRefused, r"address-changed: .*fd00:11::9"):
        again(EXAMPLE.replace(b"fd00:11::2'", b"fd00:11::9'"))


def test_a_session_that_is_spent_is_signed_in_anew() -> None:
    protocol = Fortinet()
    with refused(CookieRejected, "session-rejected: .*no other tunnel"):
        again(EXAMPLE.replace(b"10.11.1.2'", b"error'"), protocol=protocol)
    asyncio.run(protocol.logout(None, TICKET))  # type: ignore[arg-type]  # nothing is asked of the gateway
    with refused(CookieRejected, "session-rejected"):
        again(EXAMPLE, silent(b"\0"))
    with refused(CookieRejected, "session-rejected"):
        again(EXAMPLE, silent())
    with refused(CookieRejected, "time is over"):
        again(EXAMPLE, now=100.0 + 28800)


def test_another_ticket_is_another_session() -> None:
    protocol = Fortinet()
    first = connect(told(), QuietStream(), protocol=protocol)
    other = Ticket("fortinet", TICKET.connect_url, Secret("SVPNCOOKIE=other"))
    changed = replace(PEER, ipcp=IpcpWishes(IPv4Address("10.11.1.1"), peer=IPv4Address("10.11.1.9")))
    body = document(FOUR.replace("1.2", "1.9"))
    wishes = replace(BASE, held=first.config.addresses)
    found = connect(told(body), QuietStream(changed), wishes=wishes, ticket=other, protocol=protocol)
    assert found.config.addresses == (ip_interface("10.11.1.9/32"),)
