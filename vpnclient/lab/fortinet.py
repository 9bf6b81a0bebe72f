"""The Fortinet side of the lab gateway: requests in, pages out.

    / --redirect or script--> /remote/login: page      POST /remote/logincheck: password ----> cookie -> XML -> PPP
                                                            ^  | wrong: 405   | second factor: a line or a page
                                                            +--+              +--> POST code ----> cookie
    by UDP: DTLS --hello with a cookie whose XML was fetched--> PPP
Source: fortinet.md sections 3 to 6, 8 and 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_bytes
from urllib.parse import quote

from protocols.fortinet import hello
from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import Kind, LcpWishes
from transports.dtls import Version
from vpnclient.lab import fortinet_pages as pages
from vpnclient.lab.fortinet_dtls import CONSENTS, FAIL, HANDSHAKE, HELLOS, HeartbeatServer
from vpnclient.lab.ppp import PppOpening, PppServer
from vpnclient.lab.ppp_dtls import Refusal, Welcome, by_certificate, introduction
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Introduction, OpenTunnel, Page, Request
from vpnclient.lab.store import Exhausted, LabSession, Store, matches

MAX_FAILURES = 3  # wrong codes in one sign-in
MAX_ATTEMPTS = 1000  # sign-ins under way; the oldest is forgotten
ATTEMPT_LIFE = 300.0  # seconds for one sign-in
COOKIE = "SVPNCOOKIE"
LOGIN, LOGIN_CHECK, HOST_CHECK = "/remote/login", "/remote/logincheck", "/remote/hostcheck_validate"
CONFIGURATION, TUNNEL, LOGOUT = "/remote/fortisslvpn_xml", "/remote/sslvpn-tunnel", "/remote/logout"
FRAMING = "ppp-fortinet"
PROMPT = "Enter the code"
HTML, PLAIN, XML = (("Content-Type", f"text/{kind}; charset=utf-8") for kind in ("html", "plain", "xml"))
FORGET = ("Set-Cookie", f" {COOKIE}=; path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly")  # Q3, Q5
REFUSED_OPTIONS = frozenset({Kind.ACCM, Kind.PFC, Kind.ACFC})  # Q3 of the PPP notes


@dataclass(frozen=True, slots=True)
class FortinetVariants:
    """What gateways of this kind do differently.  reconnects: how often a session may come back, -1: always.

    host_check: what a client must say of its computer before it gets a configuration; empty: nothing.
    hello: what becomes of one by DTLS, a name of HELLOS.  heartbeat: seconds between two signs of life by it, 0: none.
    """

    realm: str = ""  # where a sign-in is sent
    script_redirect: bool = False  # ... by a script
    page_challenge: bool = False  # the second factor is a page
    push: bool = False  # it can be approved on a phone, and is
    reconnects: int = -1
    hello: str = "ok"
    heartbeat: int = 10
    host_check: str = ""

    def problems(self) -> list[str]:
        """One text each."""
        wrong = []
        if self.hello not in HELLOS:
            wrong.append(f"--hello: got {self.hello!r}, want one of: {', '.join(HELLOS)}")
        if self.heartbeat < 0:
            wrong.append("--heartbeat: must not be negative")
        return wrong


@dataclass(slots=True)
class Attempt:
    """A sign-in whose password was right."""

    user: str
    expires_at: float
    failures: int = 0


class FortinetSite:
    """token: makes unguessable texts."""

    name = "fortinet"

    def __init__(
        self,
        settings: LabSettings,
        store: Store,
        token: Callable[[], str],
        variants: FortinetVariants | None = None,
    ) -> None:
        self._settings, self._store, self._token = settings, store, token
        self._variants = variants or FortinetVariants()
        self._attempts: dict[str, Attempt] = {}
        self._unchecked: set[str] = set()  # cookies whose host is not checked
        self._configured: set[str] = set()  # cookies whose next tunnel was prepared
        self._port = 0  # of UDP

    def opens_tunnel(self, method: str, target: str) -> bool:
        return method == "GET" and target.partition("?")[0] == TUNNEL

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        path = request.target.partition("?")[0]
        try:
            if request.method == "POST" and path == LOGIN_CHECK:
                return self._on_answer(request, now)
            if request.method == "POST" and path == HOST_CHECK:
                return self._on_host_check(request, now)
            if request.method == "GET":
                return _PAGES.get(path, FortinetSite._on_start)(self, request, now)
        except Exhausted as exc:
            return Page(503, "Service Unavailable", (("X-Reason", str(exc)),))
        except pages.BadForm as exc:
            return Page(400, "Bad Request", (("X-Reason", str(exc)),), close=True)
        return Page(405, "Method Not Allowed", (HTML, ("Allow", "GET, POST")), pages.page("no"), close=True)

    # --- sign-in ---------------------------------------------------------------------------------------------

    def _on_start(self, request: Request, now: float) -> Page:
        realm = self._variants.realm
        if not realm:
            return _ok(HTML, pages.page(), FORGET)
        target = f"{LOGIN}?realm={quote(realm, safe='')}&lang=en"
        if self._variants.script_redirect:
            return _ok(HTML, pages.script_redirect(target), FORGET)
        return Page(302, "Found", (("Location", target), HTML, FORGET), pages.page())

    def _on_login(self, request: Request, now: float) -> Page:
        return _ok(HTML, pages.page(), FORGET)

    def _on_answer(self, request: Request, now: float) -> Page:
        fields = pages.fields_of(request.body)
        if fields.get("realm", "") != self._variants.realm:
            return _denied()
        if "reqid" in fields:
            return self._on_code(request, fields, now)
        user = fields.get("username", "")
        if not matches(self._settings.users.get(user), fields.get("credential", "")):
            return _denied()
        if self._settings.challenge is None and not self._variants.push:
            return self._finish(user, now)
        return self._ask(self._new_attempt(user, now))

    def _on_code(self, request: Request, fields: dict[str, str], now: float) -> Page:
        name = fields["reqid"]
        attempt = self._attempts.get(name)
        if attempt is None or now >= attempt.expires_at or fields.get("username") != attempt.user:
            return _denied()
        if self._is_right(request.body, fields, name):
            del self._attempts[name]
            return self._finish(attempt.user, now)
        attempt.failures += 1
        if attempt.failures >= MAX_FAILURES:
            del self._attempts[name]
        return _denied()

    def _is_right(self, body: bytes, fields: dict[str, str], name: str) -> bool:
        if self._variants.push and fields.get("ftmpush") == "1":
            return "magic" not in fields  # Q9
        if fields.get("magic") != f"1-{name}":
            return False
        if not self._variants.page_challenge and not body.endswith(f"&magic=1-{name}".encode()):
            return False  # Q9
        key = "credential" if self._variants.page_challenge else "code"
        return matches(self._settings.challenge, fields.get(key, ""))

    def _ask(self, name: str) -> Page:
        if self._variants.page_challenge:
            body = pages.page_challenge(self._attempts[name].user, name, PROMPT)
            return Page(401, "Authorization Required", (HTML,), body)
        return _ok(PLAIN, pages.line_challenge(name, PROMPT, push=self._variants.push))

    def _finish(self, user: str, now: float) -> Page:
        session = self._store.add(user, self._variants.realm, now)
        cookie = ("Set-Cookie", f"{COOKIE}={session.cookie}; path=/; secure; httponly")
        if self._variants.host_check:
            self._unchecked.add(session.cookie)
            return _ok(HTML, pages.host_check(HOST_CHECK), cookie)
        return _ok(PLAIN, b"ret=1,redir=/remote/index", cookie)

    def _on_host_check(self, request: Request, now: float) -> Page:
        session = self._session_of(request, now)
        if session is None:
            return _denied()
        self._unchecked.discard(session.cookie)
        if pages.fields_of(request.body).get("hostcheck") != self._variants.host_check:
            self._store.drop(session)
            return _ok(HTML, pages.page("no"), FORGET)
        return _ok(HTML, pages.page())

    def _new_attempt(self, user: str, now: float) -> str:
        for name in [name for name, known in self._attempts.items() if now >= known.expires_at]:
            del self._attempts[name]
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        name = self._token()
        self._attempts[name] = Attempt(user, now + ATTEMPT_LIFE)
        return name

    # --- configuration ---------------------------------------------------------------------------------------

    def _on_configuration(self, request: Request, now: float) -> Page:
        session = self._session_of(request, now)
        if session is None or session.cookie in self._unchecked:
            return Page(403, "Forbidden", (HTML,), pages.page("no"))
        allowed = self._variants.reconnects
        spent = 0 <= allowed < session.connected
        if not spent:
            self._configured.add(session.cookie)
        lifetime = int(session.expires_at - now) if self._settings.session_timeout else 0
        told = pages.Told(dtls=self._settings.udp and self._port > 0, may_return=allowed != 0, lifetime=lifetime)
        return _ok(XML, pages.configuration(self._settings, session, told, spent=spent))

    def _on_old_configuration(self, request: Request, now: float) -> Page:
        return Page(403, "Forbidden", (HTML,), pages.page("no"))

    def _on_logout(self, request: Request, now: float) -> Page:
        session = self._session_of(request, now)
        if session is not None:
            self._store.drop(session)
            self._configured.discard(session.cookie)
        return _ok(HTML, pages.page("logged out"), FORGET)

    def _session_of(self, request: Request, now: float) -> LabSession | None:
        return self._store.find(request.cookies().get(COOKIE, ""), now)

    # --- tunnel ----------------------------------------------------------------------------------------------

    def _on_tunnel(self, request: Request, now: float) -> Page | OpenTunnel:
        """Success is silence (Q1), and only once the configuration was fetched for it (section 8)."""
        session = self._session_of(request, now)
        if session is None or session.cookie not in self._configured:
            return Page(403, "Forbidden", (HTML,), pages.page("no"), close=True)
        self._configured.discard(session.cookie)
        engine = Engine(self.wishes(session), token_bytes, now)
        return OpenTunnel(
            *(session, "", (), FRAMING, self._settings.mtu),
            controller=PppServer(engine, expires_at=session.expires_at),
            opening=PppOpening(FRAMING, engine),
            head=b"",
        )

    def listens(self, port: int) -> None:
        self._port = port

    def on_datagram(self, first: bytes, now: float) -> Introduction | None:
        """A new UDP peer: a ClientHello names nobody."""
        if not self._settings.udp or self._variants.hello == "mute" or first[:1] != bytes([HANDSHAKE]):
            return None
        return introduction(self.on_hello, by_certificate(Version.DTLS12))

    def on_hello(self, first: bytes, now: float) -> Welcome | Refusal:
        """The first record of an association.  A tunnel by TLS needs another configuration, whatever comes of this."""
        session = self._store.find(hello.cookie_of(first), now)
        if session is None or session.cookie not in self._configured:
            return Refusal("no session has this cookie, or its configuration was not fetched", FAIL)
        self._configured.discard(session.cookie)
        if self._variants.hello == "fail":
            return Refusal("as --hello fail wants it", FAIL)
        engine = Engine(self.wishes(session), token_bytes, now)
        every = self._variants.heartbeat
        controller = HeartbeatServer(engine, expires_at=session.expires_at, every=every, now=now)
        return Welcome(
            *(session, FRAMING, engine, controller, self._settings.mtu), answer=CONSENTS[self._variants.hello]
        )

    def wishes(self, session: LabSession) -> Wishes:
        own6, peer6 = self._store.gateway_v6, session.v6
        return Wishes(
            lcp=LcpWishes(refused=REFUSED_OPTIONS),  # the request has a magic number alone (Q7 of the PPP notes)
            ipcp=IpcpWishes(address=self._store.gateway_v4, peer=session.v4.ip),
            ip6cp=Ip6cpWishes(own6.packed[8:], peer6.ip.packed[8:]) if own6 and peer6 else None,
            dpd=self._settings.dpd,
        )


def _ok(kind: tuple[str, str], body: bytes, *headers: tuple[str, str]) -> Page:
    return Page(200, "OK", (kind, ("Cache-Control", "no-store"), *headers), body)


def _denied() -> Page:
    """The status's name is misleading (Q2)."""
    return Page(405, "Method Not Allowed", (HTML,), pages.page("Permission denied"))


_PAGES: dict[str, Callable[[FortinetSite, Request, float], Page | OpenTunnel]] = {
    LOGIN: FortinetSite._on_login,
    CONFIGURATION: FortinetSite._on_configuration,
    "/remote/fortisslvpn": FortinetSite._on_old_configuration,
    LOGOUT: FortinetSite._on_logout,
    TUNNEL: FortinetSite._on_tunnel,
}
