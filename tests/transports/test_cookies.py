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
