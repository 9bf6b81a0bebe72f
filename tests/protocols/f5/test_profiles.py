"""The list of resources (section 4), also hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConfigurationRefused, CookieRejected
from protocols.f5.profiles import Profile, choose, parse, parse_resources, resource_query
from tests.protocols.refusals import refused

LIST = b"""
<?xml version="1.0" encoding="utf-8"?>
<favorites type="VPN" limited="YES">
  <favorite id="/Common/one"><caption>First one</caption><name>/Common/one</name>
    <params>resourcename=/Common/one</params></favorite>
  <favorite id="/Common/none"><caption>x</caption><params> </params></favorite>
  <favorite id="/Common/two"><caption>Second</caption><name>/Common/two</name>
    <params>resourcename=/Common/two&amp;a=b</params></favorite>
</favorites>"""


def test_the_list_is_read_behind_blanks_and_params_stay_as_they_are() -> None:  # Q9
    one, two = parse(LIST)
    assert one == Profile("/Common/one", "/Common/one", "First one", "resourcename=/Common/one")
    assert two.target == "/vdesk/vpn/connect.php3?resourcename=/Common/two&a=b&outform=xml&client_version=2.0"


@pytest.mark.parametrize(
    ("wanted", "index"), [("", 0), ("/common/TWO", 1), ("second", 1), ("/Common/one", 0), ("a login group", 0)]
)
def test_the_wish_counts_where_it_fits_and_the_first_otherwise(wanted: str, index: int) -> None:
    profiles = parse(LIST)
    assert choose(profiles, wanted) == profiles[index]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "config-bad-profile"),
        (b"no xml", "config-bad-profile"),
        (b"<favorites/>", "config-bad-profile: root element 'favorites' of type ''"),
        (b"<favorites type='WEB'/>", "config-bad-profile"),
        (b"<res type='VPN'/>", "config-bad-profile"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><favorites type='VPN'/>", "config-bad-profile: a document type"),
        (b"<favorites type='VPN'>" + b"<a>" * 100 + b"</favorites>", "config-bad-profile: .*nested deeper"),
        (b"<favorites type='VPN'>" + b"<a/>" * 100_001 + b"</favorites>", "config-bad-profile: more than 100000"),
    ],
)
def test_what_is_no_list_is_named(body: bytes, code: str) -> None:
    with refused(ConfigurationRefused, code):
        parse(body)


@pytest.mark.parametrize("body", [b"<html><body>gone</body></html>", b"<!DOCTYPE html><html>x", b"<HTML></HTML>"])
def test_a_page_means_that_the_session_is_gone(body: bytes) -> None:  # Q9
    with refused(CookieRejected, "session-rejected"):
        parse(body)


@pytest.mark.parametrize("params", ["a b", "a\r\nX: y", "a#b", "a\x00", "ü", "a" * 4097])
def test_params_that_would_break_the_request(params: str) -> None:
    with refused(ConfigurationRefused, "config-bad-profile") as caught:
        choose((Profile("i", "n", "c", params),), "")
    assert "X: y" not in str(caught.value)


def test_no_resource_at_all() -> None:
    assert parse(b"<favorites type='VPN'/>") == ()
    with refused(ConfigurationRefused, "config-no-profile"):
        choose((), "x")


RESOURCES = b"""<res type="resource_list">
<opts><opt type="other" uri="/no"/><opt type="available_rq" uri="/list.xml"/></opts>
<lists><list type="webtop"><entry param="w">W</entry></list>
<list type="network_access"><entry param="na">/Common/x y</entry></list></lists></res>"""


def test_the_other_list() -> None:
    assert resource_query(RESOURCES) == "/list.xml?na=/Common/x%20y"
    found = parse_resources(b"<resources><item><id>/Common/x</id><caption>X</caption></item><item/></resources>")
    assert found == (Profile("/Common/x", "/Common/x", "X", "resourcename=/Common/x"),)


@pytest.mark.parametrize("part", [b'uri="/list.xml"', b'type="available_rq"', b'type="network_access"', b'param="na"'])
def test_an_incomplete_other_list_offers_nothing(part: bytes) -> None:
    assert resource_query(RESOURCES.replace(part, b"x='y'")) == ""


def test_another_server_is_not_asked() -> None:
    assert resource_query(RESOURCES.replace(b"/list.xml", b"https://evil.test/")) == ""


@given(st.binary(max_size=200), st.integers(0, len(LIST)))
def test_anything_is_a_list_or_a_named_error(noise: bytes, cut: int) -> None:
    for read in (parse, parse_resources, resource_query):
        for body in (noise, LIST[:cut] + noise, RESOURCES[:cut] + noise):
            try:
                read(body)
            except ConfigurationRefused as exc:
                assert exc.code == "config-bad-profile"
            except CookieRejected:
                assert b"<html" in body.lower()
