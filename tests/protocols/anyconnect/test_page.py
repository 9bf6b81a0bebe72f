"""Sign-in pages in HTML (section 2.7)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.anyconnect.model import Entry, Option
from protocols.anyconnect.page import parse
from protocols.errors import MalformedAnswer, ProtocolError

LOGON = b"""<!DOCTYPE html><html><head><title>SSL VPN Service</title></head><body>
<form action="/search"><input type="submit" value="Search"></form>
<form id="unicorn_form" action="/+webvpn+/index.html" method="post">
<input type="hidden" name="tgroup" value="">
<select name="group_list"><option value="1" selected>Staff</option><option value="2">Guests</option></select>
<label for="u">USERNAME:</label><input type=text name=username id=u>
<input type=password name=password placeholder="Your password" value="never">
<input type=checkbox name=remember><input type=submit name=Login value=Logon><input type=submit name=Clear value=x>
</form></body></html>"""


def test_a_logon_page_becomes_a_form() -> None:
    document = parse(LOGON)
    assert (document.auth_id, document.message) == ("unicorn_form", "SSL VPN Service")
    assert document.form is not None and document.form.action == "/+webvpn+/index.html"
    assert document.form.entries == (
        Entry("group_list", "group_list:", "select", options=(Option("1", "Staff", True), Option("2", "Guests"))),
        Entry("tgroup", "tgroup:", "hidden"),
        Entry("username", "USERNAME:", "text"),
        Entry("password", "Your password", "password"),
        Entry("Login", "Login:", "hidden", "Logon"),  # the first submit button, as a browser sends it
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"<html><title>404</title></html>", b"<form><input type=hidden name=a></form>",
     b"<div>" * 100 + b"<form><input name=u></form>", b"<form>" + b"<input name=u>" * 600 + b"</form>"],
)  # fmt: skip
def test_a_page_without_a_usable_form_is_a_named_error(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse(body)


@settings(max_examples=150)
@given(st.binary(max_size=300) | st.text(alphabet="<>/=\"' abforminputselect\x00&;!-", max_size=200).map(str.encode))
def test_any_bytes_are_a_page_or_a_named_error(body: bytes) -> None:
    try:
        parse(body)
    except ProtocolError:
        pass
