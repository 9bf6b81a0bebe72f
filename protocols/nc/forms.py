"""What a page asks of the user, and what is sent back (juniper.md sections 2.4 to 2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from protocols.base import Field, Form
from protocols.errors import InputRequired
from protocols.nc.pages import CONFIRMATION, REALM, ROLES, Entry, Page

ROLE = "role"  # the question for the role, as a field
# Where a code belongs into: the second password field, or any (section 2.7).
_SECOND = frozenset({"frmLogin", "loginForm"})
_ALL = frozenset({"frmDefender", "frmNextToken", "frmTotpToken"})
VERIFICATION_CODE = "VerificationCode"


def to_form(page: Page, *, message: str = "", error: str = "") -> Form:
    """The page as the user sees it."""
    fields: list[Field] = []
    passwords = 0
    for entry in page.entries:
        passwords += entry.kind == "password"
        fields.append(_field(page, entry, passwords))
    return Form(page.name, tuple(fields), page.banner, message, error)


def role_form(page: Page) -> Form:
    field = Field(ROLE, "role", "select", page.roles[0].value, page.roles, is_group=True)
    return Form(ROLES, (field,))


def needs_input(page: Page) -> bool:
    """A session to end is asked for only where there is a choice; the confirmation itself is none (section 2.6)."""
    return any(entry.kind != "hidden" and len(entry.choices) != 1 for entry in page.entries)


def has_password(page: Page) -> bool:
    return page.name in _SECOND and any(entry.kind == "password" for entry in page.entries)


def values(page: Page, answers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value of every field that is sent.  Raises InputRequired."""
    result: list[tuple[str, str]] = []
    for entry in page.entries:
        value = answers.get(entry.name)
        if value is None and entry.kind in ("text", "password") and not entry.value:
            raise InputRequired(f"no answer for {entry.label!r} ({page.name}:{entry.name})")
        result.append((entry.name, entry.value if value is None else value))
    return result


def form_encoded(values: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in values).encode("ascii")


def _field(page: Page, entry: Entry, passwords: int) -> Field:
    """passwords: how many there were up to this one.  A code is good once, and never answered from memory."""
    code = entry.kind == "password" and (page.name in _ALL or (page.name in _SECOND and passwords > 1))
    code = code or (page.name in _SECOND and entry.name == VERIFICATION_CODE)
    is_realm = entry.kind == "select" and entry.name == REALM and page.name != CONFIRMATION
    return Field(entry.name, entry.label, entry.kind, entry.value, entry.choices, is_group=is_realm, once=code)
