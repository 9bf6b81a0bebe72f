"""Traffic dumps never show a secret."""

from __future__ import annotations

import pytest

from transports import redact


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "WWW-Authenticate", "X-DTLS-Master-Secret", "X-CSTP-Post-Auth-XML",
     "X-DTLS-Session-ID", "X-AnyConnect-STRAP-Verify", "prelogin-cookie", "X-Auth-Token"],
)  # fmt: skip
def test_secret_headers_show_their_length_only(name: str) -> None:
    lines = list(redact.answer_lines("1.1", 200, "OK", [(name, "TOPSECRET"), ("X-CSTP-MTU", "1390")], 0))
    assert lines == ["< HTTP/1.1 200 OK", f"< {name}: <hidden> (9 characters)", "< X-CSTP-MTU: 1390"]


def test_cookies_show_names_only() -> None:
    lines = list(redact.request_lines("GET", "/", [("Cookie", "webvpn=TOP=SECRET; other=x")], 0))
    assert lines[1] == "> Cookie: webvpn=<hidden>; other=<hidden>"
    lines = list(redact.answer_lines("1.1", 200, "", [("Set-Cookie", "webvpn=TOP; path=/"), ("Set-Cookie", "a=;x")], 0))
    assert lines[1:] == ["< Set-Cookie: webvpn=<hidden>", "< Set-Cookie: a="]
    assert list(redact.answer_lines("1.1", 200, "", [("Set-Cookie", "TOPSECRET")], 0))[1] == "< Set-Cookie: <hidden>"


def test_queries_are_hidden_in_paths_and_locations() -> None:
    lines = list(redact.request_lines("GET", "/a?token=TOP&SECRET", [("Host", "h")], 0))
    assert lines[0] == "> GET /a?token=<hidden>&<hidden> HTTP/1.1"
    lines = list(redact.answer_lines("1.1", 302, "", [("Location", "https://x/?sid=TOP")], 0))
    assert lines[1] == "< Location: https://x/?sid=<hidden>"


def test_bodies_show_their_size_only_and_controls_are_escaped() -> None:
    lines = list(redact.answer_lines("1.1", 200, "O\x1b[31mK", [("A", "\x9b\x07" + "x" * 1000)], 12))
    assert lines[0] == "< HTTP/1.1 200 O\\x1b[31mK"
    assert lines[1].startswith("< A: \\x9b\\x07xx") and len(lines[1]) < 600
    assert lines[2] == "< (12 bytes of body)"


def test_endless_headers_are_cut() -> None:
    lines = list(redact.answer_lines("1.1", 200, "OK", [("A", "b")] * 10000, 0))
    assert len(lines) == redact.MAX_SHOWN_HEADERS + 2
