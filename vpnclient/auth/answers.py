"""Answers given beforehand, and which of them a form gets (the form algorithm of cli-parity 4.1).

A stored secret is used once: a form that comes back means that the gateway refused it, and sending it again could lock
the account (cli-parity Q10).  User name, text and drop-down answers come back as long as something is left to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.base import Choice, Field, Form, Secret
from vpnclient.settings import FormEntry, Settings

USER_PREFIXES = ("user", "uname")  # the latter is Array's


def pick(choices: Sequence[Choice], wanted: str) -> list[Choice]:
    """The choices that `wanted` may mean: by label or value; an exact match beats prefixes.  Case does not matter."""
    low = wanted.casefold()
    exact = [choice for choice in choices if choice.label.casefold() == low]
    exact = exact or [choice for choice in choices if choice.value.casefold() == low]
    return exact or [choice for choice in choices if choice.label.casefold().startswith(low)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known about a form before anybody is asked.  shown: hidden fields to ask all the same."""

    answers: dict[str, str]
    shown: frozenset[str]


class Answers:
    """The stored answers of one session, with a memory of those that were used."""

    def __init__(
        self, *, user: str = "", password: Secret | None = None, authgroup: str = "", entries: Sequence[FormEntry] = ()
    ) -> None:
        self.authgroup = authgroup
        self._user, self._password = user, password
        self._entries = {(entry.form, entry.field): entry.value for entry in entries}  # the latest wins
        self._sent: set[tuple[str, str]] = set()  # (form, field) of secrets that were used
        self._seen: dict[tuple[str, tuple[str, ...]], int] = {}  # form and its fields -> progress when shown
        self._progress = 0  # secrets used up and questions asked so far

    @classmethod
    def of(cls, settings: Settings) -> Answers:
        return cls(
            user=settings.user,
            password=settings.password,
            authgroup=settings.authgroup,
            entries=settings.form_entries,
        )

    def asked(self) -> None:
        """A person was asked something: stored plain answers may be tried again."""
        self._progress += 1

    def plan(self, form: Form) -> Plan:
        """The answers for this form; using them up is part of it."""
        key = (form.form_id, tuple(field.name for field in form.fields))
        stuck = self._seen.get(key) == self._progress  # the same form, and nothing new was said since
        secrets = {field.name: text for field in form.fields if (text := self._secret(form, field)) is not None}
        plain = {field.name: text for field in form.fields if (text := self._plain(form, field)) is not None}
        self._progress += bool(secrets)
        self._seen[key] = self._progress
        to_ask = any(field.kind == "password" and field.name not in secrets for field in form.fields)
        if stuck and not to_ask and not secrets:
            plain = {field.name: plain[field.name] for field in form.fields if _overridden(field, plain)}
        shown = frozenset(field.name for field in form.fields if self._wants_shown(form, field))
        return Plan({**plain, **secrets}, shown)

    def entry(self, form_id: str, field: str) -> str | None:
        """A form entry with a value; None: there is none."""
        value = self._entries.get((form_id, field))
        return None if value is None else value.reveal()

    def passphrase(self, form_id: str) -> str | None:
        """A form entry for a local secret (a key's passphrase), whatever its field is called; used once."""
        for (form, field), value in self._entries.items():
            if form == form_id and value is not None and (form, field) not in self._sent:
                self._sent.add((form, field))
                return value.reveal()
        return None

    def _secret(self, form: Form, field: Field) -> str | None:
        """The password of the session for the first password field ever, else a form entry; each once."""
        if field.kind != "password":
            return None
        if self._password is not None:
            text, self._password = self._password.reveal(), None
            return text
        entry = self._entries.get((form.form_id, field.name))
        if entry is None or (form.form_id, field.name) in self._sent:
            return None
        self._sent.add((form.form_id, field.name))
        return entry.reveal()

    def _plain(self, form: Form, field: Field) -> str | None:
        if field.kind == "password":
            return None
        if field.kind == "text" and self._user and field.name.lower().startswith(USER_PREFIXES):
            return self._user
        entry = self._entries.get((form.form_id, field.name))
        if entry is None:
            return None
        if field.kind != "select":
            return entry.reveal()
        found = pick(field.choices, entry.reveal())
        return found[0].value if len(found) == 1 else None

    def _wants_shown(self, form: Form, field: Field) -> bool:
        key = (form.form_id, field.name)
        return field.kind == "hidden" and key in self._entries and self._entries[key] is None


def _overridden(field: Field, answers: dict[str, str]) -> bool:
    return field.kind == "hidden" and field.name in answers
