"""The sign-in's state machine against a scripted gateway (sections 2.1 to 2.8, 2.14 to 2.16)."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.anyconnect.exchange import pad_length
from protocols.anyconnect.signin import MAX_FORMS, sign_in
from protocols.base import SignInOptions, Ticket
from protocols.errors import (
    ClientCertificateRequired,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
    UnknownGroup,
)
from tests.protocols.anyconnect.test_page import LOGON
from tests.protocols.doubles import FakeHttp, FakeUser, answer, person, redirect
from transports.errors import ClientCertificateWanted, ConnectionLost, HttpError, Unreachable
from transports.http import Response

URL = "https://vpn.test/"


def config(inside: str, *headers: tuple[str, str]) -> Response:
    return answer(f'<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn">{inside}</config-auth>', *headers)


def auth(inside: str, auth_id: str = "main", before: str = "", action: str = "") -> Response:
    where = f" action='{action}'" if action else ""
    texts = "".join(re.findall(r"<(?:message|error|banner).*?</(?:message|error|banner)>", inside))
    fields = re.sub(r"<(?:message|error|banner).*?</(?:message|error|banner)>", "", inside)
    return config(f"{before}<auth id='{auth_id}'>{texts}<form method='post'{where}>{fields}</form></auth>")


USER = "<input type='text' name='username' label='Username:'/>"
PASSWORD = "<input type='password' name='password' label='Password:'/>"
LOGIN = auth(USER + PASSWORD)
SUCCESS = config("<auth id='success'><banner>Hello</banner></auth>", ("Set-Cookie", "webvpn=tok=; Secure"))


def groups(*names: str, selected: str = "") -> str:
    def option(name: str) -> str:
        mark = " selected='true'" if name == selected else ""
        return f"<option value='{name}'{mark}>Group {name}</option>"

    return f"<select name='group_list'>{''.join(map(option, names))}</select>"


def run(http: FakeHttp, user: FakeUser | None = None, url: str = URL, **options: object) -> Ticket:
    wishes = SignInOptions(url, **options)  # type: ignore[arg-type]
    return asyncio.run(sign_in(http, user or FakeUser(), wishes))  # type: ignore[arg-type]


def bob() -> FakeUser:
    return person(username="bob", password="secret")


# --- the straight way ---


def test_user_and_password() -> None:
    http = FakeHttp([LOGIN, SUCCESS])
    ticket = run(http, bob())
    assert ticket.cookie.reveal() == "webvpn=tok="
    assert (ticket.protocol, ticket.connect_url, ticket.address) == ("anyconnect", URL, "203.0.113.1")
    assert (ticket.fingerprint, ticket.banner) == ("pin-sha256:AAAA", "Hello")
    first, reply = http.requests
    assert (first.method, first.url, first.fresh) == ("POST", URL, True)
    assert 'type="init"' in first.text and "<group-access>https://vpn.test/</group-access>" in first.text
    assert not reply.fresh  # a login form came: the connection may be kept
    assert "<auth><username>bob</username><password>secret</password></auth>" in reply.text


def test_headers_of_a_request() -> None:  # section 2.2, Q1, Q2
    http = FakeHttp([LOGIN, SUCCESS])
    run(http, bob(), version="1.2.3")
    headers = http.requests[0].headers
    assert headers["User-Agent"].startswith("AnyConnect") and "1.2.3" in headers["User-Agent"]
    assert (headers["Accept"], headers["Accept-Encoding"], headers["X-Transcend-Version"]) == ("*/*", "identity", "1")
    assert headers["X-Aggregate-Auth"] == "1"
    assert headers["Content-Type"] == "application/xml; charset=utf-8"
    assert len(http.requests[0].body or b"") + len(headers["X-Pad"]) in range(0, 65536, 64)
    assert not {"X-AnyConnect-Platform", "X-Support-HTTP-Auth", "X-AnyConnect-STRAP-Pubkey"} & set(headers)


@pytest.mark.parametrize(("length", "pad"), [(0, 64), (1, 63), (63, 1), (64, 64), (100, 28)])
def test_padding(length: int, pad: int) -> None:
    assert pad_length(length) == pad


def test_the_users_agent_wins() -> None:
    http = FakeHttp([LOGIN, SUCCESS])
    run(http, bob(), user_agent="mine")
    assert http.requests[0].headers["User-Agent"] == "mine"


def test_opaque_is_copied_the_latest_one() -> None:
    http = FakeHttp([
        auth(USER, before="<opaque is-for='sg'><a>1</a></opaque>"),
        auth(PASSWORD, before="<opaque is-for='sg'><a>2</a></opaque>"),
        auth("<input type='password' name='answer'/>", "challenge"),
        SUCCESS,
    ])  # fmt: skip
    run(http, person(username="bob", password="p", answer="123"))
    copies = [re.findall(r"<opaque.*</opaque>", request.text) for request in http.requests]
    assert copies == [[], ['<opaque is-for="sg"><a>1</a></opaque>'], *[['<opaque is-for="sg"><a>2</a></opaque>']] * 2]
    assert "<password>123</password>" in http.requests[-1].text  # Q10


def test_a_form_may_name_its_action() -> None:
    http = FakeHttp([auth(USER, action="/auth"), auth(PASSWORD, action="next"), SUCCESS])
    run(http, bob())
    assert [request.url for request in http.requests] == [URL, "https://vpn.test/auth", "https://vpn.test/next"]


def test_an_action_on_another_host_gets_no_cookies() -> None:
    first = config(
        f"<auth id='main'><form action='https://other.test:444/a'>{USER}</form></auth>", ("Set-Cookie", "a=b")
    )
    http = FakeHttp([first, SUCCESS])
    ticket = run(http, bob())
    assert (http.requests[1].url, http.requests[1].cookies) == ("https://other.test:444/a", "")
    assert ticket.connect_url == "https://other.test:444/"


def test_the_session_token_becomes_the_cookie() -> None:
    http = FakeHttp([LOGIN, config("<session-token>T-1</session-token><auth id='success'/>")])
    assert run(http, bob()).cookie.reveal() == "webvpn=T-1"


def test_success_without_a_cookie_is_an_error() -> None:  # section 2.14
    with pytest.raises(MalformedAnswer, match="gave no webvpn cookie"):
        run(FakeHttp([LOGIN, config("<auth id='success'/>")]), bob())


@pytest.mark.parametrize("token", ["a;b", "a\nb", "ä"])
def test_a_token_that_would_break_the_header_is_refused(token: str) -> None:
    with pytest.raises(MalformedAnswer, match=r"cookie|webvpn") as caught:
        run(FakeHttp([LOGIN, config(f"<session-token>{token}</session-token><auth id='success'/>")]), bob())
    assert caught.value.code == "bad-cookie"


def test_cookies_travel_with_every_request() -> None:  # ocserv keeps the state of a sign-in in one
    first = config(f"<auth id='main'><form>{USER}</form></auth>", ("Set-Cookie", "webvpncontext=c; Max-Age=60"))
    http = FakeHttp([first, SUCCESS])
    run(http, bob())
    assert http.requests[1].cookies == "webvpncontext=c"


def test_the_query_of_the_users_url_stays() -> None:  # camouflage, section 10
    http = FakeHttp([auth(USER + PASSWORD, action="/auth"), SUCCESS])
    run(http, bob(), url="https://vpn.test/?open")
    assert [request.url for request in http.requests] == ["https://vpn.test/?open", "https://vpn.test/auth?open"]


def test_an_empty_reply_completes_a_form_without_inputs() -> None:
    http = FakeHttp([config("<auth id='main'><authentication-complete/></auth>"), SUCCESS])
    run(http)
    assert "<auth></auth>" in http.requests[1].text


def test_behind_a_proxy_no_address_is_known() -> None:
    assert run(FakeHttp([LOGIN, SUCCESS], through_proxy=True), bob()).address == ""


# --- groups (2.8, Q15) ---


def test_another_group_restarts_with_it() -> None:
    http = FakeHttp([auth(groups("A", "B") + USER), auth(groups("B", "A") + USER + PASSWORD), SUCCESS])
    user = person("B", username="bob", password="p")
    run(http, user)
    _, second, reply = http.requests
    assert 'type="init"' in second.text and "<group-select>B</group-select>" in second.text
    assert "<group-select>B</group-select>" in reply.text and "group_list" not in reply.text
    assert len(user.asked_groups) == 1 and len(user.forms) == 1


def test_the_preselected_group_needs_no_restart() -> None:
    http = FakeHttp([auth(groups("A", "B", selected="B") + USER + PASSWORD), SUCCESS])
    run(http, person("B", username="bob", password="p"))
    assert len(http.requests) == 2


def test_a_gateway_that_never_preselects_is_believed_after_one_restart() -> None:
    form = auth(groups("A", "B") + USER + PASSWORD)
    http = FakeHttp([form, form, SUCCESS])
    run(http, person("B", username="bob", password="p"))
    assert "<group-select>B</group-select>" in http.requests[2].text


def test_the_wished_group_is_matched_and_not_asked() -> None:
    http = FakeHttp([auth(groups("A", "B") + USER), auth(groups("B") + USER + PASSWORD), SUCCESS])
    user = person(username="bob", password="p")
    run(http, user, authgroup="group b")
    assert not user.asked_groups


def test_a_wish_that_matches_nothing_is_the_users_to_judge() -> None:
    user = person("B", username="bob", password="p")
    run(FakeHttp([auth(groups("A", "B", selected="B") + USER + PASSWORD), SUCCESS]), user, authgroup="x")
    assert len(user.asked_groups) == 1


def test_an_unknown_group_names_the_known_ones() -> None:
    with pytest.raises(UnknownGroup, match="offers: Group A, Group B"):
        run(FakeHttp([auth(groups("A", "B") + USER)]), person("C"))


def test_a_single_group_is_not_asked() -> None:
    user = bob()
    run(FakeHttp([auth(groups("A") + USER + PASSWORD), SUCCESS]), user)
    assert not user.asked_groups


def test_texts_shown_with_the_group_are_not_shown_twice() -> None:
    form = auth(groups("A", "B") + USER + PASSWORD + "<message>Welcome</message>")
    user = person("A", username="bob", password="p")
    run(FakeHttp([form, SUCCESS]), user)
    assert (user.asked_groups[0].message, user.forms[0].message) == ("Welcome", "")


def test_a_wish_without_groups_is_told() -> None:
    user = bob()
    run(FakeHttp([LOGIN, SUCCESS]), user, authgroup="Sales")
    assert "no groups" in user.said[0]


def test_group_changes_end_at_five() -> None:
    # every restart shows other groups, so that the choice never fits
    script = [auth(groups(f"a{n}", f"b{n}") + USER) for n in range(20)]

    class Fickle(FakeUser):
        async def choose_group(self, form: object, group: object) -> str:
            self.n = getattr(self, "n", -1) + 1
            return f"b{self.n}"

    http = FakeHttp(list(script))
    with pytest.raises(MalformedAnswer, match="more than 5 times"):
        run(http, Fickle())
    assert len(http.requests) == 6


# --- wrong answers ---


def test_a_refused_password_is_shown_and_asked_again() -> None:
    again = auth(PASSWORD + "<message>Login failed. Please enter your password.</message>")
    user = person(username="bob", password=["wrong", "right"])
    run(FakeHttp([auth(USER), auth(PASSWORD), again, SUCCESS]), user)
    assert user.forms[-1].message.startswith("Login failed.")


def test_nobody_to_ask_again_means_that_the_gateway_refused() -> None:
    again = auth(PASSWORD + "<message>Login failed.</message>")
    with pytest.raises(SignInFailed, match=r"^Login failed.$"):
        run(FakeHttp([auth(USER), auth(PASSWORD), again]), bob())


def test_an_error_text_is_the_reason() -> None:
    again = auth(USER + PASSWORD + "<error>Login denied.</error>")
    with pytest.raises(SignInFailed, match=r"^Login denied.$"):
        run(FakeHttp([LOGIN, again]), bob())


def test_nobody_to_ask_at_all_is_no_refusal() -> None:
    with pytest.raises(InputRequired):
        run(FakeHttp([LOGIN]), FakeUser())


def test_the_third_failure_of_ocserv_ends_it_with_the_reason() -> None:  # section 10
    again = auth(PASSWORD + "<message>Login failed.</message>")
    end = answer(status=401, reason="Authentication failed")
    with pytest.raises(SignInFailed, match=r"401 Authentication failed \(Login failed.\)"):
        run(FakeHttp([auth(USER), auth(PASSWORD), again, end]), person(username="bob", password=["a", "b"]))


def test_an_error_document_is_a_failed_login() -> None:  # Q13
    with pytest.raises(SignInFailed, match=r"^Account locked$"):
        run(FakeHttp([LOGIN, config("<error id='4'>Account locked</error>")]), bob())
    with pytest.raises(SignInFailed, match=r"not installed.*host scan"):
        run(FakeHttp([config("<error id='13'>Secure Desktop not installed on the client</error>")]))


def test_passwords_can_be_forbidden() -> None:
    with pytest.raises(SignInFailed, match="not allowed"):
        run(FakeHttp([LOGIN]), bob(), allow_password=False)


def test_a_new_password_must_be_typed_alike_twice() -> None:
    form = auth("<input type='password' name='new_password'/><input type='password' name='verify_password'/>", "passwd")
    http = FakeHttp([form, SUCCESS])
    user = person(new_password=["a", "b"], verify_password=["x", "b"])
    run(http, user)
    assert "do not match" in user.forms[1].error
    assert "<auth><password>b</password></auth>" in http.requests[1].text


# --- loops ---


def test_three_forms_without_input_are_a_loop() -> None:
    idle = auth("<input type='hidden' name='h' value='v'/>")
    http = FakeHttp([idle] * 5)
    with pytest.raises(MalformedAnswer, match=r"^3 forms in a row"):
        run(http)
    assert len(http.requests) == 3


def test_a_real_form_between_resets_the_guard() -> None:
    idle = auth("<input type='hidden' name='h' value='v'/>")
    run(FakeHttp([idle, idle, auth(USER), idle, idle, SUCCESS]), bob())


def test_forms_without_end_are_cut() -> None:
    http = FakeHttp([auth(USER)] * (MAX_FORMS + 5))
    with pytest.raises(MalformedAnswer, match="more than 30 forms"):
        run(http, person(username=["bob"] * 50))
    assert len(http.requests) == MAX_FORMS + 1


def test_redirects_without_end_are_cut() -> None:
    http = FakeHttp([LOGIN] + [redirect("/again")] * 20)
    with pytest.raises(MalformedAnswer, match="more than 10 redirects"):
        run(http, bob())


# --- what this version cannot do ---


def test_browser_sign_in_is_named() -> None:
    with pytest.raises(NotSupported, match=r"^the gateway wants a sign-in in the browser") as caught:
        run(FakeHttp([auth("<input type='sso' name='sso-token'/>")]))
    assert caught.value.code == "sso-required"


def test_a_group_without_browser_sign_in_can_be_chosen() -> None:
    http = FakeHttp([auth(groups("sso", "plain") + "<input type='sso' name='sso-token'/>"),
                     auth(groups("plain", "sso") + USER + PASSWORD), SUCCESS])  # fmt: skip
    run(http, person("plain", username="bob", password="p"))


def test_host_scan_is_named() -> None:
    parts = "".join(f"<host-scan-{n}>x</host-scan-{n}>" for n in ("ticket", "token", "base-uri", "wait-uri"))
    with pytest.raises(NotSupported, match=r"^the gateway wants a host scan") as caught:
        run(FakeHttp([config(f"<host-scan>{parts}</host-scan><auth id='main'/>")]))
    assert caught.value.code == "csd-required"


def test_http_authentication_names_its_schemes() -> None:  # section 2.16
    refused = answer(b"", ("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="x"'), status=401)
    with pytest.raises(NotSupported, match=r"HTTP authentication \(Negotiate, Basic\)") as caught:
        run(FakeHttp([refused]))
    assert caught.value.code == "http-auth"


def test_two_certificates_are_named_after_one_more_try() -> None:  # section 2.9
    wanted = config("<multiple-client-cert-request><hash-algorithm>sha256</hash-algorithm>"
                    "</multiple-client-cert-request><cert-authenticated/>")  # fmt: skip
    http = FakeHttp([wanted, wanted])
    with pytest.raises(NotSupported, match=r"^the gateway wants two client certificates") as caught:
        run(http, has_client_certificate=True)
    assert caught.value.code == "mca-unavailable"
    assert "<client-cert-fail/>" in http.requests[1].text


# --- client certificates (2.8, Q6, Q7) ---


CERT_WANTED = config("<client-cert-request/>")


def test_a_certificate_is_tried_on_a_fresh_connection_then_given_up() -> None:
    http = FakeHttp([CERT_WANTED, CERT_WANTED, LOGIN, SUCCESS])
    run(http, bob(), has_client_certificate=True)
    assert ["<client-cert-fail/>" in request.text for request in http.requests] == [False, False, True, False]
    assert [request.fresh for request in http.requests] == [True, True, True, False]


@pytest.mark.parametrize(("have", "sent"), [(False, False), (True, True)])
def test_without_a_certificate_to_add_it_says_so_at_once(have: bool, sent: bool) -> None:
    http = FakeHttp([CERT_WANTED, LOGIN, SUCCESS], certificate_sent=sent)
    run(http, bob(), has_client_certificate=have)
    assert "<client-cert-fail/>" in http.requests[1].text


def test_an_accepted_certificate_goes_on() -> None:
    form = auth(USER + PASSWORD, before="<client-cert-request/><cert-authenticated/>")
    http = FakeHttp([form, SUCCESS])
    run(http, bob(), has_client_certificate=True)
    assert len(http.requests) == 2


def test_a_gateway_that_insists_gets_a_clear_error() -> None:
    with pytest.raises(ClientCertificateRequired, match="client certificate"):
        run(FakeHttp([CERT_WANTED, CERT_WANTED]))


def test_certificate_validation_failure_is_about_ours() -> None:
    with pytest.raises(ClientCertificateRequired, match="your client certificate"):
        run(FakeHttp([config("<error>Certificate Validation Failure</error>")]))


def test_a_refused_certificate_is_told() -> None:  # Q7
    form = config(f"<auth id='main'><form>{USER}{PASSWORD}</form></auth>", ("Set-Cookie", "ClientCertAuthFailed=1"))
    user = bob()
    run(FakeHttp([form, SUCCESS]), user, has_client_certificate=True)
    assert "client certificate" in user.said[0]


@pytest.mark.parametrize(("sent", "text"), [(False, "got none"), (True, "did not take ours")])
def test_a_connection_closed_for_want_of_a_certificate(sent: bool, text: str) -> None:
    http = FakeHttp([ConnectionLost("closed")] * 2, certificate_asked=True, certificate_sent=sent)
    with pytest.raises(ClientCertificateRequired, match=text):
        run(http, has_client_certificate=sent)
    assert [request.fresh for request in http.requests] == [True, True]


def test_a_connection_lost_once_is_no_matter_of_certificates() -> None:
    run(FakeHttp([ConnectionLost("closed"), LOGIN, SUCCESS], certificate_asked=True), bob())
    with pytest.raises(Unreachable):
        run(FakeHttp([ConnectionLost("closed"), Unreachable("gone")], certificate_asked=True))
    with pytest.raises(ConnectionLost):
        run(FakeHttp([ConnectionLost("closed")]))


def test_an_alert_for_want_of_a_certificate() -> None:
    with pytest.raises(ClientCertificateRequired):
        run(FakeHttp([ClientCertificateWanted("alert")]))
    lost = ConnectionLost("no answer")
    lost.__cause__ = ClientCertificateWanted("alert")
    with pytest.raises(ClientCertificateRequired):
        run(FakeHttp([lost]))


def test_a_status_that_names_the_certificate() -> None:  # ocserv 1.1.6: 401 No certificate
    with pytest.raises(ClientCertificateRequired, match="401 No certificate"):
        run(FakeHttp([answer(status=401, reason="No certificate")]))


# --- redirects and load balancing (Q4) ---


def test_another_host_gets_an_init_of_its_own() -> None:
    http = FakeHttp([redirect("https://node7.test/x"), LOGIN, SUCCESS])
    ticket = run(http, bob())
    assert "<group-access>https://node7.test/x</group-access>" in http.requests[1].text
    assert ticket.connect_url == "https://node7.test/"


def test_a_reply_redirected_here_becomes_a_get() -> None:
    http = FakeHttp([LOGIN, redirect("/done"), SUCCESS])
    run(http, bob())
    assert (http.requests[2].method, http.requests[2].url) == ("GET", "https://vpn.test/done")


def test_a_307_repeats_the_reply_on_this_server() -> None:
    http = FakeHttp([LOGIN, redirect("/done", 307), SUCCESS])
    run(http, bob())
    assert http.requests[2].body == http.requests[1].body


@pytest.mark.parametrize("status", [302, 307])
def test_a_password_is_never_sent_on_to_another_host(status: int) -> None:
    http = FakeHttp([LOGIN, redirect("https://evil.test/", status), LOGIN, SUCCESS])
    run(http, person(username=["bob", "x"], password=["secret", "y"]))
    assert 'type="init"' in http.requests[2].text and "secret" not in http.requests[2].text


def test_plain_http_is_refused() -> None:
    with pytest.raises(HttpError, match="want https"):
        run(FakeHttp([redirect("http://vpn.test/")]))


# --- the legacy mode (2.7, Q9) ---


@pytest.mark.parametrize(
    "first",
    [
        [answer(status=404, reason="Not Found")],
        [answer(b"")],
        [answer(b"<html>hello")],
        [answer(b"<config-auth><auth/></config-auth>")],
        [redirect("/+webvpn+/index.html")],
        [redirect("https://a.test/"), redirect("https://b.test/"), redirect("https://c.test/")],
    ],
)
def test_what_falls_back(first: list[Response]) -> None:
    http = FakeHttp([*first, LOGIN, SUCCESS])
    run(http, bob(), url="https://vpn.test/sales")
    get, post = http.requests[len(first) :]
    assert (get.method, get.url, get.fresh) == ("GET", "https://vpn.test/sales", True)
    assert "X-Aggregate-Auth" not in get.headers and "X-Pad" not in get.headers
    assert post.body == b"username=bob&password=secret"
    assert post.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert http.closed == 1


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (answer(status=401, reason="Unauthorized"), SignInFailed),
        (answer(status=403, reason="Forbidden"), SignInFailed),
        (answer(status=405, reason="Method Not Allowed"), MalformedAnswer),
        (Unreachable("no route"), Unreachable),
        (ConnectionLost("closed"), ConnectionLost),
        (config("<error>no</error>"), SignInFailed),
    ],
)
def test_what_does_not_fall_back(first: Response | Exception, error: type[Exception]) -> None:
    http = FakeHttp([first])
    with pytest.raises(error):
        run(http)
    assert len(http.requests) == 1


def test_no_xml_at_all_on_request() -> None:
    http = FakeHttp([LOGIN, SUCCESS])
    run(http, bob(), xml_post=False)
    assert http.requests[0].method == "GET"


def test_the_group_of_a_legacy_form_is_chosen_here() -> None:
    http = FakeHttp([auth(groups("A", "B") + USER + PASSWORD), SUCCESS])
    run(http, person("B", username="bob", password="p"), xml_post=False)
    assert http.requests[1].body == b"group_list=B&username=bob&password=p"


def test_a_logon_page_in_html() -> None:
    done = answer(b"<html>welcome</html>", ("Set-Cookie", "webvpn=tok"))
    http = FakeHttp([answer(LOGON), done])
    ticket = run(http, person("2", username="bob", password="p w"), xml_post=False)
    assert http.requests[1].url == "https://vpn.test/+webvpn+/index.html"
    assert http.requests[1].body == b"group_list=2&tgroup=&username=bob&password=p%20w&Login=Logon"
    assert ticket.cookie.reveal() == "webvpn=tok"


def test_a_logon_page_again_is_a_refusal() -> None:
    with pytest.raises(SignInFailed):
        run(FakeHttp([answer(LOGON), answer(LOGON)]), person("1", username="bob", password="p"), xml_post=False)


def test_both_failures_are_told() -> None:
    with pytest.raises(MalformedAnswer, match=r"404.*before that: HTTP status 500") as caught:
        run(FakeHttp([answer(status=500), answer(status=404)]))
    assert caught.value.code == "auth-status"


def test_there_is_no_way_back_from_the_legacy_mode() -> None:
    http = FakeHttp([answer(status=404), redirect("https://other.test/"), LOGIN, SUCCESS])
    run(http, bob())
    assert [request.method for request in http.requests] == ["POST", "GET", "GET", "POST"]


def test_a_gateway_in_trouble_says_when_to_come_back() -> None:
    busy = answer(b"", ("X-Reason", "maintenance"), status=503, reason="Service Unavailable")
    with pytest.raises(GatewayUnavailable, match="maintenance"):
        run(FakeHttp([busy, busy]))


# --- nothing else ever comes out ---

_ANSWERS = st.one_of(
    st.sampled_from(
        [LOGIN, SUCCESS, CERT_WANTED, auth(USER), auth(groups("A", "B") + USER), answer(LOGON), answer(b""),
         redirect("/a"), redirect("https://x.test/"), redirect("ftp://x"), answer(status=401), answer(status=503),
         config("<error>e</error>"), config("<auth id='main'/>"),
         config("<auth id='main'><authentication-complete/></auth>"),
         auth("<input type='hidden' name='h'/>"), auth("<input type='text' name='bad name'/>"), ConnectionLost("x")]
    ),
    st.binary(max_size=30).map(answer),
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(_ANSWERS, max_size=12), st.booleans(), st.booleans())
def test_any_gateway_gives_a_ticket_or_a_named_error(
    script: list[Response | Exception], xml: bool, certificate: bool
) -> None:
    http = FakeHttp([*script, Unreachable("end of script")] + [Unreachable("more")] * 5)
    user = person("A", username=["u"] * 40, password=["p"] * 40)
    try:
        run(http, user, xml_post=xml, has_client_certificate=certificate)
    except (ProtocolError, ConnectionLost, Unreachable, HttpError):
        pass
    assert "secret" not in repr(user.said)
