"""What we send to /remote/logincheck, byte for byte (sections 3.2, 3.4, 3.5 and 3.7), and to the host check (3.8)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from protocols.fortinet.answers import Challenge, PageForm

LAST = "ajax=1&just_logged_in=1"


def encoded(text: str) -> str:
    """Everything but letters, digits and -_.~ percent-encoded, as UTF-8."""
    return quote(text, safe="", errors="surrogateescape")


def password(user: str, credential: str, realm: str) -> bytes:
    return f"username={encoded(user)}&credential={encoded(credential)}&realm={realm}&{LAST}".encode()


def certificate(user: str, realm: str) -> bytes:
    """A client certificate stands for the password."""
    return f"username={encoded(user)}&realm={realm}&ajax=1&redir=%2Fremote%2Findex&just_logged_in=1".encode()


def code(user: str, given: str, realm: str, challenge: Challenge) -> bytes:
    """An empty code of a challenge that can be approved on a phone asks for that; it goes without magic (Q9)."""
    values = dict(challenge.values)
    push = challenge.push and not given
    if push:
        values.pop("magic", None)
    back = "".join(f"&{name}={value}" for name, value in values.items())  # as they came (Q11)
    end = "&ftmpush=1" if push else ""
    text = f"username={encoded(user)}&code={encoded(given)}&realm={realm}{back}{end}"
    return text.encode("utf-8", "surrogateescape")


def page(form: PageForm, answers: Mapping[str, str], realm: str) -> bytes:
    """Every field in the page's order."""
    fields = "".join(f"{encoded(one.name)}={encoded(answers.get(one.name, one.value))}&" for one in form.inputs)
    return f"{fields}realm={realm}&{LAST}".encode()


def host_check(value: str, virtual_desktop: str) -> bytes:
    return f"hostcheck={encoded(value)}&check_virtual_desktop={encoded(virtual_desktop)}".encode()
