"""The sign-in, against a scripted gateway: every row of sections 3.1 to 3.6."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from protocols.base import Secret, SignInOptions, Ticket
from protocols.errors import (
    ClientCertificateRequired,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
)
from protocols.f5 import F5
from tests.protocols.doubles import FakeHttp, FakeUser, answer, person, redirect
from tests.protocols.refusals import refused
from transports.errors import ClientCertificateWanted, HttpError
from transports.http import Response

OPTIONS = SignInOptions(url="https://vpn.test/")
PRE = ("Set-Cookie", "MRHSession=pre; path=/; secure")
DONE = (("Set-Cookie", "MRHSession=abc; path=/; secure"), ("Set-Cookie", "F5_ST=1z1z1z1700000000z3600; path=/"))
FIELDS = '<input type="text" name="username"><input type="password" name="password">'
VHOST = '<input type="hidden" name="vhost" value="standard">'


def form(
    fields: str = FIELDS + VHOST, *, attributes: str = 'id="auth_form" method="post"', message: str = ""
) -> Response:
    cell = f'<td id="credentials_table_postheader">{message}</td>' if message else ""
    return answer(f"<html><table><tr>{cell}</tr></table><form {attributes}>{fields}</form></html>")


def moved(location: str, *headers: tuple[str, str], status: int = 302) -> Response:
    found = redirect(location, status)
    return replace(found, headers=(*found.headers, *headers))


START = (moved("/my.policy", PRE), form())
GOOD = moved("/vdesk/webtop.eui", *DONE)


def ann(**more: str | list[str]) -> FakeUser:
    return person(**{"username": "ann", "password": "pw", **more})  # type: ignore[arg-type]


def sign_in(
    *script: Response | Exception, user: FakeUser | None = None, options: SignInOptions = OPTIONS
) -> tuple[Ticket, FakeHttp]:
    http = FakeHttp(list(script))
    ticket = asyncio.run(F5().authenticate(http, user or ann(), options))  # type: ignore[arg-type]
    assert not http.script, "the sign-in ended too early"
    return ticket, http


def failing(
    error: type[Exception], text: str, *script: Response | Exception, user: FakeUser | None = None
) -> Exception:
    with pytest.raises(error) as caught:
        sign_in(*script, user=user)
    said = f"{getattr(caught.value, 'code', '')}: {caught.value}"
    assert re.search(text, said), f"got {said!r}, want {text!r}"
    assert "pw" not in str(caught.value)
    return caught.value


def test_the_usual_way() -> None:  # section 11
    ticket, http = sign_in(*START, GOOD)
    assert [(one.method, one.url) for one in http.requests] == [
        ("GET", "https://vpn.test/"),
        ("GET", "https://vpn.test/my.policy"),
        ("POST", "https://vpn.test/my.policy"),
    ]
    assert http.requests[2].text == "username=ann&password=pw&vhost=standard"
    assert http.requests[2].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert ticket.cookie == Secret("MRHSession=abc; F5_ST=1z1z1z1700000000z3600")
    assert (ticket.connect_url, ticket.address, ticket.fingerprint) == (
        "https://vpn.test/", "203.0.113.1", "pin-sha256:AAAA",
    )  # fmt: skip


def test_values_are_percent_encoded() -> None:
    _, http = sign_in(*START, GOOD, user=ann(password="p w&ü=%"))
    assert http.requests[2].text == "username=ann&password=p+w%26%C3%BC%3D%25&vhost=standard"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_redirect_is_followed_without_the_body(status: int) -> None:
    _, http = sign_in(*START, moved("/next", status=status), answer("x", *DONE))
    assert (http.requests[3].method, http.requests[3].body) == ("GET", None)


def test_success_is_cookies_alone() -> None:  # Q1, Q2, Q3
    sign_in(*START, answer("webtop blocked", *DONE, status=404))
    sign_in(moved("/nowhere", *DONE))
    sign_in(*START, answer(form().body, *DONE))
    http = FakeHttp([*START, answer(b"x", DONE[0])])  # one cookie is not enough
    with refused(MalformedAnswer, "auth-no-form"):
        asyncio.run(F5().authenticate(http, ann(), OPTIONS))  # type: ignore[arg-type]
    jar = [moved("/a", PRE), moved("/b", ("Set-Cookie", "MRHSession=b"), ("Set-Cookie", "F5_ST="))]
    ticket, _ = sign_in(*jar, moved("/c", ("Set-Cookie", "F5_ST=1z1z1z1z1")))
    assert ticket.cookie == Secret("MRHSession=b; F5_ST=1z1z1z1z1")


def test_a_second_factor_is_a_form_of_the_same_name() -> None:  # Q8
    second = form('<input type="password" name="otp_password">' + VHOST, message="Enter the code")
    user = ann(otp_password="123456")
    _, http = sign_in(*START, second, GOOD, user=user)
    assert http.requests[3].text == "otp_password=123456&vhost=standard"
    assert (user.forms[1].message, user.forms[1].error) == ("Enter the code", "")
    assert [one.once for form in user.forms for one in form.fields] == [False, False, False, True, False]


def test_a_hidden_form_goes_at_once_and_can_be_overridden() -> None:  # Q6
    hidden = form(
        '<input type="hidden" name="choice" value="0">', attributes='id="hidden_form" method="POST" action="/my.policy"'
    )
    _, http = sign_in(*START, hidden, GOOD)
    assert http.requests[3].text == "choice=0"
    _, http = sign_in(*START, hidden, GOOD, user=ann(choice="1"))
    assert http.requests[3].text == "choice=1"


def test_groups() -> None:
    select = '<select name="domain"><option value="1">Staff</option><option value="2">Sales</option></select>'
    user = ann(domain="2")
    _, http = sign_in(START[0], form(FIELDS + select), GOOD, user=user)
    assert http.requests[2].text == "username=ann&password=pw&domain=2"
    assert [one.is_group for one in user.forms[0].fields] == [False, False, True]


@pytest.mark.parametrize(
    ("action", "target"),
    [("", "/my.policy"), ('action=""', "/my.policy"), ('action="go"', "/go"), ('action="/a/b?c"', "/a/b?c")],
)
def test_where_a_form_goes(action: str, target: str) -> None:  # Q5
    _, http = sign_in(START[0], form(attributes=f'id="auth_form" method="post" {action}'), GOOD)
    assert http.requests[2].url == f"https://vpn.test{target}"


def test_a_form_in_a_script() -> None:  # Q4
    fields = '[{"type":"text","name":"username"},{"type":"password","name":"password"}]'
    call = f'{{"logon":{{"form":{{"id":"x","fields":{fields}}}}}}}'
    _, http = sign_in(START[0], answer(f"<script>appLoader.configure({call}\n);</script>"), GOOD)
    assert http.requests[2].text == "username=ann&password=pw"


def test_a_first_page_without_any_form_is_tried_with_user_and_password() -> None:  # 3.3
    user = ann()
    _, http = sign_in(START[0], answer("<html>enable scripts</html>"), GOOD, user=user)
    assert http.requests[2].text == "username=ann&password=pw"
    assert "no form" in user.said[0]
    failing(MalformedAnswer, "auth-no-form: .*Nothing here", *START, answer("<title>Nothing here</title>"))


def test_wrong_credentials_are_asked_for_again_with_the_gateways_text() -> None:
    user = ann(username=["ann", "ann"], password=["wrong", "right"])
    _, http = sign_in(*START, form(message="Try again."), GOOD, user=user)
    assert http.requests[3].text == "username=ann&password=right&vhost=standard"
    assert (user.forms[0].error, user.forms[1].error) == ("", "Try again.")
    assert not any(one.once for one in user.forms[1].fields)


def test_nobody_to_ask_again_means_refused() -> None:
    failing(SignInFailed, "Try again", *START, form(message="Try again."))
    failing(SignInFailed, "refused the answer", *START, form())
    failing(InputRequired, "username", *START, user=person())


def test_the_same_form_five_times_is_enough() -> None:
    many = {"username": ["ann"] * 9, "password": ["pw"] * 9}
    failing(
        SignInFailed, r"auth-failed: Wrong\. \(5 times\)", *START, *[form(message="Wrong.")] * 5, user=person(**many)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("/my.logout.php3?errorcode=19", r"auth-denied: .*error code 19"),
        ("/my.logout.php3", "auth-denied"),
        ("/vdesk/hangup.php3?hangup_error=1", "auth-denied"),
    ],
)
def test_a_dead_session(location: str, text: str) -> None:  # 3.6
    failing(SignInFailed, text, *START, moved(location))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, SignInFailed),
        (403, SignInFailed),
        (404, MalformedAnswer),
        (500, MalformedAnswer),
        (503, GatewayUnavailable),
    ],
)
def test_bad_statuses(status: int, error: type[ProtocolError]) -> None:
    failing(error, str(status), answer(b"", status=status, reason="No"))


def test_an_evaluation_in_progress_is_begun_anew_once() -> None:
    busy = answer("<html>Access policy evaluation is already in progress for your current session.</html>")
    _, http = sign_in(moved("/my.policy", PRE), busy, *START, GOOD)
    assert http.requests[2].url == "https://vpn.test/" and http.requests[2].cookies == ""
    failing(SignInFailed, "auth-failed: .*in progress", moved("/my.policy", PRE), busy, START[0], busy)


def test_an_inspection_is_declined_once() -> None:
    check = answer("<html>Endpoint inspection is required</html>")
    _, http = sign_in(moved("/my.policy", PRE), check, form(), GOOD)
    assert (http.requests[2].url, http.requests[2].text) == ("https://vpn.test/my.policy", "no-inspection-host=1")
    sign_in(*START, check, GOOD)
    failing(NotSupported, "endpoint-check-required", *START, check, check)
    failing(NotSupported, "endpoint-check-required", *START, check, answer("nothing"))


def test_another_kind_of_gateway() -> None:
    other = form(attributes='id="login" method="post"')
    assert "'login'" in str(failing(MalformedAnswer, "not-f5", answer(other.body)))
    sign_in(*START, other, GOOD, user=ann(username=["a", "b"], password=["a", "b"]))  # later forms may have any id


def test_a_sign_in_in_the_browser() -> None:
    page = form(attributes='id="idp" method="post"')
    failing(NotSupported, r"sso-required: .*idp\.test", moved("https://idp.test/saml", PRE), page)


def test_another_server_gets_no_cookies_and_no_password() -> None:
    _, http = sign_in(moved("https://other.test:8443/", PRE), *START, GOOD)
    assert http.requests[1].cookies == ""
    cross = form(attributes='id="auth_form" method="post" action="https://evil.test/"')
    failing(MalformedAnswer, r"auth-cross-origin: .*evil\.test", START[0], cross)
    silent = form(VHOST, attributes='id="auth_form" method="post" action="https://next.test/x"')
    sign_in(START[0], silent, GOOD)  # nothing secret in it


def test_http_is_no_way_on() -> None:
    failing(HttpError, "scheme 'http'", moved("http://vpn.test/"))


def test_loops_end() -> None:
    failing(MalformedAnswer, "auth-redirects", *[moved("/x")] * 11)
    hop = [form(f'<input type="hidden" name="n{n}" value="1">') for n in range(80)]
    failing(MalformedAnswer, "auth-loop", *hop)


def test_a_wanted_certificate() -> None:
    failing(ClientCertificateRequired, "client certificate", ClientCertificateWanted("alert 116"))


def test_a_password_that_must_not_be_asked_for() -> None:
    with refused(SignInFailed, "not allowed"):
        sign_in(*START, options=replace(OPTIONS, allow_password=False))


def test_no_secret_in_the_ticket_behind_a_proxy() -> None:
    http = FakeHttp([*START, GOOD], through_proxy=True)
    ticket = asyncio.run(F5().authenticate(http, ann(), OPTIONS))  # type: ignore[arg-type]
    assert ticket.address == "" and "abc" not in repr(ticket)
