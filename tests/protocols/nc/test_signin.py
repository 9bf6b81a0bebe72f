"""The sign-in against a scripted gateway (section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret, SignInOptions, Ticket
from protocols.errors import (
    ClientCertificateRequired,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
    UnknownGroup,
)
from protocols.nc import NetworkConnect, exchange, hostcheck
from protocols.nc.exchange import MAX_REDIRECTS, MAX_REQUESTS, pad_length
from protocols.nc.hostcheck import HostChecker
from protocols.nc.signin import MAX_FORMS, MAX_IDLE_FORMS
from tests.protocols.doubles import FakeHttp, FakeUser, answer, person, redirect
from tests.protocols.nc.test_hostcheck import FakeProgram
from tests.protocols.nc.test_pages import CONFIRM, ROLES
from tests.protocols.refusals import refused
from transports.http import Response

URL = "https://vpn.test/"
WELCOME = "/dana-na/auth/url_default/welcome.cgi"
TO_WELCOME = redirect(WELCOME)
USER = '<input type="text" name="username">'
PASSWORD = '<input type="password" name="password">'
DSID = ("Set-Cookie", "DSID=abc; path=/; secure")


def page(inside: str, name: str = "frmLogin", *headers: tuple[str, str], action: str = "login.cgi") -> Response:
    where = f' action="{action}"' if action else ""
    button = '<input type="submit" name="btnSubmit" value="Sign In">' if name == "frmLogin" else ""
    return answer(f'<form name="{name}" method="POST"{where}>{inside}{button}</form>', *headers)


def done(location: str = "/dana/home/index.cgi") -> Response:
    return answer(b"", ("Location", location), DSID, ("Set-Cookie", "DSFirstAccess=17"), status=302, reason="Found")


LOGIN = page(USER + PASSWORD)


def bob() -> FakeUser:
    return person(username="bob", password="secret")


def run(http: FakeHttp, user: FakeUser | None = None, url: str = URL, **options: object) -> Ticket:
    wishes = SignInOptions(url, **options)  # type: ignore[arg-type]
    return asyncio.run(NetworkConnect(bytes).authenticate(http, user or bob(), wishes))  # type: ignore[arg-type]


def test_user_and_password() -> None:
    http = FakeHttp([TO_WELCOME, LOGIN, done()])
    ticket = run(http)
    assert (ticket.protocol, ticket.connect_url, ticket.address) == ("nc", URL, "203.0.113.1")
    assert (ticket.cookie.reveal(), ticket.fingerprint) == ("DSID=abc; DSFirst=17", "pin-sha256:AAAA")
    assert [(request.method, request.url) for request in http.requests] == [
        ("GET", URL),
        ("GET", f"https://vpn.test{WELCOME}"),
        ("POST", "https://vpn.test/dana-na/auth/url_default/login.cgi"),  # the redirect with DSID is not followed
    ]
    assert http.requests[2].text == "username=bob&password=secret&btnSubmit=Sign%20In"


def test_headers() -> None:
    http = FakeHttp([LOGIN, done()])
    run(http, version="1.2.3")
    first, second = http.requests
    assert first.headers == {"User-Agent": "vpnclient/1.2.3", "NCP-Version": "3"}  # no Connection: close (Q1)
    assert second.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (len(second.body or b"") + len(second.headers["X-Pad"])) % 64 == 0
    http = FakeHttp([LOGIN, done()])
    run(http, user_agent="Mozilla/5.0")  # Q21
    assert http.requests[0].headers["User-Agent"] == "Mozilla/5.0"


@pytest.mark.parametrize(("length", "pad"), [(0, 0), (1, 63), (63, 1), (64, 0), (100, 28)])
def test_padding(length: int, pad: int) -> None:
    assert pad_length(length) == pad


@pytest.mark.parametrize("last", [answer("junk", DSID, status=403), answer(b"", DSID), answer("<form>", DSID)])
def test_the_session_counts_whatever_the_page_is(last: Response) -> None:  # Q16
    assert run(FakeHttp([LOGIN, last])).cookie.reveal() == "DSID=abc"


def test_cookies_are_sent_back_and_empty_ones_forgotten() -> None:
    first = page(USER + PASSWORD, "frmLogin", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Set-Cookie", "a="))
    http = FakeHttp([first, done()])
    run(http)
    assert http.requests[1].cookies == "b=2"


def test_redirects_are_followed_by_get_without_the_form() -> None:
    http = FakeHttp([LOGIN, redirect("welcome.cgi?p=x", 307), page(PASSWORD, "frmDefender"), done()])
    run(http, person(username="bob", password=["secret", "123"]))
    assert [(request.method, request.body) for request in http.requests][2] == ("GET", None)
    assert http.requests[3].text == "password=123"


@pytest.mark.parametrize("location", ["", "#top"])
def test_a_redirect_to_nowhere_means_the_same_place(location: str) -> None:
    http = FakeHttp([redirect(location), LOGIN, done()])
    run(http)
    assert http.requests[1].url == URL


@pytest.mark.parametrize("location", ["http://vpn.test/", "ftp://x/", "https://vpn.test:99999/"])
def test_only_https_is_followed(location: str) -> None:
    with refused(MalformedAnswer, match="nc-insecure-redirect"):
        run(FakeHttp([redirect(location)]))
    with refused(MalformedAnswer, match="nc-insecure-redirect"):
        run(FakeHttp([page(USER, action=location)]), person(username="bob"))


def test_loops_end() -> None:
    with refused(MalformedAnswer, match="nc-too-many-redirects"):
        run(FakeHttp([TO_WELCOME] * (MAX_REDIRECTS + 1)))
    endless = person(username=["bob"] * 99, password=["x"] * 99)
    with refused(MalformedAnswer, match="nc-too-many-forms"):
        run(FakeHttp([LOGIN] * (MAX_FORMS + 1)), endless)
    with refused(MalformedAnswer, match=f"{MAX_IDLE_FORMS} forms in a row"):
        run(FakeHttp([page("", "hiddenform")] * MAX_IDLE_FORMS))
    around = [redirect("/a"), redirect("/b"), page(USER)] * 30
    with refused(MalformedAnswer, match=f"no session after {MAX_REQUESTS} requests"):
        run(FakeHttp(around), person(username=["bob"] * 99))


@pytest.mark.parametrize(
    "response, error, text",
    [
        (answer(status=401, reason="No"), SignInFailed, "refused the sign-in: 401 No"),
        (answer(status=403, reason="No"), SignInFailed, "refused the sign-in"),
        (answer(status=500, reason="Oops"), MalformedAnswer, "nc-http-status: got HTTP status 500 Oops"),
        (answer(b" \n"), MalformedAnswer, "nc-empty-page"),
        (answer("<html>nothing</html>"), MalformedAnswer, "nc-no-form"),
        (answer("<form name=x method=post></form>"), MalformedAnswer, "nc-unknown-form"),
    ],
)
def test_what_ends_a_sign_in(response: Response, error: type[Exception], text: str) -> None:
    with refused(error, match=text):
        run(FakeHttp([response]))


def test_a_refused_client_certificate_is_told() -> None:
    cookie = ("Set-Cookie", "ClientCertAuthFailed=1; path=/")
    with pytest.raises(ClientCertificateRequired):
        run(FakeHttp([answer("x", cookie, status=403)]))


# --- refusals and second factors ---


def test_a_refused_password_is_asked_for_again() -> None:
    http = FakeHttp([LOGIN, redirect(f"{WELCOME}?p=failed"), LOGIN, done()])
    user = person(username=["bob", "bob"], password=["wrong", "secret"])
    run(http, user)
    assert [form.error for form in user.forms] == ["", exchange.MEANINGS["failed"]]


@pytest.mark.parametrize("answers", [redirect(f"{WELCOME}?p=failed"), redirect(f"{WELCOME}?p=account%2Dlocked%2Dout")])
def test_nobody_left_to_ask_ends_it(answers: Response) -> None:
    with refused(SignInFailed, match=r"the (gateway|account)"):
        run(FakeHttp([LOGIN, answers, LOGIN]))


def test_a_second_login_form_with_a_password_is_a_refusal_even_without_a_word() -> None:
    with refused(SignInFailed, match="the gateway refused the answer and asks again"):
        run(FakeHttp([LOGIN, LOGIN]))


def test_no_answer_to_the_first_question_is_no_refusal() -> None:
    with pytest.raises(InputRequired):
        run(FakeHttp([LOGIN]), FakeUser())


@pytest.mark.parametrize("name", ["frmDefender", "frmNextToken", "frmTotpToken"])
def test_a_code_in_a_form_of_its_own(name: str) -> None:
    hidden = '<input type="hidden" name="key" value="k1">'
    http = FakeHttp([LOGIN, page(hidden + '<input type="password" name="code">', name), done()])
    user = person(username="bob", password="secret", code="4711")
    run(http, user)
    assert http.requests[-1].text == "key=k1&code=4711"
    assert [field.once for field in user.forms[1].fields] == [False, True]


def test_a_refused_code_is_told_and_not_repeated() -> None:
    code = page('<input type="password" name="code">', "frmDefender")
    http = FakeHttp([LOGIN, code, code, done()])
    user = person(username="bob", password="secret", code=["1", "2"])
    run(http, user)
    assert [bool(form.error) for form in user.forms] == [False, False, True]
    with refused(SignInFailed, match="refused the answer"):
        run(FakeHttp([LOGIN, code, code]), person(username="bob", password="secret", code="1"))


def test_passwords_can_be_forbidden() -> None:
    with refused(SignInFailed, match="asks for a password, which is not allowed"):
        run(FakeHttp([LOGIN]), allow_password=False)


# --- realms, roles, sessions, notices ---


REALMS = '<select name="realm"><option value="1">Staff</option><option value="2">Guests</option></select>'


def test_a_realm_is_chosen_with_the_form() -> None:
    http = FakeHttp([page(USER + PASSWORD + REALMS), done()])
    run(http, person(username="bob", password="secret", realm="2"))
    assert http.requests[1].text == "realm=2&username=bob&password=secret&btnSubmit=Sign%20In"
    with pytest.raises(UnknownGroup, match="Staff, Guests"):
        run(FakeHttp([page(USER + PASSWORD + REALMS)]), person(username="bob", password="secret", realm="3"))


def test_a_role_is_a_link() -> None:
    http = FakeHttp([LOGIN, answer(ROLES), done()])
    run(http, person(username="bob", password="secret", role="/x"))
    assert (http.requests[2].method, http.requests[2].url) == ("GET", "https://vpn.test/x")
    with pytest.raises(UnknownGroup):
        run(FakeHttp([LOGIN, answer(ROLES)]), person(username="bob", password="secret", role="nowhere"))


def test_the_only_role_is_taken() -> None:
    one = ROLES.replace('<a href="/x">Admins</a>', "")
    http = FakeHttp([LOGIN, answer(one), done()])
    run(http)
    assert http.requests[2].url == "https://vpn.test/login.cgi?role=1&id=2"


def test_the_session_to_end_is_the_first_if_nobody_says_otherwise() -> None:
    http = FakeHttp([LOGIN, answer(CONFIRM), done()])
    run(http)
    assert http.requests[2].text == "postfixSID=s1&btnContinue=Weiter&FormDataStr=x%2Fy%3D"
    http = FakeHttp([LOGIN, answer(CONFIRM), done()])
    run(http, person(username="bob", password="secret", postfixSID="s2"))
    assert http.requests[2].text.startswith("postfixSID=s2&")


def test_a_notice_is_shown_and_accepted() -> None:
    inside = '<textarea name="sn-postauth-text">Be good</textarea><input type=submit name=sn-postauth-proceed value=Y>'
    http = FakeHttp([LOGIN, page(inside), done()])
    user = bob()
    ticket = run(http, user)
    assert http.requests[2].text == "sn-postauth-proceed=Y&btnSubmit=Sign%20In"
    assert user.forms[1].banner == "Be good" and ticket.banner == "Be good"


def test_a_path_that_is_not_there_is_told() -> None:  # Q29
    user = bob()
    run(FakeHttp([TO_WELCOME, LOGIN, done()]), user, url=f"{URL}staff")
    assert user.said == ["the gateway has no sign-in page /staff: this is its default page"]
    user = bob()
    run(FakeHttp([redirect("/dana-na/auth/url_7/welcome.cgi"), LOGIN, done()]), user, url=f"{URL}staff")
    assert user.said == []


# --- other hosts ---


def test_saml_goes_to_another_host_and_back() -> None:  # 2.8
    away = answer(b"", ("Location", "https://idp.test/login"), ("Set-Cookie", "DSSIGNIN=url_default"), status=302)
    idp = answer(
        f'<form id="loginForm" method="post">{USER}{PASSWORD}<input type=checkbox name=Kmsi value=true></form>',
        ("Set-Cookie", "idp=1"),
        ("Set-Cookie", "DSID=trap"),  # not of the gateway's
    )
    back = page('<input type=hidden name=SAMLResponse value="a+b">', "hiddenform", action=f"{URL}dana-na/saml.cgi")
    http = FakeHttp([away, idp, back, done()])
    ticket = run(http)
    assert ticket.cookie.reveal() == "DSID=abc; DSFirst=17" and ticket.connect_url == URL
    assert [request.cookies for request in http.requests] == ["", "", "idp=1; DSID=trap", "DSSIGNIN=url_default"]
    assert http.requests[2].text == "username=bob&password=secret&Kmsi=true"
    assert http.requests[3].text == "SAMLResponse=a%2Bb"


def test_a_gateway_may_send_us_on_to_its_kin() -> None:
    http = FakeHttp([redirect("https://node2.test/dana-na/auth/url_default/welcome.cgi"), LOGIN, done()])
    assert run(http).connect_url == "https://node2.test/"


# --- host checker ---


CHECK = answer("<html>Loading</html>", ("Set-Cookie", "DSPREAUTH=old"), ("Set-Cookie", "DSSIGNIN=url_default"))


def with_checker(monkeypatch: pytest.MonkeyPatch, *lines: str) -> FakeProgram:
    program = FakeProgram(*lines)
    make: Callable[..., HostChecker] = lambda options, host, fingerprint: HostChecker(program, host)  # noqa: E731
    monkeypatch.setattr(hostcheck, "start", make)
    return program


def test_the_host_checker_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program = with_checker(monkeypatch, "200", "3", "new", "")
    http = FakeHttp([TO_WELCOME, CHECK, LOGIN, done()])
    run(http, csd_wrapper="/bin/checker")
    assert program.sent[0] == b"start\nIC=vpn.test\nCookie=old\nDSSIGNIN=url_default\n"
    assert http.requests[2].url == f"https://vpn.test{WELCOME}"
    assert http.requests[2].cookies == "DSPREAUTH=new; DSSIGNIN=url_default"
    program = with_checker(monkeypatch, "200", "3", "new", "")
    with refused(MalformedAnswer, match=r"nc-no-form: .* after the host checker"):
        run(FakeHttp([CHECK, CHECK]), csd_wrapper="/bin/checker")
    assert program.stopped


def test_a_failed_check_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    program = with_checker(monkeypatch, "500")
    with refused(SignInFailed, match="nc-host-checker-failed: the host checker said '500'"):
        run(FakeHttp([CHECK]), csd_wrapper="/bin/checker")
    assert program.stopped


def test_without_a_checker_it_is_asked_for() -> None:
    with refused(NotSupported, match=r"nc-host-checker-required: .*--csd-wrapper"):
        run(FakeHttp([CHECK]))
    with refused(SignInFailed, match="nc-host-checker-failed: /nothing/there cannot be run"):
        run(FakeHttp([CHECK]), csd_wrapper="/nothing/there")


# --- the end ---


def test_logout() -> None:  # 9.3
    http = FakeHttp([redirect("/dana-na/auth/welcome.cgi?p=logout")])
    ticket = NetworkConnect(bytes).ticket_from_cookie(URL, Secret("DSID=abc; DSLast=17"))
    asyncio.run(NetworkConnect(bytes).logout(http, ticket))  # type: ignore[arg-type]
    (request,) = http.requests
    assert (request.method, request.url) == ("GET", "https://vpn.test/dana-na/auth/logout.cgi")
    assert request.cookies == "DSID=abc; DSLastAccess=17"
    with pytest.raises(ProtocolError, match="got HTTP status 500"):
        asyncio.run(NetworkConnect(bytes).logout(FakeHttp([answer(status=500, reason="x")]), ticket))  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([LOGIN, TO_WELCOME, CHECK, answer(CONFIRM), answer(ROLES), answer("x", status=401)])))
def test_any_order_of_answers_ends(script: list[Response]) -> None:
    http = FakeHttp([*script, answer("", status=500)])
    user = person(username=["bob"] * 40, password=["x"] * 40)
    with pytest.raises(ProtocolError):
        run(http, user)
