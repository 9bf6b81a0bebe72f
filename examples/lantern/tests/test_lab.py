"""The gateway's side, with requests in and answers out."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network

from lantern.framing import LANTERN, Kind
from lantern.lab import LanternSite

from vpnclient.api import (
    Control,
    Hangup,
    LabSettings,
    OpenTunnel,
    Page,
    Request,
    Secret,
    Send,
    ServerController,
    Store,
    Traffic,
)

SETTINGS = LabSettings(users={"ann": Secret("pw")}, dpd=30)


def make_site() -> LanternSite:
    store = Store(IPv4Network("10.77.0.0/24"), IPv6Network("fd77::/64"), life=1000, token=lambda: "cookie-1")
    return LanternSite(SETTINGS, store, lambda: "")


def ask(site: LanternSite, method: str, target: str, body: bytes = b"", authorization: str = "") -> Page | OpenTunnel:
    headers = (("Authorization", authorization),) if authorization else ()
    return site.respond(Request(method, target, headers, body), 0)


def opened() -> ServerController:
    site = make_site()
    answer = ask(site, "POST", "/lantern/sign-in", b"username=ann&password=pw")
    assert isinstance(answer, Page) and (answer.status, answer.body) == (200, b"cookie-1")
    tunnel = ask(site, "CONNECT", "/lantern/tunnel", authorization="Lantern cookie-1")
    assert isinstance(tunnel, OpenTunnel) and tunnel.framing == LANTERN.name
    return tunnel.controller


def test_who_is_refused() -> None:
    site = make_site()
    for body in (b"", b"username=ann&password=no", b"username=bob&password=", b"\xff&&&"):
        answer = ask(site, "POST", "/lantern/sign-in", body)
        assert isinstance(answer, Page) and answer.status == 403
    answer = ask(site, "POST", "/lantern/sign-in", b"a=1&" * 9)
    assert isinstance(answer, Page) and answer.status == 400
    for authorization in ("", "Lantern no", "Basic cookie-1"):
        answer = ask(site, "CONNECT", "/lantern/tunnel", authorization=authorization)
        assert isinstance(answer, Page) and answer.status == 401
    answer = ask(site, "GET", "/")
    assert isinstance(answer, Page) and answer.status == 404


def test_hello_is_answered_by_the_configuration() -> None:
    for hello, count in ((b'{"ipv6": true}', 2), (b'{"ipv6": false}', 1), (b"no json", 1)):
        (action,) = opened().on_controls([Control(Kind.HELLO, hello)], 1)
        assert isinstance(action, Send) and action.frame.kind == Kind.CONFIG
        said = json.loads(action.frame.payload)
        assert said["addresses"] == ["10.77.0.2/24", "fd77::2/64"][:count] and said["mtu"] == 1400


def test_a_ping_a_bye_and_something_else() -> None:
    controller = opened()
    frames = [Control(Kind.PING, b"x"), Control(Kind.PONG), Control(Kind.BYE, b"done\n")]
    pong, warning, hangup = controller.on_controls(frames, 1)
    assert pong == Send(Control(Kind.PONG, b"x")) and "kind 4" in str(warning)
    assert hangup == Hangup("client said done.", forget=True)


def test_a_silent_client_loses_its_link_and_a_session_its_time() -> None:
    controller = opened()
    assert controller.deadline() == 90
    assert controller.on_time(Traffic(10, 10), 90) == []
    assert controller.on_time(Traffic(10, 10), 100) == [Hangup("silent for 90 s", forget=False)]
    ended = controller.on_time(Traffic(999, 10), 1000)
    assert ended == [Send(Control(Kind.BYE, b"session timeout")), Hangup("session timeout", forget=True)]
