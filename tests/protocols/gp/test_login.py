"""The login's fields and the session in its answer (sections 4 and 8)."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import ConfigurationRefused, MalformedAnswer, ProtocolError
from protocols.gp import answers, login
from protocols.gp.identity import Identity
from protocols.gp.login import Credentials, Login
from tests.protocols.doubles import coded

IDENTITY = Identity("Linux", "linux-64", "vm", "PAN GlobalProtect", True)
DEADBEEF = "deadbeef" * 4
ARGUMENTS = ["(null)", DEADBEEF, "0" * 40, "GW-N", "u", "LDAP", "vsys1", "%28empty_domain%29", "(null)", "", "", ""]
ARGUMENTS += ["tunnel", "-1", "4100", "(null)", "", "", ""]


def answer(arguments: list[str], name: str = "argument") -> bytes:
    inside = "".join(f"<{name}>{one}</{name}>" for one in arguments)
    return f"<?xml version='1.0'?><jnlp><application-desc>{inside}</application-desc></jnlp>".encode()


def parsed(arguments: list[str], computer: str = "vm") -> Login:
    return login.parse(answers.document(answer(arguments), "jnlp"), computer)


def with_argument(index: int, value: str) -> list[str]:
    return [value if at == index else one for at, one in enumerate(ARGUMENTS)]


def test_the_fields_of_a_request() -> None:
    body = login.request(IDENTITY, "vpn.example", Credentials("ann", Secret("a b+c&d=é")))
    assert body.endswith(b"&user=ann&passwd=a%20b%2bc%26d%3d%c3%a9")  # a blank is never `+`
    fields = dict(parse_qsl(body.decode()))
    assert fields == {
        "jnlpReady": "jnlpReady", "ok": "Login", "direct": "yes", "clientVer": "4100", "prot": "https:",
        "internal": "no",
        "ipv6-support": "yes", "clientos": "Linux", "os-version": "linux-64", "server": "vpn.example", "computer": "vm",
        "user": "ann", "passwd": "a b+c&d=é",
    }  # fmt: skip


def test_the_fields_that_are_there_at_times() -> None:
    credentials = Credentials(
        "ann", Secret("x"), "prelogin-cookie", (("portal-userauthcookie", Secret("a%20b")),), Secret("t")
    )
    held = (IPv4Interface("10.0.0.2/32"), IPv6Interface("fd00::2/128"))
    body = login.request(IDENTITY, "vpn.example", credentials, input_str="5e", held=held).decode()
    for part in ("inputStr=5e", "prelogin-cookie=x", "portal-userauthcookie=a%2520b", "token=t"):
        assert f"&{part}" in body
    assert "&preferred-ip=10.0.0.2&" in body and "&preferred-ipv6=fd00%3a%3a2&" in body  # Q42
    assert "passwd" not in body


def test_no_field_is_there_twice() -> None:  # Q10
    credentials = Credentials("ann", Secret("x"), "user")
    names = [part.partition("=")[0] for part in login.request(IDENTITY, "s", credentials).decode().split("&")]
    assert len(names) == len(set(names))


def test_the_session_string() -> None:
    found = parsed(ARGUMENTS)
    want = f"authcookie={DEADBEEF}&portal=GW-N&user=u&domain=%28empty_domain%29&computer=vm"  # section 18
    assert found.cookie.text().reveal() == want and found.notices == ()
    assert found.cookie.checksum() == "399bae4c3ed8a8c9f8121d9e7989cceb"


@pytest.mark.parametrize("extra", [0, 1, 3, 40])
def test_any_number_of_arguments_from_15_on(extra: int) -> None:  # Q16
    assert parsed(ARGUMENTS[:15]).cookie == parsed(ARGUMENTS + ["x"] * extra).cookie


def test_addresses_and_odd_characters() -> None:
    arguments = with_argument(15, "10.0.0.9")
    arguments[18], arguments[4], arguments[7] = "fd00::9", "zo%C3%AB+x", "bad%2"
    cookie = parsed(arguments, computer="my host").cookie
    assert "&preferred-ip=10.0.0.9&preferred-ipv6=fd00%3a%3a9&computer=my%20host" in cookie.text().reveal()
    assert cookie.get("user") == "zoë x" and cookie.get("domain") == "bad%2"


def test_notices() -> None:
    assert parsed(with_argument(13, "7")).notices == ("your password expires in 7 days",)
    assert "portal" in parsed(with_argument(3, "(null)")).notices[0]
    assert parsed(with_argument(13, "soon")).notices == ()  # Q15


@pytest.mark.parametrize(
    "arguments, says",
    [
        (ARGUMENTS[:14], "14 arguments, want 15 to 128"),
        (ARGUMENTS + [""] * 200, "219 arguments"),
        (with_argument(1, "(null)"), "no authcookie"),
        (with_argument(4, ""), "no user"),
        (with_argument(12, "other"), "argument 12.: got 'other'"),
        (with_argument(14, "4000"), "argument 14.: got '4000', want 4100"),
        (with_argument(1, "x" * 70_000), "argument 1 of 70000 characters"),
    ],
)
def test_answers_that_cannot_be_used(arguments: list[str], says: str) -> None:
    with coded(MalformedAnswer, "login-response-invalid: .*" + says):
        parsed(arguments)


def test_a_gateway_without_a_tunnel() -> None:  # Q22
    with coded(ConfigurationRefused, "gateway-without-tunnel"):
        parsed(with_argument(12, "notunnel"))


def test_other_elements_are_refused() -> None:
    for body, says in ((answer(ARGUMENTS, "option"), "element 'option'"), (b"<jnlp/>", "no application-desc")):
        with coded(MalformedAnswer, says):
            login.parse(answers.document(body, "jnlp"), "vm")


def test_secrets_do_not_show() -> None:
    assert DEADBEEF not in repr(parsed(ARGUMENTS)) and "hush" not in repr(Credentials("u", Secret("hush")))


@given(st.lists(st.text(alphabet="%+&=;()4100tunel\u00e9", max_size=8), min_size=10, max_size=25))
def test_any_arguments(arguments: list[str]) -> None:
    escaped = [one.replace("&", "&amp;") for one in arguments]
    try:
        found = parsed(escaped)
    except ProtocolError as exc:
        assert str(exc)
    else:
        assert found.cookie.get("user")
