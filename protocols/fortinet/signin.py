"""The sign-in: from an URL to a ticket.

    GET the URL --redirects, a script--> any page: the realm is in its URL
    POST user name, password --> SVPNCOOKIE: DONE
                             --> second factor, as a line or as a page --answer--> the same again
                             --> refused --asked again--> POST

No form is read from the first page: user name and password it always is.  Source: section 3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols.base import Field, Form, SignInOptions, Ticket, User
from protocols.errors import InputRequired, MalformedAnswer, SignInFailed
from protocols.fortinet import answers, bodies, cookies
from protocols.fortinet.answers import Challenge, PageForm, Refused
from protocols.fortinet.errors import SignInRefused
from protocols.fortinet.exchange import Gateway

if TYPE_CHECKING:
    from transports.http import HttpClient, Response

LOGIN, CHALLENGE, HOST_CHECK = "_login", "_challenge", "_hostcheck"  # ids of our forms, for --form-entry
LOGIN_CHECK = "/remote/logincheck"
HOST_VALUES = ("hostcheck", "check_virtual_desktop")
MAX_ROUNDS = 10  # second factors in one sign-in
MAX_LOGINS = 3  # passwords in one sign-in: more may lock the account
PUSH_TIMEOUT = 180.0  # seconds: the gateway answers once somebody has touched the phone (Q10)
_HOST_CHECK = re.compile(rb"""\baction *= *["']?([^"'\s<>;]{1,1024})""")
_OLD_OR_TOO_NEW = (
    "got HTTP status {status} from {where}, want a sign-in page: "
    "another kind of gateway, or a FortiOS that has no SSL VPN any more (7.6 and later)"
)


_UNCHECKED = (
    "host-check-required: the gateway wants to check this computer; going on without it "
    f"(--form-entry {HOST_CHECK}:{HOST_VALUES[0]}=... gives what a computer of yours would say)"
)


class SignIn:
    """One sign-in.  `run` once."""

    def __init__(self, http: HttpClient, user: User, options: SignInOptions) -> None:
        self._user, self._options = user, options
        self._gateway = Gateway(http, options)
        self._name = self._realm = ""
        self._logins = self._rounds = 0
        self._prompt: str | None = None  # of the second factor that was answered last
        self._refused: dict[str, str] | None = None  # answers that must not be sent again

    async def run(self) -> Ticket:
        gateway = self._gateway
        await self._start()
        if not gateway.complete:
            response = await self._log_in("")
            while not gateway.complete:
                response = await self._go_on(answers.read(response))
            await self._check_host(response)
        return Ticket(
            protocol="fortinet",
            connect_url=f"https://{gateway.url.authority}/",
            cookie=cookies.text(gateway.cookie),
            address=gateway.address,
            fingerprint=gateway.fingerprint,
        )

    async def _start(self) -> None:
        """The first page, and with a client certificate the one that may do without a password (section 3.7)."""
        gateway = self._gateway
        response = await gateway.ask(gateway.url)
        if gateway.complete:
            return
        if response.status >= 400 and response.status not in (401, 403, 405):
            said = _OLD_OR_TOO_NEW.format(status=response.status, where=gateway.url.authority)
            raise MalformedAnswer("not-fortinet", said)
        self._realm = gateway.realm
        if self._options.has_client_certificate:
            start = gateway.url
            await gateway.ask(start.join("/remote/login"))
            if not gateway.complete:
                gateway.url = start

    async def _go_on(self, answer: answers.Answer) -> Response:
        match answer:
            case Refused(text):
                return await self._log_in(text)
            case Challenge():
                return await self._answer_line(answer)
            case PageForm():
                return await self._answer_page(answer)

    async def _log_in(self, error: str) -> Response:
        if self._logins == MAX_LOGINS:
            raise SignInRefused(f"{error} ({MAX_LOGINS} times)")
        self._logins += 1
        fields = (Field("username", "Username:", "text"), Field("credential", "Password:", "password"))
        if not self._options.allow_password and not self._options.has_client_certificate:
            raise SignInFailed("the gateway asks for a password, which is not allowed here")
        given = await self._fill(Form(LOGIN, fields, error=error), error)
        if given == self._refused:  # nobody was asked: an account must not be locked for that
            raise SignInRefused(error)
        self._refused, self._name = given, given["username"]
        if not given["credential"] and self._options.has_client_certificate:
            return await self._post(bodies.certificate(self._name, self._realm))
        return await self._post(bodies.password(self._name, given["credential"], self._realm))

    async def _answer_line(self, challenge: Challenge) -> Response:
        push = " (leave it empty to approve on your phone)" if challenge.push else ""
        field = Field("code", f"Code{push}:", "password", once=True)
        given = await self._second_factor(challenge.prompt, field)
        body = bodies.code(self._name, given["code"], self._realm, challenge)
        if challenge.push and not given["code"]:
            self._user.say("waiting for the approval on your phone")
        return await self._post(body, timeout=PUSH_TIMEOUT)

    async def _answer_page(self, form: PageForm) -> Response:
        target = self._gateway.url.join(form.action or LOGIN_CHECK)
        if not target.same_server(self._gateway.url):
            where = f"the form of {self._gateway.url.authority} wants the code sent to {target.authority}: refused"
            raise MalformedAnswer("auth-cross-origin", where)
        fields = [
            Field(one.name, "Code:" if one.kind == "password" else f"{one.name}:", one.kind, one.value, once=True)
            for one in form.inputs
        ]
        given = await self._second_factor(form.prompt, *fields)
        body = bodies.page(form, given, self._realm)
        return await self._gateway.ask(target, body, timeout=PUSH_TIMEOUT)

    async def _second_factor(self, message: str, *fields: Field) -> dict[str, str]:
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            raise SignInRefused(f"the gateway asked for a code {MAX_ROUNDS} times")
        error = "the gateway refused the code and asks again" if message == self._prompt else ""
        self._prompt = message
        return await self._fill(Form(CHALLENGE, fields, message="" if error else message, error=error), error)

    async def _fill(self, form: Form, error: str) -> dict[str, str]:
        try:
            given = await self._user.fill(form)
        except InputRequired as exc:
            if not error:
                raise
            # nobody can be asked again: what matters is that the gateway refused the last answer
            raise SignInRefused(error) from exc
        missing = [field.name for field in form.fields if field.kind != "hidden" and field.name not in given]
        if missing:
            raise InputRequired(f"no answer for {form.form_id}:{missing[0]}")
        return given

    async def _post(self, body: bytes, *, timeout: float | None = None) -> Response:
        return await self._gateway.ask(self._gateway.url.join(LOGIN_CHECK), body, timeout=timeout)

    async def _check_host(self, response: Response) -> None:
        """Section 3.8: with the user's values; without any the tunnel mostly comes up, too."""
        actions = (found[1].decode("ascii", "replace") for found in _HOST_CHECK.finditer(response.body))
        action = next((one for one in actions if "hostcheck" in one), None)
        if action is None:
            return
        fields = tuple(Field(name, f"{name}:", "hidden") for name in HOST_VALUES)
        given = await self._user.fill(Form(HOST_CHECK, fields))
        if not given.get(HOST_VALUES[0]):
            self._user.say(_UNCHECKED)
            return
        target = self._gateway.url.join(action)
        if not target.same_server(self._gateway.url):
            where = f"{self._gateway.url.authority} wants the host check sent to {target.authority}: refused"
            raise MalformedAnswer("auth-cross-origin", where)
        await self._gateway.ask(target, bodies.host_check(*(given.get(name, "") for name in HOST_VALUES)))
        if not self._gateway.complete:
            raise SignInRefused("the gateway does not accept the values given for its host check")


async def sign_in(http: HttpClient, user: User, options: SignInOptions) -> Ticket:
    """Raises ProtocolError or TransportError."""
    return await SignIn(http, user, options).run()
