"""URLs and redirects."""

from __future__ import annotations

import pytest

from transports.errors import HttpError
from transports.http_url import Url


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("https://vpn.example.com", Url("vpn.example.com"), "vpn.example.com"),
        ("HTTPS://vpn.test:443/", Url("vpn.test"), "vpn.test"),
        ("https://vpn.test:8443/g?x=1#frag", Url("vpn.test", 8443, "/g?x=1"), "vpn.test:8443"),
        ("https://vpn.test?x=1", Url("vpn.test", 443, "/?x=1"), "vpn.test"),
        ("https://vpn.test:/", Url("vpn.test"), "vpn.test"),
        ("https://[fd00::1]:8443/g", Url("fd00::1", 8443, "/g"), "[fd00::1]:8443"),
        ("https://192.0.2.1/", Url("192.0.2.1"), "192.0.2.1"),
        ("https://bücher.example/ü b", Url("xn--bcher-kva.example", 443, "/%C3%BC%20b"), "xn--bcher-kva.example"),
    ],
)
def test_parse(text: str, url: Url, authority: str) -> None:
    assert Url.parse(text) == url
    assert url.authority == authority  # the port only when it is not 443


@pytest.mark.parametrize(
    "text",
    ["", "vpn.test", "http://vpn.test/", "ftp://x/", "https:///x", "https://h:0/", "https://h:70000/", "https://h:12x/",
     "https://user:pw@h/", "https://[zz]/", "https://[::1/", "https://a b/", "https://h/\r\nX: y", "https://h/\x00",
     "https://h\\@evil/", "https://" + "a" * 300 + "/", "https://h/" + "x" * 70000],
)  # fmt: skip
def test_bad_urls_are_refused(text: str) -> None:
    with pytest.raises(HttpError):
        Url.parse(text)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/x", "/x"),
        ("x", "/a/x"),
        ("x?y=1", "/a/x?y=1"),
        ("?z=1", "/a/b?z=1"),
        ("", "/a/b?q=1"),
        ("#top", "/a/b?q=1"),
        ("//odd//path", "//odd//path"),  # Q33: used as given
        ("/x#frag", "/x"),
        ("with blank", "/a/with%20blank"),
    ],
)
def test_redirects_on_the_same_server(location: str, target: str) -> None:
    here = Url("vpn.test", 8443, "/a/b?q=1")
    assert here.join(location) == Url("vpn.test", 8443, target)


def test_redirect_to_another_server() -> None:
    here = Url("vpn.test")
    there = here.join("https://node2.vpn.test/+webvpn+/x")
    assert there == Url("node2.vpn.test", 443, "/+webvpn+/x")
    assert not here.same_server(there) and here.same_server(Url("VPN.test", 443, "/other"))
    assert not here.same_server(Url("vpn.test", 444))


@pytest.mark.parametrize("location", ["http://vpn.test/", "javascript:alert(1)", "data:x", "HTTP://x/", "mailto:a@b"])
def test_other_schemes_are_refused(location: str) -> None:
    with pytest.raises(HttpError, match="got scheme"):
        Url("vpn.test").join(location)
