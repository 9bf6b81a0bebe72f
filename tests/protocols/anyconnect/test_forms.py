"""What a form asks, given the group (section 2.5); choosing the group (2.8)."""

from __future__ import annotations

import pytest

from protocols.anyconnect import forms
from protocols.anyconnect.model import AuthForm, Document, Entry, Option
from protocols.base import Field
from protocols.errors import InputRequired

USER = Entry("username", "Username:", "text")
PASSWORD = Entry("password", "Password:", "password")
SECOND_USER = Entry("secondary_username", "2nd user:", "text", second_auth=True)
SECOND = Entry("secondary_password", "2nd:", "password", second_auth=True)
HIDDEN = Entry("tgid", "tgid:", "hidden", "7")
DOCUMENT = Document(auth_id="main", banner="b", message="m", error="e")


def with_group(*options: Option) -> AuthForm:
    return AuthForm(
        None, (Entry("group_list", "GROUP:", "select", options=options), USER, PASSWORD, SECOND_USER, SECOND)
    )


def asked(form: AuthForm, chosen: Option | None) -> list[str]:
    return [field.name for field in forms.to_form(DOCUMENT, form, chosen).fields if field.kind != "hidden"]


def test_without_groups_everything_is_asked() -> None:
    form = AuthForm(None, (USER, PASSWORD, SECOND, HIDDEN))
    shown = forms.to_form(DOCUMENT, form, None)
    assert (shown.form_id, shown.banner, shown.message, shown.error) == ("main", "b", "m", "e")
    assert shown.fields[-1] == Field("tgid", "tgid:", "hidden", "7")
    assert asked(form, None) == ["username", "password", "secondary_password"]


@pytest.mark.parametrize(
    ("option", "names"),
    [
        (Option("a", "A"), ["username", "password"]),
        (Option("a", "A", second_auth=True), ["username", "password", "secondary_username", "secondary_password"]),
        (
            Option("a", "A", second_auth=True, secondary_username="bob"),
            ["username", "password", "secondary_password"],
        ),
        (
            Option("a", "A", second_auth=True, secondary_username="bob", secondary_editable=True),
            ["username", "password", "secondary_username", "secondary_password"],
        ),
        (Option("a", "A", noaaa=True), []),
    ],
)
def test_the_group_decides_what_is_asked(option: Option, names: list[str]) -> None:
    form = with_group(option)
    assert asked(form, option) == names
    shown = forms.to_form(DOCUMENT, form, option)
    assert len(shown.fields) == 4  # hidden ones stay in the reply
    if option.secondary_username:
        assert shown.fields[2].value == "bob"


def test_a_group_renames_a_field() -> None:
    option = Option("a", "A", override_name="password", override_label="PIN:")
    labels = [field.label for field in forms.to_form(DOCUMENT, with_group(option), option).fields]
    assert labels == ["Username:", "PIN:", "2nd user:", "2nd:"]


def test_the_reply_has_every_element_in_order() -> None:
    option = Option("a", "A")
    form = with_group(option)
    shown = forms.to_form(DOCUMENT, form, option)
    assert forms.values(form, shown, option, {"username": "u", "password": "p"}) == [
        ("group_list", "a"), ("username", "u"), ("password", "p"), ("secondary_username", ""),
        ("secondary_password", "")
    ]  # fmt: skip


def test_hidden_fields_can_be_overridden() -> None:
    form = AuthForm(None, (HIDDEN,))
    shown = forms.to_form(DOCUMENT, form, None)
    assert forms.values(form, shown, None, {}) == [("tgid", "7")]
    assert forms.values(form, shown, None, {"tgid": "8"}) == [("tgid", "8")]


def test_a_missing_answer_is_named() -> None:
    form = AuthForm(None, (USER,))
    with pytest.raises(InputRequired, match="main:username"):
        forms.values(form, forms.to_form(DOCUMENT, form, None), None, {})


def test_the_whole_form_marks_its_group() -> None:
    shown = forms.to_whole_form(DOCUMENT, with_group(Option("a", "A"), Option("b", "B", selected=True)))
    assert shown.fields[0].is_group and shown.fields[0].value == "b"
    assert not any(field.is_group for field in shown.fields[1:])


STAFF = (Option("1", "Staff"), Option("2", "Staff-MFA"), Option("3", "Guests"))


@pytest.mark.parametrize(
    ("wanted", "value"),
    [("staff", "1"), ("g", "3"), ("St", None), ("x", None), ("2", "2"), ("staff-m", "2"), ("GUESTS", "3")],
)
def test_groups_match_by_value_label_or_unique_prefix(wanted: str, value: str | None) -> None:  # cli-parity.md 13
    found = forms.match_group(wanted, STAFF)
    assert (found.value if found else None) == value


def test_new_secrets_must_be_repeated_alike() -> None:
    assert not forms.mismatch({"new_password": "a", "verify_password": "a"})
    assert forms.mismatch({"new_password": "a", "verify_password": "b"})
    assert forms.mismatch({"whichpin": "a", "verify_pin": "b"})
    assert not forms.mismatch({"password": "a"})
