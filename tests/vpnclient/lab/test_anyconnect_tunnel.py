"""The gateway's side of an AnyConnect tunnel: headers, and the link's life with numbers for the time."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

import pytest

from protocols.base import Control, Secret, Send, Traffic, Warn
from vpnclient.lab.anyconnect_tunnel import AnyConnectServer, Kind, tunnel_headers
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Hangup, Request
from vpnclient.lab.store import LabSession

SESSION = LabSession("c", "test", "", IPv4Interface("10.77.0.2/24"), IPv6Interface("fd77::2/64"), expires_at=1000.0)
FULL = Request("CONNECT", "/", (("X-CSTP-Address-Type", "IPv6,IPv4"), ("X-CSTP-Full-IPv6-Capability", "true")))
SETTINGS = LabSettings(
    users={"test": Secret("x")},
    routes=(ip_network("10.95.0.0/16"), ip_network("fd95::/48")),
    no_routes=(ip_network("10.95.5.0/24"),),
    dns=(ip_address("10.77.0.1"), ip_address("fd77::1")),
    default_domain="lab.example",
    split_dns=("a.example", "b.example"),
    banner="Hello,\nyou & 100%",
    rekey_time=4,
    rekey_method="new-tunnel",
)


def values(settings: LabSettings, request: Request, name: str) -> list[str]:
    return [value for key, value in tunnel_headers(settings, SESSION, request, 60.0) if key == name]


def test_headers_for_a_client_that_knows_ipv6() -> None:
    assert values(SETTINGS, FULL, "X-CSTP-Address") == ["10.77.0.2"]
    assert values(SETTINGS, FULL, "X-CSTP-Netmask") == ["255.255.255.0"]
    assert values(SETTINGS, FULL, "X-CSTP-Address-IP6") == ["fd77::2/64"]
    assert values(SETTINGS, FULL, "X-CSTP-DNS") == ["10.77.0.1"]
    assert values(SETTINGS, FULL, "X-CSTP-DNS-IP6") == ["fd77::1"]
    assert values(SETTINGS, FULL, "X-CSTP-Split-Include") == ["10.95.0.0/255.255.0.0"]
    assert values(SETTINGS, FULL, "X-CSTP-Split-Include-IP6") == ["fd95::/48"]
    assert values(SETTINGS, FULL, "X-CSTP-Split-Exclude") == ["10.95.5.0/255.255.255.0"]
    assert values(SETTINGS, FULL, "X-CSTP-Split-DNS") == ["a.example", "b.example"]
    assert values(SETTINGS, FULL, "X-CSTP-Rekey-Method") == ["new-tunnel"]


def test_the_banner_is_one_header_line() -> None:
    assert values(SETTINGS, FULL, "X-CSTP-Banner") == ["Hello,%0Ayou & 100%25"]


def test_ipv6_the_old_way_and_not_at_all() -> None:
    old = Request("CONNECT", "/", (("X-CSTP-Address-Type", "IPv6,IPv4"),))
    assert values(SETTINGS, old, "X-CSTP-Address") == ["10.77.0.2", "fd77::2"]
    assert values(SETTINGS, old, "X-CSTP-Netmask") == ["255.255.255.0", "fd77::/64"]
    assert values(SETTINGS, old, "X-CSTP-Split-Include-IP6") == []
    only4 = Request("CONNECT", "/", (("X-CSTP-Address-Type", "IPv4"),))
    assert values(SETTINGS, only4, "X-CSTP-Address") == ["10.77.0.2"]


def test_timeouts() -> None:
    assert values(SETTINGS, FULL, "X-CSTP-Session-Timeout") == ["none"]
    limited = replace(SETTINGS, session_timeout=90)
    assert values(limited, FULL, "X-CSTP-Session-Timeout") == ["90"]
    assert values(limited, FULL, "X-CSTP-Session-Timeout-Remaining") == ["60"]


def server(dpd: int = 10, keepalive: int = 0, expires_at: float = math.inf) -> AnyConnectServer:
    return AnyConnectServer(dpd=dpd, keepalive=keepalive, expires_at=expires_at, now=100.0)


def test_dpd_requests_are_answered_with_their_payload() -> None:
    assert server().on_controls([Control(3, b"ABCDE")], 100.0) == [Send(Control(4, b"ABCDE"))]


def test_of_a_flood_of_requests_the_last_is_answered() -> None:
    flood = [Control(3, bytes([n])) for n in range(200)]
    assert server().on_controls(flood, 100.0) == [Send(Control(4, b"\xc7"))]
    said, hangup = server().on_controls([*flood, Control(5, b"\xb0")], 100.0)
    assert said == Send(Control(4, b"\xc7")) and isinstance(hangup, Hangup)


def test_signs_of_life_need_no_answer() -> None:
    assert server().on_controls([Control(4)], 100.0) == []
    assert server().on_controls([Control(7)], 100.0) == []


@pytest.mark.parametrize(
    "payload, forget",
    [(b"", True), (b"\xb0bye", True), (b"\x70", True), (b"\x91", False), (b"\xd1", False)],
)
def test_a_disconnect_ends_the_session_or_only_the_link(payload: bytes, forget: bool) -> None:
    controller = server()
    (hangup,) = controller.on_controls([Control(5, payload)], 100.0)
    assert isinstance(hangup, Hangup) and hangup.forget is forget
    assert controller.on_controls([Control(3)], 100.0) == []  # it is over


def test_parting_words_are_capped_and_printable() -> None:
    (hangup,) = server().on_controls([Control(5, b"\xb0a\x1b[0m\n" + b"x" * 5000)], 100.0)
    assert isinstance(hangup, Hangup)
    assert hangup.reason.startswith("client said b0 a.[0m.x") and len(hangup.reason) < 250


def test_unknown_packets_are_told_and_skipped() -> None:
    assert server().on_controls([Control(6, b"12")], 100.0) == [Warn("packet type 6 with 2 bytes ignored")]


def test_a_silent_client_is_asked_twice_then_lost() -> None:
    controller = server(dpd=10)
    silent = Traffic(received_at=100.0, sent_at=100.0)
    assert controller.deadline() == 110.0
    assert controller.on_time(silent, 109.9) == []
    assert controller.on_time(silent, 110.0) == [Send(Control(Kind.DPD_REQ))]
    assert controller.deadline() == 115.0
    assert controller.on_time(silent, 115.0) == [Send(Control(Kind.DPD_REQ))]
    assert controller.on_time(silent, 120.1) == [Hangup("silent for 20 s", forget=False)]


def test_an_answer_resets_the_patience() -> None:
    controller = server(dpd=10)
    controller.on_time(Traffic(100.0, 100.0), 110.0)
    assert controller.on_time(Traffic(111.0, 110.0), 120.9) == []
    assert controller.on_time(Traffic(111.0, 110.0), 121.0) == [Send(Control(Kind.DPD_REQ))]


def test_keepalive_after_silence_of_ours() -> None:
    controller = server(dpd=0, keepalive=20)
    assert controller.on_time(Traffic(100.0, 105.0), 124.9) == []
    assert controller.deadline() == 125.0
    assert controller.on_time(Traffic(100.0, 105.0), 125.0) == [Send(Control(Kind.KEEPALIVE))]


def test_the_session_timeout_ends_it_in_words() -> None:
    controller = server(dpd=0, expires_at=130.0)
    assert controller.deadline() == 130.0
    said, hangup = controller.on_time(Traffic(129.0, 129.0), 130.0)
    assert said == Send(Control(9, b"session timeout"))
    assert hangup == Hangup("session timeout", forget=True)


def test_nothing_to_do_without_timers() -> None:
    assert server(dpd=0).deadline() == math.inf
