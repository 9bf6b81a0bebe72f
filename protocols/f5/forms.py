"""A sign-in form as the user sees it, and its answers as they are sent (section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from protocols.base import Field, Form
from protocols.errors import InputRequired
from protocols.f5.model import GROUP, Entry, LoginForm

DEFAULT_ID = "auth_form"  # of a form without an id
ASSUMED = LoginForm(DEFAULT_ID, (Entry("username", "Username:", "text"), Entry("password", "Password:", "password")))


def to_form(form: LoginForm, *, again: bool, later: bool) -> Form:
    """again: this form was answered before, so its message says what was wrong.

    later: it is another form than the first, so a password is the code of a second factor (Q8).
    """
    fields = tuple(
        Field(
            *(entry.name, entry.label, entry.kind, entry.value, entry.choices),
            is_group=entry.name == GROUP and bool(entry.choices),
            once=later and entry.kind == "password",
        )
        for entry in form.entries
    )
    error, message = (form.message, "") if again else ("", form.message)
    return Form(form.form_id or DEFAULT_ID, fields, form.banner, message, error)


def has_password(form: LoginForm) -> bool:
    return any(entry.kind == "password" for entry in form.entries)


def encode(form: LoginForm, answers: Mapping[str, str]) -> bytes:
    """The body of the reply, in the form's order.  Raises InputRequired."""
    pairs: list[tuple[str, str]] = []
    for entry in form.entries:
        value = answers.get(entry.name)
        if value is None:
            if entry.kind in ("text", "password") and not entry.value:
                shown = f"{entry.label!r} ({form.form_id or DEFAULT_ID}:{entry.name})"
                raise InputRequired(f"no answer for {shown}")
            value = entry.value
        pairs.append((entry.name, value))
    return urlencode(pairs, errors="surrogateescape").encode("ascii")
