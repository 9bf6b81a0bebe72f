"""What a form asks of the user, given the login group (anyconnect.md section 2.5); and the choice of the group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from protocols.anyconnect.model import AuthForm, Document, Entry, Option
from protocols.base import Choice, Field, Form
from protocols.errors import InputRequired

DEFAULT_ID = "main"  # of a form without an id of its own
SECONDARY_USERNAME = "secondary_username"
VERIFIES = (("new_password", "verify_password"), ("whichpin", "verify_pin"), ("new_pin", "verify_pin"))


def to_form(document: Document, form: AuthForm, chosen: Option | None) -> Form:
    """The form as the user sees it once the group is chosen.

    What the group makes needless is a hidden field: not asked, but still part of the reply.
    """
    entries = (_for_group(entry, chosen) for entry in form.entries if entry is not form.group)
    return _form(document, tuple(_field(entry) for entry in entries))


def to_whole_form(document: Document, form: AuthForm) -> Form:
    """The form with its group drop-down, as it arrived: for choosing the group."""
    return _form(document, tuple(_field(entry, is_group=entry is form.group) for entry in form.entries))


def needs_input(form: Form) -> bool:
    return any(field.kind != "hidden" for field in form.fields)


def values(form: AuthForm, shown: Form, chosen: Option | None, answers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value of every element of the reply, in the order of the gateway's form.  Raises InputRequired."""
    fields = iter(shown.fields)
    result: list[tuple[str, str]] = []
    for entry in form.entries:
        if entry is form.group:
            result.append((entry.name, chosen.value if chosen else ""))
            continue
        field = next(fields)
        value = answers.get(field.name)
        if value is None:
            if field.kind in ("text", "password") and not field.value:
                raise InputRequired(f"no answer for {field.label!r} ({shown.form_id}:{field.name})")
            value = field.value
        result.append((field.name, value))
    return result


def mismatch(answers: Mapping[str, str]) -> str:
    """A new secret and its repetition, which stays here, must be the same."""
    for name, again in VERIFIES:
        if name in answers and again in answers and answers[name] != answers[again]:
            return "the two entries do not match"
    return ""


def match_group(wanted: str, options: tuple[Option, ...]) -> Option | None:
    """By value, by label in any case, or by a prefix of one label only (cli-parity.md section 13).

    None: no such group, or several.
    """
    low = wanted.casefold()
    for test in (
        [option for option in options if option.value == wanted],
        [option for option in options if option.label.casefold() == low],
        [option for option in options if option.value.casefold() == low],
        [option for option in options if option.label.casefold().startswith(low)],
    ):
        if len({option.value for option in test}) == 1:
            return test[0]
    return None


def preselected(group: Entry) -> Option:
    """The group this form was made for: ASA marks it, ocserv lists it first (section 2.8)."""
    return next((option for option in group.options if option.selected), group.options[0])


def _form(document: Document, fields: tuple[Field, ...]) -> Form:
    error = document.error or document.failure
    return Form(document.auth_id or DEFAULT_ID, fields, document.banner, document.message, error)


def _for_group(entry: Entry, chosen: Option | None) -> Entry:
    if chosen is None:
        return entry
    if chosen.override_label and entry.name == chosen.override_name:
        entry = replace(entry, label=chosen.override_label)
    if chosen.noaaa and entry.kind in ("text", "password"):
        return replace(entry, kind="hidden")
    if not entry.second_auth:
        return entry
    if not chosen.second_auth:
        return replace(entry, kind="hidden")
    if entry.name == SECONDARY_USERNAME and chosen.secondary_username:
        kind = entry.kind if chosen.secondary_editable else "hidden"
        return replace(entry, kind=kind, value=chosen.secondary_username)
    return entry


def _field(entry: Entry, *, is_group: bool = False) -> Field:
    choices = tuple(Choice(option.value, option.label) for option in entry.options)
    value = entry.value
    if entry.kind == "select":
        value = preselected(entry).value
    return Field(entry.name, entry.label, entry.kind, value, choices, is_group)
