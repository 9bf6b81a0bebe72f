"""Which channel a tunnel gets (sections 12 and 13.1), with doubles for HTTP, UDP and GPST."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.base import Secret, Ticket, Tunnel, TunnelOptions
from protocols.errors import CookieRejected
from protocols.gp import GlobalProtect, tunnel
from protocols.gp.controller import GpstController
from protocols.gp.esp import EspController, State
from tests.protocols.doubles import FakeHttp, answer
from tests.protocols.gp.test_ipsec import ENDS, FIELDS

TICKET = Ticket("gp", "https://gw.example/", Secret("authcookie=deadbeef&user=u&computer=vm"))
BLOCK = "".join(f"<{name}>{text}</{name}>" for name, text in FIELDS.items())
ADDRESS = "<ip-address>10.99.0.2</ip-address>" + ENDS
NO_REPORT = answer("<response><hip-report-needed>no</hip-report-needed></response>")


def config(inside: str = f"<ipsec>{BLOCK}</ipsec>") -> Any:
    return answer(f"<response>{ADDRESS}{inside}</response>")


class Network:
    """esp: whether a probe is answered.  What was opened, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any, esp: bool = True, proxy: bool = False) -> None:
        self.opened: list[str] = []
        self.esp = esp
        self.http = FakeHttp(list(answers), through_proxy=proxy)
        self.dialer: Any = SimpleNamespace(through_proxy=proxy)
        monkeypatch.setattr(tunnel, "HttpClient", lambda dialer, user_agent: self.http)
        monkeypatch.setattr(tunnel, "open_esp", self._open_esp)
        monkeypatch.setattr(tunnel, "open_gpst", self._open_gpst)
        self.protocol = GlobalProtect()

    async def _open_esp(self, dialer: object, gateway: str, parameters: Any, local_port: int) -> Any:
        self.opened.append(f"esp {gateway}:{parameters.port}")
        return (SimpleNamespace(description=None), 3) if self.esp else None

    async def _open_gpst(self, dialer: object, url: object, cookie: object, path: str) -> Any:
        self.opened.append(f"gpst {path}")
        return SimpleNamespace(), b"unread"

    def connect(self, ticket: Ticket = TICKET, **wishes: Any) -> Tunnel:
        return asyncio.run(self.protocol.connect(self.dialer, ticket, TunnelOptions(**wishes), 100.0))


def test_esp_first(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, config(), NO_REPORT)
    made = network.connect()
    assert network.opened == ["esp 203.0.113.1:4501"] and network.http.closed == 1
    assert made.stream is None and made.link is not None and isinstance(made.controller, EspController)
    assert [request.url.rpartition("/")[2] for request in network.http.requests] == [
        "getconfig.esp",
        "hipreportcheck.esp",
    ]


def test_tls_when_no_probe_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, config(), NO_REPORT, esp=False)
    made = network.connect()
    assert network.opened == ["esp 203.0.113.1:4501", "gpst /ssl-tunnel-connect.sslvpn"]
    assert isinstance(made.controller, GpstController) and made.unread == b"unread"
    assert made.config.warnings == ("udp port 4501: no answer by ESP, packets go by TLS",)


@pytest.mark.parametrize(
    "inside, wishes, proxy, warnings",
    [
        ("", {}, False, 0),
        ("<ipsec></ipsec>", {}, False, 1),
        (f"<ipsec>{BLOCK}</ipsec>", {"datagrams": False}, False, 0),
        (f"<ipsec>{BLOCK}</ipsec>", {}, True, 0),
    ],
)
def test_tls_at_once(
    monkeypatch: pytest.MonkeyPatch, inside: str, wishes: dict[str, Any], proxy: bool, warnings: int
) -> None:
    network = Network(monkeypatch, config(inside), NO_REPORT, proxy=proxy)
    made = network.connect(**wishes)
    assert network.opened == ["gpst /ssl-tunnel-connect.sslvpn"] and len(made.config.warnings) == warnings


def test_esp_that_went_silent_is_followed_by_tls_with_the_same_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, config(), NO_REPORT, config(), NO_REPORT)
    first = network.connect()
    assert isinstance(first.controller, EspController)
    first.controller.state = State.DEAD
    second = network.connect()
    assert len(network.http.requests) == 2 and network.opened[1:] == ["gpst /ssl-tunnel-connect.sslvpn"]
    assert isinstance(second.controller, GpstController) and second.config == first.config
    third = network.connect()  # a lost TLS tunnel is opened from the beginning, with ESP first
    assert isinstance(third.controller, EspController) and len(network.http.requests) == 4


def test_another_session_does_not_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, config(), NO_REPORT, config(), NO_REPORT)
    first = network.connect()
    assert isinstance(first.controller, EspController)
    first.controller.state = State.DEAD
    network.connect(Ticket("gp", "https://gw.example/", Secret("authcookie=other&user=u")))
    assert len(network.http.requests) == 4


def test_a_report_beside_esp(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = answer('<response status="error"><error>Invalid authentication cookie</error></response>')
    network = Network(monkeypatch, config(), NO_REPORT, NO_REPORT, refused)
    network.connect()
    attempt = network.protocol._last
    assert attempt is not None and asyncio.run(attempt._report_again()) == []
    with pytest.raises(CookieRejected):
        asyncio.run(attempt._report_again())
    assert network.http.closed == 3


def test_a_report_that_is_missing_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = answer("<response><hip-report-needed>yes</hip-report-needed></response>")
    made = Network(monkeypatch, config(), wanted).connect()
    assert any("--csd-wrapper" in text for text in made.config.warnings)
