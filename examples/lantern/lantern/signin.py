"""The sign-in: a form of two fields is POSTed; the answer is the cookie, or 403."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

from vpnclient.api import (
    Field,
    Form,
    GatewayUnavailable,
    HttpClient,
    InputRequired,
    MalformedAnswer,
    Response,
    Secret,
    SignInFailed,
    SignInOptions,
    Ticket,
    User,
)

PATH = "/lantern/sign-in"
TRIES = 3
COOKIE = re.compile(r"[A-Za-z0-9._~-]{1,256}")
HEADERS = (("Content-Type", "application/x-www-form-urlencoded"),)


async def sign_in(http: HttpClient, user: User, options: SignInOptions) -> Ticket:
    """Raises SignInFailed after TRIES wrong answers."""
    error = ""
    for _try in range(TRIES):
        answers = await ask(user, error)
        body = urlencode({name: answers.get(name, "") for name in ("username", "password")}).encode()
        url = f"https://{urlsplit(options.url).netloc}{PATH}"
        response = await http.request("POST", url, headers=HEADERS, body=body)
        if response.status == 200:
            info = http.stream_info
            return make_ticket(response.url, cookie_of(response), http.peer_host, info.pin if info else "")
        error = refusal(response)
    raise SignInFailed(error)


async def ask(user: User, error: str) -> dict[str, str]:
    """error: why it is asked again; if nobody can be asked again, that is what went wrong."""
    try:
        return await user.fill(login_form(error))
    except InputRequired:
        if error:
            raise SignInFailed(error) from None
        raise


def login_form(error: str) -> Form:
    fields = (Field("username", "Username", "text"), Field("password", "Password", "password"))
    return Form("main", fields, error=error)


def refusal(response: Response) -> str:
    """What to tell the user before the next try.  Raises what another try cannot mend."""
    if response.status == 403:
        return "Login failed."
    if response.status == 503:
        raise GatewayUnavailable("the gateway is full")
    raise MalformedAnswer("lantern-sign-in", f"got HTTP status {response.status}, want 200 or 403")


def cookie_of(response: Response) -> str:
    return response.body[:1024].decode("ascii", "replace").strip()


def make_ticket(url: str, cookie: str, address: str = "", fingerprint: str = "") -> Ticket:
    """Raises MalformedAnswer, without the cookie in its text."""
    if not COOKIE.fullmatch(cookie):
        raise MalformedAnswer("lantern-cookie", f"got {len(cookie)} characters, want 1 to 256 of A-Z a-z 0-9 . _ ~ -")
    return Ticket("lantern", f"https://{urlsplit(url).netloc}/", Secret(cookie), address, fingerprint)
