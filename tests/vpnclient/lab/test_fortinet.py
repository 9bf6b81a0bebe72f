"""The pages of the lab's Fortinet gateway: requests in, pages out; and our own client's parsers on them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import ConfigurationRefused
from protocols.fortinet import answers, bodies, document, hello
from protocols.fortinet.answers import Challenge, PageForm
from protocols.fortinet.hello import Answer
from protocols.notes import Notes
from tests.protocols.refusals import refused
from transports.http import Response
from vpnclient.lab.fortinet import ATTEMPT_LIFE, MAX_ATTEMPTS, FortinetSite, FortinetVariants
from vpnclient.lab.ppp_dtls import Refusal, Welcome
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Introduction, OpensTunnels, OpenTunnel, Page, Request
from vpnclient.lab.store import Store

SETTINGS = LabSettings(users={"test": Secret("p&ss")})
RIGHT = bodies.password("test", "p&ss", "")
CODE = replace(SETTINGS, challenge=Secret("4711"))


class Browser:
    """Keeps the cookies of one client."""

    def __init__(self, settings: LabSettings = SETTINGS, variants: FortinetVariants | None = None) -> None:
        numbers, attempts = itertools.count(), itertools.count()
        self.store = Store(settings.network, settings.network6, life=0, token=lambda: f"cookie-{next(numbers)}")
        self.site = FortinetSite(settings, self.store, lambda: f"attempt-{next(attempts)}", variants)
        self.cookies: dict[str, str] = {}

    def ask(self, target: str, body: bytes | None = None, *, method: str = "", now: float = 0.0) -> Page:
        answer = self.open(target, body, method=method, now=now)
        assert isinstance(answer, Page)
        for name, value in answer.headers:
            if name == "Set-Cookie":
                key, _, text = value.strip().partition(";")[0].partition("=")
                self.cookies[key] = text
        return answer

    def open(self, target: str, body: bytes | None = None, *, method: str = "", now: float = 0.0) -> Page | OpenTunnel:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        request = Request(method or ("GET" if body is None else "POST"), target, (("Cookie", cookies),), body or b"")
        return self.site.respond(request, now)

    def check(self, body: bytes, now: float = 0.0) -> Page:
        return self.ask("/remote/logincheck", body, now=now)

    def configuration(self) -> document.Settings:
        notes = Notes()
        found = document.parse(self.ask("/remote/fortisslvpn_xml?dual_stack=1").body, notes)
        assert notes.texts() == ()
        return found


def read(page: Page) -> answers.Answer:
    return answers.read(Response(page.status, page.reason, page.headers, page.body, ""))


def test_the_usual_way() -> None:
    browser = Browser()
    assert browser.ask("/").status == 200 and browser.cookies == {"SVPNCOOKIE": ""}
    done = browser.check(RIGHT)
    assert (done.status, done.body, browser.cookies["SVPNCOOKIE"]) == (200, b"ret=1,redir=/remote/index", "cookie-0")
    assert [session.user for session in browser.store] == ["test"]


@pytest.mark.parametrize(
    "body",
    [bodies.password("test", "no", ""), bodies.password("nobody", "", ""), b"", RIGHT.replace(b"realm=", b"realm=x")],
)
def test_wrong_answers(body: bytes) -> None:  # Q2
    browser = Browser()
    refused_page = browser.check(body)
    assert refused_page.status == 405 and refused_page.body
    assert isinstance(read(refused_page), answers.Refused) and len(browser.store) == 0


def test_realms() -> None:  # Q7, Q8
    browser = Browser(variants=FortinetVariants(realm="lab realm"))
    moved = browser.ask("/")
    assert (moved.status, dict(moved.headers)["Location"]) == (302, "/remote/login?realm=lab%20realm&lang=en")
    assert browser.ask("/remote/login?realm=lab%20realm&lang=en").status == 200
    assert browser.check(RIGHT).status == 405
    assert browser.check(bodies.password("test", "p&ss", "lab%20realm")).status == 200
    assert [session.group for session in browser.store] == ["lab realm"]
    script = Browser(variants=FortinetVariants(realm="x", script_redirect=True)).ask("/x")
    assert script.status == 200 and b'top.location="/remote/login?realm=x&lang=en"' in script.body


def test_a_code_as_a_line() -> None:
    browser = Browser(CODE)
    challenge = read(browser.check(RIGHT))
    assert isinstance(challenge, Challenge) and not challenge.push and challenge.prompt == "Enter the code"
    assert browser.check(bodies.code("test", "1", "", challenge)).status == 405
    assert browser.check(bodies.code("other", "4711", "", challenge)).status == 405
    moved = bodies.code("test", "4711", "", challenge).replace(b"&magic=1-attempt-0", b"") + b"&magic=1-attempt-0&x=1"
    assert browser.check(moved).status == 405  # Q9: magic comes last
    assert browser.check(bodies.code("test", "", "", challenge)).status == 405
    assert browser.check(bodies.code("test", "4711", "", challenge)).status == 405  # three wrong ones: forgotten
    challenge = read(browser.check(RIGHT))
    assert isinstance(challenge, Challenge)
    assert browser.check(bodies.code("test", "4711", "", challenge)).body.startswith(b"ret=1")


def test_a_code_on_a_page() -> None:
    browser = Browser(CODE, FortinetVariants(page_challenge=True))
    page = browser.check(RIGHT)
    form = read(page)
    assert page.status == 401 and isinstance(form, PageForm) and form.prompt == "Enter the code"
    assert browser.check(bodies.page(form, {"credential": "1"}, "")).status == 405
    assert browser.check(bodies.page(form, {"credential": "4711"}, "")).status == 200


def test_an_approval_on_a_phone() -> None:  # Q9
    browser = Browser(CODE, FortinetVariants(push=True))
    challenge = read(browser.check(RIGHT))
    assert isinstance(challenge, Challenge) and challenge.push
    body = bodies.code("test", "", "", challenge)
    assert browser.check(body + b"&magic=1-attempt-0").status == 405
    assert browser.check(body).status == 200
    browser = Browser(variants=FortinetVariants(push=True))  # without a code: by phone alone
    challenge = read(browser.check(RIGHT))
    assert isinstance(challenge, Challenge)
    assert browser.check(bodies.code("test", "1", "", challenge)).status == 405


def test_a_host_check() -> None:
    browser = Browser(variants=FortinetVariants(host_check="0000,1"))
    done = browser.check(RIGHT)
    assert browser.cookies["SVPNCOOKIE"] == "cookie-0" and b'action="/remote/hostcheck_validate"' in done.body
    assert browser.ask("/remote/fortisslvpn_xml").status == 403
    assert browser.ask("/remote/hostcheck_validate", bodies.host_check("0000,1", "")).status == 200
    assert browser.configuration().addresses
    browser.check(RIGHT)
    assert browser.ask("/remote/hostcheck_validate", bodies.host_check("1", "")).status == 200
    assert browser.cookies["SVPNCOOKIE"] == "" and len(browser.store) == 1
    assert browser.ask("/remote/hostcheck_validate", b"hostcheck=0000%2C1").status == 405  # of nobody


def test_sign_ins_that_took_too_long_or_are_too_many() -> None:
    browser = Browser(CODE)
    challenge = read(browser.check(RIGHT))
    assert isinstance(challenge, Challenge)
    body = bodies.code("test", "4711", "", challenge)
    assert browser.check(body, now=ATTEMPT_LIFE).status == 405
    browser.check(RIGHT, now=ATTEMPT_LIFE)
    for _ in range(MAX_ATTEMPTS):
        browser.check(RIGHT)
    assert browser.check(body).status == 405


@pytest.mark.parametrize("ipv6", [True, False])
def test_what_the_configuration_tells(ipv6: bool) -> None:
    settings = replace(
        SETTINGS,
        routes=(ip_network("10.95.0.0/16"), ip_network("fd95::/48")),
        no_routes=(IPv4Network("10.95.5.0/24"),),
        dns=(ip_address("10.77.0.1"), ip_address("fd77::1")),
        default_domain="lab.example",
        split_dns=("a.example",),
        dpd=7,
        session_timeout=600,
    )
    browser = Browser(settings if ipv6 else replace(settings, network6=None))
    browser.check(RIGHT)
    told = browser.configuration()
    own = (ip_interface("10.77.0.2/32"), ip_interface("fd77::2/64"))
    assert told.addresses == (own if ipv6 else own[:1])
    assert told.include == (settings.routes if ipv6 else settings.routes[:1]) and told.exclude == settings.no_routes
    assert told.dns == (settings.dns if ipv6 else settings.dns[:1])
    assert (told.search_domains, told.split_dns) == (("lab.example",), ("a.example",))
    assert (told.heartbeat, told.lifetime, told.dtls, told.reauth.without) == (7, 86400, False, True)


def test_the_tunnel_wants_the_session_and_the_configuration_first() -> None:  # section 8
    browser = Browser()
    assert isinstance(browser.site, OpensTunnels) and browser.site.opens_tunnel("GET", "/remote/sslvpn-tunnel")
    assert not browser.site.opens_tunnel("POST", "/remote/sslvpn-tunnel") and not browser.site.opens_tunnel("GET", "/")
    assert browser.ask("/remote/sslvpn-tunnel").status == 403
    assert browser.ask("/remote/fortisslvpn_xml").status == browser.ask("/remote/fortisslvpn").status == 403
    browser.check(RIGHT)
    assert browser.ask("/remote/sslvpn-tunnel").status == 403
    browser.configuration()
    opened = browser.open("/remote/sslvpn-tunnel")
    assert isinstance(opened, OpenTunnel)
    assert (opened.framing, opened.mtu, opened.head) == ("ppp-fortinet", 1400, b"")  # Q1
    assert browser.ask("/remote/sslvpn-tunnel").status == 403  # once for each


@pytest.mark.parametrize(("reconnects", "told"), [(0, False), (1, True)])
def test_how_often_a_session_may_come_back(reconnects: int, told: bool) -> None:
    browser = Browser(variants=FortinetVariants(reconnects=reconnects))
    browser.check(RIGHT)
    assert browser.configuration().reauth.without is told
    (session,) = browser.store
    session.connected = reconnects
    browser.configuration()
    session.connected = reconnects + 1
    with refused(ConfigurationRefused, "no-address: .*'error'"):
        browser.configuration()


HANDSHAKE = b"\x16\xfe\xfd"


def by_dtls(**variants: Any) -> Browser:
    """Signed in at a gateway that listens by UDP."""
    browser = Browser(variants=FortinetVariants(**variants))
    browser.site.listens(443)
    browser.check(RIGHT)
    return browser


def greet(browser: Browser) -> Welcome | Refusal:
    return browser.site.on_hello(hello.encode(Secret(browser.cookies["SVPNCOOKIE"])), 0.0)


@pytest.mark.parametrize(("kind", "answer"), [("ok", Answer.OK), ("bare", Answer.OK), ("lost", None)])
def test_dtls_wants_the_configuration_first(kind: str, answer: Answer | None) -> None:
    browser = by_dtls(hello=kind)
    refusal = greet(browser)
    assert isinstance(refusal, Refusal) and hello.decode(refusal.answer) is Answer.FAIL
    assert browser.configuration().dtls
    assert isinstance(browser.site.on_datagram(HANDSHAKE, 0.0), Introduction)
    welcome = greet(browser)
    assert isinstance(welcome, Welcome) and welcome.session is next(iter(browser.store))
    assert (welcome.framing, welcome.mtu) == ("ppp-fortinet", 1400)
    assert hello.decode(welcome.answer) is answer if answer else welcome.answer == b""
    assert isinstance(greet(browser), Refusal)  # once for each
    assert browser.ask("/remote/sslvpn-tunnel").status == 403  # TLS after it, too
    browser.configuration()
    assert isinstance(browser.open("/remote/sslvpn-tunnel"), OpenTunnel)


def test_dtls_that_is_refused() -> None:
    browser = by_dtls(hello="fail")
    browser.configuration()
    refusal = greet(browser)
    assert isinstance(refusal, Refusal) and hello.decode(refusal.answer) is Answer.FAIL
    assert browser.ask("/remote/sslvpn-tunnel").status == 403
    stranger = browser.site.on_hello(b"GET / HTTP/1.1", 0.0)
    assert isinstance(stranger, Refusal) and "GET" not in stranger.reason


def test_datagrams_that_are_not_answered() -> None:
    assert by_dtls().site.on_datagram(b"\x17\xfe\xfd", 0.0) is None
    mute = by_dtls(hello="mute")
    assert mute.configuration().dtls and mute.site.on_datagram(HANDSHAKE, 0.0) is None
    without = Browser(replace(SETTINGS, udp=False))
    without.site.listens(443)
    without.check(RIGHT)
    assert not without.configuration().dtls and without.site.on_datagram(HANDSHAKE, 0.0) is None


def test_variants_that_cannot_be() -> None:
    assert FortinetVariants().problems() == []
    assert len(FortinetVariants(hello="no", heartbeat=-1).problems()) == 2


def test_the_logout_ends_the_session() -> None:
    browser = Browser()
    browser.check(RIGHT)
    browser.configuration()
    assert browser.ask("/remote/logout").status == 200
    assert len(browser.store) == 0 and browser.cookies["SVPNCOOKIE"] == ""
    assert browser.ask("/remote/logout").status == 200  # again, or by a stranger


@pytest.mark.parametrize("body", [b"\xff=1", b"&".join(b"a%d=1" % n for n in range(65)), b"a=" + b"x" * 5000])
def test_bad_form_data_is_refused(body: bytes) -> None:
    assert Browser().check(body).status == 400


def test_unknown_methods_and_a_full_house() -> None:
    browser = Browser(replace(SETTINGS, network=IPv4Network("10.77.0.0/30")))
    assert browser.ask("/", method="PUT").status == 405
    assert browser.check(RIGHT).status == 200
    assert browser.check(RIGHT).status == 503


@given(st.text(max_size=60), st.binary(max_size=60))
def test_whatever_is_asked_for_is_answered(path: str, body: bytes) -> None:
    browser = Browser(CODE)
    assert browser.check(body).status in (400, 405)
    assert browser.ask(f"/{path}").status == 200
    assert browser.check(b"reqid=" + body).status in (400, 405)
