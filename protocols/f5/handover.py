"""What a browser hands over after its sign-in: an `f5-vpn:` link, given in place of a cookie (section 3.7).

    f5-vpn://host/?server=...&port=...&protocol=https&resourcename=...&resourcetype=network_access&sid=ID | otc=CODE

A code is good once; it is exchanged for the session when the tunnel is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from protocols.base import Secret, Ticket
from protocols.errors import MalformedAnswer, NotSupported
from protocols.f5 import cookies
from protocols.f5.errors import SignInRefused
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.http import HttpClient

SCHEME = "f5-vpn:"
MAX_LINK = 16384  # characters
MAX_FIELDS = 64
EXCHANGE = "/vdesk/get_sessid_for_token.php3"
CODE, SESSION = "X-ACCESS-Session-Token", "X-ACCESS-Session-ID"
RESOURCE = "resource"  # in a ticket's notes: the one that was clicked on
_CODE_COOKIE = "otc="  # a ticket's cookie that is a code yet


@dataclass(frozen=True, slots=True)
class Link:
    """One of session and code is empty.  resource: of network access; empty: none is named."""

    server: Url
    session: Secret
    code: Secret
    resource: str = ""


def is_link(text: Secret) -> bool:
    return text.reveal().strip()[: len(SCHEME)].lower() == SCHEME


def parse(text: Secret) -> Link:
    """Raises MalformedAnswer, NotSupported, HttpError; never showing a secret."""
    link = text.reveal().strip()
    if len(link) > MAX_LINK:
        raise _bad(f"{len(link)} characters, want at most {MAX_LINK}")
    place, mark, query = link[len(SCHEME) :].partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise _bad(f"more than {MAX_FIELDS} parameters") from None
    last = dict(pairs)  # of a code that is repeated the last counts
    if last.get("protocol", "https").lower() != "https":
        raise _bad("another protocol than https")
    host = last.get("server") or place.strip("/")
    session, code = Secret(last.get("sid", "")), Secret(last.get("otc", ""))
    if not mark or not host:
        raise _bad("no server in it, want f5-vpn://...?server=...")
    if not session and not code:
        if last.get("token"):
            raise NotSupported("f5-token", "the link holds a token, which this version cannot use; want sid or otc")
        raise _bad("neither sid nor otc in it")
    return Link(Url.parse(f"https://{host}:{last.get('port') or 443}/"), session, code, _resource(pairs))


def _resource(pairs: list[tuple[str, str]]) -> str:
    """Names and types are parallel lists."""
    names = [value for name, value in pairs if name == "resourcename"]
    kinds = [value for name, value in pairs if name == "resourcetype"]
    return next((name for name, kind in zip(names, kinds, strict=False) if kind == "network_access"), "")


def ticket(protocol: str, url: str, text: Secret) -> Ticket:
    """url: of the gateway that the user named; the link must be for it.  Raises as `parse`."""
    link, wanted = parse(text), Url.parse(url)
    if not link.server.same_server(wanted):
        raise MalformedAnswer(
            "auth-cross-origin", f"the link is for {link.server.authority}, not for {wanted.authority}: connect to that"
        )
    cookie = _session(link.session.reveal()) if link.session else Secret(_CODE_COOKIE + link.code.reveal())
    notes = {RESOURCE: link.resource} if link.resource else {}
    return Ticket(protocol, f"https://{wanted.authority}/", cookie, notes=notes)


def code_of(held: Ticket) -> str:
    """The code that a ticket holds in place of a session; empty: none."""
    text = held.cookie.reveal()
    return text.removeprefix(_CODE_COOKIE) if text.startswith(_CODE_COOKIE) else ""


async def redeem(http: HttpClient, held: Ticket) -> Secret:
    """The cookie for a ticket's code.  Raises SignInRefused, MalformedAnswer, TransportError."""
    url = Url.parse(held.connect_url).join(EXCHANGE)
    response = await http.request("GET", str(url), headers=[(CODE, code_of(held))], follow_redirects=False)
    session = response.header(SESSION) if response.status == 200 else None
    if not session:
        said = f"HTTP status {response.status}"
        raise SignInRefused(f"the gateway gave no session for the code of the link ({said}): a code is good once")
    return _session(session)


def _session(text: str) -> Secret:
    return cookies.parse(Secret(f"{cookies.SESSION}={text}")).text()


def _bad(text: str) -> MalformedAnswer:
    return MalformedAnswer("bad-cookie", f"the {SCHEME} link: {text}")
