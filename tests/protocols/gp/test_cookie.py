"""The session string (section 8; vectors of section 18)."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import MalformedAnswer
from protocols.gp import GlobalProtect, formdata
from protocols.gp.cookie import SessionCookie
from tests.protocols.doubles import coded

TEXT = "authcookie=deadbeef&portal=GW-N&user=zo%c3%ab&domain=%28empty_domain%29&preferred-ip=10.0.0.1&computer=host1"


def cookie(text: str = TEXT) -> SessionCookie:
    return SessionCookie.parse(Secret(text))


def test_it_comes_back_as_it_was() -> None:
    assert cookie().text().reveal() == TEXT
    strange = "user=u&x-new=1&authcookie=c&empty="
    assert cookie(f" {strange} ").text().reveal() == strange


def test_its_parts() -> None:
    assert cookie().get("user") == "zoë" and cookie().get("nothing") == ""
    assert cookie().for_tunnel() == "authcookie=deadbeef&user=zo%c3%ab"
    assert cookie().secrets() == ("deadbeef",)
    assert "deadbeef" not in repr(cookie())


def test_the_checksum_leaves_secret_and_addresses_out() -> None:
    assert cookie().checksum() == "31a483fae7e4187a590de852c155c8b3"
    assert cookie(TEXT.replace("deadbeef", "other")).checksum() == cookie().checksum()


def test_addresses_that_were_held_take_the_place_of_the_preferred_ones() -> None:
    assert cookie().for_config(()) == TEXT
    held = (IPv4Interface("10.0.0.7/32"), IPv6Interface("fd00::7/128"))
    asked = cookie().for_config(held)
    assert asked.startswith("preferred-ip=10.0.0.7&preferred-ipv6=fd00%3a%3a7&authcookie=deadbeef&")
    assert "10.0.0.1" not in asked


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "not name=value"),
        ("deadbeef", "not name=value"),
        ("authcookie=a", "no user"),
        ("user=u", "no authcookie"),
        ("authcookie=&user=u", "no authcookie"),
        ("authcookie=a&user=u&user=v", "field 'user' twice"),
        ("authcookie=a&user=u v", "percent-encoded"),
        ("authcookie=a\r\nX: y&user=u", "percent-encoded"),
        ("authcookie=é&user=u", "percent-encoded"),
        ("authcookie=a&user=" + "u" * 20_000, "want at most 16384"),
        ("&".join(f"a{n}=1" for n in range(65)), "65 fields"),
    ],
)
def test_what_cannot_be_one_is_named_without_showing_it(text: str, says: str) -> None:
    with coded(MalformedAnswer, "bad-cookie: no session cookie .*" + says) as caught:
        cookie(text)
    assert "deadbeef" not in str(caught.value)


def test_a_ticket_from_what_another_process_printed() -> None:
    ticket = GlobalProtect().ticket_from_cookie("https://gw.example:8443/gateway", Secret(TEXT))
    assert (ticket.protocol, ticket.connect_url, ticket.cookie) == ("gp", "https://gw.example:8443/", Secret(TEXT))


@given(
    st.dictionaries(st.sampled_from(["authcookie", "user", "portal", "computer"]), st.binary(min_size=1, max_size=20))
)
def test_what_is_built_can_be_parsed(values: dict[str, bytes]) -> None:
    built = SessionCookie.build([*values.items(), ("authcookie", b"x"), ("user", b"y")][-6:])
    text = built.text().reveal()
    names = [part.partition("=")[0] for part in text.split("&")]
    if len(set(names)) == len(names):
        assert SessionCookie.parse(Secret(text)) == built


@given(st.binary(max_size=40))
def test_encoding_is_undone_by_decoding(data: bytes) -> None:
    encoded = formdata.encode(data)
    assert formdata.decode(encoded) == data and encoded.isascii() and "+" not in encoded


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    try:
        assert cookie(text).get("authcookie")
    except MalformedAnswer as exc:
        assert exc.code == "bad-cookie"
