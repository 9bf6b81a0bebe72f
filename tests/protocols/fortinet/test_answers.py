"""What a gateway answers to a sign-in, row by row (section 3.3), and what goes back (section 11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedAnswer, NotSupported, ProtocolError
from protocols.fortinet import answers, bodies
from protocols.fortinet.answers import MAX_INPUTS, MAX_PAIRS, MAX_VALUE, Challenge, Input, PageForm, Refused, read
from protocols.fortinet.errors import PasswordExpired
from tests.protocols.doubles import answer
from tests.protocols.refusals import refused

LINE = b"ret=2,reqid=5,polid=1-1-6,grp=a b,portal=P,peer=,magic=1-7,tokeninfo=ftm_push,chal_msg=Hi"
FORM = (
    '<html><body>Please wait<b>Enter <i>it</i></b><form action="/remote/logincheck" method="POST">'
    '<input type="hidden" name="magic" value="1-77"><input name="username" value="u" style="display: none;">'
    '<input type="hidden" name="reqid" value="9"><input type="hidden" name="grpid" value="0,1,1">'
    '<input type="password" name="credential"><input type="submit" name="go" value="OK"></form></body></html>'
)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (405, "anything"),  # Q2
        (405, "ret=2,tokeninfo=x"),
        (401, ""),
        (401, "<html>no form</html>"),
        (200, "ret=0,redir=/remote/login?&err=sslvpn_login_permission_denied&lang=en"),
        (200, "<html>sslvpn_login_permission_denied</html>"),
        (200, "Permission denied"),
        (403, ""),
    ],
)
def test_refusals(status: int, body: str) -> None:
    assert isinstance(read(answer(body, status=status)), Refused)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (200, "ret=1,redir=/remote/index", MalformedAnswer, "auth-no-cookie"),
        (200, "ret=6,actionurl=/x", NotSupported, "auth-unsupported-challenge: .*'6'"),
        (200, "ret=", NotSupported, "auth-unsupported-challenge"),
        (200, "<html>sslvpn_login_password_expired</html>", PasswordExpired, "auth-password-expired"),
        (200, "ret=0,redir=/x?err=sslvpn_login_password_expired", PasswordExpired, "auth-password-expired"),
        (200, "hello\x1b[1m", MalformedAnswer, r"auth-no-cookie: got HTTP status 200 .*'hello\.\[1m'"),
        (500, "", MalformedAnswer, "auth-no-cookie: got HTTP status 500"),
        (200, "ret=2," + "a=b," * MAX_PAIRS, MalformedAnswer, "auth-malformed: more than 64"),
        (200, "ret=2,magic=" + "x" * (MAX_VALUE + 1), MalformedAnswer, "auth-malformed: 'magic': 8193 bytes"),
        (401, "<form><input name=a></form>", MalformedAnswer, "auth-bad-form: a second form without a password"),
        (401, "<form>" + "<input name=a>" * (MAX_INPUTS + 1), MalformedAnswer, "auth-bad-form: 65 fields"),
        (401, f"<form><input name=a value={'x' * (MAX_VALUE + 1)}>", MalformedAnswer, "auth-bad-form"),
    ],
)
def test_what_cannot_be_answered(status: int, body: str, error: type[ProtocolError], text: str) -> None:
    with refused(error, text):
        read(answer(body, status=status))


def test_a_challenge() -> None:  # section 11, Q4
    values = {"reqid": "5", "polid": "1-1-6", "grp": "a b", "portal": "P", "peer": "", "magic": "1-7"}
    assert read(answer(LINE)) == Challenge("Hi", values, push=True)
    assert read(answer("ret=2,magic=1,tokeninfo=,chal_msg=Enter, please")) == Challenge("Enter", {"magic": "1"})
    assert read(answer("ret=2,magic=1")) == Challenge("", {"magic": "1"})
    assert read(answer("ret=9,tokeninfo=")) == Challenge("", {})
    assert read(answer("ret=2,magic=1,reqid=2,magic=3,tokeninfo=")) == Challenge("", {"reqid": "2", "magic": "1"})
    assert "1-7" not in repr(read(answer(LINE)))


def test_what_goes_back_for_a_challenge() -> None:  # section 11, Q9, Q11
    challenge = read(answer(LINE))
    assert isinstance(challenge, Challenge)
    start = b"username=u&code=%s&realm=r%%20x&reqid=5&polid=1-1-6&grp=a b&portal=P&peer=&"
    assert bodies.code("u", "123", "r%20x", challenge) == start % b"123" + b"magic=1-7"
    assert bodies.code("u", "", "r%20x", challenge) == start % b"" + b"ftmpush=1"
    plain = read(answer(b"ret=2,grp=\xff,magic=9,tokeninfo="))
    assert isinstance(plain, Challenge)
    assert bodies.code("u", "", "", plain) == b"username=u&code=&realm=&grp=\xff&magic=9"


def test_a_page() -> None:  # section 3.5
    inputs = (
        Input("magic", "hidden", "1-77"),
        Input("username", "hidden", "u"),
        Input("reqid", "hidden", "9"),
        Input("grpid", "hidden", "0,1,1"),
        Input("credential", "password", ""),
    )
    form = read(answer(FORM, status=401))
    assert form == PageForm("Enter it", "/remote/logincheck", inputs)
    assert isinstance(form, PageForm)
    body = bodies.page(form, {"credential": "654321"}, "")
    wanted = "magic=1-77&username=u&reqid=9&grpid=0%2C1%2C1&credential=654321&realm=&ajax=1&just_logged_in=1"
    assert body.decode() == wanted
    without = read(answer(FORM.replace("<b>", "<p>").replace("</b>", "</p>"), status=401))
    assert isinstance(without, PageForm) and without.prompt == "Please wait"


def test_passwords_are_encoded() -> None:  # section 11
    assert bodies.encoded("p&ss wörd+") == "p%26ss%20w%C3%B6rd%2B"
    assert bodies.password("u", "p w", "r%20x") == b"username=u&credential=p%20w&realm=r%20x&ajax=1&just_logged_in=1"
    wanted = b"username=u&realm=&ajax=1&redir=%2Fremote%2Findex&just_logged_in=1"
    assert bodies.certificate("u", "") == wanted


@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda rest: b"ret=" + rest, st.binary(max_size=300)),
        st.integers(0, len(FORM)).map(lambda at: FORM[:at].encode()),
        st.integers(0, len(LINE)).map(lambda at: LINE[:at]),
    ),
    st.sampled_from([200, 401, 403, 405, 500]),
)
def test_any_answer_is_something_or_a_named_error(body: bytes, status: int) -> None:
    try:
        found = read(answer(body, status=status))
    except ProtocolError as exc:
        assert exc.code
        return
    if isinstance(found, Challenge):
        assert set(found.values) <= set(answers.GOES_BACK)
        assert bodies.code("u", "1", "", found).startswith(b"username=u&code=1&realm=")
