"""The life of a tunnel with doubles in place of the gateway, the device and the host: no socket, no root, no sleep."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Interface
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.base import Secret, Ticket, TunnelConfig
from protocols.errors import CookieRejected, GatewayUnavailable, InputRequired, MalformedAnswer, SignInFailed
from transports.errors import CertificateSummary, NotTrusted, Unreachable
from vpnclient import session as module
from vpnclient.carrier import Hooks, Outcome, Why
from vpnclient.errors import Exit, HostError
from vpnclient.events import Event, Failed, RetryScheduled, State, StateChanged, Statistics, Warned
from vpnclient.host import Applied
from vpnclient.session import Parts, Session, Stop
from vpnclient.settings import Settings
from vpnclient.tasks import to_the_end

CONFIG = TunnelConfig(addresses=(IPv4Interface("10.0.0.2/24"),), mtu=1400)
TICKET = Ticket("fake", "https://gw.example/", Secret("cookie"))
ENDED = Outcome(Why.ENDED, "administrator said so")
LOST = Outcome(Why.LOST, "silence")
RENEW = Outcome(Why.RENEW, "rekey by a new tunnel")
DISMISSED = Outcome(Why.DISMISSED, "no reason given")
ASKED = Outcome(Why.ASKED, "asked to stop")
CERTIFICATE = CertificateSummary("", "", "", "", (), "pin-sha256:x", "")


class FakeStream:
    def __init__(self) -> None:
        self.info = SimpleNamespace(version="TLSv1.3", cipher="TLS_AES", pin="pin-sha256:x")
        self.peername, self.peer_host = "192.0.2.1:443", "192.0.2.1"
        self.closed = False
        self.goodbyes: list[str] = []

    async def close(self) -> None:
        self.closed = True


class FakeProtocol:
    """Plays back what `connect` meets: an error to raise, or a configuration to hand out."""

    name, title = "fake", "Fake"

    def __init__(self, *script: Exception | TunnelConfig, sign_in: tuple[Exception | None, ...] = ()) -> None:
        self.script, self.sign_ins = list(script), list(sign_in)
        self.signed_in = 0
        self.streams: list[FakeStream] = []
        self.wishes: list[Any] = []

    async def authenticate(self, http: object, user: object, options: object) -> Ticket:
        self.signed_in += 1
        error = self.sign_ins.pop(0) if self.sign_ins else None
        if error is not None:
            raise error
        return TICKET

    async def connect(self, dialer: object, ticket: Ticket, options: object, now: float) -> Any:
        self.wishes.append(options)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.streams.append(FakeStream())
        return SimpleNamespace(
            stream=self.streams[-1], unread=b"", framing="fake", config=step, controller=None, link=None
        )

    def ticket_from_cookie(self, url: str, cookie: Secret) -> Ticket:
        return replace(TICKET, cookie=cookie)


class FakeHost:
    def __init__(self, fail: Exception | None = None, *, unusable: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.fail, self.unusable = fail, unusable

    def recover(self) -> tuple[str, ...]:
        if self.unusable:
            raise self.unusable
        return ("undone what a crash had left",)

    def warm_up(self) -> None:
        pass

    def prepare(self, plan: object) -> tuple[str, ...]:
        self.calls.append("prepare")
        return ()

    def apply(self, plan: object) -> Applied:
        self.calls.append("apply")
        if self.fail:
            raise self.fail
        return Applied((), (), (), (), "off", ())

    def update(self, plan: object) -> Applied:
        self.calls.append("update")
        return Applied((), (), (), (), "off", ())

    def before_reconnect(self, gateways: object) -> tuple[str, ...]:
        self.calls.append("before_reconnect")
        return ()

    def undo(self) -> tuple[str, ...]:
        self.calls.append("undo")
        return ()


class FakeDevice:
    name = "tun7"

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def carrier_of(outcomes: list[Outcome], bad_headers: int = 0) -> Any:
    """A Carrier that ends at once with the next outcome, or carries until it is stopped when there is none left."""

    class FakeCarrier:
        def __init__(self, tun: object, tunnel: Any, hooks: Hooks) -> None:
            self._tunnel, self._hooks = tunnel, hooks
            self._done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def stats(self) -> Any:
            sink = SimpleNamespace(dropped_full=0, refused=0, not_ip=0, oversize=0)
            return SimpleNamespace(
                rx_bytes=1, tx_bytes=2, rx_packets=3, tx_packets=4, sink=sink,
                dropped_tx_oversize=0, dropped_tx_not_ip=0, dropped_controls_up=0, dropped_tx_switched=0,
                udp={}, tun_bad_vnet=bad_headers,
            )  # fmt: skip

        def counters(self) -> dict[str, int]:
            return {}

        def stop(self, outcome: Outcome, *, goodbye: str | None = None) -> None:
            if goodbye is not None:
                self._tunnel.stream.goodbyes.append(goodbye)
            if not self._done.done():
                self._done.set_result(outcome)

        async def run(self) -> Outcome:
            for _ in range(3):
                self._hooks.tick(self.stats())
            if outcomes and not self._done.done():
                return outcomes.pop(0)
            return await self._done

    return FakeCarrier


class Stage:
    """A session with its doubles; `play` runs it to its end."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        protocol: FakeProtocol,
        *outcomes: Outcome,
        host: FakeHost | None = None,
        settings: Settings | None = None,
    ) -> None:
        monkeypatch.setattr(module, "require_network_admin", lambda settings: None)
        monkeypatch.setattr(module.assembly, "make_http", lambda *args: SimpleNamespace(close=_nothing))
        monkeypatch.setattr(module, "jittered", lambda wait, unit: 0.0)  # do not really wait
        self.protocol, self.outcomes = protocol, list(outcomes)
        self.host, self.device = host or FakeHost(), FakeDevice()
        self.settings = settings or Settings(url="https://gw.example/")
        self.bad_headers = 0
        self.events: list[Event] = []
        self.session: Session | None = None

    def play(self, act: Callable[[Session, Event], None] | None = None) -> Exit:
        async def go() -> Exit:
            parts = Parts(
                protocol=self.protocol,
                dialer=SimpleNamespace(forget=lambda host: None),
                host=self.host,
                open_device=lambda name: self.device,
                carrier=carrier_of(self.outcomes, self.bad_headers),
            )

            def hear(event: Event) -> None:
                self.events.append(event)
                if act is not None:
                    act(session, event)

            session = Session(self.settings, SimpleNamespace(), hear, parts=parts)
            async with asyncio.timeout(5):
                return await session.run()

        return asyncio.run(go())

    def states(self) -> list[State]:
        return [event.state for event in self.events if isinstance(event, StateChanged)]

    def failure(self) -> Failed:
        (found,) = (event for event in self.events if isinstance(event, Failed))
        return found


async def _nothing() -> None:
    return None


def stop_when_connected(how: Stop) -> Callable[[Session, Event], None]:
    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CONNECTED):
            asyncio.get_running_loop().call_soon(session.stop, how)

    return act


def test_what_a_crash_left_is_undone_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG))
    assert stage.play(stop_when_connected(Stop.END)) == Exit.OK
    assert stage.events[:2] == [Warned("undone what a crash had left"), StateChanged(State.SIGNING_IN)]


def test_nobody_signs_in_for_a_profile_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), host=FakeHost(unusable=HostError("in use")))
    assert stage.play() == Exit.HOST and stage.failure().text == "in use"
    assert stage.protocol.signed_in == 0 and stage.host.calls == []


def test_the_whole_life_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG))
    assert stage.play(stop_when_connected(Stop.END)) == Exit.OK
    assert stage.states() == [
        State.SIGNING_IN, State.CONNECTING, State.CONFIGURING, State.CONNECTED, State.CLOSING, State.CLOSED,
    ]  # fmt: skip
    assert stage.host.calls == ["prepare", "apply", "undo"]
    assert stage.device.closed


def test_a_cookie_given_skips_the_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(url="https://gw.example/", cookie=Secret("abc"))
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), ASKED, settings=settings)
    assert stage.play() == Exit.OK
    assert stage.protocol.signed_in == 0


def test_a_cookie_that_cannot_be_one_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, cookie: Secret) -> Ticket:
        raise MalformedAnswer("bad-cookie", "no user")

    protocol = FakeProtocol(CONFIG)
    monkeypatch.setattr(protocol, "ticket_from_cookie", refuse)
    stage = Stage(monkeypatch, protocol, settings=Settings(url="https://gw.example/", cookie=Secret("abc")))
    assert stage.play() == Exit.USAGE
    assert (stage.failure().text, stage.failure().code) == ("the cookie given: no user", "usage")
    assert "--authenticate" in stage.failure().hint


def test_the_gateway_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), ENDED)
    assert stage.play() == Exit.ENDED
    assert stage.failure().code == "ended-by-gateway" and "administrator" in stage.failure().text
    assert stage.host.calls[-1] == "undo"


def test_a_lost_link_is_opened_again_with_the_same_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CONFIG), LOST, ASKED)
    assert stage.play() == Exit.OK
    assert stage.protocol.signed_in == 1
    assert stage.host.calls == ["prepare", "apply", "before_reconnect", "update", "undo"]


def test_a_changed_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = replace(CONFIG, addresses=(IPv4Interface("10.0.0.9/24"),))
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, moved), LOST, ASKED)
    assert stage.play() == Exit.OK
    told = [event.addresses for event in stage.events if event.event == "configured"]
    assert told == [("10.0.0.2/24",), ("10.0.0.9/24",)]


def test_unreachable_for_a_while_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(
        monkeypatch, FakeProtocol(CONFIG, Unreachable("no route"), Unreachable("no route"), CONFIG), LOST, ASKED
    )
    assert stage.play() == Exit.OK
    assert [event.attempt for event in stage.events if isinstance(event, RetryScheduled)] == [1, 2]


def test_the_budget_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(url="https://gw.example/", reconnect_timeout=15)
    errors = [Unreachable(f"no route {number}") for number in range(3)]
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, *errors), LOST, settings=settings)
    assert stage.play() == Exit.UNREACHABLE
    assert stage.host.calls.count("before_reconnect") == 3
    assert stage.host.calls[-1] == "undo"


def test_a_dead_cookie_signs_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CookieRejected("401"), CONFIG), LOST, ASKED)
    assert stage.play() == Exit.OK
    assert stage.protocol.signed_in == 2


def test_a_restarted_gateway_says_unavailable_twice_then_we_sign_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """ocserv answers a cookie that it does not know with 503 (cli-parity.md section 6.2)."""
    protocol = FakeProtocol(CONFIG, GatewayUnavailable("503"), GatewayUnavailable("503"), CONFIG)
    stage = Stage(monkeypatch, protocol, LOST, ASKED)
    assert stage.play() == Exit.OK
    assert protocol.signed_in == 2


def test_dismissed_by_a_gateway_that_refuses_the_ticket_is_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CookieRejected("401")), DISMISSED)
    assert stage.play() == Exit.ENDED
    assert stage.protocol.signed_in == 1


def test_dismissed_by_a_gateway_that_restarts_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = FakeProtocol(CONFIG, Unreachable("refused"), CookieRejected("401"), CONFIG)
    stage = Stage(monkeypatch, protocol, DISMISSED, ASKED)
    assert stage.play() == Exit.OK
    assert protocol.signed_in == 2


def test_dismissed_twice_means_that_somebody_else_uses_the_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CONFIG), DISMISSED, DISMISSED)
    assert stage.play() == Exit.ENDED


def test_a_given_cookie_that_dies_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(url="https://gw.example/", cookie=Secret("abc"))
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CookieRejected("401")), LOST, settings=settings)
    assert stage.play() == Exit.REFUSED
    assert stage.failure().code == "cookie-rejected"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SignInFailed("no"), Exit.REFUSED),
        (InputRequired("password"), Exit.REFUSED),  # the dead cookie is what the user must know
    ],
)
def test_a_refused_new_sign_in_is_the_end(monkeypatch: pytest.MonkeyPatch, error: Exception, status: Exit) -> None:
    protocol = FakeProtocol(CONFIG, CookieRejected("401"), sign_in=(None, error))
    stage = Stage(monkeypatch, protocol, LOST)
    assert stage.play() == status
    assert stage.host.calls[-1] == "undo"


def test_another_certificate_is_never_accepted_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = FakeProtocol(CONFIG, NotTrusted("gw.example", "signer unknown", CERTIFICATE))
    stage = Stage(monkeypatch, protocol, LOST)
    assert stage.play() == Exit.NOT_TRUSTED


def test_a_host_that_refuses_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), host=FakeHost(HostError("no address")))
    assert stage.play() == Exit.HOST
    assert stage.host.calls == ["prepare", "apply", "undo"]
    assert stage.protocol.streams[0].closed and stage.device.closed


def test_stopping_during_the_sign_in_interrupts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeProtocol):
        async def authenticate(self, http: object, user: object, options: object) -> Ticket:
            await asyncio.Event().wait()
            raise AssertionError

    stage = Stage(monkeypatch, Slow())

    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.SIGNING_IN):
            session.stop()

    assert stage.play(act) == Exit.INTERRUPTED
    assert not [event for event in stage.events if isinstance(event, Failed)]


def test_stopping_during_a_wait_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, Unreachable("no route")), LOST)
    monkeypatch.setattr(module, "jittered", lambda wait, unit: 1000.0)

    def act(session: Session, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            asyncio.get_running_loop().call_soon(session.stop)

    assert stage.play(act) == Exit.OK
    assert stage.host.calls[-1] == "undo"


def test_reconnect_on_demand_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, Unreachable("no route"), CONFIG), LOST, ASKED)
    monkeypatch.setattr(module, "jittered", lambda wait, unit: 1000.0)

    def act(session: Session, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            asyncio.get_running_loop().call_soon(session.reconnect)

    assert stage.play(act) == Exit.OK


def test_a_change_that_fails_after_a_stop_is_awaited_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop wins; asyncio has nothing to complain about when it drops the change's future."""
    complaints: list[str] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        begun, go_on = threading.Event(), threading.Event()

        def change() -> None:
            begun.set()
            go_on.wait(5)
            raise HostError("no interface")

        task = asyncio.ensure_future(to_the_end(change))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()

    asyncio.run(go())
    assert complaints == []


def test_figures_go_on_over_links(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG, CONFIG), LOST, ASKED)
    stage.play()
    last = [event for event in stage.events if event.event == "statistics"][-1]
    assert (last.rx_bytes, last.tx_packets, last.reconnects) == (2, 8, 1)


def test_a_gateway_that_drops_every_link_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loss is repaired at once; a link after it that does not last either is not."""
    stage = Stage(monkeypatch, FakeProtocol(*[CONFIG] * 5), LOST, LOST, LOST, LOST, ASKED)
    waits: list[float] = []
    monkeypatch.setattr(module, "jittered", lambda wait, unit: waits.append(wait) or 0.0)
    assert stage.play() == Exit.OK
    assert waits == [10.0, 20.0, 30.0]
    assert [event.attempt for event in stage.events if isinstance(event, RetryScheduled)] == [0, 0, 0]


def test_new_tunnels_for_new_keys_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(*[CONFIG] * 4), RENEW, RENEW, RENEW, ASKED)
    assert stage.play() == Exit.OK
    assert not [event for event in stage.events if isinstance(event, RetryScheduled)]


def test_the_protocol_hears_that_the_user_asked_for_a_new_link(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = FakeProtocol(CONFIG, Unreachable("no route"), CONFIG, CONFIG)
    stage = Stage(monkeypatch, protocol)
    links: list[Event] = []

    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CONNECTED):
            links.append(event)
            carrier = session._carrier
            assert carrier is not None
            wants = [session.reconnect, lambda: carrier.stop(LOST), session.stop][len(links) - 1]
            asyncio.get_running_loop().call_soon(wants)

    assert stage.play(act) == Exit.OK
    assert [wishes.asked for wishes in protocol.wishes] == [False, True, True, False]  # until it has one


def test_reconnecting_on_demand_again_and_again_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(*[CONFIG] * 4))
    links: list[Event] = []

    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CONNECTED):
            links.append(event)
            asyncio.get_running_loop().call_soon(session.reconnect if len(links) < 4 else session.stop)

    assert stage.play(act) == Exit.OK
    assert not [event for event in stage.events if isinstance(event, RetryScheduled)]


@pytest.mark.parametrize(("how", "goodbyes"), [(Stop.END, ["user disconnect"]), (Stop.DETACH, [])])
def test_a_stop_while_the_host_is_configured_reaches_the_gateway(
    monkeypatch: pytest.MonkeyPatch, how: Stop, goodbyes: list[str]
) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG))

    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CONFIGURING):
            session.stop(how)

    assert stage.play(act) == Exit.OK
    assert stage.protocol.streams[0].goodbyes == goodbyes
    assert State.CONNECTED not in stage.states()
    assert stage.host.calls == ["prepare", "apply", "undo"]


def test_a_listener_that_fails_at_the_end_keeps_nothing_from_being_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), ASKED)

    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CLOSING):
            raise RuntimeError("a bug in a view")

    with pytest.raises(RuntimeError, match="a bug in a view"):
        stage.play(act)
    assert stage.host.calls[-1] == "undo" and stage.device.closed


class LoggingOut(FakeProtocol):
    """A protocol whose sessions end by a request of their own."""

    def __init__(self, *script: Exception | TunnelConfig, fails: Exception | None = None, hangs: bool = False) -> None:
        super().__init__(*script)
        self.fails, self.hangs = fails, hangs
        self.logged_out: list[Ticket] = []

    async def logout(self, http: object, ticket: Ticket) -> None:
        self.logged_out.append(ticket)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails


def test_the_user_s_end_logs_out_after_the_host_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = LoggingOut(CONFIG)
    stage = Stage(monkeypatch, protocol)
    calls_before: list[list[str]] = []
    original = protocol.logout

    async def logout(http: object, ticket: Ticket) -> None:
        calls_before.append(list(stage.host.calls))
        await original(http, ticket)

    monkeypatch.setattr(protocol, "logout", logout)
    assert stage.play(stop_when_connected(Stop.END)) == Exit.OK
    assert protocol.logged_out == [TICKET] and calls_before == [["prepare", "apply", "undo"]]


def test_a_detach_and_a_lost_gateway_do_not_log_out(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = LoggingOut(CONFIG)
    assert Stage(monkeypatch, protocol).play(stop_when_connected(Stop.DETACH)) == Exit.OK
    assert protocol.logged_out == []
    protocol = LoggingOut(CONFIG, SignInFailed("no"))
    Stage(monkeypatch, protocol, LOST).play()
    assert protocol.logged_out == []


def test_a_session_that_the_gateway_ended_is_logged_out_once_and_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = LoggingOut(CONFIG, fails=Unreachable("gw.example:443", "gone"))
    stage = Stage(monkeypatch, protocol, ENDED)
    assert stage.play() == Exit.ENDED
    assert protocol.logged_out == [TICKET]
    assert not any(isinstance(event, Warned) and "logout" in event.text for event in stage.events)


def test_a_stop_before_the_tunnel_is_up_logs_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(session: Session, event: Event) -> None:
        if event == StateChanged(State.CONNECTING):
            session.stop()

    async def hang(*args: object) -> None:
        await asyncio.Event().wait()

    protocol = LoggingOut()
    monkeypatch.setattr(protocol, "connect", hang)
    assert Stage(monkeypatch, protocol).play(act) == Exit.INTERRUPTED
    assert protocol.logged_out == [TICKET]


@pytest.mark.parametrize("hangs", [True, False])
def test_a_logout_that_fails_or_hangs_only_warns(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    monkeypatch.setattr(module, "LOGOUT_LIMIT", 0.02)
    stage = Stage(monkeypatch, LoggingOut(CONFIG, fails=Unreachable("gw.example:443", "gone"), hangs=hangs))
    assert stage.play(stop_when_connected(Stop.END)) == Exit.OK
    (warned,) = (event.text for event in stage.events if isinstance(event, Warned) and "logout" in event.text)
    assert ("no answer" in warned) is hangs


def test_headers_that_lie_are_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """linux-tun notes, section 12: the loop never stops for them."""
    stage = Stage(monkeypatch, FakeProtocol(CONFIG), Outcome(Why.ENDED, "over"))
    stage.bad_headers = 7
    stage.play()
    told = [event.text for event in stage.events if isinstance(event, Warned)]
    assert len([text for text in told if "describes packets wrongly" in text]) == 1
    last = [event for event in stage.events if isinstance(event, Statistics)][-1]
    assert dict(last.counters)["tun_bad_vnet"] == 7
