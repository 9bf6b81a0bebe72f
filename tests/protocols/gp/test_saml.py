"""Results of a browser sign-in (section 5; vectors of section 18)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.gp import saml
from protocols.gp.login import Credentials
from tests.protocols.doubles import coded

CALLBACK = (
    "globalprotectcallback:PGh0bWw+PCEtLSA8c2FtbC1hdXRoLXN0YXR1cz4xPC9zYW1sLWF1dGgtc3RhdHVzPjxwcmVsb2dpbi1jb29raWU+"
    "YWJjZGVmMTIzNDU2PC9wcmVsb2dpbi1jb29raWU+PHNhbWwtdXNlcm5hbWU+em9lQGV4YW1wbGUubmV0PC9zYW1sLXVzZXJuYW1lPjxzYW1sLXNs"
    "bz5ubzwvc2FtbC1zbG8+IC0tPjwvaHRtbD4="
)
ZOE = Credentials("zoe@example.net", Secret("abcdef123456"), "prelogin-cookie")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK,
        CALLBACK.rstrip("="),
        CALLBACK.replace("+", "-"),
        CALLBACK.replace("callback:", "callback://"),
        f"  {CALLBACK}\n",
        CALLBACK.upper()[:22] + CALLBACK[22:],
    ],
)
def test_the_callback(uri: str) -> None:
    assert saml.from_callback(uri) == ZOE


@pytest.mark.parametrize(
    "data", ["cas-as%3D1%26un%3Dzoe%40example.net%26token%3DT0K", "cas-as=1&amp;un=zoe@example.net&amp;token=T0K"]
)
def test_the_callback_of_cas(data: str) -> None:
    found = saml.from_callback(f"globalprotectcallback:{data}")
    assert (found.user, found.token, found.secret, found.secret_field) == (
        "zoe@example.net", Secret("T0K"), Secret(""), "prelogin-cookie",
    )  # fmt: skip


def test_headers_and_comment_are_the_same() -> None:  # Q25
    headers = {"SAML-Auth-Status": "1", "saml-username": "zoe@example.net", "Prelogin-Cookie": "abcdef123456"}
    assert saml.from_result("<html/>", headers) == ZOE
    both = headers | {"portal-userauthcookie": "123456789"}
    assert saml.from_result("", both) == ZOE
    del both["Prelogin-Cookie"]
    assert saml.from_result("", both).secret_field == "portal-userauthcookie"


@pytest.mark.parametrize(
    "text, says",
    [
        ("<saml-auth-status>0</saml-auth-status>", "saml-auth-status '0'"),
        ("<saml-auth-status>1</saml-auth-status>", "no saml-username"),
        ("<saml-username>u</saml-username><prelogin-cookie>empty</prelogin-cookie>", "neither"),  # Q27
        ("Temporarily Unavailable", "no saml-username"),  # Q28
    ],
)
def test_results_that_are_none(text: str, says: str) -> None:
    with coded(MalformedAnswer, "saml-result-invalid: .*" + says):
        saml.from_callback(saml.SCHEME + encoded(text))


@pytest.mark.parametrize(
    "uri", ["", "https://x/", "globalprotectcallback:%", "globalprotectcallback:cas-as=1&un=u", "x" * 70_000]
)
def test_links_that_are_none(uri: str) -> None:
    with coded(MalformedAnswer, "saml-result-invalid"):
        saml.from_callback(uri)


def test_where_the_browser_begins() -> None:
    assert saml.login_url("REDIRECT", encoded("https://idp.example/sso?x=1")) == "https://idp.example/sso?x=1"
    assert saml.login_url("POST", encoded("https://idp.example/")) == "https://idp.example/"
    assert saml.login_url("POST", encoded("<html>form</html>")) == ""


@pytest.mark.parametrize(
    "method, request_text, code",
    [
        ("GET", "", "saml-method"),
        ("REDIRECT", "%%%", "saml-request-invalid"),
        ("REDIRECT", encoded("<html/>"), "saml-request-invalid"),
        ("REDIRECT", encoded("javascript:x"), "saml-request-invalid"),
        ("REDIRECT", encoded("https://x/\x1b[0m"), "saml-request-invalid"),
    ],
)
def test_requests_that_cannot_be_used(method: str, request_text: str, code: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        saml.login_url(method, request_text)
    assert caught.value.code == code


@given(st.one_of(st.text(max_size=100), st.integers(0, len(CALLBACK)).map(lambda at: CALLBACK[:at])))
def test_any_link(text: str) -> None:
    for uri in (text, saml.SCHEME + text):
        try:
            saml.from_callback(uri)
        except MalformedAnswer as exc:
            assert exc.code == "saml-result-invalid" and "abcdef123456" not in str(exc)
