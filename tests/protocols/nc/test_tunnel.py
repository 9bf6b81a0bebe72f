"""The POST, the opening and what a gateway that refuses means (sections 4 and 5)."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Interface

import pytest

from protocols.base import Secret, Ticket, Tunnel, TunnelOptions
from protocols.errors import (
    ConfigurationRefused,
    ConnectRefused,
    CookieRejected,
    GatewayUnavailable,
    MalformedAnswer,
    MalformedFrame,
)
from protocols.nc import NetworkConnect, tunnel
from protocols.nc.controller import NcController
from tests.protocols.nc.vectors import J2, J3
from tests.protocols.refusals import refused
from tests.transports.http_doubles import HANG, FakeDialer, FakeStream
from transports.errors import TimedOut

TICKET = Ticket("nc", "https://vpn.test/", Secret("DSID=abc; DSLast=17"), banner="Hello")
HEAD = b"HTTP/1.1 200 OK\r\nContent-type: application/octet-stream\r\nNCP-Version: 3\r\nConnection: close\r\n\r\n"
NAME = bytes.fromhex("1400000400000007006c6162686f7374bb0100000000")  # J1


class Dialer(FakeDialer):
    through_proxy = False


def connect(*script: object, held: tuple[IPv4Interface, ...] = ()) -> tuple[Tunnel, FakeStream]:
    stream = FakeStream(*script)
    options = TunnelOptions(local_hostname="labhost", version="1.2.3", held=held)
    protocol = NetworkConnect(bytes)
    return asyncio.run(protocol.connect(Dialer(stream), TICKET, options, now=100.0)), stream  # type: ignore[arg-type]


def test_the_request_tells_a_length_and_sends_no_body() -> None:
    opened, stream = connect(HEAD + J2)
    head, _, rest = stream.written.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /dana/js?prot=1&svc=4 HTTP/1.1",
        "Host: vpn.test",
        "Connection: close",  # Q1
        "User-Agent: vpnclient/1.2.3",
        "Cookie: DSID=abc; DSLastAccess=17",
        "NCP-Version: 3",
        "Content-Length: 256",  # Q2
    ]
    spi, block = b"\0\0\1\0", bytes(64)  # of a generator that gives zeros: the least SPI there is
    assert rest == NAME + J3[:70] + spi + J3[74:80] + block  # the host name, then MTU and keys in one record
    assert (opened.framing, opened.unread, opened.config.banner) == ("oncp", b"", "Hello")
    assert isinstance(opened.controller, NcController) and not stream.closed


@pytest.mark.parametrize("data", [[HEAD, J2], [bytes([byte]) for byte in HEAD + J2 + b"rest"], [HEAD + J2[:7], J2[7:]]])
def test_any_chunking_opens_it(data: list[bytes]) -> None:
    opened, _ = connect(*data)
    assert opened.config.addresses == (IPv4Interface("10.9.0.2/32"),) and opened.config.mtu == 1400


def test_without_udp_no_keys_are_told() -> None:
    def told(*, proxy: bool = False, address: str = "192.0.2.1", datagrams: bool = True) -> bytes:
        stream, dialer = FakeStream(HEAD + J2, address=address), Dialer()
        dialer.through_proxy, dialer.streams = proxy, [stream]
        options = TunnelOptions(local_hostname="labhost", datagrams=datagrams)
        opened = asyncio.run(NetworkConnect(bytes).connect(dialer, TICKET, options, now=0.0))  # type: ignore[arg-type]
        record = stream.written.partition(NAME)[2]
        assert (opened.datagrams is None) == (len(record) < len(J3))
        return record

    alone = bytes.fromhex("2400") + J3[2:38]
    assert told(proxy=True) == told(address="2001:db8::1") == told(datagrams=False) == alone  # Q30
    assert len(told()) == len(J3)


def test_tcp_asks_whether_the_gateway_is_there() -> None:  # 9.1, Q24
    dialer = Dialer(FakeStream(HEAD + J2))
    asyncio.run(NetworkConnect(bytes).connect(dialer, TICKET, TunnelOptions(), now=0.0))  # type: ignore[arg-type]
    assert dialer.kept_alive == [60]


def test_what_follows_the_configuration_is_the_framing() -> None:
    opened, _ = connect(HEAD + J2 + b"\x05\x00rest")
    assert opened.unread == b"\x05\x00rest"


@pytest.mark.parametrize(
    "status, error, text",
    [
        ("302 Found", CookieRejected, "no longer accepts"),  # Q6
        ("401 Unauthorized", CookieRejected, "no longer accepts"),
        ("400 Bad Request", CookieRejected, "no longer accepts"),
        ("503 Service Unavailable", GatewayUnavailable, "cannot open the tunnel now"),
        ("500 Oops", MalformedAnswer, "oncp-http-status: got HTTP status 500 Oops"),
        ("204 No Content", MalformedAnswer, "oncp-http-status"),
    ],
)
def test_a_status_has_its_meaning(status: str, error: type[Exception], text: str) -> None:
    with refused(error, match=text):
        connect(f"HTTP/1.1 {status}\r\nLocation: /\r\n\r\n".encode())


@pytest.mark.parametrize(
    "answer, error, text",
    [
        ("010008", ConnectRefused, "oncp-disabled: .*pulse"),  # Q5
        ("010007", ConnectRefused, r"oncp-refused: the gateway refused the tunnel \(status 7\)"),
        ("000001", CookieRejected, "reason 1"),  # Q4
        ("000008", CookieRejected, "reason 8"),
        ("010000150000000000000000000000000000000000000000000001", MalformedFrame, "oncp first message"),
        ("01000014000001000000012d01000000000000000000000000", MalformedFrame, "oncp kmp header"),
        ("010000", MalformedFrame, "oncp-eof"),
        ("", MalformedFrame, "oncp-eof"),
        ("01000014000000000000000000000000000000000000000000"[:30], MalformedFrame, "oncp-eof"),
        ("0100001a00000000000000012d010000000000000000000006000100000001", ConfigurationRefused, "oncp-bad-config"),
    ],
)
def test_an_opening_that_goes_wrong_is_named_and_closes_the_stream(
    answer: str, error: type[Exception], text: str
) -> None:
    stream = FakeStream(HEAD + bytes.fromhex(answer))
    with refused(error, match=text):
        asyncio.run(NetworkConnect(bytes).connect(Dialer(stream), TICKET, TunnelOptions(), now=0.0))  # type: ignore[arg-type]
    assert stream.closed


def test_a_gateway_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "ANSWER_LIMIT", 0.02)
    with pytest.raises(TimedOut):
        connect(HEAD, HANG)


def test_another_address_than_before_is_told() -> None:
    opened, _ = connect(HEAD + J2, held=(IPv4Interface("10.9.0.2/32"),))
    assert opened.config.warnings == ()
    opened, _ = connect(HEAD + J2, held=(IPv4Interface("10.9.0.7/32"),))
    assert "another address" in opened.config.warnings[0]


@pytest.mark.parametrize(("name", "told"), [("", "localhost"), ("x" * 300, "x" * 255), ("ä" * 128, "ä" * 127)])
def test_the_host_name_fits_its_record(name: str, told: str) -> None:
    assert tunnel.host_name(name) == told
