"""Sign-in documents (sections 2.4 and 2.5): what they say, and what hostile ones get."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.anyconnect import documents
from protocols.anyconnect.documents import MAX_DOCUMENT, MAX_FIELDS, MAX_OPTIONS, parse
from protocols.anyconnect.model import Entry, Option
from protocols.base import Secret
from protocols.errors import MalformedAnswer, ProtocolError

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

OCSERV_FIRST = (  # as ocserv 1.1.6 sends it
    DECLARATION
    + """<config-auth client="vpn" type="auth-request">
<version who="sg">0.1(1)</version>
<auth id="main">
<message>Please enter your username.</message>
<form method="post" action="/auth">
<input type="text" name="username" label="Username:" />
<select name="group_list" label="Group:">
<option value="grpA">Group A</option>
<option value="grpB">grpB</option>
</select>
</form></auth>
</config-auth>"""
)


def config(inside: str) -> bytes:
    return f"{DECLARATION}<config-auth client='vpn' type='auth-request'>{inside}</config-auth>".encode()


def form(inside: str, attributes: str = "") -> bytes:
    return config(f"<auth id='main'><form {attributes}>{inside}</form></auth>")


def entries(inside: str) -> tuple[Entry, ...]:
    document = parse(form(inside))
    assert document.form is not None
    return document.form.entries


def test_the_first_form_of_ocserv() -> None:
    document = parse(OCSERV_FIRST.encode())
    assert (document.auth_id, document.message) == ("main", "Please enter your username.")
    assert document.form is not None and document.form.action == "/auth"
    assert document.form.entries == (
        Entry(
            "group_list", "Group:", "select", options=(Option("grpA", "Group A"), Option("grpB", "grpB"))
        ),  # a select comes first
        Entry("username", "Username:", "text"),
    )


def test_the_bare_auth_of_old_servers() -> None:
    document = parse(b"<auth id='main'><form><input type='password' name='password'/></form></auth>")
    assert document.auth_id == "main"
    assert document.form is not None and document.form.entries[0].label == "password:"


def test_everything_around_the_form() -> None:
    document = parse(
        config(
            "<opaque is-for='sg'><tunnel-group>A&amp;B</tunnel-group></opaque><session-token> tok </session-token>"
            "<session-id>5</session-id><cert-authenticated/>"
            "<auth id='success'><banner>Hi\r\n\x07there</banner></auth>".replace("\x07", "")
        )
    )
    assert document.opaque == '<opaque is-for="sg"><tunnel-group>A&amp;B</tunnel-group></opaque>'
    assert document.session_token == Secret("tok")
    assert document.certificate_accepted and not document.certificate_wanted
    assert (document.auth_id, document.banner) == ("success", "Hi\nthere")


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("<message param1='sales' param2='vpn'>Group %s on %s.</message>", "Group sales on vpn."),
        ("<message param1=''>Group %s!</message>", "Group !"),  # Q11
        ("<message param1='a'>100% of %s</message>", "100% of %s"),  # another % stops it
        ("<message param1='a' param2='b'>%s %d %s</message>", "a %d %s"),
        ("<message param1='%s' param2='b'>%s %s %s</message>", "%s b %s"),
        ("<message>%s</message>", ""),
        ("<message>Enter <b>now</b></message>", "Enter now"),
    ],
)
def test_parameters_of_messages(element: str, text: str) -> None:
    assert parse(config(f"<auth id='main'>{element}</auth>")).message == text


def test_inputs_that_hold_nothing_are_ignored() -> None:
    found = entries(
        "<input type='text'/><input type='submit' name='go'/><input type='reset' name='no'/>"
        "<input type='color' name='c'/><input name='typeless'/>"
        "<input type='hidden' name='h' value='v'/><input type='password' name='p' value='ignored' second-auth='1'/>"
        "<input type='sso' name='sso-token'/>"
    )
    assert found == (
        Entry("h", "h:", "hidden", "v"),
        Entry("p", "p:", "password", second_auth=True),
        Entry("sso-token", "sso-token:", "sso"),
    )


def test_an_empty_select_is_ignored() -> None:  # Q14
    assert entries("<select name='group_list'/><input type='text' name='u'/>") == (Entry("u", "u:", "text"),)


def test_options_with_all_that_they_change() -> None:
    (select,) = entries(
        "<select name='group_list' label='GROUP:'>"
        "<option selected='true'>Plain</option>"
        "<option value='v' auth-type='x' override-name='password' override-label='PIN:' second-auth='1'"
        " secondary_username='bob' secondary_username_editable='true' noaaa='1'>Two</option></select>"
    )
    assert select.options == (
        Option("Plain", "Plain", selected=True),
        Option("v", "Two", False, "password", "PIN:", True, "bob", True, True),
    )


def test_certificate_requests() -> None:  # Q35: no auth id is needed then
    assert parse(config("<client-cert-request/>")).certificate_wanted
    both = parse(config("<multiple-client-cert-request><hash-algorithm>sha256</hash-algorithm>"
                        "</multiple-client-cert-request><cert-authenticated/>"))  # fmt: skip
    assert both.certificate_wanted and both.second_certificate_wanted and both.certificate_accepted


def test_an_error_without_a_form() -> None:  # Q13
    text = "Secure Desktop not installed on the client."
    assert parse(config(f"<error id='13'>{text}</error>")).failure == text
    assert parse(config("<error id='13'/>")).failure == "error 13 without a text"


def test_host_scan_needs_all_its_parts() -> None:  # section 2.13
    names = ("ticket", "token", "base-uri")
    parts = "".join(f"<host-scan-{name}>x</host-scan-{name}>" for name in names)
    auth = "<auth id='main'/>"
    assert not parse(config(f"<host-scan>{parts}</host-scan>{auth}")).host_scan
    parts += "<host-scan-wait-uri>/w</host-scan-wait-uri>"
    assert parse(config(f"<host-scan>{parts}</host-scan>{auth}")).host_scan
    old = "<csd token='k' ticket='t'/><csdLinux stuburl='/s' starturl='/b' waiturl='/w'/>"
    assert parse(f"<auth id='main'>{old}</auth>".encode()).host_scan


def test_namespaces_and_sloppy_markup_are_no_obstacle() -> None:
    document = parse(b"<config-auth xmlns='urn:x'><auth id='main'><message>A & B</message><form>"
                     b"<input type=text name='u'></form></auth>")  # fmt: skip
    assert document.auth_id == "main"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "unparsable"),
        (b"\x00\x01\x02", "unparsable"),
        (b"hello", "unparsable"),
        (b"<html><body/></html>", "root element 'html'"),
        (config(""), "neither a form"),
        (config("<auth><form/></auth>"), "neither a form"),
        (form("", "method='GET'"), "form method 'GET'"),
        (form("", "action=''"), "empty form action"),
        (form(f"<input type='text' name='{'n' * 300}'/>"), "field name of 300"),
        (form("<input type='text' name='u'/>" * (MAX_FIELDS + 1)), "more than 500 fields"),
        (form("<select name='s'>" + "<option/>" * (MAX_OPTIONS + 1) + "</select>"), "more than 10000 options"),
        (form("<select name='s'>" + "<option/>" * 6000 + "</select>" + "<select name='t'>" + "<option/>" * 6000
              + "</select>"), "or 10000 options"),
        (config("<a>" * 70 + "</a>" * 70 + "<auth id='main'/>"), "deeper than 64"),
        (b"<a>" * 5000, "unparsable|deeper|root element"),
        (b" " * (MAX_DOCUMENT + 1), "want at most 4194304"),
        (b"<!DOCTYPE config-auth><config-auth><auth id='main'/></config-auth>", "document type"),
        (b"<!DOCTYPE c [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><config-auth><auth id='main'>"
         b"<message>&x;</message></auth></config-auth>", "document type"),
        (config("<opaque>" + "x" * 300_000 + "</opaque><auth id='main'/>"), "opaque of"),
    ],
)  # fmt: skip
def test_what_breaks_the_rules_is_named(body: bytes, text: str) -> None:
    with pytest.raises(MalformedAnswer, match=text):
        parse(body)


def test_entities_do_not_multiply() -> None:
    levels = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 12))
    bomb = f"<!DOCTYPE c [<!ENTITY e0 'lol'>{levels}]><config-auth><auth id='&e11;'>&e11;</auth></config-auth>"
    with pytest.raises(MalformedAnswer):
        parse(bomb.encode())


def test_texts_are_cleaned_and_capped() -> None:
    document = parse(config(f"<auth id='main'><banner>{'x' * 10_000}\u202e</banner></auth>"))
    assert len(document.banner) == 4096
    label = parse(form("<input type='text' name='u' label='a&#10;\u202eb'/>"))
    assert label.form is not None and label.form.entries[0].label == "a b"


def test_the_session_token_is_a_secret() -> None:
    assert "hunter2" not in repr(parse(config("<session-token>hunter2</session-token><auth id='success'/>")))


def test_lxml_is_not_needed_to_import_the_parser() -> None:
    assert not hasattr(documents, "etree")


_PIECES = st.sampled_from(
    ["<config-auth>", "</config-auth>", "<auth id='main'>", "</auth>", "<form>", "<form method='post' action='/a'>",
     "</form>", "<input type='text' name='u'/>", "<select name='group_list'>", "<option>", "</option>", "</select>",
     "<message param1='x'>", "%s", "%", "</message>", "<error>", "</error>", "<opaque>", "&x;", "&#0;", "<![CDATA[",
     "]]>", "<!--", "-->", "<?pi", "?>", "<!DOCTYPE a>", "\ufffe", "\x00", "<client-cert-request/>", "<csd token='"]
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.binary(max_size=400)
    | st.lists(_PIECES | st.text(max_size=5), max_size=40).map(
        lambda all_: "".join(all_).encode("utf-8", "surrogatepass")
    )
)
def test_any_bytes_are_a_document_or_a_named_error(body: bytes) -> None:
    try:
        parse(body)
    except ProtocolError:
        pass
