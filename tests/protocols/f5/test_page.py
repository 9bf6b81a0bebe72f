"""Sign-in pages in HTML (sections 3.3 and 3.4), also hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Choice
from protocols.errors import MalformedAnswer
from protocols.f5.model import Entry, LoginForm
from protocols.f5.page import parse, title
from tests.protocols.refusals import refused

PAGE = b"""<html><head><title>Sign in</title></head><body><table>
<tr><td id="credentials_table_header">Welcome <b>to</b>\x1b[2J Example</td></tr>
<tr><td id="credentials_table_postheader">The password is wrong.</td></tr></table>
<form id="auth_form" method="POST" action="/my.policy">
<label for="u1">User&nbsp;name</label><input type="text" name="username" id="u1" value="ann">
<input type="password" name="password" value="not sent">
<select name="domain"><option value="d1">One</option>
<option value="d2" selected>Two</option><option>Three</option></select>
<input type="checkbox" name="agree" value="1"><input type="checkbox" name="news">
<input type="text" style="display: none;" name="trap" value="t"><input type="text" style="display:none" name="seen">
<input type="hidden" name="vhost" value="standard"><input type="hidden" name="vhost" value="second">
<input name="untyped"><input type="submit" name="go"><input type="button" name="b">
<input type="hidden" value="nameless">
<select name="empty"></select>
</form><form id="other"><input type="text" name="x"></form></body></html>"""


def only(inside: str, attributes: str = 'id="auth_form" method="post"') -> LoginForm:
    form = parse(f"<form {attributes}>{inside}</form>".encode())
    assert form is not None
    return form


def test_every_kind_of_field() -> None:
    assert parse(PAGE) == LoginForm(
        form_id="auth_form",
        action="/my.policy",
        banner="Welcome to Example",
        message="The password is wrong.",
        entries=(
            Entry("username", "User name", "text", "ann"),
            Entry("password", "password:", "password"),
            Entry(
                "domain",
                "domain:",
                "select",
                "d2",
                (Choice("d1", "One"), Choice("d2", "Two"), Choice("Three", "Three")),
            ),
            Entry("agree", "agree:", "hidden", "1"),
            Entry("news", "news:", "hidden", "on"),
            Entry("trap", "trap:", "hidden", "t"),
            Entry("seen", "seen:", "text"),
            Entry("vhost", "vhost:", "hidden", "standard"),  # Q7; the first of a name wins
        ),
    )


@pytest.mark.parametrize("kind", ["text", "username", "email", "EMAIL"])
def test_what_is_a_line_of_text(kind: str) -> None:
    assert only(f'<input type="{kind}" name="a">').entries[0].kind == "text"


@pytest.mark.parametrize("action", ["", 'action=""', 'action="#"', 'action=" "'])
def test_no_action_is_the_current_url(action: str) -> None:  # Q5
    assert only("", f'id="auth_form" method="post" {action}').action == ""


@pytest.mark.parametrize("body", [b"", b"  \n", b"<html></html>", b"just text", b"\x00\xff"])
def test_no_form(body: bytes) -> None:
    assert parse(body) is None


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ('<form id="auth_form"></form>', "form method '', want post"),
        ('<form id="auth_form" method="get"></form>', "form method 'get', want post"),
        ('<form method="post">' + '<input type="text" name="%s">' * 65 % tuple(range(65)) + "</form>", "65 fields"),
        ('<form method="post"><input type="text" name="' + "n" * 257 + '"></form>', "a field name of 257"),
        ('<form method="post"><input type="text" name="a" value="' + "v" * 65537 + '"></form>', "a value of 65537"),
        ('<form method="post"><select name="a">' + "<option>x" * 257 + "</select></form>", "257 options"),
        ("<div>" * 100 + '<form method="post"></form>', "nested deeper"),
    ],
)
def test_hostile_forms_are_named(page: str, text: str) -> None:
    with refused(MalformedAnswer, f"auth-bad-form: .*{text}"):
        parse(page.encode())


def test_a_page_too_large() -> None:
    with refused(MalformedAnswer, "auth-bad-form: page of"):
        parse(b"x" * (4 * 2**20 + 1))


def test_titles() -> None:
    assert title(PAGE) == "Sign in" and title(b"") == title(b"<p>") == ""


@given(st.binary(max_size=300), st.integers(0, len(PAGE)))
def test_anything_is_a_form_none_or_a_named_error(noise: bytes, cut: int) -> None:
    for body in (noise, PAGE[:cut] + noise, PAGE[:cut]):
        try:
            form = parse(body)
        except MalformedAnswer as exc:
            assert exc.code == "auth-bad-form"
        else:
            assert form is None or all("\x1b" not in text for text in (form.banner, form.message, form.form_id))
