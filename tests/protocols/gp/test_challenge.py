"""Challenges in three encodings, and what is none of them (section 4.1, vectors of section 18)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedAnswer, ProtocolError, SignInFailed
from protocols.gp import answers, challenge
from protocols.gp.challenge import Challenge
from tests.protocols.doubles import coded

SCRIPT = 'var respStatus = "Challenge";\nvar respMsg = "Enter \\"code\\"";\nthisForm.inputStr.value = "5ef64e83";'
PAGE = (
    "<html><head></head><body>var respStatus = &quot;Challenge&quot;; var respMsg = &quot;Enter \\&quot;code\\&quot;"
    "&quot;; thisForm.inputStr.value = &quot;5ef64e83&quot;;</body></html>"
)
XML = '<challenge><user>u</user><inputstr>5ef64e83</inputstr><respmsg>Enter "code"</respmsg></challenge>'


@pytest.mark.parametrize(
    "body", [SCRIPT, PAGE, XML, "\r\n " + SCRIPT + " ; \n", "\n" + XML, PAGE.upper()[:6] + PAGE[6:]]
)
def test_the_three_encodings_say_the_same(body: str) -> None:
    assert answers.read(body.encode()) == Challenge('Enter "code"', "5ef64e83")


def test_an_error_in_a_script_is_the_gateways_word() -> None:
    body = b'var respStatus = "Error";\nvar respMsg = "Invalid user";\nthisForm.inputStr.value = "";'
    with coded(SignInFailed, r"^: Invalid user$"):
        answers.read(body)


@pytest.mark.parametrize(
    "escaped, plain",
    [
        (r"a\"b", 'a"b'),
        (r"\\", "\\"),
        (r"it\'s", "it's"),
        (r"one\ntwo", "one\ntwo"),
        (r"\u00e9\x41", "éA"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d", r"\ud83d"),  # half a character: the raw text
        (r"\u12", "u12"),  # no escape of JavaScript
    ],
)
def test_strings_of_javascript(escaped: str, plain: str) -> None:
    assert challenge.unescape(escaped) == plain


def test_the_prompt_ends_at_the_first_quote_that_is_not_escaped() -> None:
    script = SCRIPT.replace('Enter \\"code\\"', "ends in a backslash \\\\")
    assert challenge.parse(script) == Challenge("ends in a backslash \\", "5ef64e83")


def test_a_terminal_gets_no_control_characters() -> None:
    found = challenge.parse(SCRIPT.replace("Enter", r"\u001b[31mEnter"))
    assert isinstance(found, Challenge) and found.prompt == 'Enter "code"'


@pytest.mark.parametrize(
    "script, says",
    [
        ("respStatus", "does not begin with respStatus"),
        (SCRIPT.replace("Challenge", "Success"), "got 'Success', want Challenge or Error"),
        (SCRIPT.replace("var respMsg", "var other"), "no respMsg"),
        (SCRIPT.partition("thisForm")[0], "no inputStr"),
        (SCRIPT + "alert(1)", "text after inputStr"),
        (SCRIPT.replace("5ef64e83", ""), "inputStr of 0 characters"),
        (SCRIPT.replace("5ef64e83", "x" * 70_000), "inputStr of 70000 characters"),
        (SCRIPT + " " * challenge.MAX_SCRIPT, "want at most"),
    ],
)
def test_what_is_no_challenge_is_named(script: str, says: str) -> None:
    with coded(MalformedAnswer, "challenge-invalid: .*" + says):
        challenge.parse(script)


def test_the_secret_part_does_not_show() -> None:
    assert "5ef64e83" not in repr(challenge.parse(SCRIPT))


@given(st.integers(0, len(SCRIPT) - 1), st.text(max_size=5))
def test_truncated_or_damaged_scripts_end_in_a_named_error_or_a_challenge(at: int, junk: str) -> None:
    for body in (SCRIPT[:at], SCRIPT[:at] + junk + SCRIPT[at:], PAGE[:at] + junk):
        try:
            answers.read(body.encode("utf-8", "replace"))
        except ProtocolError as exc:
            assert str(exc)


@given(st.text(alphabet='\\"u0d8abc;= \n', max_size=200))
def test_prompts_of_any_kind(text: str) -> None:
    assert isinstance(challenge.unescape(text), str)
