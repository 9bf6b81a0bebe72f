"""The sign-in against a scripted gateway, and the tunnel's first frames against a scripted stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from lantern import Lantern, tunnel
from lantern.framing import Encoder, Kind
from lantern.signin import sign_in

from vpnclient.api import (
    ConnectRefused,
    CookieRejected,
    Form,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    Response,
    Secret,
    SignInFailed,
    SignInOptions,
    UnexpectedFrame,
)

URL = "https://vpn.example.com:4443/"
OPTIONS = SignInOptions(url=URL + "path")


def response(status: int, body: bytes = b"") -> Response:
    return Response(status, "", (), body, URL)


@dataclass
class Gateway:
    """HttpClient's part: answers in order."""

    answers: list[Response]
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    stream_info: Any = field(default_factory=lambda: SimpleNamespace(pin="pin-sha256:x"))
    peer_host: str = "192.0.2.1"

    async def request(self, method: str, url: str, *, headers: object, body: bytes) -> Response:
        self.asked.append((method, url, body))
        return self.answers.pop(0)


@dataclass
class Person:
    passwords: list[str]
    forms: list[Form] = field(default_factory=list)

    async def fill(self, form: Form) -> dict[str, str]:
        self.forms.append(form)
        if not self.passwords:
            raise InputRequired("nobody there")
        return {"username": "ann", "password": self.passwords.pop(0)}

    async def choose_group(self, form: Form, group: object) -> str:
        raise AssertionError("there are no groups")

    def say(self, text: str) -> None: ...


def signed_in(gateway: Any, person: Person) -> Any:
    return asyncio.run(sign_in(gateway, person, OPTIONS))


def test_a_wrong_password_is_asked_for_again() -> None:
    gateway, person = Gateway([response(403), response(200, b"cookie-1\n")]), Person(["no&=", "pw"])
    ticket = signed_in(gateway, person)
    assert (ticket.protocol, ticket.connect_url, ticket.cookie) == ("lantern", URL, Secret("cookie-1"))
    assert (ticket.address, ticket.fingerprint) == ("192.0.2.1", "pin-sha256:x")
    assert gateway.asked[0] == ("POST", URL + "lantern/sign-in", b"username=ann&password=no%26%3D")
    assert [form.error for form in person.forms] == ["", "Login failed."]


def test_three_tries_and_nobody_to_ask() -> None:
    for passwords in (["a", "b", "c", "d"], ["a"]):
        with pytest.raises(SignInFailed, match=r"Login failed\."):
            signed_in(Gateway([response(403)] * 3), Person(passwords))
    with pytest.raises(InputRequired):
        signed_in(Gateway([]), Person([]))


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"a b"), (200, b"x" * 300), (404, b"")])
def test_an_answer_that_is_none(status: int, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        signed_in(Gateway([response(status, body)]), Person(["pw"]))


def test_a_full_gateway() -> None:
    with pytest.raises(GatewayUnavailable):
        signed_in(Gateway([response(503)]), Person(["pw"]))


def test_a_ticket_from_a_cookie() -> None:
    ticket = Lantern().ticket_from_cookie(URL, Secret("cookie-1"))
    assert (ticket.connect_url, ticket.cookie) == (URL, Secret("cookie-1"))
    with pytest.raises(MalformedAnswer) as caught:
        Lantern().ticket_from_cookie(URL, Secret("bad cookie"))
    assert "bad" not in str(caught.value)


@pytest.mark.parametrize(("status", "error"), [(401, CookieRejected), (503, GatewayUnavailable), (404, ConnectRefused)])
def test_what_a_status_means(status: int, error: type[Exception]) -> None:
    tunnel.check_status(response(200))
    with pytest.raises(error):
        tunnel.check_status(response(status))


class Stream:
    """A byte at a time, then the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        piece, self._data = self._data[:1], self._data[1:]
        return piece


def first(data: bytes, early: bytes = b"") -> Any:
    stream: Any = Stream(data)
    return asyncio.run(tunnel.read_config(stream, early))


def test_packets_before_the_configuration_are_passed_over() -> None:
    wire = Encoder().encode(b"packet") + Encoder().encode_control(Kind.CONFIG, b"{}")
    for cut in range(len(wire)):
        frame, rest = first(wire[cut:] + b"more", wire[:cut])
        assert (frame.kind, frame.payload) == (Kind.CONFIG, b"{}") and b"more".startswith(rest)
    assert first(b"", wire + b"more")[1] == b"more"


def test_what_may_not_come_before_the_configuration() -> None:
    with pytest.raises(GatewayUnavailable, match="closed the connection instead"):
        first(b"\x4c\x02")
    with pytest.raises(UnexpectedFrame, match="kind 5 in state waiting for CONFIG"):
        first(Encoder().encode_control(Kind.BYE))
    with pytest.raises(UnexpectedFrame, match="kind 0"):
        first(Encoder().encode(b"packet") * 100)
