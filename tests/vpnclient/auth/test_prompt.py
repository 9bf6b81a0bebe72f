"""Questions to people and to scripts (cli-parity 4.1 to 4.3)."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

from protocols.base import Choice, Field, Form, Secret
from protocols.errors import InputRequired, SignInCancelled, UnknownGroup
from tests.vpnclient.auth.terminals import Terminal, terminal
from transports.errors import CertificateSummary, NotTrusted
from vpnclient.auth.answers import Answers
from vpnclient.auth.lines import Lines
from vpnclient.auth.prompt import ScriptedUser, TerminalUser
from vpnclient.settings import parse_form_entry

STAFF = (Choice("1", "Staff"), Choice("2", "Staff-MFA"), Choice("3", "Guests"))
USER, PASSWORD = Field("username", "Username:", "text"), Field("password", "Password:", "password")
GROUP = Field("group_list", "GROUP", "select", choices=STAFF, is_group=True)
LOGIN = Form("main", (USER, PASSWORD))
SUMMARY = CertificateSummary(
    "CN=vpn.test", "CN=Nobody", "2026-01-01", "2027-01-01", ("vpn.test",), "pin-sha256:abc=", "the whole certificate"
)
UNKNOWN = NotTrusted("vpn.test", "signer unknown", SUMMARY)


def scripted(
    answers: Answers | None = None, stdin: bytes = b"", *, more_lines: bool = False, quiet: bool = False
) -> tuple[ScriptedUser, io.StringIO]:
    err = io.StringIO()
    user = ScriptedUser(answers or Answers(), Lines(io.BytesIO(stdin)), err, more_lines=more_lines, quiet=quiet)
    return user, err


def person(screen: Terminal, answers: Answers | None = None) -> TerminalUser:
    return TerminalUser(answers or Answers(), screen.lines, screen.err)


# --- nobody to ask: the matrix of 4.3 ---


def test_a_form_with_every_answer_stored() -> None:
    user, err = scripted(Answers(user="alice", password=Secret("pw")))
    assert asyncio.run(user.fill(LOGIN)) == {"username": "alice", "password": "pw"}
    assert err.getvalue() == ""


def test_a_missing_answer_prints_the_question_and_gives_up() -> None:
    user, err = scripted(Answers(user="alice"), b"never read\n")
    with pytest.raises(InputRequired, match="input required: Password"):
        asyncio.run(user.fill(LOGIN))
    assert err.getvalue() == "Password: ***\n"


def test_further_lines_of_standard_input_answer_further_questions() -> None:
    user, err = scripted(Answers(user="alice"), b"wrong\nright\n", more_lines=True)
    assert asyncio.run(user.fill(LOGIN))["password"] == "wrong"
    assert asyncio.run(user.fill(Form("main", (USER, PASSWORD), error="Login failed")))["password"] == "right"
    with pytest.raises(InputRequired):
        asyncio.run(user.fill(LOGIN))
    assert "wrong" not in err.getvalue() and "right" not in err.getvalue()


def test_a_group_that_is_not_offered_ends_it() -> None:
    user, _ = scripted(Answers(authgroup="x"))
    with pytest.raises(UnknownGroup, match="no group 'x'; the gateway offers: Staff, Staff-MFA, Guests"):
        asyncio.run(user.choose_group(Form("main", (GROUP,)), GROUP))


def test_an_ambiguous_group_names_the_candidates() -> None:
    user, _ = scripted(Answers(authgroup="st"))
    ambiguous = Field("group_list", "GROUP", "select", choices=(*STAFF[1:], Choice("4", "Students")), is_group=True)
    with pytest.raises(UnknownGroup) as caught:
        asyncio.run(user.choose_group(Form("main", (ambiguous,)), ambiguous))
    assert caught.value.offered == ("Staff-MFA", "Students")


@pytest.mark.parametrize("answers", [Answers(authgroup="g"), Answers(entries=[parse_form_entry("main:group_list=g")])])
def test_a_group_by_option_or_form_entry(answers: Answers) -> None:
    user, _ = scripted(answers)
    assert asyncio.run(user.choose_group(Form("main", (GROUP,)), GROUP)) == "3"


def test_a_drop_down_with_one_entry_answers_itself() -> None:
    only = Field("region", "Region", "select", choices=STAFF[:1])
    user, _ = scripted()
    assert asyncio.run(user.fill(Form("main", (only,)))) == {"region": "1"}


def test_a_chosen_group_stays_for_the_form() -> None:
    user, _ = scripted(Answers(user="a", password=Secret("b"), authgroup="Guests"))
    assert asyncio.run(user.choose_group(Form("main", (GROUP,)), GROUP)) == "3"
    assert asyncio.run(user.fill(Form("main", (GROUP, USER, PASSWORD))))["group_list"] == "3"


def test_errors_are_shown_even_when_quiet_banner_and_message_are_not() -> None:
    form = Form("main", (), banner="Welcome", message="Enter it", error="Login failed")
    for quiet, shown in ((False, "Welcome\nLogin failed\nEnter it\n"), (True, "Login failed\n")):
        user, err = scripted(quiet=quiet)
        asyncio.run(user.fill(form))
        assert err.getvalue() == shown


def test_nobody_accepts_a_certificate_but_the_pin_is_shown() -> None:
    user, err = scripted(stdin=b"yes\n", more_lines=True)
    assert asyncio.run(user.judge(UNKNOWN)) is False
    assert "signer unknown" in err.getvalue() and "--servercert pin-sha256:abc=" in err.getvalue()


def test_a_closed_standard_error_does_not_matter() -> None:
    user, err = scripted(Answers(user="a", password=Secret("b")))
    err.close()
    assert asyncio.run(user.fill(Form("main", (USER, PASSWORD), error="x")))


# --- a person ---


def test_a_person_types_name_and_hidden_password() -> None:
    with terminal() as screen, screen.person(("Username: ", "alice\n"), ("Password: ", "s3cret\n")):
        answers = asyncio.run(person(screen).fill(LOGIN))
        assert answers == {"username": "alice", "password": "s3cret"}
        assert screen.echoes == [True, False] and screen.echo
        assert "s3cret" not in screen.rest() and "alice" in screen.seen


def test_a_wrong_choice_is_asked_again() -> None:
    steps = (
        ("GROUP [Staff|Staff-MFA|Guests]: ", "st\n"),
        ("ambiguous", ""),
        ("Guests]: ", "x\n"),
        ("Guests]: ", "g\n"),
    )
    with terminal() as screen, screen.person(*steps):
        assert asyncio.run(person(screen).choose_group(Form("main", (GROUP,)), GROUP)) == "3"
        assert "no 'x'; there are: Staff, Staff-MFA, Guests" in screen.rest()


def test_a_wrong_group_option_leads_to_the_question() -> None:
    with terminal() as screen, screen.person(("no 'x'", ""), ("Guests]: ", "Staff\n")):
        user = person(screen, Answers(authgroup="x"))
        assert asyncio.run(user.choose_group(Form("main", (GROUP,)), GROUP)) == "1"


def test_somebody_who_never_answers_properly_is_asked_ten_times() -> None:
    with terminal() as screen, screen.person(*[("Guests]: ", "?\n")] * 10), pytest.raises(SignInCancelled):
        asyncio.run(person(screen).choose_group(Form("main", (GROUP,)), GROUP))


def test_a_preset_text_is_offered() -> None:
    field = Field("domain", "Domain", "text", "example.com")
    with terminal() as screen, screen.person(("Domain [example.com]: ", "\n")):
        assert asyncio.run(person(screen).fill(Form("main", (field,)))) == {"domain": "example.com"}


def test_a_hidden_field_can_be_asked_for() -> None:
    field = Field("state", "", "hidden", "preset")
    with terminal() as screen, screen.person(("state [preset]: ", "mine\n")):
        user = person(screen, Answers(entries=[parse_form_entry("main:state")]))
        assert asyncio.run(user.fill(Form("main", (field,)))) == {"state": "mine"}


def test_the_end_of_input_cancels() -> None:
    with terminal() as screen, screen.person(("Username: ", "\x04")), pytest.raises(SignInCancelled):
        asyncio.run(person(screen).fill(LOGIN))


@pytest.mark.parametrize(
    ("typed", "accepted"),
    [(("yes",), True), (("no",), False), (("y", "YES", "", "yes"), True), (("Yes", "no"), False)],
)
def test_only_yes_accepts_a_certificate(typed: tuple[str, ...], accepted: bool) -> None:
    with terminal() as screen, screen.person(*[("to see it: ", answer + "\n") for answer in typed]):
        assert asyncio.run(person(screen).judge(UNKNOWN)) is accepted
        assert screen.rest().count("the whole certificate") == len(typed) - 1
        assert screen.seen.count("--servercert pin-sha256:abc=") == 1


def test_a_pin_that_does_not_match_is_no_question() -> None:
    pinned = NotTrusted("vpn.test", "no pin matches", SUMMARY, pinned=True)
    with terminal() as screen:
        assert asyncio.run(person(screen).judge(pinned)) is False
        assert screen.rest() == ""


def test_a_passphrase_is_hidden_and_nothing_typed_gives_up() -> None:
    with terminal() as screen, screen.person(("PEM pass phrase: ", "pw\n"), ("again: ", "\n")):
        user = person(screen)
        assert user.ask_passphrase("openconnect_pem", "PEM pass phrase:") == "pw"
        assert user.ask_passphrase("openconnect_pem", "again") is None
        assert screen.echoes == [False, False]


def test_cancelling_a_question_ends_its_thread_and_brings_the_echo_back() -> None:
    async def ask_and_cancel(screen: Terminal) -> None:
        task = asyncio.ensure_future(person(screen, Answers(user="a")).fill(LOGIN))
        await asyncio.to_thread(screen.read_until, "Password: ")
        assert not screen.echo
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with terminal() as screen:
        asyncio.run(ask_and_cancel(screen))  # would hang at the end if the thread still waited
        assert screen.echo


def test_cancelling_an_open_question_ends_its_line() -> None:
    async def ask_and_cancel(screen: Terminal) -> None:
        task = asyncio.ensure_future(person(screen).fill(LOGIN))
        await asyncio.to_thread(screen.read_until, "Username: ")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with terminal() as screen:
        asyncio.run(ask_and_cancel(screen))
        assert screen.rest().endswith("Username: \r\n")


ASKING = """
import asyncio, sys
from protocols.base import Field, Form
from vpnclient.auth.answers import Answers
from vpnclient.auth.lines import Lines
from vpnclient.auth.prompt import TerminalUser
user = TerminalUser(Answers(), Lines(sys.stdin.buffer), sys.stderr)
try:
    asyncio.run(user.fill(Form("main", (Field("password", "Password", "password"),))))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_at_a_hidden_question() -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        screen = Terminal(master, slave)
        screen.answer([("Password: ", "\x03")])
        assert screen.echoes == [False]
        assert process.wait(20) == 130
        assert screen.echo
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)
        os.close(slave)


def test_a_form_cannot_command_the_terminal() -> None:
    """A plug-in that hands on a gateway's words as they came."""
    user, err = scripted()
    with pytest.raises(InputRequired):
        asyncio.run(user.fill(Form("main", (Field("a", "A\x1b[2J", "text"),), banner="one\ntwo\x9b2J", error="\x1bc")))
    assert err.getvalue() == "one\ntwo2J\nc\nA[2J: ***\n"
