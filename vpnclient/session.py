"""The life of a tunnel: sign in, connect, configure the host, carry packets, reconnect, undo everything.

    signing in -> connecting -> configuring -> connected
                      ^                            |
                      +------ reconnecting <-------+     -> closed

This is the one place that knows all parts.  It owns the order of things (host-config.md section 2.5) and the one rule
that matters most: however a session ends, the host is as it was before.  Changes to the host run to their end in a
thread and are never interrupted (cli-parity.md Q3); a wish to stop waits for them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from protocols import registry
from protocols.base import Address, LogsOut, Ticket, Tunnel, TunnelConfig, User, VpnProtocol
from protocols.errors import (
    CookieRejected,
    GatewayUnavailable,
    InputRequired,
    MalformedAnswer,
    ProtocolError,
)
from transports.dialer import Dialer
from transports.errors import DeviceError, TransportError
from transports.http import HttpClient
from transports.pump import PumpStats
from transports.tls import Judge
from vpnclient import assembly
from vpnclient.attempts import Attempts
from vpnclient.auth.remember import RememberingUser
from vpnclient.backoff import LONGEST, STEP, jittered, waits
from vpnclient.carrier import Carrier, Hooks, Outcome, Why
from vpnclient.device import TunnelDevice
from vpnclient.errors import ClientError, Exit, HostError, SessionEnded, UsageError, explain
from vpnclient.events import (
    Banner,
    ChannelChanged,
    Configured,
    Failed,
    Listener,
    Noted,
    RetryScheduled,
    State,
    StateChanged,
    TlsEstablished,
    Warned,
)
from vpnclient.host import Applied, HostConfig, HostPlan
from vpnclient.permissions import require_network_admin
from vpnclient.pumps import slowness
from vpnclient.settings import DEFAULT_PORT, Settings
from vpnclient.tasks import to_the_end
from vpnclient.totals import Totals

T = TypeVar("T")

BAD_HEADERS_EVERY = 60.0  # seconds between two warnings of super-packets whose header lies
STATISTICS_EVERY = 1.0  # seconds between two Statistics events
DISMISSED_AGAIN = 60.0  # seconds
LOGOUT_LIMIT = 5.0  # seconds (Juniper notes, section 9.3)
SHORT_LIFE = 10.0  # seconds: a second link in a row that does not last so long is not renewed at once


class Stop(Enum):
    """How a running session was asked to stop."""

    END = auto()  # end the session at the gateway too
    DETACH = auto()  # keep the session at the gateway: its cookie stays good


class Interrupted(ClientError):
    """Asked to stop before the tunnel was up."""

    code, exit_code = "interrupted", Exit.INTERRUPTED


@dataclass(frozen=True, slots=True)
class Parts:
    """What a session is made of; a test puts doubles in their places."""

    protocol: VpnProtocol
    dialer: Dialer
    host: HostConfig
    open_device: Callable[[str], TunnelDevice]  # by its name; empty: this system's usual one
    carrier: type[Carrier] = Carrier


class Session:
    """One connection, from sign-in to the last clean-up.  `run` once."""

    def __init__(
        self,
        settings: Settings,
        user: User,
        emit: Listener,
        *,
        judge: Judge | None = None,
        ask_passphrase: assembly.AskPassphrase = lambda form_id, prompt: None,
        parts: Parts | None = None,
    ) -> None:
        self._settings, self._emit = settings, emit
        self._user = RememberingUser(user)
        self._parts = parts or Parts(
            protocol=registry.load(settings.protocol),
            dialer=assembly.make_dialer(settings, judge, ask_passphrase, self._warn),
            host=assembly.make_host(settings),
            open_device=assembly.make_device(settings, self._warn),
        )
        self._tun: TunnelDevice | None = None
        self._config: TunnelConfig | None = None
        self._ticket: Ticket | None = None  # the newest; it may have to be logged out
        self._carrier: Carrier | None = None
        self._totals = Totals()
        self._stop: Stop | None = None
        self._stop_event = asyncio.Event()
        self._retry_now = asyncio.Event()
        self._asked = False  # the user wants another link in place of one that carried
        self._last_statistics = 0.0
        self._bad_headers, self._bad_headers_told = 0, -BAD_HEADERS_EVERY
        self._dismissed_at = -DISMISSED_AGAIN
        self._short_lived = 0  # links in a row that ended within SHORT_LIFE

    # --- asked from outside (signal handlers) ---

    def stop(self, how: Stop = Stop.END) -> None:
        """End the session.  A second call changes nothing: the goodbye takes a second at most, and then the host is
        put back, which nothing may cut short.
        """
        if self._stop is None:
            self._stop = how
            self._stop_event.set()
            if self._carrier is not None:
                self._stop_carrier(self._carrier, how)

    @staticmethod
    def _stop_carrier(carrier: Carrier, how: Stop) -> None:
        goodbye = "user disconnect" if how is Stop.END else None
        carrier.stop(Outcome(Why.ASKED, "asked to stop"), goodbye=goodbye)

    def reconnect(self) -> None:
        """Drop the link and connect again at once."""
        self._retry_now.set()
        if self._carrier is not None:
            self._asked = True
            self._carrier.stop(Outcome(Why.RENEW, "asked to reconnect"))

    def report(self) -> None:
        """Emit the statistics now."""
        self._emit_statistics(time.monotonic())

    # --- the life ---

    async def run(self) -> Exit:
        """Sign in, connect and carry packets until the end; never raises for what `explain` knows."""
        try:
            await self._run()
        except ClientError as exc:
            return self._closed(exc)
        except (ProtocolError, TransportError, OSError) as exc:
            return self._closed(exc)
        self._emit(StateChanged(State.CLOSED, "disconnected"))
        return Exit.OK

    async def sign_in(self) -> Ticket:
        """Only the sign-in: a ticket, from the cookie given or by asking.  Raises what `explain` knows."""
        cookie = self._settings.cookie
        if cookie is not None:
            try:
                self._ticket = self._parts.protocol.ticket_from_cookie(self._settings.url, cookie)
            except MalformedAnswer as exc:  # of the user, not of a gateway
                raise UsageError(f"the cookie given: {exc}", hint="sign in again with --authenticate") from exc
            return self._ticket
        self._emit(StateChanged(State.SIGNING_IN))
        http = self._http()
        try:
            options = assembly.sign_in_options(self._settings)
            self._ticket = await self._parts.protocol.authenticate(http, self._user, options)
            return self._ticket
        finally:
            await http.close()

    def _http(self) -> HttpClient:
        return assembly.make_http(self._settings, self._parts.dialer, lambda text: self._note(text, "debug"))

    async def _run(self) -> None:
        require_network_admin(self._settings)
        self._warn_all(await to_the_end(self._parts.host.recover))
        # Netlink takes a while to load: meanwhile the gateway answers.
        warm_up = asyncio.ensure_future(asyncio.to_thread(self._parts.host.warm_up))
        try:
            await self._live()
        except SessionEnded:
            await self._log_out(self._note)  # some gateways want it even then; most know nothing of it any more
            raise
        finally:
            await asyncio.wait({warm_up})
            if self._stop is Stop.END:
                await self._log_out(self._warn)

    async def _live(self) -> None:
        ticket = await self._unless_stopped(self.sign_in())
        self._emit(StateChanged(State.CONNECTING))
        tunnel = await self._unless_stopped(self._open(ticket))
        if slow := slowness(tunnel.framing):
            self._note(slow)
        try:
            await self._configure(tunnel)
            await self._keep(ticket, tunnel)
        finally:
            await self._clean_up()

    async def _open(self, ticket: Ticket) -> Tunnel:
        held = self._config.addresses if self._config else ()
        options = assembly.tunnel_options(self._settings, held, asked=self._asked)
        tunnel = await self._parts.protocol.connect(self._parts.dialer, ticket, options, time.monotonic())
        self._asked = False
        if tunnel.stream is not None:
            info = tunnel.stream.info
            self._emit(TlsEstablished(tunnel.stream.peername, info.version, info.cipher, info.pin))
        self._warn_all(tunnel.config.warnings)
        return tunnel

    async def _configure(self, tunnel: Tunnel) -> None:
        self._emit(StateChanged(State.CONFIGURING))
        if tunnel.config.banner:
            self._emit(Banner(tunnel.config.banner))
        try:
            interface = self._settings.interface
            self._warn_all(await to_the_end(lambda: self._parts.host.prepare(self._plan(tunnel, interface))))
            device = await to_the_end(lambda: self._open_device(interface))
            plan = self._plan(tunnel, device.name)
            self._applied(plan, await to_the_end(lambda: self._parts.host.apply(plan)))
        except BaseException:
            await _close(tunnel)
            raise

    def _open_device(self, interface: str) -> TunnelDevice:
        """It is kept, and so closed in the end, even if nobody waits for it any more."""
        self._tun = self._parts.open_device(interface)
        return self._tun

    async def _reconfigure(self, tunnel: Tunnel) -> None:
        """After a reconnect: only what differs is changed, and only then it is told again."""
        assert self._tun is not None
        plan = self._plan(tunnel, self._tun.name)
        changed = tunnel.config != self._config
        applied = await to_the_end(lambda: self._parts.host.update(plan))
        if changed:
            self._applied(plan, applied)

    def _plan(self, tunnel: Tunnel, interface: str) -> HostPlan:
        return HostPlan(
            interface=interface,
            config=tunnel.config,
            gateways=_numeric(_peer_host(tunnel)),
            profile=assembly.profile_name(self._settings),
            ipv6=self._settings.ipv6,
            dns=self._settings.dns,
            default_route=self._settings.default_route,
        )

    def _applied(self, plan: HostPlan, applied: Applied) -> None:
        self._config = plan.config
        self._warn_all(applied.warnings)
        self._emit(_configured(plan.interface, plan.config, applied))

    async def _keep(self, ticket: Ticket, tunnel: Tunnel) -> None:
        """Carry packets over one link after the other until somebody wants it to end."""
        while True:
            began = time.monotonic()
            outcome = await self._carry(tunnel)
            match outcome.why:
                case Why.ASKED:
                    return
                case Why.ENDED:
                    raise SessionEnded(outcome.reason, hint="connect again to sign in anew")
                case Why.DEVICE_GONE:
                    raise HostError(outcome.reason, hint="something else removed the interface; connect again")
            self._emit(StateChanged(State.RECONNECTING, outcome.reason))
            try:
                judgement = self._judgement(outcome)
                await self._slow_down(outcome, time.monotonic() - began)
                ticket, tunnel = await self._reconnect(ticket, judgement)
            except Interrupted:
                return
            self._totals.reconnects += 1

    async def _carry(self, tunnel: Tunnel) -> Outcome:
        assert self._tun is not None
        try:
            hooks = Hooks(warn=self._warn, tick=self._on_tick, channel=self._on_channel, mtu=self._on_mtu)
            carrier = self._parts.carrier(self._tun, tunnel, hooks)
        except BaseException:
            await _close(tunnel)
            raise
        self._carrier = carrier
        self._retry_now.clear()
        self._totals.begin(time.monotonic())
        if self._stop is not None:  # while the host was configured: the gateway must hear of it all the same
            self._stop_carrier(carrier, self._stop)
        else:
            self._emit(StateChanged(State.CONNECTED))
        try:
            return await carrier.run()
        finally:
            self._carrier = None
            self._totals.fold(carrier.stats(), carrier.counters())
            self._emit_statistics(time.monotonic())

    # --- reconnecting ---

    async def _slow_down(self, outcome: Outcome, lasted: float) -> None:
        """A gateway that opens tunnels only to drop them must not make us spin: wait, a little longer each time."""
        if outcome.why is Why.RENEW:
            return  # planned, or wanted by the user
        self._short_lived = self._short_lived + 1 if lasted < SHORT_LIFE else 0
        if self._short_lived > 1:
            wait = min((self._short_lived - 1) * STEP, LONGEST)
            await self._wait(0, jittered(wait, random.random()), outcome.reason)

    def _judgement(self, outcome: Outcome) -> SessionEnded | None:
        """What a refused ticket means now: that the gateway has ended the session, if it said so without a reason.

        Twice in a short time is no restart: somebody else uses the ticket, and taking it back would never end.
        """
        if outcome.why is not Why.DISMISSED:
            return None
        ended = SessionEnded(outcome.reason, hint="connect again to sign in anew")
        now = time.monotonic()
        if now - self._dismissed_at < DISMISSED_AGAIN:
            raise ended
        self._dismissed_at = now
        return ended

    async def _reconnect(self, ticket: Ticket, dismissed: SessionEnded | None) -> tuple[Ticket, Tunnel]:
        """Try until it works or the budget is spent; raises the last error then.

        dismissed: raised if the very first attempt finds the gateway there, and refusing the ticket.
        """
        gateways = await self._moved_gateways(ticket)
        schedule = waits(self._settings.reconnect_timeout)
        attempts = Attempts(can_sign_in=self._settings.cookie is None)
        while True:
            self._warn_all(await to_the_end(lambda: self._parts.host.before_reconnect(gateways)))
            try:
                if attempts.expired is not None:
                    ticket = await self._sign_in_again(attempts.expired)
                    attempts.signed_in()
                return ticket, await self._unless_stopped(self._reopen(ticket))
            except (TransportError, ProtocolError) as exc:
                if attempts.hopeless(exc):
                    raise
                if dismissed and attempts.number == 1 and isinstance(exc, CookieRejected | GatewayUnavailable):
                    raise dismissed from exc
                if attempts.wants_sign_in_now(exc):
                    continue
                wait = next(schedule, None)
                if wait is None:
                    raise
                failure = exc
            await self._wait(attempts.number, jittered(wait, random.random()), str(failure))

    async def _moved_gateways(self, ticket: Ticket) -> tuple[Address, ...]:
        """With dynamic DNS: the addresses that will be tried now; they need a way outside the tunnel first."""
        if self._config is None or not self._config.dynamic_dns:
            return ()
        parts = urlsplit(ticket.connect_url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
        self._parts.dialer.forget(host)
        try:
            found = await self._unless_stopped(self._parts.dialer.addresses(host, port))
        except TransportError:
            return ()  # the address that worked before is tried again
        return tuple(address for text in found for address in _numeric(text))

    async def _reopen(self, ticket: Ticket) -> Tunnel:
        tunnel = await self._open(ticket)
        try:
            await self._reconfigure(tunnel)
        except BaseException:
            await _close(tunnel)
            raise
        return tunnel

    async def _sign_in_again(self, cause: ProtocolError) -> Ticket:
        """The cookie is dead: use what the user answered before; raises the cause if that is not enough."""
        self._note("the session has expired at the gateway: signing in again")
        self._user.replay()
        try:
            return await self._unless_stopped(self.sign_in())
        except InputRequired:
            raise cause from None

    async def _wait(self, attempt: int, seconds: float, reason: str) -> None:
        self._emit(RetryScheduled(attempt, round(seconds, 1), reason))
        waiters = [asyncio.ensure_future(event.wait()) for event in (self._stop_event, self._retry_now)]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        self._retry_now.clear()
        if self._stop is not None:
            raise Interrupted("asked to stop")

    # --- the end ---

    async def _clean_up(self) -> None:
        try:
            self._emit(StateChanged(State.CLOSING))
        finally:  # even if a listener fails
            warnings = await to_the_end(self._parts.host.undo)
            if self._tun is not None:
                self._tun.close()
        self._warn_all(warnings)

    async def _log_out(self, tell: Callable[[str], None]) -> None:
        """After the host is as it was: nothing waits for this but the end of the program."""
        ticket, self._ticket = self._ticket, None
        if ticket is None or not isinstance(self._parts.protocol, LogsOut):
            return
        http = self._http()
        try:
            async with asyncio.timeout(LOGOUT_LIMIT):
                await self._parts.protocol.logout(http, ticket)
        except TimeoutError:
            tell(f"the session may still be open at the gateway: no answer to the logout within {LOGOUT_LIMIT:.0f} s")
        except (ProtocolError, TransportError, OSError) as exc:
            tell(f"the session may still be open at the gateway: the logout failed: {exc}")
        finally:
            await http.close()

    def _closed(self, error: Exception) -> Exit:
        failure = explain(error)
        if not isinstance(error, Interrupted):
            self._emit(Failed(failure.code, failure.text, failure.hint, int(failure.exit_code)))
        self._emit(StateChanged(State.CLOSED, failure.text))
        return failure.exit_code

    async def _unless_stopped(self, work: Coroutine[None, None, T]) -> T:
        """The work's result; Interrupted if a stop is asked for first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop_event.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted("asked to stop")
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, ProtocolError, TransportError):
                    await task

    # --- telling ---

    def _on_tick(self, stats: PumpStats) -> None:
        now = time.monotonic()
        self._totals.current = stats
        if 0 < stats.tun_bad_vnet != self._bad_headers and now >= self._bad_headers_told + BAD_HEADERS_EVERY:
            self._bad_headers, self._bad_headers_told = stats.tun_bad_vnet, now
            self._warn("the kernel describes packets wrongly; they are dropped (try --no-offload, and report it)")
        if now - self._last_statistics >= STATISTICS_EVERY:
            self._emit_statistics(now)

    def _on_channel(self, name: str, detail: str) -> None:
        self._emit(ChannelChanged(name, detail))

    def _on_mtu(self, mtu: int) -> None:
        """The datagram channel carries less than the gateway said, or more again."""
        if self._tun is None or self._config is None or self._config.mtu == mtu:
            return
        self._note(f"the tunnel carries packets of at most {mtu} bytes now")
        self._config = replace(self._config, mtu=mtu)
        try:
            self._tun.set_mtu(mtu)
        except DeviceError as exc:
            self._warn(str(exc))

    def _emit_statistics(self, now: float) -> None:
        self._last_statistics = now
        counters = self._carrier.counters() if self._carrier is not None else {}
        self._emit(self._totals.statistics(now, counters))

    def _warn(self, text: str) -> None:
        self._emit(Warned(text))

    def _warn_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._warn(text)

    def _note(self, text: str, level: str = "info") -> None:
        self._emit(Noted(text, level))


async def _close(tunnel: Tunnel) -> None:
    """One that is not carried."""
    if tunnel.stream is not None:
        await tunnel.stream.close()
    if tunnel.link is not None:
        tunnel.link.close()


def _peer_host(tunnel: Tunnel) -> str:
    """Numeric address of what the tunnel's packets go to."""
    if tunnel.stream is not None:
        return tunnel.stream.peer_host
    assert tunnel.link is not None, "a tunnel has a stream or a link"
    return tunnel.link.description.host


def _numeric(host: str) -> tuple[Address, ...]:
    try:
        return (ip_address(host.partition("%")[0]),)
    except ValueError:
        return ()


def _configured(interface: str, config: TunnelConfig, applied: Applied) -> Configured:
    return Configured(
        interface=interface,
        addresses=tuple(str(address) for address in config.addresses),
        mtu=config.mtu,
        routes=applied.routes,
        excluded=applied.excluded,
        dns=applied.dns,
        search_domains=applied.search_domains,
        dns_backend=applied.dns_backend,
    )
