"""The Network Connect side of the lab gateway: requests in, pages out.

    [host check ->] login -> [code] -> [notice] -> [session to end] -> [role] -> DSID -> POST -> tunnel
                      ^  | wrong: ?p=failed, at most MAX_FAILURES, then ?p=account-locked-out and 403

Source: juniper.md sections 2, 4 and 12.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qs

from protocols.base import Secret
from vpnclient.lab import nc_pages as pages
from vpnclient.lab.nc_esp import EspSide
from vpnclient.lab.nc_settings import NcSettings
from vpnclient.lab.nc_tunnel import FRAMING, OPTIONS, NcOpening, NcServer
from vpnclient.lab.site import OpenDatagrams, OpenTunnel, Page, Request
from vpnclient.lab.store import Exhausted, LabSession, Store

MAX_FAILURES = 3  # wrong answers in one sign-in
MAX_ATTEMPTS = 1000  # sign-ins under way; the oldest is forgotten
ATTEMPT_LIFE = 300.0  # seconds for one sign-in
COOKIE, CHECKED = "DSID", "DSPREAUTH"
HOME = "/dana-na/auth/url_default/"
WELCOME, LOGIN = HOME + "welcome.cgi", HOME + "login.cgi"
LANDING = "/dana/home/index.cgi"
LOGOUT = "/dana-na/auth/logout.cgi"
TUNNEL = "/dana/js?prot=1&svc=4"
HTML = ("Content-Type", "text/html; charset=utf-8")


class Stage(Enum):
    """What a sign-in waits for."""

    LOGIN = "user name and password"
    CODE = "code"
    NOTICE = "notice"
    CONFIRMATION = "session to end"
    ROLE = "role"
    DONE = "nothing more"


@dataclass(slots=True)
class Attempt:
    """A sign-in under way.  user is set once the password was right."""

    token: str
    expires_at: float
    stage: Stage = Stage.LOGIN
    user: str = ""
    group: str = ""
    failures: int = 0


class NcSite:
    """token: makes unguessable texts, for cookies and sign-ins."""

    name = "nc"

    def __init__(self, settings: NcSettings, store: Store, token: Callable[[], str]) -> None:
        self._settings, self._store, self._token = settings, store, token
        self._attempts: dict[str, Attempt] = {}
        self._esp = EspSide(settings)

    def listens(self, port: int) -> None:
        self._esp.listens(port)

    def on_datagram(self, first: bytes, now: float) -> OpenDatagrams | None:
        return self._esp.on_datagram(first)

    def opens_tunnel(self, method: str, target: str) -> bool:
        return (method, target) == ("POST", TUNNEL)

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        try:
            return self._respond(request, now)
        except Exhausted as exc:
            return Page(503, "Service Unavailable", (("X-Reason", str(exc)),))
        except ValueError as exc:
            return Page(400, "Bad Request", (("X-Reason", str(exc)),), close=True)

    def _respond(self, request: Request, now: float) -> Page | OpenTunnel:
        path, _, query = request.target.partition("?")
        if self.opens_tunnel(request.method, request.target):
            return self._open(request, now)
        match request.method, path:
            case "GET", "/":
                return _sent_to(WELCOME)
            case "GET", "/dana-na/auth/welcome.cgi" | "/dana-na/auth/url_default/welcome.cgi":
                return self._welcome(request, query, now)
            case "GET", "/dana-na/auth/url_default/login.cgi":
                return self._on_link(query, now)
            case "POST", "/dana-na/auth/url_default/login.cgi":
                return self._on_form(pages.fields(request.body), now)
            case "GET", "/dana-na/auth/logout.cgi":
                return self._log_out(request, now)
            case "GET", "/dana/home/index.cgi":
                return Page(403, "Forbidden", (HTML,), pages.plain("This page is for browsers."))  # Q16
            case "GET", _:
                return _sent_to(WELCOME)  # Q29: a wrong path is the default one
        return Page(405, "Method Not Allowed", (("Allow", "GET, POST"),), close=True)

    # --- sign-in ---------------------------------------------------------------------------------------------

    def _welcome(self, request: Request, query: str, now: float) -> Page:
        if self._settings.host_check is not None:
            held = request.cookies().get(CHECKED, "")
            if not _matches(self._settings.host_check, held):
                cookie = ("Set-Cookie", f"{CHECKED}=unchecked; path=/; secure")
                page = pages.plain("Loading the host checker")
                return Page(
                    200, "OK", (HTML, *(() if held else (cookie, ("Set-Cookie", "DSSIGNIN=url_default")))), page
                )
        state = parse_qs(query, max_num_fields=8).get("id", [""])[0].removeprefix("state_")
        attempt = self._attempt(state, now) or self._new_attempt(now)
        return self._show(attempt)

    def _on_form(self, given: dict[str, str], now: float) -> Page:
        attempt = self._attempt(given.get(pages.STATE, ""), now)
        if attempt is None:
            return _sent_to(f"{WELCOME}?p=timed-out")
        match attempt.stage:
            case Stage.LOGIN:
                return self._on_login(attempt, given, now)
            case Stage.CODE:
                answer = given.get("totptoken", given.get("password", ""))
                right = _matches(self._settings.challenge, answer)
                return self._next(attempt, now) if right else self._failed(attempt)
            case Stage.NOTICE if "sn-postauth-proceed" in given:
                return self._next(attempt, now)
            case Stage.CONFIRMATION if given.get("FormDataStr") == attempt.token and "btnContinue" in given:
                self._end_one(attempt, given.get("postfixSID", ""), now)
                return self._next(attempt, now)
        return _sent_to(f"{WELCOME}?p=failed&id=state_{attempt.token}")

    def _on_login(self, attempt: Attempt, given: dict[str, str], now: float) -> Page:
        user, settings = given.get("username", ""), self._settings
        right = _matches(settings.users.get(user), given.get("password", ""))
        if settings.second_password is not None:
            right &= _matches(settings.second_password, given.get("password#2", ""))
        if settings.groups:
            realm = given.get("realm", "")
            known = realm.isascii() and realm.isdigit() and int(realm) < len(settings.groups)
            right, attempt.group = right and known, settings.groups[int(realm)] if known else ""
        if not right or "btnSubmit" not in given:
            return self._failed(attempt)
        attempt.user = user
        return self._next(attempt, now)

    def _on_link(self, query: str, now: float) -> Page:
        given = parse_qs(query, max_num_fields=8)
        attempt = self._attempt(given.get("id", [""])[0].removeprefix("state_"), now)
        role = given.get("role", [""])[0]
        known = role.isascii() and role.isdigit() and int(role) < len(self._settings.roles)
        if attempt is None or attempt.stage is not Stage.ROLE or not known:
            return _sent_to(f"{WELCOME}?p=failed")
        attempt.group = self._settings.roles[int(role)]
        return self._next(attempt, now)

    def _next(self, attempt: Attempt, now: float) -> Page:
        settings = self._settings
        wanted = {
            Stage.CODE: settings.challenge is not None,
            Stage.NOTICE: bool(settings.notice),
            Stage.CONFIRMATION: settings.one_session and bool(self._sessions(attempt, now)),
            Stage.ROLE: bool(settings.roles),
            Stage.DONE: True,
        }
        stages = list(Stage)
        later = stages[stages.index(attempt.stage) + 1 :]
        attempt.stage = next(stage for stage in later if wanted[stage])
        return self._finish(attempt, now) if attempt.stage is Stage.DONE else self._show(attempt)

    def _show(self, attempt: Attempt) -> Page:
        settings, state = self._settings, attempt.token
        match attempt.stage:
            case Stage.CODE:
                body = pages.code(state, settings.code_form)
            case Stage.NOTICE:
                body = pages.notice(state, settings.notice)
            case Stage.CONFIRMATION:
                shown = [(str(at), repr(held)) for at, held in enumerate(self._sessions(attempt, 0.0))]
                body = pages.confirmation(state, shown)
            case Stage.ROLE:
                body = pages.roles(state, settings.roles)
            case _:
                body = pages.login(state, settings.groups, second=settings.second_password is not None)
        return Page(200, "OK", (HTML,), body)

    def _finish(self, attempt: Attempt, now: float) -> Page:
        del self._attempts[attempt.token]
        session = self._store.add(attempt.user, attempt.group, now)
        cookies = (("DSFirstAccess", "1700000000"), ("DSLastAccess", "1700000000"), (COOKIE, session.cookie))
        return _sent_to(LANDING, *(("Set-Cookie", f"{name}={value}; path=/; secure") for name, value in cookies))

    def _failed(self, attempt: Attempt) -> Page:
        attempt.failures += 1
        if attempt.failures < MAX_FAILURES:
            return _sent_to(f"{WELCOME}?p=failed&id=state_{attempt.token}")
        del self._attempts[attempt.token]
        return Page(403, "Forbidden", (HTML,), pages.plain("The account is locked."), close=True)

    def _sessions(self, attempt: Attempt, now: float) -> list[LabSession]:
        return [held for held in self._store if held.user == attempt.user and now < held.expires_at]

    def _end_one(self, attempt: Attempt, which: str, now: float) -> None:
        sessions = self._sessions(attempt, now)
        if which.isascii() and which.isdigit() and int(which) < len(sessions):
            sessions[int(which)].expires_at = now  # its link ends itself; what has none is swept away

    def _attempt(self, token: str, now: float) -> Attempt | None:
        attempt = self._attempts.get(token)
        return attempt if attempt is not None and now < attempt.expires_at else None

    def _new_attempt(self, now: float) -> Attempt:
        for token in [t for t, known in self._attempts.items() if now >= known.expires_at]:
            del self._attempts[token]
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        attempt = Attempt(self._token(), now + ATTEMPT_LIFE)
        self._attempts[attempt.token] = attempt
        return attempt

    # --- tunnel ----------------------------------------------------------------------------------------------

    def _open(self, request: Request, now: float) -> Page | OpenTunnel:
        session = self._store.find(request.cookies().get(COOKIE, ""), now)
        if session is None:
            return _sent_to(WELCOME, close=True)
        headers = (("Content-type", "application/octet-stream"), ("NCP-Version", "3"), ("Connection", "close"))
        esp = self._esp.tunnel(session)
        opening = NcOpening(self._settings, session, esp)
        controller = NcServer(self._settings, session, esp, now=now)
        mtu = self._settings.mtu
        return OpenTunnel(session, "OK", headers, FRAMING, mtu, controller, options=OPTIONS, opening=opening)

    def _log_out(self, request: Request, now: float) -> Page:
        session = self._store.find(request.cookies().get(COOKIE, ""), now)
        if session is not None:
            self._store.drop(session)
        return _sent_to(f"{WELCOME}?p=logout", ("Set-Cookie", f"{COOKIE}=; path=/; secure"))


def _sent_to(where: str, *headers: tuple[str, str], close: bool = False) -> Page:
    return Page(302, "Found", (("Location", where), *headers), close=close)


def _matches(wanted: Secret | None, given: str) -> bool:
    """Takes the same time whether the user exists or not."""
    known = wanted.reveal() if wanted is not None else ""
    return hmac.compare_digest(known.encode(), given.encode()) and wanted is not None
