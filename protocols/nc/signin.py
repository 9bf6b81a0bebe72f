"""The sign-in: from an URL to a ticket (juniper.md section 2).

    GET --> session cookie? ----------------------------------------------> done
     ^      a form? --filled in--> POST (a role: GET) --> the same again
     |      no form, but DSPREAUTH: the host checker, once
     +------------+

The cookie is looked for before the status (Q16): the page behind it may be anything.  Every loop has a cap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocols.base import Form, SignInOptions, Ticket, User
from protocols.errors import (
    ClientCertificateRequired,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    SignInFailed,
    UnknownGroup,
)
from protocols.nc import exchange, forms, hostcheck, pages
from protocols.nc.cookies import SessionCookie
from protocols.nc.exchange import Gateway
from protocols.nc.hostcheck import HostChecker
from protocols.nc.pages import Page
from protocols.text import one_line
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

MAX_FORMS = 30  # of one sign-in
MAX_IDLE_FORMS = 8  # forms in a row that ask nothing: SAML needs three


class SignIn:
    """One sign-in.  `run` once; checker: the host checker that was started on the way, which the caller stops."""

    def __init__(self, http: HttpClient, user: User, options: SignInOptions) -> None:
        self._user, self._options = user, options
        self._gateway = Gateway(http, options)
        self.checker: HostChecker | None = None
        self._forms = self._idle_forms = 0
        self._password_sent = False  # in a login form
        self._answered: set[tuple[str, tuple[str, ...]]] = set()  # forms with a code that were sent
        self._banner = ""
        self._first_page = True

    async def run(self) -> Ticket:
        response = await self._gateway.ask(self._gateway.url)
        while (session := self._gateway.session()) is None:
            self._check_status(response)
            response = await self._go_on(response)
        return self._ticket(session)

    def _check_status(self, response: Response) -> None:
        reason = one_line(response.reason)[:200]
        said = f"{response.status} {reason}".rstrip()
        if response.status in (401, 403):
            if self._gateway.certificate_refused:
                raise ClientCertificateRequired(f"the gateway refused the client certificate: {said}")
            raise SignInFailed(f"the gateway refused the sign-in: {said}")
        if response.status != 200:
            raise MalformedAnswer("nc-http-status", f"got HTTP status {said} from {self._where()}, want 200")
        if not response.body.strip():
            raise MalformedAnswer("nc-empty-page", f"got an empty page from {self._where()}")

    async def _go_on(self, response: Response) -> Response:
        page = pages.parse(response.body, response.header("Content-Type") or "")
        self._look_at_path()
        if page is None:
            return await self._check_host()
        self._forms += 1
        if self._forms > MAX_FORMS:
            raise MalformedAnswer("nc-too-many-forms", f"more than {MAX_FORMS} forms in one sign-in")
        if page.roles:
            return await self._choose_role(page)
        answers = await self._fill(page)
        target = self._gateway.target(page.action)
        return await self._gateway.ask(target, forms.form_encoded(forms.values(page, answers)))

    def _look_at_path(self) -> None:
        """A path that does not exist leads to the default page, without a word (Q29)."""
        wanted = Url.parse(self._options.url).target.partition("?")[0].strip("/")
        found = self._gateway.url.target.partition("?")[0]
        if self._first_page and wanted and "/url_default/" in found:
            self._user.say(f"the gateway has no sign-in page /{one_line(wanted)[:80]}: this is its default page")
        self._first_page = False

    # --- forms ---

    async def _fill(self, page: Page) -> dict[str, str]:
        self._banner = self._banner or page.banner
        refused = forms.has_password(page) and self._password_sent
        key = page.name, tuple(entry.name for entry in page.entries)
        refused = refused or key in self._answered
        error = self._error(refused)
        shown = forms.to_form(page, message=self._message(), error=error)
        if not forms.needs_input(page):
            self._guard()
        else:
            self._idle_forms = 0
        self._check_allowed(shown)
        answers = await self._ask(page, shown, refused)
        self._password_sent = self._password_sent or forms.has_password(page)
        if any(field.once for field in shown.fields):
            self._answered.add(key)
        return answers

    async def _ask(self, page: Page, shown: Form, refused: bool) -> dict[str, str]:
        try:
            answers = await self._user.fill(shown)
        except InputRequired as exc:
            if refused or shown.error:
                # nobody can be asked again: what matters is that the gateway refused the last answer
                raise SignInFailed(shown.error) from exc
            if page.name == pages.CONFIRMATION:
                return {}  # the first of the sessions is ended, as other clients do it
            raise
        for field in shown.fields:
            offered = {choice.value for choice in field.choices}
            if field.is_group and field.name in answers and answers[field.name] not in offered:
                raise UnknownGroup(answers[field.name], tuple(choice.label for choice in field.choices))
        return answers

    async def _choose_role(self, page: Page) -> Response:
        shown = forms.role_form(page)
        if len(page.roles) == 1:
            return await self._gateway.ask(self._gateway.target(page.roles[0].value))
        answers = await self._user.fill(replace(shown, banner=page.banner))
        chosen = answers.get(forms.ROLE, page.roles[0].value)
        if chosen not in {role.value for role in page.roles}:
            raise UnknownGroup(chosen, tuple(role.label for role in page.roles))
        return await self._gateway.ask(self._gateway.target(chosen))

    def _guard(self) -> None:
        self._idle_forms += 1
        if self._idle_forms >= MAX_IDLE_FORMS:
            raise MalformedAnswer("nc-too-many-forms", f"{MAX_IDLE_FORMS} forms in a row that need no input")

    def _check_allowed(self, shown: Form) -> None:
        if not self._options.allow_password and any(field.kind == "password" for field in shown.fields):
            raise SignInFailed(f"form {shown.form_id!r} asks for a password, which is not allowed here")

    def _error(self, refused: bool) -> str:
        parameter = self._gateway.page_parameter
        if parameter in exchange.REFUSALS:
            return exchange.MEANINGS[parameter]
        return "the gateway refused the answer and asks again" if refused else ""

    def _message(self) -> str:
        parameter = self._gateway.page_parameter
        return "" if parameter in exchange.REFUSALS else exchange.MEANINGS.get(parameter, "")

    # --- host checker ---

    async def _check_host(self) -> Response:
        state = self._gateway.cookie(hostcheck.STATE)
        if not state or self.checker is not None:
            hint = " after the host checker" if self.checker is not None else ""
            raise MalformedAnswer("nc-no-form", f"got a page without a form from {self._where()}{hint}")
        if not self._options.csd_wrapper:
            text = "the gateway wants a host check; name the program that does it with --csd-wrapper"
            raise NotSupported("nc-host-checker-required", text)
        self.checker = hostcheck.start(self._options, self._gateway.home.host, self._gateway.fingerprint)
        self._gateway.set_cookie(hostcheck.STATE, await self.checker.check(state, self._gateway.cookie("DSSIGNIN")))
        return await self._gateway.ask(self._gateway.url)

    # --- the end ---

    def _ticket(self, session: SessionCookie) -> Ticket:
        return Ticket(
            protocol="nc",
            connect_url=f"https://{self._gateway.home.authority}/",
            cookie=session.text(),
            address=self._gateway.address,
            fingerprint=self._gateway.fingerprint,
            banner=self._banner,
        )

    def _where(self) -> str:
        return self._gateway.url.authority
