"""The GlobalProtect lab gateway: requests in, pages out, and the tunnel's controller."""

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlencode

import pytest

from protocols.base import Control, Secret, Send, Traffic, Warn
from protocols.errors import ProtocolError
from protocols.framing.gpst import Kind
from protocols.gp import answers, config, login, portal
from protocols.gp.challenge import Challenge
from protocols.gp.cookie import SessionCookie
from protocols.gp.esp import Probe
from protocols.gp.ipsec import EspParameters
from protocols.gp.ping import request as ping_request
from tests.protocols.doubles import coded
from vpnclient.lab import gp_esp
from vpnclient.lab.gp import GpSite, Variants
from vpnclient.lab.gp_esp import EspServer
from vpnclient.lab.gp_tunnel import SILENCE, GpstServer
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Hangup, OpenTunnel, Page, Request
from vpnclient.lab.store import Store

SETTINGS = LabSettings(users={"test": Secret("secret")}, challenge=None)
FORM = {"ok": "Login", "clientVer": "4100", "computer": "vm", "user": "test", "passwd": "secret"}
HOST = (("Host", "10.0.0.1"),)


class Gateway:
    """A site and what it was asked."""

    def __init__(self, settings: LabSettings = SETTINGS, **variants: Any) -> None:
        tokens = (f"token{n}" for n in itertools.count())
        self.store = Store(settings.network, settings.network6, life=0, token=lambda: next(tokens))
        self.site = GpSite(settings, self.store, lambda: next(tokens), Variants(**variants))

    def post(self, path: str, fields: dict[str, str] | str, now: float = 0.0) -> Page:
        body = fields if isinstance(fields, str) else urlencode(fields)
        page = self.site.respond(Request("POST", path, HOST, body.encode()), now)
        assert isinstance(page, Page)
        return page

    def sign_in(self) -> SessionCookie:
        page = self.post("/ssl-vpn/login.esp", FORM)
        return login.parse(answers.document(page.body, "jnlp"), "vm").cookie

    def tunnel(self, query: str) -> Page | OpenTunnel:
        return self.site.respond(Request("GET", f"/ssl-tunnel-connect.sslvpn?{query}"), 0.0)


def with_code(**variants: Any) -> Gateway:
    return Gateway(LabSettings(users=SETTINGS.users, challenge=Secret("4711")), **variants)


def test_prelogin_and_what_is_absent() -> None:
    gateway = Gateway(without="portal")
    page = gateway.post("/ssl-vpn/prelogin.esp?tmp=tmp", "")
    assert portal.parse_prelogin(answers.document(page.body, "prelogin-response")).region == "US"
    for path in ("/global-protect/prelogin.esp", "/global-protect/getconfig.esp"):
        with pytest.raises(answers.InterfaceAbsent):
            answers.read(gateway.post(path, FORM).body)


def test_the_portal_names_itself_last_and_best() -> None:
    page = Gateway(gateways=("Berlin", "Paris")).post("/global-protect/getconfig.esp", FORM)
    found = portal.parse_config(answers.document(page.body, "policy"), "US")
    assert [one.label for one in found.gateways] == ["Lab", "Berlin", "Paris"]
    assert found.gateways[0].host == "10.0.0.1" and found.version == "6.3.3-619"


def test_a_portal_cookie_signs_in_once_at_the_gateway() -> None:
    gateway = Gateway()
    page = gateway.post("/global-protect/getconfig.esp", FORM)
    ((name, cookie),) = portal.parse_config(answers.document(page.body, "policy"), "").cookies
    replayed = {**FORM, "passwd": "", name: cookie.reveal()}
    assert gateway.post("/ssl-vpn/login.esp", replayed).status == 200
    assert gateway.post("/ssl-vpn/login.esp", replayed | {"user": "other"}).status == 512
    assert not portal.parse_config(
        answers.document(Gateway(portal_cookie=False).post("/global-protect/getconfig.esp", FORM).body, "policy"), ""
    ).cookies


@pytest.mark.parametrize(
    "wrong",
    [{"passwd": "no"}, {"user": "nobody"}, {"ok": "No"}, {"clientVer": "1"}, {"computer": ""}, {"inputStr": "x"}],
)
def test_what_is_refused(wrong: dict[str, str]) -> None:
    page = Gateway().post("/ssl-vpn/login.esp", FORM | wrong)
    assert page.status == 512 and page.headers[0][0] == "x-private-pan-globalprotect" and page.body


@pytest.mark.parametrize("body", ["user=test&user=test", "a=1&" * 100, "x=" + "y" * 300_000, b"\xff".decode("latin-1")])
def test_forms_that_cannot_be_used(body: str) -> None:
    assert Gateway().post("/ssl-vpn/login.esp", body).status == 512


@pytest.mark.parametrize("kind", ["xml", "js", "html"])
@pytest.mark.parametrize(
    "place, path", [("portal", "/global-protect/getconfig.esp"), ("gateway", "/ssl-vpn/login.esp")]
)
def test_challenges(kind: str, place: str, path: str) -> None:
    gateway = with_code(challenge=kind, challenge_at=place)
    asked = answers.read(gateway.post(path, FORM).body)
    assert isinstance(asked, Challenge) and asked.prompt == 'Enter the "code"'
    answered = FORM | {"inputStr": asked.input_str, "passwd": "4711"}
    assert gateway.post(path, answered | {"passwd": "1"}).status == 512
    assert gateway.post(path, answered | {"user": "other"}).status == 512
    assert gateway.post(path, answered).status == 200
    assert gateway.post(path, answered).status == 512  # good once


def test_the_configuration_of_a_session() -> None:
    settings = LabSettings(
        users=SETTINGS.users, routes=(ip_network("10.1.0.0/16"), ip_network("fd01::/32")), rekey_time=66
    )
    gateway = Gateway(settings, tell_mtu=True)
    cookie = gateway.sign_in()
    body = f"ipv6-support=yes&{cookie.text().reveal()}"
    found = config.parse(answers.document(gateway.post("/ssl-vpn/getconfig.esp", body).body, "response"), ipv6=True)
    assert [str(one) for one in found.config.addresses] == ["10.77.0.2/32", "fd77::2/128"]
    assert found.config.mtu == 1400 and found.timers.tunnel == 66 and found.config.warnings == ()
    assert found.config.split_include == settings.routes
    four = config.parse(
        answers.document(gateway.post("/ssl-vpn/getconfig.esp", cookie.text().reveal()).body, "response"), ipv6=True
    )
    assert len(four.config.addresses) == 1


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("authcookie=", "authcookie=x", "sign in again"),
        ("computer=vm", "computer=other", "config-refused: Invalid computer"),
        ("domain=%28", "domain=%2528", "config-refused: Matching client config"),  # Q13
        ("user=test", "user=other", "config-refused"),
    ],
)
def test_session_strings_that_are_not_as_they_were(old: str, new: str, says: str) -> None:
    gateway = Gateway()
    text = gateway.sign_in().text().reveal().replace(old, new)
    with coded(ProtocolError, says):
        answers.read(gateway.post("/ssl-vpn/getconfig.esp", text).body)


def test_host_reports() -> None:
    gateway = Gateway(hip="require")
    cookie = gateway.sign_in()
    text, checksum = cookie.text().reveal(), cookie.checksum()

    def needed() -> str:
        page = gateway.post("/ssl-vpn/hipreportcheck.esp", f"{text}&md5={checksum}")
        return answers.value(answers.document(page.body, "response"), "hip-report-needed")

    assert needed() == "yes"
    refused = gateway.tunnel(cookie.for_tunnel())
    assert isinstance(refused, Page) and refused.status == 502
    with coded(ProtocolError, "no md5-sum"):
        answers.read(gateway.post("/ssl-vpn/hipreport.esp", f"{text}&report=x").body)
    answers.read(gateway.post("/ssl-vpn/hipreport.esp", f"{text}&report=<md5-sum>{checksum}</md5-sum>").body)
    assert needed() == "no"
    assert isinstance(gateway.tunnel(cookie.for_tunnel()), OpenTunnel)


def test_the_tunnel_and_the_logout() -> None:
    gateway = Gateway()
    cookie = gateway.sign_in()
    opened = gateway.tunnel(cookie.for_tunnel())
    assert isinstance(opened, OpenTunnel) and (opened.head, opened.framing) == (b"START_TUNNEL", "gpst")
    for query in ("", "user=test&authcookie=x", cookie.for_tunnel().replace("test", "other")):
        page = gateway.tunnel(query)
        assert isinstance(page, Page) and page.status == 502
    answers.read(gateway.post("/ssl-vpn/logout.esp", cookie.text().reveal()).body)
    assert len(gateway.store) == 0
    with coded(ProtocolError, "Invalid authentication cookie"):
        answers.read(gateway.post("/ssl-vpn/logout.esp", cookie.text().reveal()).body)


def test_other_requests() -> None:
    gateway = Gateway()
    assert gateway.post("/nothing", "").status == 404
    page = gateway.site.respond(Request("GET", "/ssl-vpn/login.esp"), 0.0)
    assert isinstance(page, Page) and page.status == 405


def esp_of(gateway: Gateway, cookie: SessionCookie) -> EspParameters:
    body = f"ipv6-support=no&{cookie.text().reveal()}"
    found = config.parse(answers.document(gateway.post("/ssl-vpn/getconfig.esp", body).body, "response"), ipv6=True)
    assert found.esp is not None and found.config.warnings == ()
    return found.esp


@pytest.mark.parametrize("cipher, mac", [("aes-128-cbc", "sha1"), ("aes-256-cbc", "md5"), ("aes-256-cbc", "sha256")])
def test_the_first_ping_names_its_session_and_proves_it(cipher: str, mac: str) -> None:
    gateway = Gateway(cipher=cipher, mac=mac)
    gateway.site.listens(4501)
    cookie = gateway.sign_in()
    parameters = esp_of(gateway, cookie)
    assert parameters.port == 4501
    ping = Probe(parameters, lambda size: bytes(size), 0.0).due(0.0)
    assert ping is not None
    offer = gateway.site.on_datagram(ping, 0.0)
    assert offer is not None and offer.alone and offer.session in tuple(gateway.store)
    for datagram in (b"", ping[:-1] + bytes([ping[-1] ^ 1]), b"\0\0\0\1" + ping[4:]):
        assert gateway.site.on_datagram(datagram, 0.0) is None
    esp_of(gateway, cookie)  # new keys
    assert gateway.site.on_datagram(ping, 0.0) is None  # Q2
    ping = Probe(esp_of(gateway, cookie), lambda size: bytes(size), 0.0).due(0.0) or b""
    gateway.tunnel(cookie.for_tunnel())
    assert gateway.site.on_datagram(ping, 0.0) is None  # Q1


def test_without_udp_there_are_no_keys_and_a_mute_gateway_does_not_answer() -> None:
    body = Gateway(LabSettings(users=SETTINGS.users, udp=False))
    page = body.post("/ssl-vpn/getconfig.esp", body.sign_in().text().reveal())
    assert b"ipsec" not in page.body
    mute = Gateway(mute=True)
    mute.site.listens(4501)
    ping = Probe(esp_of(mute, mute.sign_in()), lambda size: bytes(size), 0.0).due(0.0) or b""
    assert mute.site.on_datagram(ping, 0.0) is None


def test_echo_replies() -> None:
    four = ip_address("10.99.0.2"), ip_address("192.0.2.1")
    assert gp_esp.reply_to(ping_request(*four, 1)).hex() == (
        "4500002c4747400040012724c00002010a63000200001308474700016d6f6e69746f72000070616e20686120"
    )
    six = ip_address("fd00:99::2"), ip_address("2001:db8::1")
    assert gp_esp.reply_to(ping_request(*six, 1)).hex() == (
        "6000000000183a8020010db8000000000000000000000001fd0000990000000000000000000000028100665f"
        "474700016d6f6e69746f72000070616e20686120"
    )
    for packet in (b"", b"\x45" + bytes(27), gp_esp.reply_to(ping_request(*four, 1))):
        assert gp_esp.reply_to(packet) == b""


def test_the_controller_of_esp() -> None:
    server = EspServer(1000.0, 0.0)
    assert server.on_controls([Control(4)], 1.0) == [] and server.deadline() == SILENCE
    assert server.on_time(Traffic(100.0, 0.0), 150.0) == []
    assert server.on_time(Traffic(100.0, 0.0), 220.0) == [Hangup("silent for 120 s", forget=False)]
    assert EspServer(10.0, 0.0).on_time(Traffic(5.0, 5.0), 10.0) == [Hangup("session timeout", forget=True)]


def test_wrong_switches_are_named() -> None:
    assert Variants().problems() == []
    wrong = Variants(without="all", challenge="sms", challenge_at="home", hip="maybe", hip_interval=0).problems()
    assert [text.partition(":")[0] for text in wrong] == [
        "--without",
        "--challenge-kind",
        "--challenge-at",
        "--hip",
        "--hip-interval",
    ]


def test_the_servers_controller() -> None:
    server = GpstServer(1000.0, 0.0)
    echo = [Send(Control(Kind.KEEPALIVE))]
    assert server.on_controls([Control(Kind.KEEPALIVE)] * 5, 1.0) == echo
    odd = server.on_controls([Control(7), Control(8), Control(Kind.KEEPALIVE)], 1.0)
    assert isinstance(odd[0], Warn) and odd[1:] == echo
    assert server.deadline() == SILENCE and server.on_time(Traffic(100.0, 0.0), SILENCE) == []
    assert server.on_time(Traffic(100.0, 0.0), 100.0 + SILENCE) == [Hangup("silent for 120 s", forget=False)]
    assert server.on_controls([Control(Kind.KEEPALIVE)], 300.0) == []
    assert GpstServer(10.0, 0.0).on_time(Traffic(5.0, 5.0), 10.0) == [Hangup("session timeout", forget=True)]
