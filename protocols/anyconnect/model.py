"""What a sign-in document of the gateway says, as values; read by documents.py and page.py.

Texts are cleaned and capped.  Source: anyconnect.md sections 2.4 and 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.base import Secret

GROUP = "group_list"  # the select that chooses the login group
SUCCESS = "success"  # the auth id of a finished sign-in


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select; for the group drop-down with what it changes in the form."""

    value: str
    label: str
    selected: bool = False
    override_name: str = ""
    override_label: str = ""
    second_auth: bool = False
    secondary_username: str = ""
    secondary_editable: bool = False
    noaaa: bool = False  # the group needs no user name or password


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of a form.  kind: text, password, hidden, select or sso."""

    name: str
    label: str
    kind: str
    value: str = ""
    second_auth: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthForm:
    """action: None means the current URL."""

    action: str | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def group(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind == "select" and entry.name == GROUP), None)


@dataclass(frozen=True, slots=True)
class Document:
    """A whole answer.

    opaque: the element as text, to be copied into every reply.  failure: the text of an error outside of auth.
    complete: authentication-complete, an empty reply is wanted.
    """

    auth_id: str = ""
    banner: str = ""
    message: str = ""
    error: str = ""
    form: AuthForm | None = None
    complete: bool = False
    opaque: str = ""
    session_token: Secret = field(default_factory=lambda: Secret(""))
    failure: str = ""
    certificate_wanted: bool = False
    second_certificate_wanted: bool = False
    certificate_accepted: bool = False
    host_scan: bool = False
