"""The pages of the lab's Network Connect gateway: requests in, pages out; and its side of the tunnel."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Control, Secret, Send, Traffic, Warn
from protocols.errors import MalformedFrame
from protocols.framing.oncp import Kind
from protocols.framing.oncp_opening import Opening, hostname_record
from protocols.nc import esp, pages
from protocols.nc.configuration import negotiate
from vpnclient.lab.nc import ATTEMPT_LIFE, LOGIN, TUNNEL, WELCOME, NcSite
from vpnclient.lab.nc_settings import NcSettings
from vpnclient.lab.nc_tunnel import EXPIRED, IDLE, NcOpening, NcServer, State
from vpnclient.lab.site import Hangup, OpensTunnels, OpenTunnel, Page, Request
from vpnclient.lab.store import LabSession, Store

SETTINGS = NcSettings(users={"test": Secret("secret")})


def make(settings: NcSettings = SETTINGS) -> tuple[NcSite, Store]:
    cookies, attempts = itertools.count(), itertools.count()
    store = Store(settings.network, None, life=0, token=lambda: f"cookie-{next(cookies)}")
    return NcSite(settings, store, lambda: f"attempt-{next(attempts)}"), store


def get(site: NcSite, target: str, cookie: str = "", now: float = 0.0) -> Page:
    page = site.respond(Request("GET", target, (("Cookie", cookie),)), now)
    assert isinstance(page, Page)
    return page


def post(site: NcSite, now: float = 0.0, **fields: str) -> Page:
    body = urlencode(fields).encode()
    page = site.respond(Request("POST", LOGIN, (), body), now)
    assert isinstance(page, Page)
    return page


def header(page: Page, name: str) -> list[str]:
    return [value for key, value in page.headers if key == name]


def form(page: Page) -> pages.Page:
    found = pages.parse(page.body, header(page, "Content-Type")[0])
    assert found is not None
    return found


def answered(site: NcSite, page: Page, **answers: str) -> Page:
    return post(site, **{entry.name: entry.value for entry in form(page).entries} | answers)


RIGHT = {"username": "test", "password": "secret"}


def cookie_of(page: Page) -> str:
    (found,) = (value for value in header(page, "Set-Cookie") if value.startswith("DSID="))
    return found.partition(";")[0]


def sign_in(site: NcSite) -> str:
    return cookie_of(answered(site, get(site, WELCOME), **RIGHT))


def test_the_straight_way() -> None:
    site, store = make()
    first = get(site, "/")
    assert (first.status, header(first, "Location")) == (302, [WELCOME])
    done = answered(site, get(site, WELCOME), **RIGHT)
    assert done.status == 302 and header(done, "Location") == ["/dana/home/index.cgi"]
    assert get(site, "/dana/home/index.cgi").status == 403
    opened = site.respond(Request("POST", TUNNEL, (("Cookie", cookie_of(done)),)), 0.0)
    assert isinstance(opened, OpenTunnel) and opened.options == (("gateway", b"\x01"),)
    assert len(store) == 1 and isinstance(site, OpensTunnels)


@pytest.mark.parametrize(
    "answers", [{"password": "wrong"}, {"username": "nobody"}, {"lab_state": "lost"}, {"password": ""}]
)
def test_what_is_wrong_is_refused(answers: dict[str, str]) -> None:
    site, store = make()
    page = answered(site, get(site, WELCOME), **RIGHT | answers)
    assert header(page, "Location")[0].startswith(f"{WELCOME}?p=") and len(store) == 0


def test_three_wrong_passwords_lock_the_account() -> None:
    site, _ = make()
    where = WELCOME
    for _try in range(2):
        page = answered(site, get(site, where), username="test", password="wrong")
        where = header(page, "Location")[0]
        assert where.startswith(f"{WELCOME}?p=failed&id=state_")
    assert answered(site, get(site, where), username="test", password="wrong").status == 403


def test_every_step() -> None:
    more = {"groups": ("Staff", "Größe & Co"), "roles": ("Users", "Admins"), "one_session": True}
    secrets = {"second_password": Secret("two"), "challenge": Secret("4711")}
    settings = replace(SETTINGS, **more, **secrets, notice="Be <good>")  # type: ignore[arg-type]
    site, store = make(settings)
    old = store.add("test", "", 0.0)
    login = get(site, WELCOME)
    assert [choice.label for choice in form(login).entries[0].choices] == ["Staff", "Größe & Co"]
    code = answered(site, login, **RIGHT, **{"password#2": "two", "realm": "1"})
    assert form(code).name == "frmDefender"
    notice = answered(site, code, password="4711")
    assert form(notice).banner == "Be <good>"
    confirmation = answered(site, notice)
    assert form(confirmation).name == "frmConfirmation"
    assert "session of test at 10.77.0.2" in form(confirmation).entries[0].choices[0].label
    roles = answered(site, confirmation)
    assert old.expires_at == 0.0  # its link ends itself
    done = get(site, f"/dana-na/auth/url_default/{form(roles).roles[1].value}")
    assert cookie_of(done) == "DSID=cookie-1"
    assert [(held.user, held.group) for held in store] == [("test", ""), ("test", "Admins")]


@pytest.mark.parametrize(
    ("name", "field"), [("frmDefender", "password"), ("frmTotpToken", "totptoken"), ("frmNextToken", "password")]
)
def test_codes(name: str, field: str) -> None:
    site, _ = make(replace(SETTINGS, challenge=Secret("4711"), code_form=name))
    code = answered(site, get(site, WELCOME), **RIGHT)
    assert form(code).name == name
    assert header(answered(site, code, **{field: "1"}), "Location")[0].startswith(f"{WELCOME}?p=failed")
    assert cookie_of(answered(site, code, **{field: "4711"}))


def test_a_host_check_comes_first() -> None:
    site, _ = make(replace(SETTINGS, host_check=Secret("checked")))
    page = get(site, WELCOME)
    assert pages.parse(page.body) is None and len(header(page, "Set-Cookie")) == 2
    assert header(get(site, WELCOME, "DSPREAUTH=unchecked"), "Set-Cookie") == []
    assert form(get(site, WELCOME, "DSPREAUTH=checked")).name == "frmLogin"


def test_logout_ends_the_session() -> None:
    site, store = make()
    cookie = sign_in(site)
    assert get(site, "/dana-na/auth/logout.cgi", cookie).status == 302 and len(store) == 0
    refused = site.respond(Request("POST", TUNNEL, (("Cookie", cookie),)), 0.0)
    assert isinstance(refused, Page) and (refused.status, refused.close) == (302, True)
    assert get(site, "/dana-na/auth/logout.cgi", cookie).status == 302  # nothing left to end


def test_sign_ins_are_forgotten() -> None:
    site, _ = make()
    page = get(site, WELCOME)
    fields = {entry.name: entry.value for entry in form(page).entries} | RIGHT
    assert header(post(site, ATTEMPT_LIFE, **fields), "Location") == [f"{WELCOME}?p=timed-out"]


@pytest.mark.parametrize(("method", "target", "status"), [("PUT", "/", 405), ("GET", "/nowhere", 302)])
def test_other_requests(method: str, target: str, status: int) -> None:
    site, _ = make()
    page = site.respond(Request(method, target), 0.0)
    assert isinstance(page, Page) and page.status == status


def test_too_many_fields_are_refused() -> None:
    site, _ = make()
    assert post(site, **{f"f{at}": "" for at in range(100)}).status == 400


@given(st.binary(max_size=60), st.text(max_size=20))
def test_any_request_gets_a_page(body: bytes, query: str) -> None:
    site, _ = make()
    for request in (Request("POST", LOGIN, (), body), Request("GET", f"{LOGIN}?{query}"), Request("GET", f"/?{query}")):
        assert isinstance(site.respond(request, 0.0), Page)


@pytest.mark.parametrize(
    "bad, text",
    [
        (replace(SETTINGS, mtu=16363), "want at most 16362"),
        (replace(SETTINGS, network6=IPv6Network("fd00::/64")), "IPv4 only"),
        (replace(SETTINGS, code_form="frmLogin"), "--code-form: got 'frmLogin'"),
        (replace(SETTINGS, status=256), "--status, --idle-timeout"),
        (replace(SETTINGS, idle_timeout=-1), "--status, --idle-timeout"),
        (replace(SETTINGS, esp_mac="none"), "--esp-cipher, --esp-mac"),
    ],
)
def test_problems_are_named(bad: NcSettings, text: str) -> None:
    assert SETTINGS.problems() == []
    (problem,) = bad.problems()
    assert text in problem


# --- the tunnel ---


def session() -> LabSession:
    return Store(SETTINGS.network, None, life=0, token=str).add("test", "", 0.0)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_opening_is_what_a_client_understands(size: int) -> None:
    routes = {
        "routes": (IPv4Network("10.8.0.0/16"), IPv6Network("fd00::/64")),
        "no_routes": (IPv4Network("10.8.1.0/24"),),
    }
    settings = replace(SETTINGS, **routes, dns=(ip_address("10.77.0.1"),), default_domain="a.example,b.example")  # type: ignore[arg-type]
    opening = NcOpening(settings, session())
    data = hostname_record("me") + b"\x05\x00rest"
    said = b""
    for at in range(0, len(data), size):
        if opening.rest() is None:
            said += b"".join(opening.feed(data[at : at + size]) or (b"",))  # type: ignore[arg-type]
    assert opening.rest() is not None and opening.begin() == b""
    client = Opening()
    assert client.feed(said) and client.status == 0
    config = negotiate(client.configuration or b"").config
    assert [str(address) for address in config.addresses] == ["10.77.0.2/32"] and config.mtu == 1400
    assert [str(net) for net in config.split_include] == ["10.77.0.0/24", "10.8.0.0/16"]
    assert [str(net) for net in config.split_exclude] == ["10.8.1.0/24"]
    assert config.search_domains == ("a.example", "b.example") and config.warnings == ()


def test_a_refused_opening_never_ends() -> None:
    opening = NcOpening(replace(SETTINGS, status=8), session())
    assert opening.feed(hostname_record("me")) == b"\x01\x00\x08"
    assert opening.rest() is None and opening.feed(b"") == b""


@pytest.mark.parametrize("data", ["ff01" + "00" * 4, "1400000500000007006c6162686f7374bb0100000000", "0000"])
def test_what_is_no_host_name_is_refused(data: str) -> None:
    with pytest.raises(MalformedFrame, match="oncp host name record"):
        NcOpening(SETTINGS, session()).feed(bytes.fromhex(data))


def test_what_a_client_says_is_logged() -> None:
    server = NcServer(SETTINGS, session(), now=0.0)
    frames = [Control(Kind.CONTROL, esp.mtu_payload(1400)), Control(Kind.CONTROL, b"x"), Control(77, b"abc")]
    texts = [action.text for action in server.on_controls(frames, 0.0) if isinstance(action, Warn)]
    assert texts[0] == "the client says 6/2 = 1400"
    assert texts[1].startswith("KMP 303: group: got 1 bytes") and texts[2] == "KMP 77 with 3 bytes ignored"


def test_a_link_ends_with_its_session_and_when_it_is_idle() -> None:
    held = session()
    server = NcServer(SETTINGS, held, now=0.0)
    assert server.deadline() == 1.0 and server.on_time(Traffic(0.0, 0.0), 5.0) == []
    held.expires_at = 5.5  # a page ended it
    assert server.deadline() == 5.5
    assert server.on_time(Traffic(0.0, 0.0), 6.0) == [
        Send(Control(Kind.TERMINATED, bytes([EXPIRED]))), Hangup("session over", forget=True),
    ]  # fmt: skip
    assert server.state is State.OVER and server.on_time(Traffic(0.0, 0.0), 7.0) == []
    idle = NcServer(replace(SETTINGS, idle_timeout=3), session(), now=0.0)
    assert idle.on_time(Traffic(0.0, 1.0), 3.9) == []
    assert idle.on_time(Traffic(0.0, 1.0), 4.0)[0] == Send(Control(Kind.TERMINATED, bytes([IDLE])))
    assert NcServer(SETTINGS, session(), now=0.0).farewell("over")[1] == Hangup("over", forget=True)
