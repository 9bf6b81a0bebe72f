"""The sign-in: portal, then gateway, or the gateway at once (sections 1 and 3 to 8).

    START -> portal prelogin -> form -> portal config -> gateway chosen -> login with what the portal took
      |          | absent                                                    | 512, once: prelogin and form
      +----------+------> gateway prelogin -> form -> login -> [challenges] -> session

At both places a wrong answer is asked for again, at most MAX_TRIES times, and any answer may be a challenge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from protocols.base import Choice, Field, Form, Interface, Secret, SignInOptions, Ticket, User
from protocols.errors import InputRequired, MalformedAnswer, SignInFailed, UnknownGroup
from protocols.gp import answers, login, portal, saml
from protocols.gp.answers import InterfaceAbsent
from protocols.gp.challenge import Challenge
from protocols.gp.exchange import Exchange, NotAccepted
from protocols.gp.identity import PROTOCOL_VERSION, Identity
from protocols.gp.login import PASSWORD, Credentials
from protocols.gp.portal import GatewayEntry, PortalConfig, Prelogin
from transports.http_url import Url

if TYPE_CHECKING:
    from lxml.etree import _Element

    from transports.http import HttpClient

MAX_TRIES = 3  # wrong answers to one form
MAX_CHALLENGES = 10  # of one login
MESSAGE = "Please enter your login credentials"
HINT = "; other reasons may be the name of the system (--os), or the portal in place of the gateway"  # Q11
_FIELD = re.compile(r"[A-Za-z0-9-]{1,64}")


class Place(Enum):
    PORTAL = "portal"
    GATEWAY = "gateway"


_PRELOGIN = {Place.PORTAL: "/global-protect/prelogin.esp", Place.GATEWAY: "/ssl-vpn/prelogin.esp"}
_LOGIN = {Place.PORTAL: "/global-protect/getconfig.esp", Place.GATEWAY: "/ssl-vpn/login.esp"}


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin, from the path of the user's URL.  field: the name of another secret than the password."""

    places: tuple[Place, ...]
    field: str = ""

    @classmethod
    def of(cls, url: Url) -> Start:
        """Raises MalformedAnswer for a field that cannot be."""
        path, colon, field = url.target.partition("?")[0].removeprefix("/").partition(":")
        if colon and not _FIELD.fullmatch(field):
            raise MalformedAnswer("bad-path", f"secret field {field[:40]!r}: want letters, digits and '-'")
        if path == "portal" or path.startswith("global-protect"):
            return cls((Place.PORTAL,), field)
        if path == "gateway" or path.startswith("ssl-vpn"):
            return cls((Place.GATEWAY,), field)
        return cls((Place.PORTAL, Place.GATEWAY), field)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a login ended with.  plain: by user and password alone, so that they are good at the gateway too."""

    document: _Element
    credentials: Credentials
    plain: bool


class SignIn:
    """One sign-in.  `run` once."""

    def __init__(self, http: HttpClient, user: User, options: SignInOptions, held: tuple[Interface, ...]) -> None:
        self._http, self._user, self._options, self._held = http, user, options, held
        self._identity = Identity.of(options)
        self._exchange = Exchange(http, self._identity)
        self._url = Url.parse(options.url)
        self._start = Start.of(self._url)
        self._config: PortalConfig | None = None

    async def run(self) -> Ticket:
        absent: list[str] = []
        for place in self._start.places:
            try:
                return await (self._by_portal() if place is Place.PORTAL else self._by_gateway())
            except InterfaceAbsent as exc:
                absent.append(f"{place.value}: {exc}")
        raise MalformedAnswer("not-globalprotect", f"{self._url.authority} is no GlobalProtect ({'; '.join(absent)})")

    # --- the two places ---

    async def _by_portal(self) -> Ticket:
        prelogin = await self._prelogin(Place.PORTAL)
        accepted = await self._form(Place.PORTAL, prelogin)
        config = self._config = portal.parse_config(accepted.document, prelogin.region)
        for text in config.unusable:
            self._user.say(text)
        gateway = await self._choose(config)
        self._url = gateway.url
        if not accepted.plain and not config.cookies:
            return await self._by_gateway(accepted.credentials.user)
        secret = accepted.credentials if accepted.plain else Credentials(accepted.credentials.user)
        try:
            again = await self._login(Place.GATEWAY, replace(secret, cookies=config.cookies))
        except NotAccepted as exc:
            self._user.say(f"the gateway does not accept what the portal accepted ({exc}): signing in there")
            return await self._by_gateway(accepted.credentials.user, config.cookies)
        return self._ticket(again.document)

    async def _by_gateway(self, user: str = "", cookies: tuple[tuple[str, Secret], ...] = ()) -> Ticket:
        """user: known from the portal.  An absent gateway that the portal has named is an error of its own."""
        try:
            prelogin = await self._prelogin(Place.GATEWAY)
        except InterfaceAbsent as exc:
            if self._config is None:
                raise
            raise SignInFailed(f"the portal names the gateway {self._url.authority}, but there is none: {exc}") from exc
        known = replace(prelogin, user=user or prelogin.user)
        return self._ticket((await self._form(Place.GATEWAY, known, hide_user=bool(user), cookies=cookies)).document)

    async def _prelogin(self, place: Place) -> Prelogin:
        query = f"tmp=tmp&clientVer={PROTOCOL_VERSION}&clientos={self._identity.client_os}"
        url = replace(self._url, target=f"{_PRELOGIN[place]}?{query}")
        body = "cas-support=yes"
        if self._options.external_auth:
            body += f"&default-browser={self._identity.callback_browser}"
        answer = await self._exchange.prelogin(url, body.encode())
        return portal.parse_prelogin(answers.document(answer, "prelogin-response"))

    # --- forms ---

    async def _form(
        self,
        place: Place,
        prelogin: Prelogin,
        *,
        hide_user: bool = False,
        cookies: tuple[tuple[str, Secret], ...] = (),
    ) -> Accepted:
        """Ask for the credentials until they are accepted."""
        name = self._start.field if self._config is None else ""  # good where it was issued only (Q24)
        if prelogin.saml_request and not name:
            credentials = replace(await self._by_browser(place, prelogin), cookies=cookies)
            return replace(await self._login_once(place, credentials), plain=False)
        name = name or PASSWORD
        ordinary = prelogin.secret_label.rstrip(": ").lower() == "password" and name == PASSWORD
        fields = (
            Field("user", f"{prelogin.user_label.rstrip(': ')}:", "hidden" if hide_user else "text", prelogin.user),
            Field(name, f"{prelogin.secret_label.rstrip(': ')}:", "password", once=not ordinary),
        )
        form = Form("_login", fields, message=prelogin.message or MESSAGE)
        for _try in range(MAX_TRIES):
            given = await self._fill(form)
            credentials = Credentials(given.get("user", prelogin.user), Secret(given.get(name, "")), name, cookies)
            try:
                accepted = await self._login(place, credentials, first_is_otp=not ordinary)
            except NotAccepted as exc:
                form = replace(form, error=str(exc))
                continue
            return replace(accepted, plain=accepted.plain and name == PASSWORD)
        raise SignInFailed(f"{form.error}{HINT}")

    async def _by_browser(self, place: Place, prelogin: Prelogin) -> Credentials:
        """Without a browser of our own: the user opens the page, and gives us the link that it ends with."""
        url = saml.login_url(prelogin.saml_method, prelogin.saml_request)
        if not self._options.external_auth or not url:
            raise saml.browser_wanted(place.value)
        field = Field("callback", f"Link ({saml.SCHEME}...):", "password", once=True)
        given = await self._fill(Form("_saml", (field,), message=f"Sign in at {url} and copy the link it ends with."))
        return saml.from_callback(given.get("callback", ""))

    async def _login_once(self, place: Place, credentials: Credentials) -> Accepted:
        try:
            return await self._login(place, credentials)
        except NotAccepted as exc:
            raise SignInFailed(f"{exc}{HINT}") from exc

    async def _fill(self, form: Form) -> dict[str, str]:
        if not self._options.allow_password and any(field.kind == "password" for field in form.fields):
            raise SignInFailed(f"form {form.form_id!r} asks for a password, which is not allowed here")
        try:
            return await self._user.fill(form)
        except InputRequired as exc:
            if not form.error:
                raise
            # nobody can be asked again: what matters is that the gateway refused the last answer
            raise SignInFailed(f"{form.error}{HINT}") from exc

    # --- login and challenges (section 4) ---

    async def _login(self, place: Place, credentials: Credentials, *, first_is_otp: bool = False) -> Accepted:
        """One login with its challenges.  Raises NotAccepted only before the first of them."""
        answer = await self._send(place, credentials)
        plain = True
        for _round in range(MAX_CHALLENGES):
            if not isinstance(answer, Challenge):
                return Accepted(answer, credentials, plain)
            plain = False
            answer = await self._answer(place, credentials, answer, once=not first_is_otp)
        raise MalformedAnswer("auth-loop", f"more than {MAX_CHALLENGES} challenges in one sign-in")

    async def _answer(
        self, place: Place, credentials: Credentials, asked: Challenge, *, once: bool
    ) -> _Element | Challenge:
        field = Field(PASSWORD, "Challenge:", "password", once=once)
        form = Form("_challenge", (field,), message=asked.prompt)
        for _try in range(MAX_TRIES):
            given = await self._fill(form)
            answered = replace(credentials, secret=Secret(given.get(PASSWORD, "")), secret_field=PASSWORD)
            try:
                return await self._send(place, answered, asked.input_str)
            except NotAccepted as exc:
                form = replace(form, error=str(exc))
        raise SignInFailed(form.error)

    async def _send(self, place: Place, credentials: Credentials, input_str: str = "") -> _Element | Challenge:
        held = self._held if place is Place.GATEWAY else ()
        body = login.request(self._identity, self._url.host, credentials, input_str=input_str, held=held)
        answer = await self._exchange.login(replace(self._url, target=_LOGIN[place]), body)
        secrets = tuple(cookie.reveal() for _name, cookie in credentials.cookies)
        found = answers.read(answer, secrets=secrets)
        if isinstance(found, Challenge):
            return found
        roots = ("policy", "config-criteria") if place is Place.PORTAL else ("jnlp",)
        return answers.with_root(found, *roots)

    # --- gateway choice (section 7) ---

    async def _choose(self, config: PortalConfig) -> GatewayEntry:
        """The one that the user names by host or label; else asked for, and the best one if nobody can be asked."""
        if len(config.gateways) == 1 and not self._options.authgroup:
            return config.gateways[0]
        choices = tuple(Choice(entry.host, entry.label) for entry in config.gateways)
        best = config.gateways[0]
        field = Field("gateway", "GATEWAY:", "select", best.host, choices, is_group=True)
        try:
            value = await self._user.choose_group(Form("_portal", (field,), message="Choose a gateway."), field)
        except InputRequired:
            self._user.say(f"the portal's best gateway is taken: {best.label}")
            return best
        chosen = next((entry for entry in config.gateways if entry.host == value), None)
        if chosen is None:
            raise UnknownGroup(value, tuple(entry.label for entry in config.gateways))
        return chosen

    # --- the end ---

    def _ticket(self, document: _Element) -> Ticket:
        signed_in = login.parse(document, self._identity.computer)
        for text in signed_in.notices:
            self._user.say(text)
        notes = {}
        if self._config is not None:
            notes = {"version": self._config.version, "hip-interval": str(self._config.hip_interval)}
        info = self._http.stream_info
        return Ticket(
            protocol="gp",
            connect_url=f"https://{self._url.authority}/",
            cookie=signed_in.cookie.text(),
            address="" if self._http.dialer.through_proxy else self._http.peer_host,
            fingerprint=info.pin if info is not None else "",
            notes=notes,
        )


async def sign_in(http: HttpClient, user: User, options: SignInOptions, held: tuple[Interface, ...] = ()) -> Ticket:
    """held: addresses of the session that is signed in to anew.  Raises ProtocolError or TransportError."""
    return await SignIn(http, user, options, held).run()
