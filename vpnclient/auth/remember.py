"""Remembers what the user answered, so that a session whose cookie died can sign in again without asking.

Only plain forms are replayed: a second factor is good once (cli-parity.md Q15), so a form that asks for one goes to
the user again.  Every remembered form is used once per sign-in: the same form again means that the gateway refused it,
and a refused password is never sent twice.
"""

from __future__ import annotations

from protocols.base import Field, Form, Secret, User

ONE_TIME_FORMS = frozenset({"challenge", "next_tokencode"})
ONE_TIME_FIELDS = frozenset({"secondary_password", "answer", "tokencode", "passcode", "otp"})

_Key = tuple[str, tuple[str, ...]]


class RememberingUser:
    """A User that passes questions on, and in replay answers those it has seen before."""

    def __init__(self, inner: User) -> None:
        self._inner = inner
        self._answers: dict[_Key, dict[str, Secret]] = {}
        self._groups: dict[str, str] = {}
        self._used: set[_Key] = set()
        self._replaying = False

    def replay(self) -> None:
        """From now on answer known forms without asking, each once."""
        self._replaying = True
        self._used.clear()

    async def fill(self, form: Form) -> dict[str, str]:
        key = _key(form)
        if self._replaying and not form.error and key in self._answers and key not in self._used:
            self._used.add(key)
            return {name: secret.reveal() for name, secret in self._answers[key].items()}
        answers = await self._inner.fill(form)
        if _repeatable(form):
            self._answers[key] = {name: Secret(value) for name, value in answers.items()}
        return answers

    async def choose_group(self, form: Form, group: Field) -> str:
        if self._replaying and self._groups.get(group.name) in {choice.value for choice in group.choices}:
            return self._groups[group.name]
        value = await self._inner.choose_group(form, group)
        self._groups[group.name] = value
        return value

    def say(self, text: str) -> None:
        self._inner.say(text)


def _key(form: Form) -> _Key:
    return form.form_id, tuple(field.name for field in form.fields)


def _repeatable(form: Form) -> bool:
    return form.form_id not in ONE_TIME_FORMS and not any(
        field.once or field.name in ONE_TIME_FIELDS for field in form.fields
    )
