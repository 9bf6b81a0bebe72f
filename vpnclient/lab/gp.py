"""The GlobalProtect side of the lab gateway: portal and gateway in one, requests in, pages out.

    portal   prelogin -> login [-> challenge] -> gateways, a portal cookie
    gateway  prelogin -> login [-> challenge] -> session -> getconfig -> host report -> GET -> tunnel
             logout: the session is over

Source: globalprotect.md section 17.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from vpnclient.lab import gp_xml as xml
from vpnclient.lab.gp_esp import CIPHERS, MACS, EspServer, Keys, spi_of
from vpnclient.lab.gp_tunnel import FRAMING, START, GpstServer
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import OpenDatagrams, OpenTunnel, Page, Request
from vpnclient.lab.store import Exhausted, LabSession, Store, matches

MAX_ATTEMPTS = 1000  # challenges and portal cookies under way; the oldest is forgotten
ATTEMPT_LIFE = 300.0  # seconds for one sign-in
CHALLENGES = ("xml", "js", "html")
PLACES = ("portal", "gateway")
HIP = ("", "ask", "require")
TYPE = ("Content-Type", "application/xml; charset=UTF-8")
_MD5_SUM = re.compile(r"<md5-sum>([0-9a-f]{32})</md5-sum>")


@dataclass(frozen=True, slots=True)
class Variants:
    """What only GlobalProtect has.

    without: portal or gateway, if that is not there.  gateways: labels of others that the portal names, which do not
    exist.  challenge: how the second factor is asked for.  hip: ask for a host report, or refuse the tunnel without.
    """

    without: str = ""
    gateways: tuple[str, ...] = ()
    challenge: str = "xml"
    challenge_at: str = "portal"
    portal_cookie: bool = True
    hip: str = ""
    hip_interval: int = 3600  # seconds
    tell_mtu: bool = False  # real gateways leave it to the client (Q4)
    cipher: str = "aes-128-cbc"
    mac: str = "sha1"
    mute: bool = False  # tell of ESP, but answer nothing

    def problems(self) -> list[str]:
        """What is wrong, one text each."""
        choices = (
            ("--without", self.without, ("", *PLACES)),
            ("--challenge-kind", self.challenge, CHALLENGES),
            ("--challenge-at", self.challenge_at, PLACES),
            ("--hip", self.hip, HIP),
            ("--cipher", self.cipher, tuple(CIPHERS)),
            ("--mac", self.mac, tuple(MACS)),
        )
        wrong = [
            f"{name}: got {got!r}, want {' or '.join(filter(None, wanted))}"
            for name, got, wanted in choices
            if got not in wanted
        ]
        return wrong + (["--hip-interval: must be positive"] if self.hip_interval <= 0 else [])


@dataclass(slots=True)
class Attempt:
    """Somebody whose password was right.  cookie: the token is a portal cookie, not a challenge."""

    user: str
    expires_at: float
    cookie: bool


@dataclass(slots=True)
class Member:
    """What the gateway knows of a session besides the store.  told: fields that every request must repeat."""

    session: LabSession
    told: dict[str, str] = field(repr=False)
    keys: Keys | None = None  # of ESP, since the last getconfig and until a tunnel over TLS
    report: str = ""  # md5 of the last host report


class GpSite:
    """token: makes unguessable texts, for cookies and challenges."""

    name = "gp"

    def __init__(
        self, settings: LabSettings, store: Store, token: Callable[[], str], variants: Variants | None = None
    ) -> None:
        self._settings, self._store, self._token = settings, store, token
        self._variants = variants or Variants()
        self._attempts: dict[str, Attempt] = {}
        self._members: dict[str, Member] = {}
        self._port = 0
        self._pages: dict[str, Callable[[Request, float], Page]] = {
            "/global-protect/prelogin.esp": lambda request, now: self._prelogin("portal"),
            "/global-protect/getconfig.esp": lambda request, now: self._login("portal", request, now),
            "/ssl-vpn/prelogin.esp": lambda request, now: self._prelogin("gateway"),
            "/ssl-vpn/login.esp": lambda request, now: self._login("gateway", request, now),
            "/ssl-vpn/getconfig.esp": self._getconfig,
            "/ssl-vpn/hipreportcheck.esp": self._hip_check,
            "/ssl-vpn/hipreport.esp": self._hip_report,
            "/ssl-vpn/logout.esp": self._logout,
        }

    def opens_tunnel(self, method: str, target: str) -> bool:
        return method == "GET" and target.partition("?")[0] == xml.TUNNEL

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        if self.opens_tunnel(request.method, request.target):
            return self._tunnel(request, now)
        page = self._pages.get(request.target.partition("?")[0])
        if page is None:
            return Page(404, "Not Found")
        if request.method != "POST":
            return Page(405, "Method Not Allowed", (("Allow", "POST"),), close=True)
        try:
            return page(request, now)
        except Exhausted as exc:
            return Page(503, "Service Unavailable", (("X-Reason", str(exc)),))
        except xml.BadForm as exc:
            return _refused(f"auth-failed-invalid-user-input: {exc}")

    # --- sign-in ---------------------------------------------------------------------------------------------

    def _prelogin(self, place: str) -> Page:
        return _page(xml.absent(place) if place == self._variants.without else xml.prelogin("Password"))

    def _login(self, place: str, request: Request, now: float) -> Page:
        if place == self._variants.without:
            return _page(xml.absent(place))
        form = xml.parse_form(request.body)
        if form.get("ok") != "Login" or form.get("clientVer") != "4100" or not form.get("computer"):
            return _refused("auth-failed-invalid-user-input")
        user = form.get("user", "")
        by_cookie = self._taken(form.get("portal-userauthcookie", ""), now, cookie=True) if place == "gateway" else ""
        if by_cookie and by_cookie == user:
            return self._signed_in(place, request, form, now)
        if form.get("inputStr"):
            return self._on_challenge(place, request, form, now)
        if not matches(self._settings.users.get(user), form.get("passwd", "")):
            return _refused("auth-failed")
        if self._settings.challenge is not None and place == self._asking():
            return self._challenge(self._remember(user, now, cookie=False))
        return self._signed_in(place, request, form, now)

    def _asking(self) -> str:
        """Where the challenge is: nowhere else than where a sign-in comes through."""
        return "gateway" if self._variants.without == "portal" else self._variants.challenge_at

    def _on_challenge(self, place: str, request: Request, form: dict[str, str], now: float) -> Page:
        token = form["inputStr"]
        known = self._attempts.get(token)
        if known is None or known.cookie or now >= known.expires_at or known.user != form.get("user"):
            return _refused("auth-failed")
        if not matches(self._settings.challenge, form.get("passwd", "")):
            return _refused("auth-failed")
        del self._attempts[token]
        return self._signed_in(place, request, form, now)

    def _challenge(self, token: str) -> Page:
        return _page(xml.challenge(self._variants.challenge, 'Enter the "code"', token))

    def _signed_in(self, place: str, request: Request, form: dict[str, str], now: float) -> Page:
        user = form["user"]
        if place == "portal":
            cookie = self._remember(user, now, cookie=True) if self._variants.portal_cookie else ""
            return _page(xml.policy(self._listed(request), cookie, self._variants.hip_interval))
        session = self._store.add(user, "", now)
        told = {"user": user, "portal": xml.PORTAL, "domain": xml.DOMAIN, "computer": form["computer"]}
        self._members = {cookie: one for cookie, one in self._members.items() if one.session in tuple(self._store)}
        self._members[session.cookie] = Member(session, told)
        return _page(xml.jnlp(session, user))

    def _listed(self, request: Request) -> list[xml.Listed]:
        """Ours is the best and named last: who takes the first entry does not find it."""
        others = [xml.Listed(f"gateway{n}.invalid", label, 2) for n, label in enumerate(self._variants.gateways)]
        return [*others, xml.Listed(request.header("host"), "Lab", 1)]

    def _remember(self, user: str, now: float, *, cookie: bool) -> str:
        for token in [token for token, known in self._attempts.items() if now >= known.expires_at]:
            del self._attempts[token]
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        token = self._token()
        self._attempts[token] = Attempt(user, now + ATTEMPT_LIFE, cookie)
        return token

    def _taken(self, token: str, now: float, *, cookie: bool) -> str:
        known = self._attempts.get(token)
        return known.user if known is not None and known.cookie is cookie and now < known.expires_at else ""

    # --- sessions --------------------------------------------------------------------------------------------

    def _member(self, form: dict[str, str], now: float) -> Member | str:
        """Whose session string this is, or what is wrong with it."""
        session = self._store.find(form.get("authcookie", ""), now)
        member = self._members.get(session.cookie) if session is not None else None
        if member is None:
            return "Invalid authentication cookie"
        wrong = next((name for name, told in member.told.items() if form.get(name) != told), "")
        if wrong == "computer":
            return "Invalid computer"
        return "Matching client config not found" if wrong else member

    def _getconfig(self, request: Request, now: float) -> Page:
        form = xml.parse_form(request.body)
        member = self._member(form, now)
        if isinstance(member, str):
            return _page(xml.REFUSED if member.startswith("Invalid auth") else xml.error(member))
        member.keys = (
            Keys.make(self._variants.cipher, self._variants.mac) if self._settings.udp and self._port else None
        )
        ipsec = member.keys.block(self._port) if member.keys is not None else ""
        left = member.session.expires_at - now
        ipv6 = form.get("ipv6-support") == "yes"
        mtu = self._settings.mtu if self._variants.tell_mtu else 0
        return _page(
            xml.tunnel_config(
                self._settings,
                member.session,
                left,
                gateway=(self._store.gateway_v4, self._store.gateway_v6),
                mtu=mtu,
                ipv6=ipv6,
                ipsec=ipsec,
            )
        )

    def _hip_check(self, request: Request, now: float) -> Page:
        form = xml.parse_form(request.body)
        member = self._member(form, now)
        if isinstance(member, str):
            return _page(xml.error(member))
        wanted = bool(self._variants.hip) and member.report != form.get("md5")
        needed = xml.text("hip-report-needed", "yes" if wanted else "no")
        return _page(xml.response(needed, xml.text("delay", 0)))

    def _hip_report(self, request: Request, now: float) -> Page:
        form = xml.parse_form(request.body)
        member = self._member(form, now)
        if isinstance(member, str):
            return _page(xml.error(member))
        found = _MD5_SUM.search(form.get("report", ""))
        if found is None:
            return _page(xml.error("the report has no md5-sum"))
        member.report = found[1]
        return _page(xml.response())

    def _logout(self, request: Request, now: float) -> Page:
        member = self._member(xml.parse_form(request.body), now)
        if isinstance(member, str):
            return _page(xml.error(member))
        self._store.drop(member.session)
        del self._members[member.session.cookie]
        return _page(xml.response())

    # --- tunnel ----------------------------------------------------------------------------------------------

    def _tunnel(self, request: Request, now: float) -> Page | OpenTunnel:
        query = request.target.partition("?")[2]
        fields = dict(part.partition("=")[::2] for part in query.split("&")[: xml.MAX_FIELDS])
        session = self._store.find(unquote(fields.get("authcookie", "")), now)
        member = self._members.get(session.cookie) if session is not None else None
        if member is None or unquote(fields.get("user", "")) != member.told["user"]:
            return Page(502, "Bad Gateway", close=True)
        if self._variants.hip == "require" and not member.report:
            return Page(502, "Bad Gateway", (("X-Reason", "a host report is missing"),), close=True)
        member.keys = None  # Q1
        controller = GpstServer(member.session.expires_at, now)
        return OpenTunnel(member.session, "", (), FRAMING, self._settings.mtu, controller, head=START)

    def listens(self, port: int) -> None:
        """The UDP port of the gateway."""
        self._port = port

    def on_datagram(self, first: bytes, now: float) -> OpenDatagrams | None:
        """A new UDP peer: the SPI names the session, and the keys prove it."""
        spi = spi_of(first)
        for member in self._members.values():
            keys = member.keys
            if keys is None or keys.up.spi != spi or member.session not in tuple(self._store) or self._variants.mute:
                continue
            if not keys.is_ping(first):
                return None
            controller = EspServer(member.session.expires_at, now)
            return OpenDatagrams(member.session, keys.open, controller, self._settings.mtu, alone=True)
        return None


def _page(body: bytes) -> Page:
    return Page(200, "OK", (TYPE,), body)


def _refused(reason: str) -> Page:
    return Page(512, "Custom error", (("x-private-pan-globalprotect", reason),), b"refused\n", close=True)
