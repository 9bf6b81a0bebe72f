"""The sign-in pages of the lab's AnyConnect gateway: requests in, pages out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from protocols.base import Secret
from vpnclient.lab import certificate
from vpnclient.lab.anyconnect import ATTEMPT_LIFE, AnyConnectSite
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import OpenTunnel, Page, Request
from vpnclient.lab.store import Store

XML_HEADERS = (("X-Aggregate-Auth", "1"), ("Content-Type", "application/xml; charset=utf-8"))
SETTINGS = LabSettings(users={"test": Secret("secret")})


def make(settings: LabSettings = SETTINGS) -> tuple[AnyConnectSite, Store]:
    numbers = itertools.count()
    store = Store(settings.network, settings.network6, life=0, token=lambda: f"cookie-{next(numbers)}")
    attempts = itertools.count()
    return AnyConnectSite(settings, store, lambda: f"attempt-{next(attempts)}"), store


def post(site: AnyConnectSite, body: str, *, now: float = 0.0, certificate: bytes = b"", target: str = "/") -> Page:
    document = f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()
    page = site.respond(Request("POST", target, XML_HEADERS, document, certificate), now)
    assert isinstance(page, Page)
    return page


def init(site: AnyConnectSite, extra: str = "", *, now: float = 0.0, target: str = "/") -> etree._Element:
    page = post(site, f'<config-auth client="vpn" type="init">{extra}</config-auth>', now=now, target=target)
    assert page.status == 200
    return etree.fromstring(page.body)


def reply(form: etree._Element, *, group: str = "", **fields: str) -> str:
    """What a client answers to `form`: the opaque verbatim, hidden fields, and `fields`."""
    opaque = form.find("opaque")
    assert opaque is not None
    hidden = {item.get("name"): item.get("value") for item in form.findall(".//input[@type='hidden']")}
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in {**hidden, **fields}.items())
    chosen = f"<group-select>{group}</group-select>" if group else ""
    copied = etree.tostring(opaque).decode()
    return f'<config-auth client="vpn" type="auth-reply">{copied}<auth>{inside}</auth>{chosen}</config-auth>'


def sign_in(site: AnyConnectSite) -> str:
    page = post(site, reply(init(site), username="test", password="secret"))
    token = etree.fromstring(page.body).findtext("session-token")
    assert token
    return token


def test_the_right_password_gives_a_session_token() -> None:
    site, store = make()
    form = init(site)
    assert form.get("type") == "auth-request"
    assert [item.get("name") for item in form.findall(".//input")] == ["lab_form", "username", "password"]
    page = post(site, reply(form, username="test", password="secret"))
    done = etree.fromstring(page.body)
    assert done.get("type") == "complete"
    assert done.find("auth[@id='success']") is not None
    assert store.find(done.findtext("session-token") or "", now=0) is not None


@pytest.mark.parametrize("user, password", [("test", "wrong"), ("nobody", ""), ("nobody", "secret"), ("test", "")])
def test_a_wrong_password_shows_the_form_again_with_an_error(user: str, password: str) -> None:
    site, store = make()
    again = etree.fromstring(post(site, reply(init(site), username=user, password=password)).body)
    assert again.findtext("auth/error") == "Login failed."
    assert again.find("auth/form") is not None
    assert len(store) == 0


def test_the_third_failure_ends_the_sign_in() -> None:
    site, _ = make()
    form = init(site)
    for _attempt in range(2):
        assert post(site, reply(form, username="test", password="wrong")).status == 200
    page = post(site, reply(form, username="test", password="wrong"))
    assert (page.status, page.close) == (401, True)
    late = etree.fromstring(post(site, reply(form, username="test", password="secret")).body)
    assert late.findtext("auth/error") == "The sign-in has expired."


def test_a_client_that_drops_hidden_fields_is_refused() -> None:
    site, _ = make()
    form = init(site)
    for item in form.findall(".//input[@type='hidden']"):
        item.set("name", "forgotten")
    page = post(site, reply(form, username="test", password="secret"))
    assert etree.fromstring(page.body).findtext("auth/error") == "Login failed."


def test_a_sign_in_expires() -> None:
    site, store = make()
    form = init(site, now=10.0)
    page = post(site, reply(form, username="test", password="secret"), now=10.0 + ATTEMPT_LIFE)
    assert etree.fromstring(page.body).findtext("auth/error") == "The sign-in has expired."
    assert len(store) == 0


def test_groups_are_offered_and_a_wish_is_preselected() -> None:
    site, store = make(replace(SETTINGS, groups=("Staff", "Sales")))
    form = init(site, "<group-select>Sales</group-select>")
    options = form.findall(".//select[@name='group_list']/option")
    assert [(o.get("value"), o.get("selected")) for o in options] == [("Staff", None), ("Sales", "true")]
    post(site, reply(form, username="test", password="secret"))
    assert [session.group for session in store] == ["Sales"]


def test_a_group_can_be_named_by_the_path_or_in_the_reply() -> None:
    site, store = make(replace(SETTINGS, groups=("Staff", "Sales")))
    post(site, reply(init(site, target="/Sales"), username="test", password="secret"))
    post(site, reply(init(site), group="Staff", username="test", password="secret"))
    assert [session.group for session in store] == ["Sales", "Staff"]


def test_an_unknown_group_is_an_error_and_none_chosen_asks() -> None:
    site, store = make(replace(SETTINGS, groups=("Staff", "Sales")))
    assert "'Nope'" in (init(site, "<group-select>Nope</group-select>").findtext("auth/error") or "")
    page = post(site, reply(init(site), username="test", password="secret"))
    assert etree.fromstring(page.body).findtext("auth/error") == "Choose one of the groups."
    assert len(store) == 0


def test_a_challenge_is_a_second_form_and_its_answer_comes_back_as_password() -> None:
    site, store = make(replace(SETTINGS, challenge=Secret("4711")))
    second = etree.fromstring(post(site, reply(init(site), username="test", password="secret")).body)
    assert second.find("auth[@id='challenge']//input[@name='answer']") is not None
    wrong = etree.fromstring(post(site, reply(second, password="0815")).body)
    assert wrong.findtext("auth/error") == "Wrong code."
    done = etree.fromstring(post(site, reply(wrong, password="4711")).body)
    assert done.find("auth[@id='success']") is not None
    assert [session.user for session in store] == ["test"]


def test_the_older_dialect_walks_the_same_states() -> None:
    site, store = make(replace(SETTINGS, challenge=Secret("4711"), groups=("Staff",)))
    page = site.respond(Request("GET", "/"), 0.0)
    assert isinstance(page, Page)
    assert etree.fromstring(page.body).tag == "auth"
    body = b"lab_form=main&username=test&password=secret&group_list=Staff"
    page = site.respond(Request("POST", "/auth", (("Cookie", cookie_of(page)),), body), 0.0)
    assert isinstance(page, Page)
    page = site.respond(Request("POST", "/auth", (("Cookie", cookie_of(page)),), b"answer=4711"), 0.0)
    assert isinstance(page, Page)
    assert etree.fromstring(page.body).get("id") == "success"
    cookies = [value.partition(";")[0] for name, value in page.headers if name == "Set-Cookie"]
    assert cookies == ["webvpncontext=", "webvpn=cookie-0"]
    assert [session.group for session in store] == ["Staff"]


def cookie_of(page: Page) -> str:
    return next(value.partition(";")[0] for name, value in page.headers if name == "Set-Cookie")


def test_a_gateway_without_xml_answers_404_to_it() -> None:
    site, _ = make(replace(SETTINGS, legacy_only=True))
    assert post(site, '<config-auth type="init"/>').status == 404


@pytest.mark.parametrize(
    "body, text",
    [
        (b"", "want an XML declaration"),
        (b"username=test", "want an XML declaration"),
        (b"<?xml version='1.0'?><config-auth", "XML: "),
        (b"<?xml version='1.0'?><other/>", "root element: got 'other'"),
        (b"<?xml version='1.0'?><config-auth type='logout'/>", "config-auth type: got 'logout'"),
        (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><config-auth type='init'/>", "document type"),
        (b"<?xml version='1.0'?>" + b"<a>" * 1000 + b"</a>" * 1000, "XML: "),
        (b"<?xml version='1.0'?><config-auth type='init'><opaque><attempt>" + b"x" * 5000
         + b"</attempt></opaque></config-auth>", "got 5000 characters, want <= 4096"),
        (b"<?xml version='1.0'?><config-auth type='auth-reply'><auth>"
         + b"".join(b"<f%d/>" % n for n in range(65)) + b"</auth></config-auth>", "got 65, want <= 64"),
    ],
)  # fmt: skip
def test_bad_documents_are_named(body: bytes, text: str) -> None:
    site, _ = make()
    page = site.respond(Request("POST", "/", XML_HEADERS, body), 0.0)
    assert isinstance(page, Page)
    assert (page.status, page.close) == (400, True)
    assert text in dict(page.headers)["X-Reason"]


@pytest.mark.parametrize("body", [b"\xff=1", b"&".join(b"a%d=1" % n for n in range(65)), b"a=" + b"x" * 5000])
def test_bad_form_data_is_refused(body: bytes) -> None:
    site, _ = make()
    page = site.respond(Request("POST", "/auth", (), body), 0.0)
    assert isinstance(page, Page)
    assert page.status == 400


def test_unknown_pages_and_methods() -> None:
    site, _ = make()
    assert statuses(site, Request("GET", "/favicon.ico"), Request("PUT", "/")) == [404, 405]


def statuses(site: AnyConnectSite, *requests: Request) -> list[int]:
    pages = [site.respond(request, 0.0) for request in requests]
    return [page.status for page in pages if isinstance(page, Page)]


def test_the_tunnel_wants_the_cookie() -> None:
    site, store = make()
    token = sign_in(site)
    wrong = (("Cookie", "webvpn=wrong"),)
    path = "/CSCOSSLC/tunnel"
    assert statuses(site, Request("CONNECT", path, wrong), Request("CONNECT", path), Request("CONNECT", "/x")) == [
        401,
        401,
        404,
    ]
    opened = site.respond(Request("CONNECT", path, (("Cookie", f"a=b; webvpn={token}"),)), 0.0)
    assert isinstance(opened, OpenTunnel)
    assert opened.session in tuple(store)
    assert opened.framing == "cstp"


def test_a_client_certificate_signs_in_by_itself_and_is_wanted_again_at_the_tunnel() -> None:
    site, store = make(replace(SETTINGS, client_ca=Path("ca.pem")))
    issued = certificate.issue_client(certificate.authority(), "alice").der
    document = '<config-auth type="init"/>'
    page = post(site, document, certificate=issued)
    token = etree.fromstring(page.body).findtext("session-token")
    assert [session.user for session in store] == ["alice"]
    headers = (("Cookie", f"webvpn={token}"),)
    assert isinstance(site.respond(Request("CONNECT", "/CSCOSSLC/tunnel", headers, b"", issued), 0.0), OpenTunnel)
    assert statuses(site, Request("CONNECT", "/CSCOSSLC/tunnel", headers)) == [401]


def test_without_the_certificate_it_is_asked_for_then_the_password() -> None:
    site, _ = make(replace(SETTINGS, client_ca=Path("ca.pem")))
    assert init(site).find("client-cert-request") is not None
    assert init(site, "<client-cert-fail/>").find("auth/form") is not None
    only, _ = make(LabSettings(client_ca=Path("ca.pem")))
    assert init(only, "<client-cert-fail/>").findtext("error") == "Certificate Validation Failure"


def test_secrets_stay_out_of_reprs() -> None:
    site, store = make()
    sign_in(site)
    assert "cookie-0" not in repr(tuple(store))
    assert "secret" not in repr(SETTINGS)
