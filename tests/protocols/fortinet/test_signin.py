"""The sign-in, against a scripted gateway (section 3)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from protocols.base import Secret, SignInOptions, Ticket
from protocols.errors import (
    ClientCertificateRequired,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    SignInFailed,
)
from protocols.fortinet import Fortinet
from protocols.fortinet.errors import SignInRefused
from protocols.fortinet.signin import MAX_LOGINS, MAX_ROUNDS
from tests.protocols.doubles import FakeHttp, FakeUser, answer, person, redirect
from tests.protocols.fortinet.test_answers import FORM
from transports.errors import ClientCertificateWanted
from transports.http import Response

OPTIONS = SignInOptions(url="https://vpn.test/")
EMPTY = ("Set-Cookie", " SVPNCOOKIE=; path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure")  # Q3, Q5
COOKIE = ("Set-Cookie", " SVPNCOOKIE=ab%0acd==; path=/; secure; httponly")
START, GOOD = answer("<html/>", EMPTY), answer("ret=1,redir=/remote/index", COOKIE)
BAD = answer("no", EMPTY, status=405)
LINE = answer("ret=2,reqid=5,polid=1,grp=G,portal=P,magic=1-7,tokeninfo=,chal_msg=Enter code")
LOGIN = "username=ann&credential=pw&realm=&ajax=1&just_logged_in=1"


def ann(**more: str | list[str]) -> FakeUser:
    return person(**{"username": "ann", "credential": "pw", **more})  # type: ignore[arg-type]


def sign_in(
    *script: Response | Exception, user: FakeUser | None = None, options: SignInOptions = OPTIONS
) -> tuple[Ticket, FakeHttp]:
    http = FakeHttp(list(script))
    ticket = asyncio.run(Fortinet().authenticate(http, user or ann(), options))  # type: ignore[arg-type]
    assert not http.script, "the sign-in ended too early"
    return ticket, http


def failing(
    error: type[Exception],
    text: str,
    *script: Response | Exception,
    user: FakeUser | None = None,
    options: SignInOptions = OPTIONS,
) -> Exception:
    with pytest.raises(error) as caught:
        sign_in(*script, user=user, options=options)
    said = f"{getattr(caught.value, 'code', '')}: {caught.value}"
    assert re.search(text, said), f"got {said!r}, want {text!r}"
    assert "pw" not in str(caught.value)
    return caught.value


def test_the_usual_way() -> None:
    ticket, http = sign_in(START, GOOD)
    assert [(one.method, one.url) for one in http.requests] == [
        ("GET", "https://vpn.test/"),
        ("POST", "https://vpn.test/remote/logincheck"),
    ]
    assert http.requests[1].text == LOGIN
    assert [one.headers["User-Agent"] for one in http.requests] == ["Mozilla/5.0 SV1"] * 2
    assert http.requests[1].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert ticket.cookie == Secret("SVPNCOOKIE=ab%0acd==")
    assert (ticket.connect_url, ticket.address, ticket.fingerprint) == (
        "https://vpn.test/", "203.0.113.1", "pin-sha256:AAAA",
    )  # fmt: skip


def test_the_user_agent_can_be_another() -> None:
    _, http = sign_in(START, GOOD, options=replace(OPTIONS, user_agent="Own 1"))
    assert http.requests[0].headers["User-Agent"] == "Own 1"


def test_success_is_the_cookie_alone() -> None:  # row 1
    for response in (answer("<html/>", COOKIE), answer("", COOKIE, status=500), replace(BAD, headers=(COOKIE,))):
        sign_in(START, response)
    sign_in(START, redirect("/remote/index"), answer("", COOKIE))
    _, http = sign_in(answer("certificate", COOKIE))
    assert len(http.requests) == 1


@pytest.mark.parametrize(
    "start",
    [
        (redirect("/remote/login?realm=lab%20realm&lang=en"), START),
        (answer('if (window!=top) top.location=window.location;top.location="/remote/login?realm=lab%20realm";'),
         START),
        (redirect("/lab"), answer("top.location = '\\/remote\\/login?a=b&realm=lab%20realm'"), START),
    ],
)  # fmt: skip
def test_realms_stay_as_they_came(start: tuple[Response, ...]) -> None:  # Q7, Q8
    _, http = sign_in(*start, GOOD)
    assert http.requests[-1].text == LOGIN.replace("realm=", "realm=lab%20realm")
    assert http.requests[-1].url == "https://vpn.test/remote/logincheck"


def test_scripts_lead_nowhere_else() -> None:
    for target in ('"https://evil.test/x"', '"//evil.test/x"', "window.location", '"relative"'):
        _, http = sign_in(answer(f"<script>top.location={target};</script>"), GOOD)
        assert len(http.requests) == 2


def test_statuses_of_the_first_page() -> None:
    for status in (401, 403, 405):
        sign_in(answer("", status=status), GOOD)
    for status in (404, 500):
        failing(MalformedAnswer, "not-fortinet: got HTTP status .*FortiOS", answer("", status=status))
    failing(ClientCertificateRequired, "wants a client certificate", ClientCertificateWanted("alert"))


def test_a_browser_is_needed() -> None:
    failing(NotSupported, r"sso-required: .*https://vpn\.test/remote/saml/start\?a=b.*--cookie",
            redirect("/remote/saml/start?a=b"))  # fmt: skip
    failing(NotSupported, "sso-required", START, redirect("/remote/saml/start"))


def test_redirects_have_an_end_and_keep_to_the_server() -> None:
    failing(MalformedAnswer, "auth-redirects", *[redirect(f"/{n}") for n in range(11)])
    failing(MalformedAnswer, "auth-redirects", *[answer('top.location="/x"') for _ in range(11)])
    failing(MalformedAnswer, r"auth-cross-origin: vpn\.test leads to evil\.test", START, redirect("https://evil.test/"))
    _, http = sign_in(redirect("https://other.test:8443/x"), START, GOOD)
    assert http.requests[-1].url == "https://other.test:8443/remote/logincheck"
    failing(MalformedAnswer, "http-too-large", answer(b"x" * (2**20 + 1)))
    failing(MalformedAnswer, "auth-bad-realm", redirect("/remote/login?realm=" + "x" * 1025), START)


def test_a_wrong_password_is_asked_again() -> None:
    user = ann(username=["ann", "ann"], credential=["no", "pw"])
    _, http = sign_in(START, BAD, GOOD, user=user)
    assert http.requests[2].text == LOGIN
    assert (user.forms[0].error, "is wrong" in user.forms[1].error) == ("", True)
    failing(SignInRefused, "auth-failed: .*is wrong", START, BAD)  # nobody to ask
    same = ann(username=["ann"] * 9, credential=["pw"] * 9)
    failing(SignInRefused, "is wrong", START, BAD, user=same)  # the same again would lock the account
    many = ann(username=["ann"] * 9, credential=list("abcdefghi"))
    failing(SignInRefused, rf"\({MAX_LOGINS} times\)", START, *[BAD] * MAX_LOGINS, user=many)


def test_a_second_factor_as_a_line() -> None:  # section 3.4
    user = ann(code="12 34")
    _, http = sign_in(START, LINE, GOOD, user=user)
    assert http.requests[2].text == "username=ann&code=12%2034&realm=&reqid=5&polid=1&grp=G&portal=P&magic=1-7"
    form = user.forms[1]
    assert (form.form_id, form.message, form.fields[0].name, form.fields[0].once) == (
        "_challenge", "Enter code", "code", True,
    )  # fmt: skip
    failing(InputRequired, "code", START, LINE)


def test_a_wrong_code() -> None:
    user = ann(code=["1", "2"])
    sign_in(START, LINE, LINE, GOOD, user=user)
    assert (user.forms[2].message, "refused the code" in user.forms[2].error) == ("", True)
    failing(SignInRefused, "refused the code", START, LINE, LINE, user=ann(code="1"))
    failing(SignInRefused, "is wrong", START, LINE, BAD, user=ann(code="1"))
    again = ann(username=["ann", "ann"], credential=["pw", "pw2"], code=["1", "2"])
    sign_in(START, LINE, BAD, LINE, GOOD, user=again)
    failing(SignInRefused, rf"code {MAX_ROUNDS} times", START, *[LINE] * (MAX_ROUNDS + 1),
            user=ann(code=["1"] * 20))  # fmt: skip


def test_a_second_factor_on_a_phone() -> None:  # Q9, Q10
    user = ann(code="")
    push = answer("ret=2,reqid=5,magic=1-7,tokeninfo=ftm_push,chal_msg=Hi")
    _, http = sign_in(START, push, GOOD, user=user)
    assert http.requests[2].text == "username=ann&code=&realm=&reqid=5&ftmpush=1"
    assert "phone" in user.forms[1].fields[0].label and "phone" in user.said[0]


def test_a_second_factor_as_a_page() -> None:  # section 3.5
    user = ann(username=["ann"], credential=["pw", "654321"])
    _, http = sign_in(START, answer(FORM, status=401), GOOD, user=user)
    assert http.requests[2].text == (
        "magic=1-77&username=u&reqid=9&grpid=0%2C1%2C1&credential=654321&realm=&ajax=1&just_logged_in=1"
    )
    assert (user.forms[1].form_id, user.forms[1].message) == ("_challenge", "Enter it")
    assert [one.kind for one in user.forms[1].fields] == ["hidden"] * 4 + ["password"]
    evil = answer(FORM.replace("/remote/logincheck", "https://evil.test/x"), status=401)
    failing(MalformedAnswer, r"auth-cross-origin: .*evil\.test", START, evil)


def test_client_certificates() -> None:  # section 3.7
    options = replace(OPTIONS, has_client_certificate=True, allow_password=False)
    _, http = sign_in(START, answer("", COOKIE), options=options)
    assert http.requests[1].url == "https://vpn.test/remote/login"
    _, http = sign_in(START, START, GOOD, user=ann(credential=""), options=options)
    assert http.requests[2].text == "username=ann&realm=&ajax=1&redir=%2Fremote%2Findex&just_logged_in=1"
    failing(SignInFailed, "not allowed", START, options=replace(OPTIONS, allow_password=False))


def test_cookies_that_cannot_be() -> None:
    failing(MalformedAnswer, "auth-bad-cookie", START, answer("", ("Set-Cookie", "SVPNCOOKIE=" + "x" * 4097)))


CHECK = answer('<form name="x" action="/remote/hostcheck_validate">', COOKIE)


def test_a_host_check_is_told() -> None:  # section 3.8
    user = ann()
    sign_in(START, CHECK, user=user)
    assert "host-check-required" in user.said[0] and "--form-entry _hostcheck:hostcheck=" in user.said[0]
    assert [one.kind for one in user.forms[-1].fields] == ["hidden", "hidden"]  # nobody is asked


def test_a_host_check_with_values_of_the_users() -> None:
    user = ann(hostcheck="0000,1 a&b")
    ticket, http = sign_in(START, CHECK, answer("ok"), user=user)
    assert (http.requests[2].method, http.requests[2].url) == ("POST", "https://vpn.test/remote/hostcheck_validate")
    assert http.requests[2].text == "hostcheck=0000%2C1%20a%26b&check_virtual_desktop=" and user.said == []
    assert ticket.cookie == Secret("SVPNCOOKIE=ab%0acd==")
    script = answer("<script>document.f.action='/remote/hostcheck_validate?x=1';</script>", COOKIE)
    _, http = sign_in(START, script, answer("ok"), user=ann(hostcheck="1", check_virtual_desktop="0"))
    assert http.requests[2].url.endswith("/remote/hostcheck_validate?x=1")
    assert http.requests[2].text == "hostcheck=1&check_virtual_desktop=0"


def test_host_checks_that_end_the_sign_in() -> None:
    failing(SignInRefused, "host check", START, CHECK, answer("no", EMPTY), user=ann(hostcheck="1"))
    evil = answer('<form action="https://evil.test/remote/hostcheck_validate">', COOKIE)
    failing(MalformedAnswer, r"auth-cross-origin: .*evil\.test", START, evil, user=ann(hostcheck="1"))
    sign_in(START, answer('<form action="/remote/other">', COOKIE), user=ann(hostcheck="1"))  # another form
