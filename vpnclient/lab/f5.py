"""The F5 side of the lab gateway: requests in, pages out.

    / -> /my.policy: form ----> [second factor] ----> [hidden form] ----> two cookies -> list, options, /myvpn -> PPP
              ^  | wrong                 | wrong
              +--+--- at most MAX_FAILURES, then the way out
    ClientHello -> DTLS with the gateway's certificate -> /myvpn as a record -> its answer -> PPP
Source: f5.md sections 3 to 8 and 11.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from ipaddress import IPv4Address
from secrets import token_bytes

from protocols.ppp.engine import Engine, Wishes
from protocols.ppp.ip6cp import Ip6cpWishes
from protocols.ppp.ipcp import IpcpWishes
from protocols.ppp.lcp import LcpWishes
from transports.dtls import Version
from vpnclient.lab import f5_pages as pages
from vpnclient.lab.ppp import PppOpening, PppServer
from vpnclient.lab.ppp_dtls import Refusal, Welcome, by_certificate, introduction
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Headers, Introduction, OpenTunnel, Page, Request
from vpnclient.lab.store import Exhausted, LabSession, Store, matches

MAX_FAILURES = 3  # wrong answers in one sign-in
MAX_ATTEMPTS = 1000  # sign-ins under way; the oldest is forgotten
ATTEMPT_LIFE = 300.0  # seconds for one sign-in
COOKIE, TIMES = "MRHSession", "F5_ST"
POLICY, LOGOUT, HANGUP = "/my.policy", "/my.logout.php3", "/vdesk/hangup.php3"
TUNNEL_PATH = "/myvpn"
HTML, XML = ("Content-Type", "text/html; charset=utf-8"), ("Content-Type", "text/xml; charset=utf-8")


class Step(Enum):
    PASSWORD = "password"
    CODE = "code"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class F5Variants:
    """What gateways of this kind do differently."""

    hdlc: bool = False  # HDLC-like framing
    hidden_form: bool = False  # one more step, which asks for nothing
    script_form: bool = False  # the first form is in a script
    dtls_10: bool = False  # DTLS 1.0 alone, as before BIG-IP 16
    lost_answer: bool = False  # by DTLS: PPP begins at once
    mute: bool = False  # DTLS is offered, nobody answers


@dataclass(slots=True)
class Attempt:
    """A sign-in under way."""

    token: str
    expires_at: float
    step: Step = Step.PASSWORD
    user: str = ""
    group: str = ""
    failures: int = 0


class F5Site:
    """token: makes unguessable texts.  wall: Unix seconds."""

    name = "f5"

    def __init__(
        self,
        settings: LabSettings,
        store: Store,
        token: Callable[[], str],
        variants: F5Variants | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._store, self._token = settings, store, token
        self._variants, self._wall = variants or F5Variants(), wall
        self._attempts: dict[str, Attempt] = {}
        self._udp_port = 0

    def listens(self, port: int) -> None:
        """The UDP port of the gateway."""
        self._udp_port = port

    def opens_tunnel(self, method: str, target: str) -> bool:
        return method == "GET" and target.partition("?")[0] == TUNNEL_PATH

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        path = request.target.partition("?")[0]
        try:
            if request.method == "POST" and path == POLICY:
                return self._on_answer(request, now)
            handler = _PAGES.get(path)
            if request.method == "GET" and handler is not None:
                return handler(self, request, now)
        except Exhausted as exc:
            return Page(503, "Service Unavailable", (("X-Reason", str(exc)),))
        except pages.BadForm as exc:
            return Page(400, "Bad Request", (("X-Reason", str(exc)),), close=True)
        if request.method in ("GET", "POST"):
            return Page(404, "Not Found")
        return Page(405, "Method Not Allowed", (("Allow", "GET, POST"),), close=True)

    # --- sign-in ---------------------------------------------------------------------------------------------

    def _on_root(self, request: Request, now: float) -> Page:
        attempt = self._new_attempt(now)
        return self._redirect(POLICY, _cookie("LastMRH_Session", "11"), _cookie(COOKIE, attempt.token))

    def _on_policy(self, request: Request, now: float) -> Page:
        attempt = self._attempt_of(request, now)
        if attempt is None:  # without a cookie of this sign-in: begin one
            attempt = self._new_attempt(now)
            return self._html(self._form(attempt, ""), _cookie(COOKIE, attempt.token))
        return self._html(self._form(attempt, ""))

    def _on_answer(self, request: Request, now: float) -> Page:
        attempt = self._attempt_of(request, now)
        if attempt is None:
            return self._redirect(f"{LOGOUT}?errorcode=20")
        fields = pages.fields_of(request.body)
        match attempt.step:
            case Step.PASSWORD:
                return self._on_password(attempt, fields, now)
            case Step.CODE:
                if not matches(self._settings.challenge, fields.get("otp_password", "")):
                    return self._failed(attempt, "The code is not correct.")
                return self._behind_code(attempt, now)
            case Step.HIDDEN:
                return self._finish(attempt, now)

    def _on_password(self, attempt: Attempt, fields: dict[str, str], now: float) -> Page:
        user, group = fields.get("username", ""), fields.get("domain", "")
        right = matches(self._settings.users.get(user), fields.get("password", ""))
        if not right or (fields.get("vhost") != "standard" and not self._variants.script_form):
            return self._failed(attempt, "The username or password is not correct.")
        if self._settings.groups and group not in self._settings.groups:
            return self._failed(attempt, "There is no such group.")
        attempt.user, attempt.group = user, group
        if self._settings.challenge is None:
            return self._behind_code(attempt, now)
        attempt.step = Step.CODE
        return self._html(self._form(attempt, ""))

    def _behind_code(self, attempt: Attempt, now: float) -> Page:
        if not self._variants.hidden_form:
            return self._finish(attempt, now)
        attempt.step = Step.HIDDEN
        return self._html(self._form(attempt, ""))

    def _finish(self, attempt: Attempt, now: float) -> Page:
        del self._attempts[attempt.token]
        session = self._store.add(attempt.user, attempt.group, now)
        times = f"1z1z1z{int(self._wall())}z{int(session.expires_at - now)}"
        return self._redirect("/vdesk/webtop.eui", _cookie(COOKIE, session.cookie), _cookie(TIMES, times))

    def _failed(self, attempt: Attempt, message: str) -> Page:
        attempt.failures += 1
        if attempt.failures < MAX_FAILURES:
            return self._html(self._form(attempt, message))
        del self._attempts[attempt.token]
        return self._redirect(f"{LOGOUT}?errorcode=19", _cookie(COOKIE, ""))

    def _form(self, attempt: Attempt, message: str) -> bytes:
        match attempt.step:
            case Step.CODE:
                return pages.second_factor(message)
            case Step.HIDDEN:
                return pages.hidden_step()
        return pages.script(self._settings) if self._variants.script_form else pages.sign_in(self._settings, message)

    def _new_attempt(self, now: float) -> Attempt:
        for token in [token for token, known in self._attempts.items() if now >= known.expires_at]:
            del self._attempts[token]
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        attempt = Attempt(self._token(), now + ATTEMPT_LIFE)
        self._attempts[attempt.token] = attempt
        return attempt

    def _attempt_of(self, request: Request, now: float) -> Attempt | None:
        attempt = self._attempts.get(request.cookies().get(COOKIE, ""))
        return attempt if attempt is not None and now < attempt.expires_at else None

    # --- configuration ---------------------------------------------------------------------------------------

    def _on_webtop(self, request: Request, now: float) -> Page:
        return self._html(pages.webtop())

    def _on_list(self, request: Request, now: float) -> Page:
        if self._session_of(request, now) is None:
            return self._redirect(POLICY)
        return self._page(XML, pages.profiles())

    def _on_options(self, request: Request, now: float) -> Page:
        session = self._session_of(request, now)
        if session is None:
            return self._redirect(POLICY)
        offer = pages.Offer(
            session=session.cookie,
            ipv6=session.v6 is not None,
            hdlc=self._variants.hdlc,
            udp_port=self._udp_port if self._settings.udp else 0,
            dtls_12=not self._variants.dtls_10,
        )
        return self._page(XML, pages.options(self._settings, offer))

    def _on_logout(self, request: Request, now: float) -> Page:
        session = self._session_of(request, now)
        if session is not None:
            self._store.drop(session)
        return self._page(HTML, pages.webtop(), _cookie(COOKIE, ""))

    def _session_of(self, request: Request, now: float) -> LabSession | None:
        return self._store.find(request.cookies().get(COOKIE, ""), now)

    # --- tunnel ----------------------------------------------------------------------------------------------

    def _on_tunnel(self, request: Request, now: float) -> Page | OpenTunnel:
        """No cookie comes with it (section 6)."""
        asked = _asked(request.target)
        session = self._asking(asked, now)
        if session is None:
            return Page(504, "Gateway Timeout", close=True)
        framing = "ppp-f5" if asked.get("hdlc_framing") == "no" else "ppp-f5-hdlc"  # Q12
        engine, told = self._ppp(session, asked, now)
        return OpenTunnel(
            *(session, "OK", told, framing, self._settings.mtu),
            controller=PppServer(engine, expires_at=session.expires_at),
            opening=PppOpening(framing, engine),
        )

    def on_datagram(self, first: bytes, now: float) -> Introduction | None:
        """Any first datagram may be a ClientHello; whose it is, the first record says (section 7)."""
        if not self._settings.udp or self._variants.mute:
            return None
        version = Version.DTLS10 if self._variants.dtls_10 else Version.DTLS12
        return introduction(self._on_record, by_certificate(version))

    def _on_record(self, record: bytes, now: float) -> Welcome | Refusal:
        """The same request as over TLS."""
        method, _, rest = record.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        target, _, _ = rest.rpartition(" ")
        asked = _asked(target)
        session = self._asking(asked, now) if self.opens_tunnel(method, target) else None
        if session is None or asked.get("hdlc_framing") != "no":
            return Refusal("its request names no session", b"HTTP/1.0 504 Gateway Timeout\r\n\r\n")
        engine, told = self._ppp(session, asked, now)
        head = "".join(f"{name}: {value}\r\n" for name, value in told)
        return Welcome(
            *(session, "ppp-f5", engine, PppServer(engine, expires_at=session.expires_at), self._settings.mtu),
            answer=b"" if self._variants.lost_answer else f"HTTP/1.0 200 OK\r\n{head}\r\n".encode(),
        )

    def _asking(self, asked: Mapping[str, str], now: float) -> LabSession | None:
        """Whose request for a tunnel it is."""
        return self._store.find(asked.get("sess", ""), now) if asked.get("Z") == pages.Z else None

    def _ppp(self, session: LabSession, asked: Mapping[str, str], now: float) -> tuple[Engine, Headers]:
        """PPP for a tunnel, and the headers of the answer."""
        ipv6 = session.v6 is not None and asked.get("ipv6") == "yes"
        return Engine(self._wishes(session, ipv6=ipv6), token_bytes, now), self._told(session, ipv6=ipv6)

    def _wishes(self, session: LabSession, *, ipv6: bool) -> Wishes:
        own6, peer6 = self._store.gateway_v6, session.v6
        ip6cp = Ip6cpWishes(own6.packed[8:], peer6.packed[8:]) if ipv6 and own6 and peer6 else None
        dns = tuple(server for server in self._settings.dns if isinstance(server, IPv4Address))
        return Wishes(
            lcp=LcpWishes(mru=self._settings.mtu, accm=0, compression=True),  # Q7
            ipcp=IpcpWishes(address=self._store.gateway_v4, peer=session.v4.ip, dns=dns),
            ip6cp=ip6cp,
            dpd=self._settings.dpd,
        )

    def _told(self, session: LabSession, *, ipv6: bool) -> Headers:
        headers = [
            ("Content-Length", "0"),
            ("X-VPN-client-IP", str(session.v4.ip)),
            ("X-VPN-server-IP", str(self._store.gateway_v4)),
        ]
        if ipv6 and session.v6 is not None:
            headers += [("X-VPN-client-IPv6", str(session.v6.ip)), ("X-VPN-server-IPv6", str(self._store.gateway_v6))]
        return tuple(headers)

    # --- answers ---------------------------------------------------------------------------------------------

    def _html(self, body: bytes, *headers: tuple[str, str]) -> Page:
        return self._page(HTML, body, *headers)

    def _page(self, kind: tuple[str, str], body: bytes, *headers: tuple[str, str]) -> Page:
        return Page(200, "OK", (kind, self._date(), ("Cache-Control", "no-store"), *headers), body)

    def _redirect(self, location: str, *headers: tuple[str, str]) -> Page:
        return Page(302, "Found", (("Location", location), self._date(), *headers))

    def _date(self) -> tuple[str, str]:
        return "Date", formatdate(self._wall(), usegmt=True)


def _asked(target: str) -> dict[str, str]:
    """What a request for a tunnel says of itself."""
    pairs = (part.partition("=") for part in target.partition("?")[2].split("&"))
    return {name: value for name, _, value in pairs}


def _cookie(name: str, value: str) -> tuple[str, str]:
    return "Set-Cookie", f"{name}={value}; path=/; secure"


_PAGES: dict[str, Callable[[F5Site, Request, float], Page | OpenTunnel]] = {
    "/": F5Site._on_root,
    POLICY: F5Site._on_policy,
    LOGOUT: F5Site._on_webtop,
    "/vdesk/webtop.eui": F5Site._on_webtop,
    "/vdesk/vpn/index.php3": F5Site._on_list,
    "/vdesk/vpn/connect.php3": F5Site._on_options,
    HANGUP: F5Site._on_logout,
    TUNNEL_PATH: F5Site._on_tunnel,
}
