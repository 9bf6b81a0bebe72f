"""The sign-in: from an URL to a ticket.

    GET the URL --redirects--> page --form filled in--> POST --redirects--> page ...
    any answer with both cookies -> DONE

Every loop has a cap.  Texts of the gateway are shown, never the user's answers.  Source: section 3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols.base import SignInOptions, Ticket, User
from protocols.errors import InputRequired, MalformedAnswer, NotSupported, SignInFailed
from protocols.f5 import forms, page, script
from protocols.f5.errors import SignInRefused
from protocols.f5.exchange import Gateway
from protocols.f5.model import LoginForm
from protocols.text import one_line

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

FIRST_FORM = "auth_form"  # the id that the first form of this gateway has
MAX_UNCHANGED = 5  # times in a row that the same form comes back
POLICY = "/my.policy"
NO_INSPECTION = b"no-inspection-host=1"  # an answer that some gateways take for an endpoint inspection
_IN_PROGRESS = re.compile(rb"access policy evaluation is already in progress", re.IGNORECASE)
_INSPECTION = re.compile(
    rb"endpoint.{0,20}inspect|inspection[-_ ]?host|client.{0,10}inspect", re.IGNORECASE | re.DOTALL
)

_SSO = (
    "the sign-in goes on at {where}, in a browser; sign in there and give the browser's cookie MRHSession with --cookie"
)
_CHECK = "the gateway wants to inspect this computer, which this version cannot do"


class SignIn:
    """One sign-in.  `run` once."""

    def __init__(self, http: HttpClient, user: User, options: SignInOptions) -> None:
        self._user, self._options = user, options
        self._gateway = Gateway(http, options)
        self._answered = 0  # forms sent
        self._unchanged = 0
        self._first: LoginForm | None = None
        self._previous: LoginForm | None = None
        self._restarted = self._inspected = False

    async def run(self) -> Ticket:
        gateway = self._gateway
        response = await gateway.ask(gateway.original)
        while not gateway.complete:
            response = await self._next(response)
        return self._ticket()

    async def _next(self, response: Response) -> Response:
        """Do what a page asks for; the next page."""
        gateway = self._gateway
        if _IN_PROGRESS.search(response.body):
            if self._restarted:
                raise SignInRefused("the gateway says that another sign-in is in progress; try again later")
            self._restarted = True
            gateway.forget()
            return await gateway.ask(gateway.original.join("/"))
        form = page.parse(response.body)
        if form is not None:
            self._must_be_ours(form, response)
        else:
            form = script.parse(response.body)
        if form is not None:
            return await self._answer(form)
        if _INSPECTION.search(response.body):
            return await self._refuse_inspection()
        if self._inspected:
            raise NotSupported("endpoint-check-required", _CHECK)
        if self._answered:
            raise MalformedAnswer("auth-no-form", f"a page without a sign-in form{_titled(response.body)}")
        self._user.say("the gateway's page has no form: trying user name and password")
        return await self._answer(forms.ASSUMED)

    def _must_be_ours(self, form: LoginForm, response: Response) -> None:
        """The first form has a known id, but for one in a script."""
        if self._answered or form.form_id == FIRST_FORM:
            return
        where = self._gateway.url
        if not where.same_server(self._gateway.original):
            raise NotSupported("sso-required", _SSO.format(where=where.authority))
        text = f"the first form has the id {form.form_id!r}, want {FIRST_FORM!r}{_titled(response.body)}"
        raise MalformedAnswer("not-f5", text)

    async def _refuse_inspection(self) -> Response:
        if self._inspected:
            raise NotSupported("endpoint-check-required", _CHECK)
        self._inspected = True
        return await self._gateway.ask(self._gateway.url.join(POLICY), NO_INSPECTION)

    async def _answer(self, form: LoginForm) -> Response:
        gateway = self._gateway
        target = gateway.url.join(form.action) if form.action else gateway.url  # Q5
        if not target.same_server(gateway.url) and forms.has_password(form):
            text = f"the form of {gateway.url.authority} wants the password sent to {target.authority}: refused"
            raise MalformedAnswer("auth-cross-origin", text)
        body = forms.encode(form, await self._fill(form))
        self._answered += 1
        return await gateway.ask(target, body)

    async def _fill(self, form: LoginForm) -> dict[str, str]:
        again = self._previous is not None and form.shape() == self._previous.shape()
        self._unchanged = self._unchanged + 1 if again else 0
        refusal = one_line(form.message) or "the gateway refused the answer and asks again"
        if self._unchanged >= MAX_UNCHANGED:
            raise SignInRefused(f"{refusal} ({MAX_UNCHANGED} times)")
        self._previous, self._first = form, self._first or form
        later = form.shape() != self._first.shape()
        if not self._options.allow_password and forms.has_password(form):
            raise SignInFailed(f"form {form.form_id!r} asks for a password, which is not allowed here")
        try:
            return await self._user.fill(forms.to_form(form, again=again, later=later))
        except InputRequired as exc:
            if not again:
                raise
            # nobody can be asked again: what matters is that the gateway refused the last answer
            raise SignInRefused(refusal) from exc

    def _ticket(self) -> Ticket:
        gateway = self._gateway
        return Ticket(
            protocol="f5",
            connect_url=f"https://{gateway.url.authority}/",
            cookie=gateway.cookies().text(),
            address=gateway.address,
            fingerprint=gateway.fingerprint,
        )


def _titled(body: bytes) -> str:
    name = page.title(body)
    return f" ({name[:200]})" if name else ""


async def sign_in(http: HttpClient, user: User, options: SignInOptions) -> Ticket:
    """Raises ProtocolError or TransportError."""
    return await SignIn(http, user, options).run()
