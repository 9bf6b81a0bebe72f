"""Remembered answers: replayed once each, never a second factor, never after a refusal."""

from __future__ import annotations

import asyncio

from protocols.base import Choice, Field, Form
from vpnclient.auth.remember import RememberingUser

LOGIN = Form("main", (Field("username", "Name", "text"), Field("password", "Password", "password")))
CHALLENGE = Form("challenge", (Field("answer", "Code", "password"),))
GROUP = Field("group_list", "Group", "select", choices=(Choice("a", "A"), Choice("b", "B")), is_group=True)


class Asked:
    """A user who answers everything and counts."""

    def __init__(self) -> None:
        self.forms: list[Form] = []
        self.groups = 0

    async def fill(self, form: Form) -> dict[str, str]:
        self.forms.append(form)
        return {field.name: f"answer {len(self.forms)}" for field in form.fields}

    async def choose_group(self, form: Form, group: Field) -> str:
        self.groups += 1
        return "b"

    def say(self, text: str) -> None:
        raise AssertionError(text)


def test_a_plain_form_is_replayed() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    first = asyncio.run(user.fill(LOGIN))
    user.replay()
    assert asyncio.run(user.fill(LOGIN)) == first
    assert len(inner.forms) == 1


def test_nothing_is_replayed_before_it_is_asked_for() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    asyncio.run(user.fill(LOGIN))
    asyncio.run(user.fill(LOGIN))
    assert len(inner.forms) == 2


def test_the_same_form_again_means_refused() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    asyncio.run(user.fill(LOGIN))
    user.replay()
    asyncio.run(user.fill(LOGIN))
    asyncio.run(user.fill(LOGIN))
    assert len(inner.forms) == 2  # the second replay went to the user


def test_a_form_with_an_error_goes_to_the_user() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    asyncio.run(user.fill(LOGIN))
    user.replay()
    asyncio.run(user.fill(Form("main", LOGIN.fields, error="wrong password")))
    assert len(inner.forms) == 2


def test_a_second_factor_is_never_replayed() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    asyncio.run(user.fill(CHALLENGE))
    user.replay()
    asyncio.run(user.fill(CHALLENGE))
    assert len(inner.forms) == 2


def test_a_group_is_remembered_while_it_is_offered() -> None:
    inner = Asked()
    user = RememberingUser(inner)
    form = Form("main", (GROUP,))
    assert asyncio.run(user.choose_group(form, GROUP)) == "b"
    user.replay()
    assert asyncio.run(user.choose_group(form, GROUP)) == "b"
    assert inner.groups == 1
    other = Field("group_list", "Group", "select", choices=(Choice("c", "C"),), is_group=True)
    asyncio.run(user.choose_group(form, other))
    assert inner.groups == 2


def test_answers_do_not_show() -> None:
    user = RememberingUser(Asked())
    asyncio.run(user.fill(LOGIN))
    assert "answer 1" not in repr(vars(user))


def test_a_field_that_is_good_once_is_never_answered_from_memory() -> None:
    code = Form("any", (Field("username", "User", "text"), Field("second", "Code", "password", once=True)))
    inner = Asked()
    user = RememberingUser(inner)
    asyncio.run(user.fill(code))
    user.replay()
    asyncio.run(user.fill(code))
    assert len(inner.forms) == 2
