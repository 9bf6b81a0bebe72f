"""Which stored answer a form gets, and that no refused secret is sent again (cli-parity 4.1, Q9, Q10)."""

from __future__ import annotations

import pytest

from protocols.base import Choice, Field, Form, Secret
from vpnclient.auth.answers import Answers, pick
from vpnclient.settings import parse_form_entry

STAFF = (Choice("1", "Staff"), Choice("2", "Staff-MFA"), Choice("3", "Guests"))
USER, PASSWORD = Field("username", "Username:", "text"), Field("password", "Password:", "password")


def form(*fields: Field, form_id: str = "main", error: str = "") -> Form:
    return Form(form_id, fields, error=error)


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [
        ("staff", ["Staff"]),
        ("STAFF-mfa", ["Staff-MFA"]),
        ("g", ["Guests"]),
        ("St", ["Staff", "Staff-MFA"]),
        ("x", []),
        ("3", ["Guests"]),
    ],
)
def test_pick(wanted: str, labels: list[str]) -> None:  # cli-parity section 13
    assert [choice.label for choice in pick(STAFF, wanted)] == labels


@pytest.mark.parametrize("name", ["username", "user", "USERNAME", "uname", "user_2"])
def test_the_user_fills_every_field_that_begins_so(name: str) -> None:
    answers = Answers(user="alice")
    for form_id in ("main", "challenge"):
        assert answers.plan(form(Field(name, "", "text"), PASSWORD, form_id=form_id)).answers == {name: "alice"}


def test_the_user_fills_no_other_field() -> None:
    answers = Answers(user="alice")
    fields = (Field("domain", "", "text"), Field("user", "", "hidden"), Field("user", "", "password"))
    assert answers.plan(form(*fields)).answers == {}


def test_the_password_is_for_the_first_field_once() -> None:  # Q9
    answers = Answers(password=Secret("one"))
    second = Field("secondary_password", "", "password")
    assert answers.plan(form(PASSWORD, second)).answers == {"password": "one"}
    assert answers.plan(form(PASSWORD, second, error="wrong")).answers == {}
    assert answers.plan(form(PASSWORD, form_id="other")).answers == {}


def test_a_form_entry_with_a_password_is_not_sent_twice() -> None:  # Q10
    answers = Answers(entries=[parse_form_entry("main:password=pw"), parse_form_entry("challenge:answer=42")])
    assert answers.plan(form(PASSWORD)).answers == {"password": "pw"}
    assert answers.plan(form(PASSWORD)).answers == {}
    assert answers.plan(form(Field("answer", "", "password"), form_id="challenge")).answers == {"answer": "42"}


def test_the_user_beats_a_form_entry_and_the_latest_entry_wins() -> None:
    entries = [parse_form_entry(text) for text in ("main:username=bob", "main:domain=a", "main:domain=b")]
    answers = Answers(user="alice", entries=entries)
    fields = (USER, Field("domain", "", "text"), PASSWORD)
    assert answers.plan(form(*fields)).answers == {"username": "alice", "domain": "b"}


def test_form_and_field_must_match_exactly() -> None:
    answers = Answers(entries=[parse_form_entry("Main:domain=a"), parse_form_entry("main:Domain=a")])
    assert answers.plan(form(Field("domain", "", "text"))).answers == {}


def test_the_user_is_given_again_while_a_password_is_asked() -> None:
    answers = Answers(user="alice")
    for _ in range(3):
        assert answers.plan(form(USER, PASSWORD)).answers == {"username": "alice"}


def test_a_form_filled_by_stored_answers_alone_is_not_filled_twice() -> None:
    answers = Answers(user="alice")
    assert answers.plan(form(USER)).answers == {"username": "alice"}
    assert answers.plan(form(USER)).answers == {}  # nothing was asked since: it would go round for ever


def test_user_name_and_password_in_two_forms_of_one_name() -> None:  # ocserv
    answers = Answers(user="alice", password=Secret("wrong"))
    assert answers.plan(form(USER)).answers == {"username": "alice"}
    assert answers.plan(form(PASSWORD)).answers == {"password": "wrong"}
    assert answers.plan(form(USER, error="failed")).answers == {"username": "alice"}  # a secret was tried since
    assert answers.plan(form(PASSWORD)).answers == {}
    answers.asked()
    assert answers.plan(form(USER)).answers == {"username": "alice"}


def test_a_hidden_field_is_touched_by_a_form_entry_only() -> None:
    state, other = Field("state", "", "hidden", "preset"), Field("other", "", "hidden", "preset")
    assert Answers(user="a").plan(form(state)).answers == {}
    plan = Answers(entries=[parse_form_entry("main:state=x"), parse_form_entry("main:other")]).plan(form(state, other))
    assert plan.answers == {"state": "x"} and plan.shown == {"other"}


def test_a_form_entry_for_a_drop_down_by_label_or_value() -> None:
    region = Field("region", "", "select", choices=STAFF)
    for text, value in (("guests", "3"), ("2", "2")):
        assert Answers(entries=[parse_form_entry(f"main:region={text}")]).plan(form(region)).answers == {
            "region": value
        }
    assert Answers(entries=[parse_form_entry("main:region=St")]).plan(form(region)).answers == {}


def test_a_passphrase_by_its_form_once() -> None:
    answers = Answers(entries=[parse_form_entry("openconnect_pem:anything=pw")])
    assert answers.passphrase("openconnect_pkcs12") is None
    assert answers.passphrase("openconnect_pem") == "pw"
    assert answers.passphrase("openconnect_pem") is None
