"""Sign-in pages, as sloppy as they come (sections 2.3 to 2.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Choice
from protocols.errors import MalformedAnswer, ProtocolError, SignInFailed
from protocols.nc import forms, pages
from protocols.nc.pages import MAX_CHOICES, MAX_FIELDS, Entry, Page, parse
from tests.protocols.refusals import refused

LOGIN = """<html><body><form name="frmLogin" action="login.cgi" method="POST" autocomplete="off">
<input type="hidden" name="tz_offset" id="tz_offset">
<table><tr><td><label for="user">User name</label><td><input type="text" name="username" id="user">
<tr><td>Password<td><input type="password" name="password"><input type="password" name="password#2">
<tr><td><select name="realm"><option value="r1">Staff</option><option value="r2" selected>Guests</option></select>
<tr><td><input type="submit" value="Sign In" name="btnSubmit"><input type=submit name=other value=x></table></form>"""


def form(inside: str, name: str = "frmLogin", more: str = "") -> bytes:
    return f'<form name="{name}" method="post" {more}>{inside}</form>'.encode()


def entries(inside: str, name: str = "frmLogin") -> tuple[Entry, ...]:
    page = parse(form(inside, name))
    assert page is not None
    return page.entries


def test_a_login_page() -> None:
    page = parse(LOGIN.encode())
    assert page == Page(
        "frmLogin",
        "login.cgi",
        (
            Entry("realm", "realm:", "select", "r2", (Choice("r1", "Staff"), Choice("r2", "Guests"))),
            Entry("tz_offset", "tz_offset:", "hidden"),
            Entry("username", "User name", "text"),
            Entry("password", "password:", "password"),
            Entry("password#2", "password#2:", "password"),
            Entry("btnSubmit", "btnSubmit:", "hidden", "Sign In"),
        ),
    )
    shown = forms.to_form(page)
    assert [field.name for field in shown.fields if field.is_group] == ["realm"]
    assert [field.name for field in shown.fields if field.once] == ["password#2"]  # Q20


@pytest.mark.parametrize(
    "attributes, known",
    [
        ('name="frmDefender"', "frmDefender"),
        ('name="frmNextToken"', "frmNextToken"),
        ('name="frmTotpToken"', "frmTotpToken"),
        ('id="loginForm"', "loginForm"),
        ('name="loginForm"', "loginForm"),
        ('name="x" id="loginForm"', "loginForm"),
        ('name="hiddenform"', "hiddenform"),
        ('id="formSAMLSSO"', "formSAMLSSO"),
        ('name="frmLogin" id="loginForm"', "frmLogin"),  # the name comes first
    ],
)
def test_forms_are_known_by_name_then_by_id(attributes: str, known: str) -> None:  # Q18
    page = parse(f"<form {attributes} method=pOsT></form>".encode())
    assert page is not None and (page.name, page.action) == (known, None)


@pytest.mark.parametrize("attributes", ["", 'name="frmlogin"', 'id="frmLogin"', 'name="formSAMLSSO"', 'name="other"'])
def test_unknown_forms_are_named(attributes: str) -> None:
    with refused(MalformedAnswer, match="nc-unknown-form"):
        parse(f"<form {attributes} method=post></form>".encode())


def test_a_failed_host_check_is_told_apart() -> None:
    with refused(SignInFailed, match="nc-host-checker-failed"):
        parse(b'<form name="x" action="/dana-na/auth/remediate.cgi?action=1" method="post"></form>')


@pytest.mark.parametrize("method", ["", 'method="get"', 'method=""', "method"])
def test_only_posts(method: str) -> None:
    with refused(MalformedAnswer, match="nc-bad-form: form frmLogin: got method"):
        parse(f'<form name="frmLogin" {method}></form>'.encode())


def test_the_first_form_of_the_page_counts() -> None:
    page = parse(form("", "frmDefender") + form("", "frmLogin"))
    assert page is not None and page.name == "frmDefender"
    assert parse(b"<html><body>Loading</body></html>") is None


@pytest.mark.parametrize(
    "element, entry",
    [
        ('<input type="HIDDEN" name="a">', Entry("a", "a:", "hidden")),
        ('<input type="submit" style="display: none;" name="sn-preauth-proceed" value="P">', ("hidden", "P")),
        ('<input type="text" style="display: none;" name="a" value="v">', Entry("a", "a:", "hidden", "v")),
        ('<input style="display: none;" name="a" value="v">', Entry("a", "a:", "hidden", "v")),
        ('<input type="text" style="display:none" name="a">', Entry("a", "a:", "text")),  # exactly that style
        ('<input type="username" name="a">', Entry("a", "a:", "text")),  # Q19
        ('<input type="email" name="a" placeholder="Mail">', Entry("a", "Mail", "text")),
        ('<input type="checkbox" name="Kmsi" value="true">', Entry("Kmsi", "Kmsi:", "hidden", "true")),
        ('<input type="checkbox" name="Kmsi">', Entry("Kmsi", "Kmsi:", "hidden")),
        ('<input type="password" name="a" value="preset">', Entry("a", "a:", "password")),
        ('<select name="a"><option>One</option></select>', Entry("a", "a:", "select", "One", (Choice("One", "One"),))),
        ('<select name="a"></select>', Entry("a", "a:", "select")),
        ('<input type="image" name="a">', None),
        ('<input name="a">', None),
        ('<input type="text">', None),
        ('<input type="submit" name="btnAction" value="x">', None),  # another form's button
        ("<textarea name='a'>x</textarea>", None),
    ],
)
def test_fields(element: str, entry: object) -> None:
    found = entries(element)
    if isinstance(entry, tuple):
        assert [(one.kind, one.value) for one in found] == [entry]
    else:
        assert found == (() if entry is None else (entry,))


def test_the_first_of_a_name_wins_and_selects_come_first_the_last_one_ahead() -> None:
    inside = "".join(f"<select name={name}><option value={name}></select>" for name in "ab")
    found = entries(f"<input type=hidden name=c value=1><input type=hidden name=c value=2>{inside}")
    assert [(one.name, one.value) for one in found] == [("b", "b"), ("a", "a"), ("c", "1")]
    page = parse(form(f"<input type=hidden name='a b&' value='ü='>{inside}"))
    assert page is not None
    assert forms.form_encoded(forms.values(page, {"b": "~x"})) == b"b=~x&a=a&a%20b%26=%C3%BC%3D"


@pytest.mark.parametrize("name", ["sn-postauth-text", "sn-preauth-text"])
def test_a_notice_is_the_banner(name: str) -> None:
    proceed = '<input type="submit" name="sn-postauth-proceed" value="Yes">'
    page = parse(form(f"<textarea name={name}>Be\r\n&lt;good\x1b[31m</textarea>{proceed}"))
    assert page is not None and page.banner == "Be\n<good"
    assert [entry.name for entry in page.entries] == ["sn-postauth-proceed"]


CONFIRM = """<form id="DSIDConfirmForm" name="frmConfirmation" action="login.cgi" method="POST" ><table>
<tr><td><input type="checkbox" onclick="checkSelected()",  name="postfixSID" value="s1"><td>192.0.2.1<td>12:00</tr>
<tr><td><input type="checkbox" onclick="checkSelected()",  name="postfixSID" value="s2"><td>192.0.2.2<td>13:00</tr>
</table><input type="submit" name="btnContinue" value="Weiter"><input type="submit" name="btnCancel" value="Nein">
<input id="DSIDFormDataStr" type="hidden" name="FormDataStr" value="x/y="></form>"""


def test_a_session_to_end_is_chosen_where_there_is_a_choice() -> None:  # Q17
    page = parse(CONFIRM.encode())
    assert page is not None and forms.needs_input(page)
    choices = (Choice("s1", "192.0.2.1 12:00"), Choice("s2", "192.0.2.2 13:00"))
    assert [(one.name, one.kind, one.value) for one in page.entries] == [
        ("postfixSID", "select", "s1"),
        ("btnContinue", "hidden", "Weiter"),
        ("FormDataStr", "hidden", "x/y="),
    ]
    assert page.entries[0].choices == choices
    assert not forms.to_form(page).fields[0].is_group  # no --authgroup ends a session
    sent = forms.form_encoded(forms.values(page, {"postfixSID": "s2"}))
    assert sent == b"postfixSID=s2&btnContinue=Weiter&FormDataStr=x%2Fy%3D"


def test_one_session_is_no_choice() -> None:
    page = parse(CONFIRM.replace("s2", "s1").replace('",  name="postfixSID" value="s1"><td>192.0.2.2', '">').encode())
    assert page is not None and not forms.needs_input(page)
    assert forms.form_encoded(forms.values(page, {})).startswith(b"postfixSID=s1&")


ROLES = """<form name="frmSelectRoles"><table id="TABLE_SelectRole_1"><tr><td><a href="login.cgi?role=1&amp;id=2">
Users </a></td></tr><tr><td><a href="/x">Admins</a><b><a href="/no">No</a></b></td></tr></table></form>"""


def test_roles_are_links() -> None:
    page = parse(ROLES.encode())
    assert page == Page("frmSelectRoles", roles=(Choice("login.cgi?role=1&id=2", "Users"), Choice("/x", "Admins")))
    assert [field.is_group for field in forms.role_form(page).fields] == [True]


@pytest.mark.parametrize("inside", ["", '<table id="TABLE_SelectRole_1"></table>', "<a href=x>Users</a>"])
def test_roles_without_links_are_refused(inside: str) -> None:
    with refused(MalformedAnswer, match="nc-bad-form: form frmSelectRoles: no links"):
        parse(f'<form name="frmSelectRoles">{inside}</form>'.encode())


@pytest.mark.parametrize(
    "body, content_type",
    [
        ("Größe".encode(), "text/html"),
        ("Größe".encode(), "text/html; charset=UTF-8"),
        ("Größe".encode("latin-1"), 'text/html; charset="iso-8859-1"'),
        ("Größe".encode("latin-1"), "text/html; charset=nonsense"),
        ("Größe".encode("utf-16"), "text/html; charset=utf-16"),
    ],
)
def test_charsets(body: bytes, content_type: str) -> None:
    head, tail = '<form name="frmLogin" method="post"><select name="realm"><option>', "</select></form>"
    charset = "utf-16-le" if "utf-16" in content_type else "ascii"
    body = body[2:] if "utf-16" in content_type else body
    page = parse(head.encode(charset) + body + tail.encode(charset), content_type.replace("utf-16", "utf-16-le"))
    assert page is not None and page.entries[0].choices[0].label == "Größe"


@pytest.mark.parametrize(
    "inside, text",
    [
        ("".join(f"<input type=text name=n{at}>" for at in range(MAX_FIELDS + 1)), f"more than {MAX_FIELDS} fields"),
        (f"<select name=a>{'<option>x' * (MAX_CHOICES + 1)}</select>", "choices of 'a'"),
    ],
)
def test_forms_are_capped(inside: str, text: str) -> None:
    with refused(MalformedAnswer, match=f"nc-form-too-large.*{text}"):
        parse(form(inside))


def test_sessions_and_roles_are_capped() -> None:
    with refused(MalformedAnswer, match="nc-form-too-large"):
        parse(form("<input type=checkbox name=postfixSID value=1>" * (MAX_CHOICES + 1), "frmConfirmation"))
    links = "<tr><td><a href=x>y</a></td></tr>" * (MAX_CHOICES + 1)
    with refused(MalformedAnswer, match="nc-form-too-large"):
        parse(f'<form name="frmSelectRoles"><table id="TABLE_SelectRole_1">{links}</table></form>'.encode())


def test_pages_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGE", 100)
    with refused(MalformedAnswer, match="nc-bad-page"):
        parse(form("x" * 100))


def test_depth_is_capped() -> None:
    with refused(MalformedAnswer, match="nc-bad-page"):
        parse(form("<div>" * 5000))


PIECES = [
    *("<form name='frmLogin' method=post>", "</form>", "<input type=text name=a>", "<input type=password name=p>"),
    *("<select name=realm>", "<option value=1>", "</select>", "<table id=TABLE_SelectRole_1>", "<td>", "<a href=x>"),
    *("<form name=frmSelectRoles>", "<form name=frmConfirmation method=post>", "<input name=postfixSID type=checkbox>"),
    *("<textarea name=sn-postauth-text>", "<!--", "]]>", "<script>", "&#0;", "\x00", "ü", "<form id=loginForm ", ">"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(["", "text/html; charset=utf-16", "a/b"]))
def test_any_page_is_a_form_nothing_or_refused(parts: list[str], content_type: str) -> None:
    try:
        page = parse("".join(parts).encode(), content_type)
    except ProtocolError:
        return
    assert page is None or forms.to_form(page).form_id == page.name


@given(st.binary(max_size=200))
def test_any_bytes_too(body: bytes) -> None:
    try:
        parse(b"<form name=frmLogin method=post>" + body)
    except ProtocolError:
        return
