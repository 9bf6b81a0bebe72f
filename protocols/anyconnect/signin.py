"""The sign-in: from an URL to a ticket.

    INIT --document--> certificate wanted? -> again on a fresh connection, then with client-cert-fail
      |                form -> filled in -> auth-reply -> next document -> ...
      |                another group chosen -> INIT for that group
      |                auth id=success -> DONE
      +-- what section 2.7 lists --> LEGACY: GET the original URL, the same loop with form-encoded replies

Every loop has a cap.  Texts of the gateway are shown, never the user's answers.
The places for what is still missing: host scan (2.13), browser sign-in (2.10, 2.11), a second certificate (2.9).
Source: anyconnect.md sections 2.1 to 2.8 and 2.14.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Never

from protocols.anyconnect import documents, forms, page, replies
from protocols.anyconnect.cookies import from_token
from protocols.anyconnect.exchange import Gateway, Moved, bad_status, refusal
from protocols.anyconnect.model import SUCCESS, AuthForm, Document, Option
from protocols.base import Form, SignInOptions, Ticket, User
from protocols.errors import (
    ClientCertificateRequired,
    InputRequired,
    MalformedAnswer,
    NotSupported,
    SignInFailed,
    UnknownGroup,
)
from protocols.text import one_line
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

INIT_TRIES = 3  # of the first exchange: redirects and certificate retries (2.1)
MAX_RESTARTS = 5  # INIT again for another group or server
MAX_IDLE_FORMS = 3  # forms in a row that need no input: a loop
MAX_FORMS = 30  # of one sign-in

_SSO = "the gateway wants a sign-in in the browser, which this version cannot do; another group may work without"
_CSD = "the gateway wants a host scan (Cisco Secure Desktop), which this version cannot do"
_MCA = "the gateway wants two client certificates, which this version cannot do"


class _FallBack(Exception):
    """The first XML exchange failed in a way that makes the legacy mode worth a try."""


class SignIn:
    """One sign-in.  `run` once."""

    def __init__(self, http: HttpClient, user: User, options: SignInOptions) -> None:
        self._user, self._options = user, options
        self._gateway = Gateway(http, options)
        self._device = replies.Device(options.version, options.os_name)
        self._opaque = ""
        self._group: Option | None = None  # chosen by or for the user
        self._init_group = ""  # told to the gateway in INIT
        self._form_seen = False  # a login form came: connections may be kept from now on (Q6)
        self._certificate_retried = False
        self._certificate_failed = False  # client-cert-fail was sent
        self._restarts = self._forms = self._idle_forms = 0
        self._answered: set[tuple[str, tuple[str, ...]]] = set()  # forms that were sent back with a password
        self._just_said: tuple[str, str] | None = None  # banner and message shown with the question for the group
        self._refusal = ""  # what the gateway last said about an answer
        self._why_legacy = ""

    async def run(self) -> Ticket:
        document = await self._begin()
        while document.auth_id != SUCCESS:
            document = await self._answer(document)
        return self._ticket(document)

    # --- INIT and LEGACY ---

    async def _begin(self) -> Document:
        if not self._gateway.xml:
            return await self._legacy()
        try:
            return await self._init()
        except _FallBack as exc:
            self._why_legacy = str(exc)
        self._gateway.xml = False
        self._gateway.move(self._gateway.original)
        await self._gateway.forget_connection()
        return await self._legacy()

    async def _init(self) -> Document:
        """POST init until a usable document comes.  Raises _FallBack."""
        for _try in range(INIT_TRIES):
            response = await self._gateway.ask(self._init_body(), fresh=not self._form_seen)
            target = self._gateway.redirect(response)
            if target is not None:
                if target.same_server(self._gateway.url):
                    raise _FallBack(f"a redirect to {str(target)[:200]}")
                self._gateway.move(target)  # load balancing (Q4): the new server gets an init of its own
                continue
            document = self._first_document(response)
            if not self._must_repeat(document):
                return document
        raise _FallBack(f"no acceptable document in {INIT_TRIES} tries")

    def _init_body(self) -> bytes:
        url = str(self._gateway.url).partition("?")[0]
        return replies.init(self._device, url, group=self._init_group, certificate_failed=self._certificate_failed)

    def _first_document(self, response: Response) -> Document:
        refused = refusal(response)
        if refused is not None:
            raise refused
        if response.status == 405:
            raise bad_status(response, self._where())
        if response.status != 200 or not response.body.strip():
            raise _FallBack(f"HTTP status {response.status}" if response.status != 200 else "an empty answer")
        try:
            return self._take(documents.parse(response.body))
        except MalformedAnswer as exc:
            raise _FallBack(str(exc)) from exc

    def _must_repeat(self, document: Document) -> bool:
        """A certificate is wanted and INIT goes out again: with it, or saying that there is none (2.8)."""
        wanted = document.certificate_wanted and not document.certificate_accepted
        if document.second_certificate_wanted and self._certificate_failed:
            raise NotSupported("mca-unavailable", _MCA)
        if not wanted and not document.second_certificate_wanted:
            return False
        worth_it = self._options.has_client_certificate and not self._gateway.certificate_sent
        if wanted and worth_it and not self._certificate_retried:
            self._certificate_retried = True  # Q6: some gateways forget to ask on the first connection
            return True
        if not self._certificate_failed:
            self._certificate_failed = True
            return True
        if not document.auth_id:
            _no_certificate(document)
        return False

    async def _restart(self) -> Document:
        """INIT again, for another group or on another server.  No way back to the legacy mode from here."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise MalformedAnswer("auth-loop", f"the gateway made us start over more than {MAX_RESTARTS} times")
        if not self._gateway.xml:
            return await self._legacy()
        try:
            return await self._init()
        except _FallBack as exc:
            raise MalformedAnswer("auth-no-form", f"{self._where()} answered a new start with {exc}") from exc

    async def _legacy(self) -> Document:
        try:
            response = await self._gateway.follow(None, fresh=not self._form_seen)
        except Moved as moved:
            return await self._moved(moved.url)
        try:
            return self._next_document(response)
        except MalformedAnswer as exc:
            if not self._why_legacy:
                raise
            raise MalformedAnswer(exc.code, f"{exc} (before that: {self._why_legacy})") from exc

    async def _moved(self, url: Url) -> Document:
        self._gateway.move(url)
        return await self._restart()

    # --- documents ---

    def _next_document(self, response: Response) -> Document:
        """Any document but the first.  Raises what the gateway's answer means."""
        refused = refusal(response)
        if isinstance(refused, SignInFailed) and self._refusal:
            raise SignInFailed(f"{refused} ({one_line(self._refusal)})")
        if refused is not None:
            raise refused
        if response.status != 200:
            raise bad_status(response, self._where())
        if self._gateway.xml:
            return self._take(documents.parse(response.body))
        return self._take(self._lenient(response.body))

    def _lenient(self, body: bytes) -> Document:
        """In legacy mode the answer may be a document or a page."""
        start = body.lstrip()[:64].lower()
        if start.startswith((b"<?xml", b"<config-auth", b"<auth")):
            try:
                return documents.parse(body)
            except MalformedAnswer as exc:
                if exc.code != "auth-malformed" or b"<html" not in body[:1024].lower():
                    raise
        if self._gateway.token:
            return Document(auth_id=SUCCESS)
        return page.parse(body)

    def _take(self, document: Document) -> Document:
        """Remember what a document carries, and raise what it says went wrong."""
        if document.opaque:
            self._opaque = document.opaque
        token = document.session_token.reveal()
        if token:
            self._gateway.token = from_token(token).webvpn.reveal()
        if self._gateway.certificate_refused:
            self._gateway.certificate_refused = False
            self._user.say("the gateway refused the client certificate, or got none")
        if document.host_scan:
            raise NotSupported("csd-required", _CSD)
        if document.failure and not document.auth_id:
            _fail(document.failure)
        return document

    # --- forms ---

    async def _answer(self, document: Document) -> Document:
        """Have the form filled in and send it; the gateway's next document."""
        self._forms += 1
        if self._forms > MAX_FORMS:
            raise MalformedAnswer("auth-loop", f"more than {MAX_FORMS} forms in one sign-in")
        form = document.form
        if form is None:
            if not document.complete:
                self._no_form(document)
            form = AuthForm()
        self._form_seen = True
        chosen = await self._choose(document, form)
        if chosen is not None and self._must_change_group(form, chosen):
            self._init_group = chosen.value
            return await self._restart()
        if any(entry.kind == "sso" for entry in form.entries):
            raise NotSupported("sso-required", _SSO)
        shown = forms.to_form(document, form, chosen)
        self._guard(shown)
        answers = await self._fill(shown)
        return await self._reply(form, forms.values(form, shown, chosen, answers))

    def _no_form(self, document: Document) -> Never:
        text = document.error or document.failure or document.message
        if document.certificate_wanted:
            _no_certificate(document)
        if text:
            _fail(text)
        raise MalformedAnswer("auth-no-form", f"a document {document.auth_id!r} without a form")

    async def _choose(self, document: Document, form: AuthForm) -> Option | None:
        """The login group: the one chosen before if it is still there, else as the user wishes."""
        group = form.group
        if group is None:
            if self._options.authgroup and self._group is None and self._forms == 1:
                self._user.say(f"the gateway offers no groups: {self._options.authgroup!r} has no meaning here")
            return None
        known = {option.value: option for option in reversed(group.options)}
        if self._group is not None and self._group.value in known:
            self._group = known[self._group.value]
        else:
            wanted = forms.match_group(self._options.authgroup, group.options) if self._options.authgroup else None
            if wanted is None and len(group.options) == 1 and not self._options.authgroup:
                wanted = group.options[0]
            self._group = wanted or await self._ask_group(document, form, known)
        return self._group

    async def _ask_group(self, document: Document, form: AuthForm, known: dict[str, Option]) -> Option:
        whole = forms.to_whole_form(document, form)
        field = next(field for field in whole.fields if field.is_group)
        value = await self._user.choose_group(whole, field)
        if value not in known:
            raise UnknownGroup(value, tuple(option.label for option in reversed(known.values())))
        self._just_said = whole.banner, whole.message
        return known[value]

    def _must_change_group(self, form: AuthForm, chosen: Option) -> bool:
        """In XML mode the gateway must make the form for the group (Q15); in legacy mode we just look at it anew."""
        if not self._gateway.xml or form.group is None or chosen.value == self._init_group:
            return False
        return chosen.value != forms.preselected(form.group).value

    def _guard(self, shown: Form) -> None:
        self._idle_forms = 0 if forms.needs_input(shown) else self._idle_forms + 1
        if self._idle_forms >= MAX_IDLE_FORMS:
            raise MalformedAnswer("auth-loop", f"{MAX_IDLE_FORMS} forms in a row that need no input")

    async def _fill(self, shown: Form) -> dict[str, str]:
        key = shown.form_id, tuple(field.name for field in shown.fields if field.kind != "hidden")
        again = key in self._answered
        self._refusal = shown.error or (shown.message if again else "")
        if not self._options.allow_password and any(field.kind == "password" for field in shown.fields):
            raise SignInFailed(f"form {shown.form_id!r} asks for a password, which is not allowed here")
        if (shown.banner, shown.message) == self._just_said:
            shown = replace(shown, banner="", message="")
        self._just_said = None
        try:
            answers = await self._user.fill(shown)
            while problem := forms.mismatch(answers):
                self._forms += 1
                if self._forms > MAX_FORMS:
                    raise MalformedAnswer("auth-loop", f"more than {MAX_FORMS} forms in one sign-in")
                answers = await self._user.fill(replace(shown, error=problem))
        except InputRequired as exc:
            if not (again or shown.error):
                raise
            # nobody can be asked again: what matters is that the gateway refused the last answer
            raise SignInFailed(self._refusal or "the gateway refused the answer and asks again") from exc
        if any(field.kind == "password" for field in shown.fields):
            self._answered.add(key)
        return answers

    async def _reply(self, form: AuthForm, values: list[tuple[str, str]]) -> Document:
        self._gateway.aim(form.action)
        if self._gateway.xml:
            body = replies.auth_reply(self._device, values, opaque=self._opaque)
        else:
            body = replies.form_encoded(values)
        try:
            response = await self._gateway.follow(body)
        except Moved as moved:
            return await self._moved(moved.url)
        return self._next_document(response)

    # --- the end ---

    def _ticket(self, document: Document) -> Ticket:
        if not self._gateway.token:
            raise MalformedAnswer("auth-no-cookie", "the gateway says success, but gave no webvpn cookie")
        url = self._gateway.url
        return Ticket(
            protocol="anyconnect",
            connect_url=f"https://{url.authority}/",
            cookie=from_token(self._gateway.token).text(),
            address=self._gateway.address,
            fingerprint=self._gateway.fingerprint,
            banner=document.banner,
        )

    def _where(self) -> str:
        return self._gateway.url.authority


def _no_certificate(document: Document) -> Never:
    said = document.error or document.message
    text = "the gateway wants a client certificate, and got none that it accepts"
    raise ClientCertificateRequired(f"{text}: {said}" if said else text)


def _fail(text: str) -> Never:
    """The gateway's text, with what is known about some of them."""
    low = text.lower()
    if "certificate validation failure" in low:
        raise ClientCertificateRequired(f"{text}: your client certificate is missing or was not accepted")
    if "secure desktop" in low or "hostscan" in low:
        raise SignInFailed(f"{text} ({_CSD})")  # Q13
    raise SignInFailed(text)


async def sign_in(http: HttpClient, user: User, options: SignInOptions) -> Ticket:
    """Raises ProtocolError or TransportError."""
    return await SignIn(http, user, options).run()
