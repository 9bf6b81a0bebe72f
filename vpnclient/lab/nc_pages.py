"""The pages of the Network Connect lab gateway, as sloppy as those of real ones (juniper.md sections 2.3 to 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import parse_qsl

STATE = "lab_state"  # a hidden field: a client that drops those cannot sign in
MAX_FIELDS = 64  # of a form that a client sends


def login(state: str, realms: Sequence[str], *, second: bool, said: str = "") -> bytes:
    options = "".join(f'<option value="{index}">{escape(name)}</option>' for index, name in enumerate(realms))
    select = f'<select name="realm" size="1">{options}</select>' if realms else ""
    more = '<tr><td>Second:<td><input type="password" name="password#2">' if second else ""
    return _page(
        f"<p>{escape(said)}</p>"
        '<form name="frmLogin" action="login.cgi" method="POST" autocomplete="off">'
        f'<input type="hidden" name="tz_offset" id="tz_offset">{_state(state)}'
        f'<table><tr><td>User:<td><input type="text" name="username">{select}'
        f'<tr><td>Password:<td><input type="password" name="password">{more}'
        '<tr><td><input type="submit" value="Sign In" name="btnSubmit"></table></form>'
    )


def code(state: str, form: str) -> bytes:
    """The three forms that ask for a code differ in field and button."""
    button = "totpactionEnter" if form == "frmTotpToken" else "btnAction"
    field = {"frmTotpToken": "totptoken", "frmNextToken": "password", "frmDefender": "password"}[form]
    return _page(
        f'<form name="{form}" action="login.cgi" method="post">{_state(state)}'
        f'<input type="password" name="{field}" size="20">'
        f'<input type="submit" name="{button}" value="Sign In"><input type="submit" name="btnCancel" value="Cancel">'
        "</form>"
    )


def notice(state: str, text: str) -> bytes:
    return _page(
        f'<form name="frmLogin" method="POST" action="login.cgi">{_state(state)}'
        f'<textarea name="sn-postauth-text" readonly>{escape(text)}</textarea>'
        '<input type="submit" name="sn-postauth-proceed" value="Proceed">'
        '<input type="submit" name="sn-postauth-cancel" value="Decline"></form>'
    )


def confirmation(state: str, sessions: Sequence[tuple[str, str]]) -> bytes:
    """sessions: what is sent to end one, and what is shown.  The comma between attributes is real (Q17)."""
    rows = "".join(
        f'<tr><td><input type="checkbox" onclick="checkSelected()",  name="postfixSID" value="{escape(sid)}">'
        f"<td>{escape(shown)}</tr>"
        for sid, shown in sessions
    )
    return _page(
        '<form id="DSIDConfirmForm" name="frmConfirmation" action="login.cgi" method="POST" >'
        f'<table>{rows}</table><input type="submit" name="btnContinue" value="Continue the session">'
        f'<input type="submit" name="btnCancel" value="Cancel">{_state(state)}'
        f'<input id="DSIDFormDataStr" type="hidden" name="FormDataStr" value="{state}"></form>'
    )


def roles(state: str, names: Sequence[str]) -> bytes:
    links = "".join(
        f'<tr><td><a href="login.cgi?role={index}&amp;id=state_{state}">{escape(name)}</a></td></tr>'
        for index, name in enumerate(names)
    )
    return _page(f'<form name="frmSelectRoles"><table id="TABLE_SelectRole_1">{links}</table></form>')


def plain(text: str) -> bytes:
    return _page(f"<p>{escape(text)}</p>")


def fields(body: bytes) -> dict[str, str]:
    """What a client sent; the first of each name.  Raises ValueError: too many."""
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8", max_num_fields=MAX_FIELDS)
    return dict(reversed(pairs))


def _state(state: str) -> str:
    return f'<input type="hidden" name="{STATE}" value="{state}">'


def _page(inside: str) -> bytes:
    return f"<html><head><title>Lab</title></head><body>{inside}</body></html>".encode()
