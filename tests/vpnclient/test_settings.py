"""The small grammars of the command line.  Vectors: cli-parity section 13."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from vpnclient.errors import Exit, UsageError, explain
from vpnclient.settings import Server, Settings, parse_form_entry, parse_resolve, parse_server


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("vpn.test", Server("vpn.test")),
        ("[fd00::1]:8443/g", Server("[fd00::1]", 8443, "g")),
        ("https://h/", Server("h")),
        ("HTTPS://h:444/a/b", Server("h", 444, "a/b")),
        ("h:443", Server("h")),
        ("h:65535", Server("h", 65535)),
        ("https://h?x=1", Server("h", path="?x=1")),
        ("https://h/a?x=1/2", Server("h", path="a?x=1/2")),
        ("https://h/a#part", Server("h", path="a")),
        ("bücher.example", Server("xn--bcher-kva.example")),
        ("192.0.2.1:4433", Server("192.0.2.1", 4433)),
    ],
)
def test_server(text: str, server: Server) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://h", "only https is supported"),
        ("ftp://h", "only https is supported"),
        ("h:0", "bad port '0', wanted 1 to 65535"),
        ("h:70000", "bad port '70000'"),
        ("h:12x", "bad port '12x'"),
        ("h:", "bad port ''"),
        ("h:-1", "bad port '-1'"),
        ("h:٣", "bad port"),
        ("", "not a valid host name"),
        ("https://", "not a valid host name"),
        ("https:///path", "not a valid host name"),
        ("fd00::1", "brackets"),
        ("[fd00::1", "brackets"),
        ("[fd00::1]x", "brackets"),
        ("[vpn.test]", "not an IPv6 address"),
        ("alice@vpn.test", "user name"),
        ("-h", "not a valid host name"),
        ("a b", "space or a control character"),
        ("h\r\nX: y", "space or a control character"),
        ("h\0", "space or a control character"),
        ("h/pa\x1bth", "space or a control character"),
        ("h" * 3000, "at most 2048"),
        ("h" * 254, "not a valid host name"),
    ],
)
def test_server_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_server(text)
    assert explain(caught.value).exit_code is Exit.USAGE


def test_own_path_beats_the_path_option() -> None:
    assert parse_server("h/own", path="other").path == "own"
    assert parse_server("h/", path="/other").path == "other"


@given(st.text(max_size=40))
def test_any_text_is_a_server_or_a_usage_error(text: str) -> None:
    try:
        server = parse_server(text)
    except UsageError:
        return
    assert parse_server(server.url) == server
    assert server.url.isprintable() and " " not in server.url


def test_url_names_only_an_unusual_port() -> None:
    assert Server("h").url == "https://h/"
    assert Server("[fd00::1]", 8443, "g").url == "https://[fd00::1]:8443/g"


def test_resolve() -> None:
    assert parse_resolve(["vpn.test:fd00::1"]) == {"vpn.test": ("fd00::1",)}
    assert parse_resolve(["A:192.0.2.1", "b:192.0.2.9", "a:[fd00::2]"]) == {
        "a": ("192.0.2.1", "fd00::2"),
        "b": ("192.0.2.9",),
    }
    assert parse_resolve([""]) == {}  # RESOLVE='' of --authenticate, for a gateway named by its address


@pytest.mark.parametrize("text", ["vpn.test", ":192.0.2.1", "vpn.test:", "vpn.test:example.com", "a\n:192.0.2.1"])
def test_resolve_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--resolve"):
        parse_resolve([text])


def test_form_entry() -> None:
    entry = parse_form_entry("main:pw=a=b")
    assert (entry.form, entry.field, entry.value) == ("main", "pw", Secret("a=b"))
    assert parse_form_entry("main:state").value is None
    assert parse_form_entry("main:empty=").value == Secret("")


@pytest.mark.parametrize("text", ["=x", "main", "main=secret", ":pw=secret", "main:=secret", "main:pw=se\0cret"])
def test_form_entry_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_form_entry(text)
    assert "secret" not in str(caught.value) and "se\0cret" not in str(caught.value)


def test_secrets_do_not_show_in_the_settings() -> None:
    settings = Settings(
        "https://h/",
        password=Secret("hunter2"),
        cookie=Secret("hunter2"),
        proxy="http://u:hunter2@p",
        form_entries=(parse_form_entry("main:pw=hunter2"),),
    )
    assert "hunter2" not in repr(settings)
