"""Host reports (section 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import CookieRejected, MalformedAnswer, ProtocolError
from protocols.gp import hip
from protocols.gp.cookie import SessionCookie
from protocols.gp.exchange import Exchange
from protocols.gp.identity import Identity
from tests.protocols.doubles import FakeHttp, answer, coded
from transports.http import Response
from transports.http_url import Url

IDENTITY = Identity("Linux", "linux-64", "vm", "PAN GlobalProtect", True)
COOKIE = SessionCookie.parse(Secret("authcookie=deadbeef&portal=GW-N&user=u&domain=%28empty_domain%29&computer=vm"))
HELD = (IPv4Interface("10.99.0.2/32"), IPv6Interface("fd00::2/128"))
CHECKSUM = "399bae4c3ed8a8c9f8121d9e7989cceb"
YES = answer('<response status="success"><hip-report-needed>yes</hip-report-needed><delay>0</delay></response>')
NO = answer('<response status="success"><hip-report-needed>no</hip-report-needed></response>')
TAKEN = answer('<response status="success"/>')


class Checker:
    """The user's program."""

    def __init__(self, output: bytes) -> None:
        self.output, self.calls = output, []  # type: ignore[var-annotated]

    def __call__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Awaitable[bytes]:
        self.calls.append((list(arguments), dict(environment)))

        async def output() -> bytes:
            return self.output

        return output()


def submit(
    *answers: Response, checker: Checker | None = None, built_in: bool = False, version: str = ""
) -> tuple[str, FakeHttp]:
    http = FakeHttp(list(answers))
    report = hip.HostReport(
        exchange=Exchange(http, IDENTITY),  # type: ignore[arg-type]
        url=Url.parse("https://gw.example/"),
        cookie=COOKIE,
        identity=IDENTITY,
        version=version,
        checker=checker,
        built_in=built_in,
        today="11/22/2026 10:43:36",
    )
    return asyncio.run(report.submit(HELD)), http


def test_a_report_that_is_not_wanted() -> None:
    warning, http = submit(NO, checker=Checker(b""))
    assert warning == "" and [request.url for request in http.requests] == [
        "https://gw.example/ssl-vpn/hipreportcheck.esp"
    ]
    assert http.requests[0].text == (
        "client-role=global-protect-full&authcookie=deadbeef&portal=GW-N&user=u&domain=%28empty_domain%29&computer=vm"
        f"&client-ip=10.99.0.2&client-ipv6=fd00%3a%3a2&md5={CHECKSUM}"
    )


def test_without_a_source_the_user_is_warned() -> None:  # Q6
    warning, http = submit(YES)
    assert (
        warning.startswith("the gateway wants a report on this computer")
        and "--csd-wrapper" in warning
        and len(http.requests) == 1
    )


def test_the_users_program() -> None:
    checker = Checker(b"\n<hip-report>\xc3\xa9</hip-report>")
    warning, http = submit(YES, TAKEN, checker=checker, version="6.1.0-1")
    assert warning == ""
    ((arguments, environment),) = checker.calls
    assert arguments == [
        "--cookie", COOKIE.text().reveal(), "--client-ip", "10.99.0.2", "--client-ipv6", "fd00::2",
        "--md5", CHECKSUM, "--client-os", "Linux",
    ]  # fmt: skip
    assert environment == {"APP_VERSION": "6.1.0-1"}
    assert http.requests[1].url.endswith("/ssl-vpn/hipreport.esp") and "md5=" not in http.requests[1].text
    assert dict(parse_qsl(http.requests[1].text))["report"] == "\n<hip-report>é</hip-report>"


def test_no_version_no_variable() -> None:
    checker = Checker(b"<hip-report/>")
    submit(YES, TAKEN, checker=checker)
    assert checker.calls[0][1] == {}


@pytest.mark.parametrize("output", [b"", b"no report today", b"<" + b"x" * hip.MAX_REPORT])
def test_a_program_that_gives_no_report(output: bytes) -> None:
    with coded(MalformedAnswer, "hip-report-invalid: the --csd-wrapper program"):
        submit(YES, checker=Checker(output))


def test_the_built_in_report() -> None:
    _, http = submit(YES, TAKEN, built_in=True, version="6.1.0-1")
    root = ElementTree.fromstring(dict(parse_qsl(http.requests[1].text))["report"])
    assert root.findtext("md5-sum") == CHECKSUM and root.findtext("user-name") == "u"
    assert root.findtext("domain") == "(empty_domain)" and root.findtext("ip-address") == "10.99.0.2"
    assert root.findtext("generate-time") == "11/22/2026 10:43:36"
    names = [entry.get("name") for entry in root.findall("categories/entry")]
    assert names[0] == "host-info" and {"firewall", "anti-malware", "patch-management"} < set(names)
    assert root.findtext("categories/entry/client-version") == "6.1.0-1"


@pytest.mark.parametrize(
    "answers, kind, says",
    [
        ((answer('<response status="success"/>'),), MalformedAnswer, "hip-check-invalid: hip-report-needed: got ''"),
        (
            (answer("<response><hip-report-needed>maybe</hip-report-needed></response>"),),
            MalformedAnswer,
            "got 'maybe'",
        ),
        ((answer("<policy/>"),), MalformedAnswer, "root element"),
        (
            (answer('<response status="error"><error>Invalid authentication cookie</error></response>'),),
            CookieRejected,
            "Invalid auth",
        ),
        ((answer("", status=512),), CookieRejected, "gw.example refused the sign-in: 512"),
        ((YES, answer("")), MalformedAnswer, "empty-response"),
    ],
)
def test_answers_that_end_it(answers: tuple[Response, ...], kind: type[ProtocolError], says: str) -> None:
    with coded(kind, says):
        submit(*answers, built_in=True)


@pytest.mark.parametrize("interval, seconds", [(0, 3540), (3600, 3540), (66, 6), (60, 30), (1, 1)])
def test_the_next_check(interval: int, seconds: int) -> None:
    assert hip.next_check(interval) == seconds


@given(st.text(max_size=80))
def test_any_answer_to_the_check(text: str) -> None:
    try:
        submit(answer(f"<response><hip-report-needed>{text}</hip-report-needed></response>"))
    except ProtocolError as exc:
        assert str(exc)
