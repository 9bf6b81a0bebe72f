"""The pages of the lab's F5 gateway: requests in, pages out; and our own client's parsers on them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.f5 import answer, options, page, profiles, script
from protocols.f5.model import LoginForm
from protocols.notes import Notes
from vpnclient.lab.f5 import ATTEMPT_LIFE, F5Site, F5Variants
from vpnclient.lab.ppp_dtls import Refusal, Welcome
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import OpensTunnels, OpenTunnel, Page, Request, TakesDatagrams
from vpnclient.lab.store import Store

SETTINGS = LabSettings(users={"test": Secret("secret")})
RIGHT = b"username=test&password=secret&vhost=standard"
WALL = 1_700_000_000


class Browser:
    """Keeps the cookies of one client."""

    def __init__(self, settings: LabSettings = SETTINGS, variants: F5Variants | None = None) -> None:
        numbers = itertools.count()
        self.store = Store(settings.network, settings.network6, life=0, token=lambda: f"cookie-{next(numbers)}")
        attempts = itertools.count()
        self.site = F5Site(settings, self.store, lambda: f"attempt-{next(attempts)}", variants, wall=lambda: WALL)
        self.cookies: dict[str, str] = {}

    def ask(self, target: str, body: bytes | None = None, *, method: str = "", now: float = 0.0) -> Page:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        request = Request(method or ("GET" if body is None else "POST"), target, (("Cookie", cookies),), body or b"")
        answer = self.site.respond(request, now)
        assert isinstance(answer, Page)
        for name, value in answer.headers:
            if name == "Set-Cookie":
                key, _, text = value.partition(";")[0].partition("=")
                self.cookies[key] = text
        return answer

    def begin(self) -> Page:
        assert dict(self.ask("/").headers)["Location"] == "/my.policy"
        return self.ask("/my.policy")

    def sign_in(self) -> None:
        self.begin()
        assert self.ask("/my.policy", RIGHT).status == 302
        assert self.cookies["MRHSession"].startswith("cookie-")

    def tunnel(self, query: str, now: float = 0.0) -> Page | OpenTunnel:
        return self.site.respond(Request("GET", f"/myvpn?{query}"), now)


def form_of(answer: Page) -> LoginForm:
    form = page.parse(answer.body)
    assert form is not None
    return form


def location(answer: Page) -> str:
    return dict(answer.headers).get("Location", "")


def test_the_usual_way() -> None:  # section 11
    browser = Browser()
    form = form_of(browser.begin())
    assert form.form_id == "auth_form"
    assert [(one.name, one.kind, one.value) for one in form.entries] == [
        ("username", "text", ""), ("password", "password", ""), ("vhost", "hidden", "standard"),
    ]  # fmt: skip
    done = browser.ask("/my.policy", RIGHT)
    assert (done.status, location(done)) == (302, "/vdesk/webtop.eui")
    assert browser.cookies["F5_ST"] == "1z1z1z1700000000z86400"
    assert browser.ask("/vdesk/webtop.eui").body
    assert dict(done.headers)["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    "body",
    [
        b"username=test&password=wrong&vhost=standard",
        b"username=nobody&password=&vhost=standard",
        b"username=test&password=secret",
        b"",
    ],
)
def test_wrong_answers_and_forgotten_hidden_fields_are_told(body: bytes) -> None:
    browser = Browser()
    browser.begin()
    again = browser.ask("/my.policy", body)
    assert again.status == 200 and "not correct" in form_of(again).message
    assert len(browser.store) == 0


def test_the_third_failure_is_the_way_out() -> None:
    browser = Browser()
    browser.begin()
    answers = [browser.ask("/my.policy", b"username=test&password=x") for _ in range(3)]
    assert location(answers[2]) == "/my.logout.php3?errorcode=19" and not browser.cookies["MRHSession"]
    assert location(browser.ask("/my.policy", RIGHT)) == "/my.logout.php3?errorcode=20"


def test_a_sign_in_that_took_too_long() -> None:
    browser = Browser()
    browser.begin()
    assert "errorcode=20" in location(browser.ask("/my.policy", RIGHT, now=ATTEMPT_LIFE))


def test_a_second_factor_and_a_hidden_step() -> None:  # 3b, 3c
    browser = Browser(replace(SETTINGS, challenge=Secret("4711")), F5Variants(hidden_form=True))
    browser.begin()
    second = form_of(browser.ask("/my.policy", RIGHT))
    assert second.form_id == "auth_form" and second.entries[0].name == "otp_password"
    wrong = form_of(browser.ask("/my.policy", b"otp_password=1&vhost=standard"))
    assert wrong.message == "The code is not correct."
    hidden = form_of(browser.ask("/my.policy", b"otp_password=4711&vhost=standard"))
    assert (hidden.form_id, hidden.entries[0].kind) == ("hidden_form", "hidden")
    assert location(browser.ask("/my.policy", b"choice=0")) == "/vdesk/webtop.eui"
    assert [session.user for session in browser.store] == ["test"]


def test_groups() -> None:
    browser = Browser(replace(SETTINGS, groups=("Staff", "Sales & <Co>")))
    form = form_of(browser.begin())
    assert [choice.value for choice in form.entries[2].choices] == ["Staff", "Sales & <Co>"]
    assert "no such group" in form_of(browser.ask("/my.policy", RIGHT)).message
    browser.ask("/my.policy", RIGHT + b"&domain=Sales+%26+%3CCo%3E")
    assert [session.group for session in browser.store] == ["Sales & <Co>"]


def test_the_form_in_a_script() -> None:
    browser = Browser(variants=F5Variants(script_form=True))
    body = browser.begin().body
    assert page.parse(body) is None
    form = script.parse(body)
    assert form is not None and [one.name for one in form.entries] == ["username", "password"]
    assert location(browser.ask("/my.policy", b"username=test&password=secret")) == "/vdesk/webtop.eui"


def test_the_list_and_the_options_want_a_session() -> None:
    browser = Browser()
    for target in ("/vdesk/vpn/index.php3?outform=xml", "/vdesk/vpn/connect.php3?x"):
        assert location(browser.ask(target)) == "/my.policy"


@pytest.mark.parametrize("ipv6", [True, False])
def test_what_the_options_tell(ipv6: bool) -> None:
    settings = replace(
        SETTINGS,
        routes=(ip_network("10.95.0.0/16"), ip_network("fd95::/48")),
        no_routes=(IPv4Network("10.95.5.0/24"),),
        dns=(ip_address("10.77.0.1"), ip_address("fd77::1")),
        default_domain="lab.example",
        split_dns=("a.example",),
    )
    browser = Browser(settings if ipv6 else replace(settings, network6=None), F5Variants(hdlc=True))
    browser.sign_in()
    (profile,) = profiles.parse(browser.ask("/vdesk/vpn/index.php3").body)
    notes = Notes()
    told = options.parse(browser.ask(profile.target).body, notes)
    assert notes.texts() == ()
    assert told.session == Secret(browser.cookies["MRHSession"]) and told.z == Secret("/Common/lab1")
    assert (told.hdlc, told.ipv4, told.ipv6, told.default_route) == (True, True, ipv6, False)
    assert told.include == settings.routes and told.exclude == settings.no_routes and told.dns == settings.dns
    assert (told.search_domains, told.split_dns) == (("lab.example",), ("a.example",))


def test_without_routes_everything_goes_through_the_tunnel() -> None:
    for settings, flagged in ((SETTINGS, False), (replace(SETTINGS, network6=None), True)):
        browser = Browser(settings)
        browser.sign_in()
        told = options.parse(browser.ask("/vdesk/vpn/connect.php3").body, Notes())
        assert told.default_route is flagged or {net.prefixlen for net in told.include} == {0}


def test_the_tunnel_wants_the_session_and_no_cookie() -> None:
    browser = Browser()
    assert isinstance(browser.site, OpensTunnels) and browser.site.opens_tunnel("GET", "/myvpn?x")
    assert not browser.site.opens_tunnel("POST", "/myvpn?x") and not browser.site.opens_tunnel("GET", "/")
    browser.sign_in()
    session = browser.cookies["MRHSession"]
    for query in ("", "sess=wrong&Z=/Common/lab1", f"sess={session}", f"sess={session}&Z=other"):
        refused = browser.tunnel(query)
        assert isinstance(refused, Page) and refused.status == 504
    opened = browser.tunnel(f"sess={session}&hdlc_framing=no&ipv4=yes&ipv6=yes&Z=/Common/lab1&hostname=dm0=")
    assert isinstance(opened, OpenTunnel)
    assert (opened.framing, opened.mtu) == ("ppp-f5", 1400)
    told = dict(opened.headers)
    assert (told["X-VPN-client-IP"], told["X-VPN-client-IPv6"]) == ("10.77.0.2", "fd77::2")
    only4 = browser.tunnel(f"sess={session}&hdlc_framing=yes&ipv4=yes&ipv6=no&Z=/Common/lab1")
    assert isinstance(only4, OpenTunnel) and only4.framing == "ppp-f5-hdlc"
    assert "X-VPN-client-IPv6" not in dict(only4.headers)
    unsaid = browser.tunnel(f"sess={session}&Z=/Common/lab1")
    assert isinstance(unsaid, OpenTunnel) and unsaid.framing == "ppp-f5-hdlc"  # Q12


@pytest.mark.parametrize(
    ("settings", "variants", "port", "is_12"),
    [
        (SETTINGS, F5Variants(), 4433, True),
        (SETTINGS, F5Variants(dtls_10=True), 4433, False),  # Q11
        (SETTINGS, F5Variants(mute=True), 4433, True),
        (replace(SETTINGS, udp=False), F5Variants(), 0, True),
    ],
)
def test_how_dtls_is_offered(settings: LabSettings, variants: F5Variants, port: int, is_12: bool) -> None:
    browser = Browser(settings, variants)
    assert isinstance(browser.site, TakesDatagrams)
    browser.site.listens(4433)
    browser.sign_in()
    told = options.parse(browser.ask("/vdesk/vpn/connect.php3").body, Notes())
    assert (told.port_dtls, told.dtls_12) == (port, is_12)
    met = browser.site.on_datagram(b"anything", 0.0)
    assert (met is not None) is (settings.udp and not variants.mute)


def record(browser: Browser, **asked: str) -> Welcome | Refusal:
    wanted = {"sess": browser.cookies.get("MRHSession", ""), "hdlc_framing": "no", "ipv6": "yes", "Z": "/Common/lab1"}
    query = "&".join(f"{name}={value}" for name, value in {**wanted, **asked}.items())
    return browser.site._on_record(f"GET /myvpn?{query} HTTP/1.1\r\nHost: lab\r\n\r\n".encode(), 0.0)


def test_the_request_as_a_record() -> None:  # section 7
    browser = Browser()
    browser.sign_in()
    welcome = record(browser)
    assert isinstance(welcome, Welcome) and welcome.session is next(iter(browser.store))
    assert (welcome.framing, welcome.mtu) == ("ppp-f5", 1400)
    told = answer.parse(welcome.answer)
    assert told is not None and (told.status, told.body) == (200, b"")
    assert (told.header("X-VPN-client-IP"), told.header("X-VPN-client-IPv6")) == ("10.77.0.2", "fd77::2")
    only4 = record(browser, ipv6="no")
    assert isinstance(only4, Welcome) and b"IPv6" not in only4.answer


def test_an_answer_that_is_lost() -> None:
    browser = Browser(variants=F5Variants(lost_answer=True))
    browser.sign_in()
    welcome = record(browser)
    assert isinstance(welcome, Welcome) and welcome.answer == b""


@pytest.mark.parametrize("asked", [{"sess": "wrong"}, {"sess": ""}, {"Z": "other"}, {"hdlc_framing": "yes"}])
def test_a_record_that_names_no_session(asked: dict[str, str]) -> None:
    browser = Browser()
    browser.sign_in()
    refusal = record(browser, **asked)
    assert isinstance(refusal, Refusal) and refusal.answer.startswith(b"HTTP/1.0 504 ")
    assert browser.cookies["MRHSession"] not in refusal.reason


@given(st.binary(max_size=80))
def test_whatever_the_first_record_is(data: bytes) -> None:
    browser = Browser()
    browser.sign_in()
    for first in (data, b"GET /myvpn?" + data):
        assert isinstance(browser.site._on_record(first, 0.0), Refusal)


def test_the_logout_ends_the_session() -> None:
    browser = Browser()
    browser.sign_in()
    session = browser.cookies["MRHSession"]
    assert browser.ask("/vdesk/hangup.php3?hangup_error=1").status == 200
    assert len(browser.store) == 0 and browser.cookies["MRHSession"] == ""
    refused = browser.tunnel(f"sess={session}&Z=/Common/lab1")
    assert isinstance(refused, Page) and refused.status == 504
    assert browser.ask("/vdesk/hangup.php3").status == 200  # again, or by a stranger


@pytest.mark.parametrize("body", [b"\xff=1", b"&".join(b"a%d=1" % n for n in range(65)), b"a=" + b"x" * 5000])
def test_bad_form_data_is_refused(body: bytes) -> None:
    browser = Browser()
    browser.begin()
    assert browser.ask("/my.policy", body).status == 400


def test_unknown_pages_and_methods() -> None:
    browser = Browser()
    assert [browser.ask("/favicon.ico").status, browser.ask("/", method="PUT").status] == [404, 405]
    assert browser.ask("/", b"x=1").status == 404


@given(st.text(max_size=60), st.binary(max_size=60))
def test_whatever_is_asked_for_is_answered(query: str, body: bytes) -> None:
    browser = Browser()
    browser.begin()
    refused = browser.tunnel(query)
    assert isinstance(refused, Page) and refused.status == 504
    assert browser.ask("/my.policy", body).status in (200, 400)
    assert browser.ask(f"/{query}").status in (200, 302, 404)


def test_a_full_house() -> None:
    browser = Browser(replace(SETTINGS, network=IPv4Network("10.77.0.0/30")))
    browser.sign_in()
    browser.begin()
    assert browser.ask("/my.policy", RIGHT).status == 503


def test_secrets_stay_out_of_reprs() -> None:
    browser = Browser()
    browser.sign_in()
    assert "cookie-0" not in repr(tuple(browser.store))
