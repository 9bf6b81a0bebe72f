"""The flat cookie store."""

from __future__ import annotations

import pytest

from transports.cookies import MAX_COOKIE_BYTES, MAX_COOKIES, Cookies
from transports.errors import HttpError


def test_order_replacement_and_deletion() -> None:
    cookies = Cookies()
    cookies.take(["a=1; path=/; secure", " b = 2 ", "a=3"], "gw")
    assert cookies.header() == "a=3; b=2"
    cookies.take(["a=; expires=Thu, 01 Jan 1970 00:00:00 GMT"], "gw")
    assert cookies.header() == "b=2" and cookies.get("a") is None


def test_empty_deletes_then_the_second_one_sets() -> None:  # Q32
    cookies = Cookies()
    cookies.take(["webvpnc=old"], "gw")
    cookies.take(["webvpnc=; expires=Thu, 01 Jan 1970 22:00:00 GMT", "webvpnc=bu:/&p:t&iu:1/"], "gw")
    assert cookies.get("webvpnc") == "bu:/&p:t&iu:1/"


@pytest.mark.parametrize(
    "attributes",
    [
        "path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure",
        "Expires=Thu, 01-Jan-1970 00:00:00 GMT",
        "max-age=0; path=/",
        "Max-Age=-1",
        "expires=Thu, 09 Nov 2023 00:00:00 GMT",
    ],
)
def test_what_has_expired_is_deleted(attributes: str) -> None:
    cookies = Cookies(clock=lambda: 1_700_000_000)  # 14 November 2023
    cookies.take(["SVPNCOOKIE=old", f"SVPNCOOKIE=new; {attributes}"], "gw")
    assert cookies.get("SVPNCOOKIE") is None


@pytest.mark.parametrize(
    "attributes",
    [
        "expires=Fri, 14 Nov 2098 00:00:00 GMT",
        "expires=Tue, 14 Nov 2023 21:00:00 GMT",  # an hour ago: clocks differ
        "expires=never",
        "expires=",
        "expires=Mon, 01 Jan 99999 00:00:00 GMT",
        "expires=Sun, 11 Mar 1984 12:00:00 GMT; max-age=60",
        "max-age=60; expires=Sun, 11 Mar 1984 12:00:00 GMT",  # RFC 6265: Max-Age wins
        "max-age=x",
        "expired",
    ],
)
def test_what_has_not_expired_or_makes_no_sense_stays(attributes: str) -> None:
    cookies = Cookies(clock=lambda: 1_700_000_000)
    cookies.take([f"SVPNCOOKIE=new; {attributes}"], "gw")
    assert cookies.get("SVPNCOOKIE") == "new"


def test_values_keep_their_equals_signs() -> None:
    cookies = Cookies()
    cookies.take(["webvpn=AAAA=="], "gw")
    assert cookies.get("webvpn") == "AAAA=="


@pytest.mark.parametrize("text", ["webvpn", "", "; a=b", "=x"])
def test_without_name_and_equals_it_is_an_error(text: str) -> None:
    with pytest.raises(HttpError):
        Cookies().take([text], "gw")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "a;b"])
def test_injection_is_refused_without_showing_the_value(value: str) -> None:
    with pytest.raises(HttpError) as caught:
        Cookies().set("webvpn", value)
    assert value not in str(caught.value)


def test_a_thousand_cookies_are_refused() -> None:
    cookies = Cookies()
    with pytest.raises(HttpError, match=f"more than {MAX_COOKIES} cookies"):
        cookies.take([f"c{n}=1" for n in range(1000)], "gw")
    assert len(cookies) == MAX_COOKIES
    cookies.set("c1", "replacing is no growth")


def test_huge_cookies_are_refused() -> None:
    cookies = Cookies()
    with pytest.raises(HttpError, match=f"exceed {MAX_COOKIE_BYTES} bytes"):
        cookies.set("a", "x" * MAX_COOKIE_BYTES)
    assert cookies.header() == ""


def test_repr_shows_names_only() -> None:
    cookies = Cookies()
    cookies.set("webvpn", "TOPSECRET")
    assert repr(cookies) == "Cookies(webvpn)"
    cookies.clear()
    assert len(cookies) == 0
