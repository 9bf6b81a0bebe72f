"""The CONNECT (sections 3.1 and 3.2), and the tickets it starts from."""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_interface

import pytest

from protocols.anyconnect import AnyConnect, agent
from protocols.base import Secret, Ticket, Tunnel, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    MalformedAnswer,
    ProtocolError,
)
from tests.transports.http_doubles import FakeDialer, FakeStream
from transports.errors import ConnectionLost, HttpError

TICKET = Ticket("anyconnect", "https://vpn.test:4443/", Secret("webvpn=tok="), address="192.0.2.1", banner="Hello")
HEAD = "HTTP/1.1 200 CONNECTED\r\nX-CSTP-Address: 10.0.0.2\r\nX-CSTP-MTU: 1400\r\nX-CSTP-DPD: 30\r\n"


class Dialer(FakeDialer):
    through_proxy = False

    def address_of(self, host: str) -> str | None:
        return None


def connect(
    *script: object, ticket: Ticket = TICKET, options: TunnelOptions | None = None
) -> tuple[Tunnel, list[FakeStream]]:
    streams = [FakeStream(one) if isinstance(one, bytes) else FakeStream(*one) for one in script]  # type: ignore[misc]
    dialer = Dialer(*streams)
    opened = AnyConnect().connect(dialer, ticket, options or TunnelOptions(base_mtu=1500), now=100.0)  # type: ignore[arg-type]
    return asyncio.run(opened), streams


def lines(stream: FakeStream) -> list[str]:
    return stream.written.decode().split("\r\n")


def test_the_request() -> None:
    held = (ip_interface("10.0.0.2/24"), ip_interface("fd00::2/64"))
    options = TunnelOptions(
        base_mtu=1500, held=held, local_hostname="my host.example.org", version="1.2.3", datagrams=False
    )
    _, (stream,) = connect((HEAD + "\r\n").encode(), options=options)
    assert lines(stream) == [
        "CONNECT /CSCOSSLC/tunnel HTTP/1.1",
        "Host: vpn.test:4443",
        f"User-Agent: {agent.user_agent('', '1.2.3')}",
        "Cookie: webvpn=tok=",
        "X-CSTP-Version: 1",
        "X-CSTP-Hostname: myhost",  # Q31
        "X-CSTP-Protocol: Copyright (c) 2004 Cisco Systems, Inc.",  # Q3
        "X-CSTP-Base-MTU: 1500",
        "X-CSTP-MTU: 1390",
        "X-CSTP-Address-Type: IPv6,IPv4",
        "X-CSTP-Address: 10.0.0.2",
        "X-CSTP-Address: fd00::2",
        "X-CSTP-Full-IPv6-Capability: true",
        "",
        "",
    ]


def test_without_ipv6() -> None:
    options = TunnelOptions(ipv6=False, held=(ip_interface("10.0.0.2/24"), ip_interface("fd00::2/64")))
    _, (stream,) = connect((HEAD + "\r\n").encode(), options=options)
    sent = stream.written.decode()
    assert "X-CSTP-Address-Type: IPv4\r\n" in sent and "IPv6" not in sent and "fd00" not in sent


def test_nothing_is_offered_that_this_version_cannot_do() -> None:
    _, (stream,) = connect((HEAD + "\r\n").encode())
    assert not re.search(r"Accept-Encoding|STRAP|X-AnyConnect-Platform", stream.written.decode())


def test_dtls_is_offered_with_a_new_secret_each_time() -> None:  # 3.1
    secrets = set()
    for _ in range(2):
        _, (stream,) = connect((HEAD + "\r\n").encode())
        sent = dict(line.split(": ", 1) for line in lines(stream)[1:] if line)
        assert re.fullmatch("[0-9A-F]{96}", sent["X-DTLS-Master-Secret"])
        secrets.add(sent["X-DTLS-Master-Secret"])
        assert sent["X-DTLS-CipherSuite"].startswith("PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:")
        assert "AES256-GCM-SHA384" in sent["X-DTLS12-CipherSuite"] and "DES" not in sent["X-DTLS-CipherSuite"]
    assert len(secrets) == 2


def test_dtls_is_not_offered_through_a_proxy_or_when_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (stream,) = connect((HEAD + "\r\n").encode(), options=TunnelOptions(base_mtu=1500, datagrams=False))
    assert "DTLS" not in stream.written.decode()
    monkeypatch.setattr(Dialer, "through_proxy", True)
    _, (stream,) = connect((HEAD + "\r\n").encode())
    assert "DTLS" not in stream.written.decode()


def test_what_was_agreed_becomes_a_channel() -> None:
    agreed = f"X-DTLS-CipherSuite: PSK-NEGOTIATE\r\nX-DTLS-App-ID: {'5a' * 32}\r\nX-DTLS-Port: 443\r\n"
    tunnel, _ = connect((HEAD + agreed + "\r\n").encode())
    assert tunnel.datagrams is not None and tunnel.datagrams.name == "DTLS"
    tunnel, _ = connect((HEAD + "\r\n").encode())
    assert tunnel.datagrams is None


def test_a_cipher_of_dtls_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationRefused, match="no DTLS cipher is named 'ROT13'; there are: "):
        connect((HEAD + "\r\n").encode(), options=TunnelOptions(dtls_ciphers="ROT13"))


def test_compression_is_offered_when_wanted() -> None:  # section 8
    answer = (HEAD + "X-CSTP-Content-Encoding: lzs\r\n\r\n").encode()
    tunnel, (stream,) = connect(answer, options=TunnelOptions(base_mtu=1500, compression=True))
    assert "X-CSTP-Accept-Encoding: oc-lz4,lzs" in lines(stream)
    assert tunnel.framing_options == (("cstp.compression", b"lzs"),)


def test_the_tunnel() -> None:
    first = bytes.fromhex("5354460100000700")
    tunnel, (stream,) = connect((HEAD + "\r\n").encode() + first)  # Q29: packets in the same read
    assert tunnel.stream is stream and tunnel.framing == "cstp"
    assert tunnel.unread == first
    assert (tunnel.config.mtu, tunnel.config.banner) == (1400, "Hello")
    assert tunnel.controller.deadline() == 130.0
    assert not stream.closed


def test_the_banner_of_the_answer_wins() -> None:
    tunnel, _ = connect((HEAD + "X-CSTP-Banner: Other\r\n\r\n").encode())
    assert tunnel.config.banner == "Other"


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            "HTTP/1.1 401 Cookie is not acceptable\r\n\r\n",
            CookieRejected,
            "^the gateway no longer .*401 Cookie is not acceptable",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", CookieRejected, "403"),
        ("HTTP/1.1 503 Service Unavailable\r\nX-Reason: full\r\n\r\n", GatewayUnavailable, r"503 full"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", GatewayUnavailable, "503 Service Unavailable"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", ConnectRefused, "^got HTTP status 404 Not Found"),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", ConnectRefused, "302"),
        ("HTTP/1.1 200 OK\r\nX-CSTP-MTU: 1400\r\n\r\n", ConfigurationRefused, "^the gateway gave no usable address"),
        ("HTTP/1.1 200 OK\r\n\r\n", ConfigurationRefused, "^the gateway gave no tunnel MTU"),
    ],
)
def test_what_a_status_means(answer: str, error: type[ProtocolError], text: str) -> None:
    stream = FakeStream(answer.encode())
    dialer = Dialer(stream)
    with pytest.raises(error, match=text) as caught:
        asyncio.run(AnyConnect().connect(dialer, TICKET, TunnelOptions(), now=0.0))  # type: ignore[arg-type]
    assert stream.closed
    assert "tok=" not in str(caught.value)


def test_a_connection_lost_before_the_answer_is_tried_once_more() -> None:
    _, streams = connect(b"", (HEAD + "\r\n").encode())
    assert streams[0].closed and streams[0].written == streams[1].written
    with pytest.raises(ConnectionLost):
        connect(b"", b"", (HEAD + "\r\n").encode())


def test_lines_without_colon_are_no_obstacle() -> None:  # of an X-CSTP-Post-Auth-XML
    tunnel, _ = connect((HEAD + "X-CSTP-Post-Auth-XML: <a>\r\nhunter2\r\n</a>\r\n\r\n").encode())
    assert "hunter2" not in repr(tunnel.config)


def test_tickets_from_cookies() -> None:
    protocol = AnyConnect()
    ticket = protocol.ticket_from_cookie("https://vpn.test/group?x", Secret("openconnect_strapkey=K; webvpn=t=="))
    assert ticket == Ticket("anyconnect", "https://vpn.test/", Secret("webvpn=t=="))
    with pytest.raises(MalformedAnswer, match=r"character U\+000D at position 1 of the cookie"):
        protocol.ticket_from_cookie("https://vpn.test/", Secret("a\r\nb"))
    with pytest.raises(HttpError, match="bad URL"):
        protocol.ticket_from_cookie("http://vpn.test/", Secret("a"))


def test_the_default_agent_pleases_asa_and_ocserv() -> None:  # Q1, section 10
    name = agent.user_agent("", "0.1.0")
    assert name.startswith("AnyConnect-compatible OpenConnect") and "vpnclient 0.1.0" in name


@pytest.mark.parametrize(
    ("local", "told"),
    [("pc.example.org", "pc"), ("my pc", "mypc"), ("", "localhost"), ("ü.x", "localhost"), ("a_b-1", "a_b-1")],
)
def test_the_local_name(local: str, told: str) -> None:  # Q31
    assert agent.host_name(local) == told
