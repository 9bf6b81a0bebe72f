"""Documents of the client (sections 2.3 and 2.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocols.anyconnect.replies import Device, auth_reply, form_encoded, init
from protocols.errors import MalformedAnswer

DEVICE = Device("0.1.0", "linux-64")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def test_the_first_init() -> None:
    assert init(DEVICE, "https://vpn.example.org/sales").decode() == (
        HEAD + '<config-auth client="vpn" type="init" aggregate-auth-version="2"><version who="vpn">0.1.0</version>'
        "<device-id>linux-64</device-id><group-access>https://vpn.example.org/sales</group-access></config-auth>"
    )


def test_an_init_without_certificate_for_a_group() -> None:
    text = init(DEVICE, "https://h/", group="R&D", certificate_failed=True).decode()
    assert text.endswith(
        "<group-access>https://h/</group-access><client-cert-fail/><group-select>R&amp;D</group-select></config-auth>"
    )


def test_a_reply_keeps_the_order_of_the_gateway() -> None:
    reply = auth_reply(
        DEVICE,
        [("group_list", "grpA"), ("username", "a<b>&\"'"), ("password", "p"), ("sso-token", "t")],
        opaque='<opaque is-for="sg"><x/></opaque>',
    )
    root = etree.fromstring(reply)
    assert [child.tag for child in root] == ["version", "device-id", "opaque", "auth", "group-select"]
    assert root.get("type") == "auth-reply"
    assert [(child.tag, child.text) for child in root.find("auth")] == [
        ("username", "a<b>&\"'"), ("password", "p"), ("sso-token", "t")
    ]  # fmt: skip
    assert root.findtext("group-select") == "grpA"


@pytest.mark.parametrize("name", ["answer", "whichpin", "new_password"])
def test_fields_that_gateways_know_as_password_only(name: str) -> None:  # Q10
    assert b"<auth><password>x</password></auth>" in auth_reply(DEVICE, [(name, "x")])


@pytest.mark.parametrize("name", ["verify_pin", "verify_password"])
def test_repetitions_stay_here(name: str) -> None:
    assert b"<auth></auth>" in auth_reply(DEVICE, [(name, "x")])


@pytest.mark.parametrize("name", ["1st", "a b", "a><evil/", "", "a&b", "-x"])
def test_a_field_name_that_is_no_xml_name_is_an_error(name: str) -> None:
    with pytest.raises(MalformedAnswer, match="valid XML name"):
        auth_reply(DEVICE, [(name, "x")])


def test_an_answer_that_xml_cannot_hold_is_refused_without_showing_it() -> None:
    with pytest.raises(MalformedAnswer, match=r"U\+0000") as caught:
        auth_reply(DEVICE, [("password", "hunter2\0")])
    assert "hunter2" not in str(caught.value)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32))) + "\ufffe\uffff"))
)
def test_any_text_arrives_as_it_was(value: str) -> None:
    root = etree.fromstring(auth_reply(DEVICE, [("password", value)]))
    assert (root.findtext("auth/password") or "") == value


def test_the_legacy_encoding() -> None:
    values = [("group_list", "a b"), ("username", "ü~-_."), ("answer", "1+1=2&"), ("verify_pin", "x")]
    assert form_encoded(values) == b"group_list=a%20b&username=%C3%BC~-_.&answer=1%2B1%3D2%26&verify_pin=x"
