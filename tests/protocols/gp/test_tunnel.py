"""Requests and answers around the tunnel (sections 9.1 and 11.1)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret, Ticket, TunnelConfig, TunnelOptions
from protocols.errors import ConnectRefused, CookieRejected, GatewayUnavailable, MalformedAnswer, ProtocolError
from protocols.framing.esp_sa import Cipher, Mac, suite_of
from protocols.gp import gpst, tunnel
from protocols.gp.config import GatewayConfig, Timers
from protocols.gp.ipsec import EspParameters
from tests.protocols.doubles import coded

COOKIE = "authcookie=deadbeef&portal=GW-N&user=u&domain=%28empty_domain%29&preferred-ip=10.0.0.1&computer=vm"
TICKET = Ticket("gp", "https://gw.example:8443/", Secret(COOKIE), notes={"version": "6.1.0-1", "hip-interval": "600"})
FOUR, SIX = IPv4Interface("10.99.0.2/32"), IPv6Interface("fd00:99::2/128")


def request(ticket: Ticket = TICKET, **wishes: object) -> str:
    options = TunnelOptions(**wishes)  # type: ignore[arg-type]
    return tunnel.config_request(tunnel.Session.of(ticket, options), options).decode()


def test_getconfig() -> None:
    assert request() == (
        "client-type=1&protocol-version=p1&internal=no&app-version=6.1.0-1&ipv6-support=yes&clientos=Linux"
        "&os-version=linux-64&hmac-algo=sha1%2cmd5%2csha256&enc-algo=aes-128-cbc%2caes-256-cbc&" + COOKIE
    )


def test_getconfig_on_reconnect_asks_for_what_was_held() -> None:
    asked = request(held=(FOUR, SIX))
    assert "&preferred-ip=10.99.0.2&preferred-ipv6=fd00%3a99%3a%3a2&authcookie=" in asked and "10.0.0.1" not in asked
    assert "preferred-ipv6" not in request(held=(FOUR, SIX), ipv6=False)


@pytest.mark.parametrize(
    "notes, given, told",
    [({}, "0.1.0", "6.3.3-619"), (TICKET.notes, "0.1.0", "6.1.0-1"), (TICKET.notes, "6.2.8-223", "6.2.8-223")],
)
def test_the_version_is_the_users_or_the_portals(notes: dict[str, str], given: str, told: str) -> None:  # Q19
    assert f"app-version={told}&" in request(replace(TICKET, notes=notes), version=given)


def test_other_systems() -> None:
    assert "clientos=Windows&os-version=win&" in request(os_name="win")
    assert "ipv6-support=no" in request(ipv6=False)


@pytest.mark.parametrize("after", [b"", b"\x1a\x2b\x3c\x4d", b"HTTP/1.1"])
def test_start_tunnel_and_what_follows(after: bytes) -> None:
    whole = b"START_TUNNEL" + after
    assert gpst.started(whole) == after
    assert all(gpst.started(whole[:cut]) is None for cut in range(12))


@pytest.mark.parametrize(
    "received, kind, says",
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n", CookieRejected, "does not open a tunnel .*502 Bad Gateway"),
        (b"HTTP/1.1 503 Busy\r\n", GatewayUnavailable, "503 Busy"),
        (b"HTTP/1.1 429\r\n", GatewayUnavailable, "429"),
        (b"HTTP/1.1 404 Not Found\r\nX: y\r\n", ConnectRefused, "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\n", MalformedAnswer, "tunnel-refused: got 'HTTP/1.1 200 OK"),
        (b"START_TUNNEX", MalformedAnswer, "tunnel-refused"),
        (b"\x00\x01", MalformedAnswer, "tunnel-refused: got '..'"),
        (b"HTTP/1.1 502 " + b"x" * 2000, CookieRejected, "502 xxx"),  # without an end, longer than any
    ],
)
def test_other_answers(received: bytes, kind: type[ProtocolError], says: str) -> None:
    with coded(kind, says):
        gpst.started(received)


def test_a_status_line_is_waited_for() -> None:
    assert gpst.started(b"H") is None and gpst.started(b"HTTP/1.1 502 Bad") is None


@given(st.binary(max_size=200))
def test_any_answer(received: bytes) -> None:
    for data in (received, b"START_TU" + received, b"HTTP/1.1 " + received):
        try:
            gpst.started(data)
        except ProtocolError as exc:
            assert str(exc)


def completed(found: GatewayConfig, **wishes: object) -> TunnelConfig:
    return tunnel.completed(found, TunnelOptions(**wishes), "", 443)  # type: ignore[arg-type]


def config(mtu: int = 0, *addresses: IPv4Interface | IPv6Interface, esp: bool = False) -> GatewayConfig:
    suite = suite_of(Cipher.AES_128_CBC, Mac.SHA1_96)
    parameters = EspParameters(4501, suite, Secret(""), Secret(""), FOUR.ip, FOUR.ip) if esp else None
    return GatewayConfig(TunnelConfig(addresses=addresses or (FOUR,), mtu=mtu), Timers(), esp=parameters)


@pytest.mark.parametrize(
    "found, wishes, mtu",
    [
        (config(), {}, 1406 - 20 - 20 - 16 - 29),
        (config(), {"base_mtu": 1500}, 1415),
        (config(esp=True), {"base_mtu": 1500}, 1422),  # esp.md section 9
        (config(1400), {"base_mtu": 1500}, 1400),
        (config(1400), {"mtu": 1300}, 1300),
        (config(1400), {"mtu": 1500}, 1400),
        (config(), {"mtu": 1500}, 1500),
        (config(65535), {}, 16368),
        (config(0, FOUR, SIX), {"base_mtu": 1280}, 1280),
    ],
)
def test_the_mtu(found: GatewayConfig, wishes: dict[str, object], mtu: int) -> None:
    assert completed(found, **wishes).mtu == mtu


def test_an_mtu_that_had_to_be_raised_is_told() -> None:
    made = completed(config(0, FOUR, SIX), mtu=1000)
    assert made.mtu == 1280 and "raised to 1280" in made.warnings[0]
