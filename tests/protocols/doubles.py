"""Doubles of the seams of a sign-in: a scripted gateway instead of HTTP, a scripted person instead of a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from protocols.base import Field, Form
from protocols.errors import InputRequired, ProtocolError
from transports.cookies import Cookies
from transports.http import Response
from transports.http_url import Url


def answer(
    body: bytes | str = b"",
    *headers: tuple[str, str],
    status: int = 200,
    reason: str = "OK",
) -> Response:
    data = body.encode() if isinstance(body, str) else body
    return Response(status, reason, headers, data, url="")


def redirect(location: str, status: int = 302) -> Response:
    return answer(b"", ("Location", location), status=status, reason="Found")


@dataclass
class Request:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    fresh: bool
    cookies: str

    @property
    def text(self) -> str:
        return (self.body or b"").decode()


@dataclass
class FakeHttp:
    """Replays answers (or raises exceptions) in order, records requests; cookies are the real store."""

    script: list[Response | Exception]
    requests: list[Request] = field(default_factory=list)
    certificate_asked: bool = False
    certificate_sent: bool = False
    through_proxy: bool = False
    closed: int = 0

    def __post_init__(self) -> None:
        self.cookies = Cookies()
        self.peer_host = "203.0.113.1"
        self.dialer = SimpleNamespace(through_proxy=self.through_proxy)
        self._at: Url | None = None

    @property
    def stream_info(self) -> SimpleNamespace:
        return SimpleNamespace(
            pin="pin-sha256:AAAA",
            client_certificate_asked=self.certificate_asked,
            client_certificate_sent=self.certificate_sent,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        follow_redirects: bool = True,
        fresh: bool = False,
        cookies: bool = True,
        timeout: float | None = None,
    ) -> Response:
        assert not follow_redirects, "the sign-in follows redirects itself"
        assert len({name.lower() for name, _ in headers}) == len(headers), "a header was given twice"
        target = Url.parse(url)
        if self._at is not None and not self._at.same_server(target):
            self.cookies.clear()
        self._at = target
        sent = self.cookies.header() if cookies else dict(headers).get("Cookie", "")
        self.requests.append(Request(method, url, dict(headers), body, fresh, sent))
        assert self.script, f"one request too many: {method} {url}"
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.cookies.take(step.values("Set-Cookie"), "fake")
        return step

    async def close(self) -> None:
        self.closed += 1


@dataclass
class FakeUser:
    """Gives prepared answers by field name, one after the other; out of answers: InputRequired."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    group: str = ""
    forms: list[Form] = field(default_factory=list)
    asked_groups: list[Form] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def fill(self, form: Form) -> dict[str, str]:
        self.forms.append(form)
        given: dict[str, str] = {}
        for one in form.fields:
            waiting = self.answers.get(one.name, [])
            if waiting:
                given[one.name] = waiting.pop(0)
            elif one.kind in ("text", "password"):
                raise InputRequired(f"no answer for {one.name}")
        return given

    async def choose_group(self, form: Form, group: Field) -> str:
        self.asked_groups.append(form)
        return self.group

    def say(self, text: str) -> None:
        self.said.append(text)


def person(group: str = "", **answers: str | list[str]) -> FakeUser:
    return FakeUser({name: [text] if isinstance(text, str) else list(text) for name, text in answers.items()}, group)


@contextmanager
def coded(kind: type[ProtocolError], match: str) -> Iterator[pytest.ExceptionInfo[ProtocolError]]:
    """As pytest.raises, on `code: text`."""
    with pytest.raises(kind) as caught:
        yield caught
    said = f"{caught.value.code}: {caught.value}"
    assert re.search(match, said), said
