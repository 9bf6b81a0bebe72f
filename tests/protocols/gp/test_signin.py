"""Sign-in against a scripted portal and gateway (sections 1 to 8)."""

from __future__ import annotations

import asyncio
import base64
from ipaddress import IPv4Interface
from urllib.parse import parse_qsl

import pytest

from protocols.base import SignInOptions, Ticket
from protocols.errors import (
    ClientCertificateRequired,
    ConfigurationRefused,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
    UnknownGroup,
)
from protocols.gp.signin import Place, Start, sign_in
from tests.protocols.doubles import FakeHttp, FakeUser, answer, coded, person, redirect
from transports.errors import ClientCertificateWanted
from transports.http import Response
from transports.http_url import Url

URL = "https://vpn.example/"


def prelogin(more: str = "") -> Response:
    return answer(f"<prelogin-response><status>Success</status><region>DE</region>{more}</prelogin-response>")


def absent(which: str) -> Response:
    text = f"<status>Error</status><msg>GlobalProtect {which} does not exist</msg>"
    return answer(f"<prelogin-response>{text}</prelogin-response>")


def policy(*hosts: str, cookie: str = "", more: str = "") -> Response:
    entries = "".join(f'<entry name="{host}"><description>{host.title()}</description></entry>' for host in hosts)
    cookies = f"<portal-userauthcookie>{cookie or 'empty'}</portal-userauthcookie>"
    return answer(f"<policy>{more}{cookies}<gateways><external><list>{entries}</list></external></gateways></policy>")


def jnlp(user: str = "ann") -> Response:
    arguments = [
        "(null)",
        "deadbeef",
        "",
        "GW-N",
        user,
        "",
        "",
        "%28empty_domain%29",
        "",
        "",
        "",
        "",
        "tunnel",
        "-1",
        "4100",
    ]
    inside = "".join(f"<argument>{one}</argument>" for one in arguments)
    return answer(f"<jnlp><application-desc>{inside}</application-desc></jnlp>")


def challenge(number: int = 1) -> Response:
    return answer(f"<challenge><respmsg>Code {number}</respmsg><inputstr>input{number}</inputstr></challenge>")


def refused(reason: str = "auth-failed") -> Response:
    return answer("<html>no</html>", ("X-Private-Pan-GlobalProtect", reason), status=512)


def run(user: FakeUser, *answers: Response | Exception, url: str = URL, **options: object) -> tuple[Ticket, FakeHttp]:
    http = FakeHttp(list(answers))
    made = SignInOptions(url, local_hostname="vm", **options)  # type: ignore[arg-type]
    ticket = asyncio.run(sign_in(http, user, made))  # type: ignore[arg-type]
    assert not http.script
    return ticket, http


def failing(
    user: FakeUser, kind: type[Exception], says: str, *answers: Response | Exception, **options: object
) -> FakeHttp:
    http = FakeHttp(list(answers))
    made = SignInOptions(**{"url": URL, "local_hostname": "vm", **options})  # type: ignore[arg-type]
    with coded(kind, says):
        asyncio.run(sign_in(http, user, made))  # type: ignore[arg-type]
    return http


def paths(http: FakeHttp) -> list[str]:
    return [request.url.partition("?")[0].removeprefix("https://") for request in http.requests]


def fields(http: FakeHttp, number: int) -> dict[str, str]:
    return dict(parse_qsl(http.requests[number].text, keep_blank_values=True))


ANN = {"user": "ann", "passwd": "secret"}


def test_portal_then_gateway_with_the_same_password() -> None:
    user = person(**ANN)
    ticket, http = run(user, prelogin(), policy("gw.example", more="<version>6.1.0-1  </version>"), jnlp("Ann.X"))
    assert paths(http) == [
        "vpn.example/global-protect/prelogin.esp",
        "vpn.example/global-protect/getconfig.esp",
        "gw.example/ssl-vpn/login.esp",
    ]
    assert http.requests[0].url.endswith("?tmp=tmp&clientVer=4100&clientos=Linux")
    assert http.requests[0].text == "cas-support=yes"
    assert http.requests[0].headers["User-Agent"] == "PAN GlobalProtect"
    assert fields(http, 1)["server"] == "vpn.example" and fields(http, 2)["server"] == "gw.example"
    assert all(fields(http, n)["passwd"] == "secret" and fields(http, n)["computer"] == "vm" for n in (1, 2))
    assert (ticket.protocol, ticket.connect_url, ticket.address) == ("gp", "https://gw.example/", "203.0.113.1")
    assert "user=Ann.X&" in ticket.cookie.reveal()  # Q12
    assert ticket.notes == {"version": "6.1.0-1", "hip-interval": "0"}
    assert len(user.forms) == 1 and user.forms[0].form_id == "_login"


def test_the_length_of_a_password_does_not_show() -> None:
    sizes = set()
    for password in ("x", "y" * 40):
        _, http = run(person(user="ann", passwd=password), prelogin(), policy("vpn.example"), jnlp())
        sizes.add((len(http.requests[1].text) + len(http.requests[1].headers["X-Pad"])) % 64)
    assert sizes == {0}


@pytest.mark.parametrize(
    "path, places, field",
    [
        ("portal", (Place.PORTAL,), ""),
        ("global-protect/x", (Place.PORTAL,), ""),
        ("gateway", (Place.GATEWAY,), ""),
        ("ssl-vpn", (Place.GATEWAY,), ""),
        ("", (Place.PORTAL, Place.GATEWAY), ""),
        ("other", (Place.PORTAL, Place.GATEWAY), ""),
        ("gateway:prelogin-cookie", (Place.GATEWAY,), "prelogin-cookie"),
        (":prelogin-cookie", (Place.PORTAL, Place.GATEWAY), "prelogin-cookie"),
    ],
)
def test_where_to_begin(path: str, places: tuple[Place, ...], field: str) -> None:
    assert Start.of(Url.parse(URL + path)) == Start(places, field)


@pytest.mark.parametrize("path", ["gateway:", "gateway:a_b", "gateway:" + "x" * 65])
def test_fields_that_cannot_be(path: str) -> None:
    with coded(MalformedAnswer, "bad-path"):
        Start.of(Url.parse(URL + path))


@pytest.mark.parametrize("none", [absent("portal"), answer("", status=404)])
def test_without_a_portal_the_gateway_is_asked(none: Response) -> None:
    ticket, http = run(person(**ANN), none, prelogin(), jnlp())
    assert paths(http)[1:] == ["vpn.example/ssl-vpn/prelogin.esp", "vpn.example/ssl-vpn/login.esp"]
    assert ticket.notes == {}


def test_neither_portal_nor_gateway() -> None:
    failing(person(), MalformedAnswer, "not-globalprotect: .*portal: .*gateway: ", absent("portal"), absent("gateway"))
    failing(person(), MalformedAnswer, "not-globalprotect", answer("", status=404), url=URL + "portal")


def test_only_the_place_that_was_named_is_asked() -> None:
    _, http = run(person(**ANN), prelogin(), jnlp(), url=URL + "gateway")
    assert paths(http)[0] == "vpn.example/ssl-vpn/prelogin.esp"


def test_a_wrong_password_is_asked_for_again() -> None:
    user = person(user=["ann", "ann"], passwd=["wrong", "secret"])
    run(user, prelogin(), refused(), jnlp(), url=URL + "gateway")
    assert [form.error for form in user.forms] == ["", "vpn.example refused the sign-in: 512 auth-failed"]


def test_three_wrong_passwords_are_enough() -> None:
    user = person(user=["ann"] * 3, passwd=["a", "b", "c"])
    failing(
        user, SignInFailed, "refused the sign-in: 512 auth-failed; .*--os", prelogin(), refused(), refused(), refused()
    )
    assert len(user.forms) == 3


def test_nobody_can_be_asked_again() -> None:
    failing(person(**ANN), SignInFailed, "refused the sign-in: 512 bad-os", prelogin(), refused("bad-os"))
    failing(person(), InputRequired, "no answer", prelogin())


def test_the_form_is_the_gateways() -> None:
    user = person(**ANN)
    labels = "<username-label> Name </username-label><password-label>Password</password-label>"
    run(user, prelogin(f"<ccusername>ann</ccusername><authentication-message>Hello</authentication-message>{labels}"),
        policy("vpn.example"), jnlp())  # fmt: skip
    (form,) = user.forms
    assert form.message == "Hello" and [field.label for field in form.fields] == ["Name:", "Password:"]
    assert form.fields[0].value == "ann" and not form.fields[1].once


def test_a_secret_with_another_label_is_a_code() -> None:
    user = person(**ANN, callback="")
    run(user, prelogin("<password-label>PIN</password-label>"), policy("vpn.example"), jnlp())
    assert user.forms[0].fields[1].once


# --- challenges ---


def test_a_challenge_at_the_portal_needs_a_sign_in_at_the_gateway() -> None:
    user = person(user="ann", passwd=["secret", "123", "again"])
    _, http = run(user, prelogin(), challenge(), policy("gw.example"), prelogin(), jnlp())
    assert [form.form_id for form in user.forms] == ["_login", "_challenge", "_login"]
    assert user.forms[1].message == "Code 1" and user.forms[1].fields[0].once
    assert fields(http, 2)["inputStr"] == "input1" and fields(http, 2)["passwd"] == "123"
    assert "inputStr" not in http.requests[1].text
    assert paths(http)[3:] == ["gw.example/ssl-vpn/prelogin.esp", "gw.example/ssl-vpn/login.esp"]
    assert user.forms[2].fields[0].kind == "hidden" and fields(http, 4)["user"] == "ann"


def test_a_portal_cookie_spares_the_second_sign_in() -> None:
    user = person(user="ann", passwd=["secret", "123"])
    _, http = run(user, prelogin(), challenge(), policy("gw.example", cookie="a%20b+c"), jnlp())
    sent = http.requests[3].text
    assert "portal-userauthcookie=a%2520b%2bc" in sent and fields(http, 3)["passwd"] == ""  # Q29


def test_challenges_in_a_row_at_the_gateway() -> None:
    user = person(user="ann", passwd=["secret", "1", "2"])
    _, http = run(user, prelogin(), challenge(1), challenge(2), jnlp(), url=URL + "gateway")
    assert [fields(http, n).get("inputStr") for n in (1, 2, 3)] == [None, "input1", "input2"]


def test_a_wrong_code_is_asked_for_again_with_the_same_input() -> None:
    user = person(user="ann", passwd=["secret", "1", "2"])
    _, http = run(user, prelogin(), challenge(1), refused(), jnlp(), url=URL + "gateway")
    assert (
        fields(http, 3)["inputStr"] == "input1"
        and user.forms[2].error == "vpn.example refused the sign-in: 512 auth-failed"
    )


def test_endless_challenges() -> None:
    user = person(user="ann", passwd=["x"] * 20)
    failing(user, MalformedAnswer, "auth-loop", prelogin(), *(challenge(n) for n in range(1, 12)), url=URL + "gateway")


def test_an_error_in_place_of_a_challenge() -> None:
    script = 'var respStatus = "Error"; var respMsg = "Token expired"; thisForm.inputStr.value = "";'
    failing(person(**ANN), SignInFailed, "^: Token expired$", prelogin(), answer(script))


# --- from the portal to the gateway ---


def test_a_gateway_that_wants_a_sign_in_of_its_own() -> None:
    user = person(user="ann", passwd=["secret", "other"])
    _, http = run(user, prelogin(), policy("gw.example"), refused(), prelogin(), jnlp())
    assert paths(http)[2:] == [
        "gw.example/ssl-vpn/login.esp", "gw.example/ssl-vpn/prelogin.esp", "gw.example/ssl-vpn/login.esp",
    ]  # fmt: skip
    assert any("does not accept what the portal accepted" in text for text in user.said)
    assert fields(http, 4)["passwd"] == "other"


def test_a_named_gateway_that_is_none() -> None:
    user = person(user="ann", passwd=["secret", "123"])
    failing(
        user,
        SignInFailed,
        "names the gateway gw.example",
        prelogin(),
        challenge(),
        policy("gw.example"),
        absent("gateway"),
    )


def test_the_user_chooses_among_several() -> None:
    user = person("b.example", **ANN)
    ticket, _ = run(user, prelogin(), policy("a.example", "b.example"), jnlp())
    (form,) = user.asked_groups
    assert form.form_id == "_portal" and [choice.label for choice in form.fields[0].choices] == [
        "A.Example",
        "B.Example",
    ]
    assert ticket.connect_url == "https://b.example/"
    failing(person("c", **ANN), UnknownGroup, "no group 'c'", prelogin(), policy("a.example", "b.example"))


def test_the_best_is_taken_when_nobody_can_be_asked() -> None:
    class Nobody(FakeUser):
        async def choose_group(self, form: object, group: object) -> str:
            raise InputRequired("nobody")

    user = Nobody({"user": ["ann"], "passwd": ["secret"]})
    ticket, _ = run(user, prelogin(), policy("a.example", "b.example"), jnlp())
    assert ticket.connect_url == "https://a.example/" and any("A.Example" in text for text in user.said)


def test_portals_that_name_none() -> None:
    failing(person(**ANN), ConfigurationRefused, "portal-no-gateways", prelogin(), policy())


# --- SAML and other secrets ---

SAML = "<saml-auth-method>REDIRECT</saml-auth-method><saml-request>{}</saml-request>".format(
    base64.b64encode(b"https://idp.example/sso").decode()
)


def test_a_browser_is_wanted() -> None:
    failing(person(), NotSupported, "saml-required: .*--path portal:prelogin-cookie", prelogin(SAML))
    failing(person(), MalformedAnswer, "saml-method", prelogin(SAML.replace("REDIRECT", "OTHER")))


def test_a_cookie_from_elsewhere() -> None:
    user = person(**{"user": "ann", "prelogin-cookie": "abcdef123"})
    _, http = run(user, prelogin(SAML), policy("vpn.example", cookie="pc"), jnlp(), url=URL + "portal:prelogin-cookie")
    assert fields(http, 1)["prelogin-cookie"] == "abcdef123" and "passwd" not in http.requests[1].text
    assert fields(http, 2)["portal-userauthcookie"] == "pc" and "prelogin-cookie" not in http.requests[2].text  # Q24


def test_the_callback_of_a_browser_that_somebody_else_opened() -> None:
    page = "<saml-auth-status>1</saml-auth-status><saml-username>zoe</saml-username>"
    page += "<prelogin-cookie>abcdef123</prelogin-cookie>"
    link = "globalprotectcallback:" + base64.b64encode(page.encode()).decode()
    user = person(callback=link)
    _, http = run(user, prelogin(SAML), jnlp(), url=URL + "gateway", external_auth=True)
    assert "default-browser=4" in http.requests[0].text  # Q26
    assert "https://idp.example/sso" in user.forms[0].message
    assert fields(http, 1)["user"] == "zoe" and fields(http, 1)["prelogin-cookie"] == "abcdef123"


# --- statuses and limits ---


@pytest.mark.parametrize(
    "response, kind, says",
    [
        (answer("", status=513), ClientCertificateRequired, "wants a client certificate: 513"),
        (answer("", status=403), SignInFailed, "refused the request: 403"),
        (answer("", status=405), NotSupported, "unsupported"),
        (answer("", status=503), GatewayUnavailable, "503"),
        (answer("", status=429), GatewayUnavailable, "429"),
        (answer("", status=302), MalformedAnswer, "bad-status"),
        (answer(""), MalformedAnswer, "empty-response"),
        (ClientCertificateWanted("alert"), ClientCertificateRequired, "wants a client certificate"),
    ],
)
def test_statuses_of_a_login(response: Response | Exception, kind: type[ProtocolError], says: str) -> None:
    failing(person(**ANN), kind, says, prelogin(), response)


def test_redirects_of_a_prelogin_repeat_the_post() -> None:
    _, http = run(
        person(**ANN), redirect("https://other.example/global-protect/prelogin.esp"), prelogin(), policy("gw"), jnlp()
    )
    assert [request.method for request in http.requests] == ["POST"] * 4
    assert http.requests[1].url == "https://other.example/global-protect/prelogin.esp"
    failing(person(), MalformedAnswer, "auth-redirects", *(redirect("/x") for _ in range(11)))


def test_the_same_addresses_are_asked_for_after_a_new_sign_in() -> None:
    http = FakeHttp([prelogin(), jnlp()])
    options = SignInOptions(URL + "gateway")
    held = (IPv4Interface("10.99.0.2/32"),)
    asyncio.run(sign_in(http, person(**ANN), options, held))  # type: ignore[arg-type]
    assert fields(http, 1)["preferred-ip"] == "10.99.0.2"


def test_passwords_can_be_forbidden() -> None:
    failing(person(**ANN), SignInFailed, "not allowed", prelogin(), allow_password=False)
