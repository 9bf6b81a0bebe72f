"""What is known before the link: the gateway's options for a resource, and our wishes (sections 4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from protocols.base import Ticket, TunnelOptions
from protocols.errors import ConfigurationRefused, GatewayUnavailable
from protocols.f5 import cookies, options, profiles, request
from protocols.f5.errors import SessionRejected
from protocols.f5.handover import RESOURCE
from protocols.notes import Notes
from protocols.text import one_line
from transports.http import HttpClient
from transports.http_url import Url

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response


@dataclass(frozen=True, slots=True)
class Plan:
    """began: monotonic seconds, when the gateway was asked.  session: seconds left then, 0: unknown.

    keep: the addresses held must stay.
    """

    url: Url
    options: options.Options
    wishes: TunnelOptions
    began: float
    session: int
    keep: bool
    agent: str
    notes: Notes

    @property
    def framing(self) -> str:
        return "ppp-f5-hdlc" if self.options.hdlc else "ppp-f5"

    @property
    def ipv6(self) -> bool:
        return self.options.ipv6 and self.wishes.ipv6

    @property
    def target(self) -> str:
        """Path and query of the request for a tunnel: a secret."""
        return request.target(self.options, self.wishes.local_hostname, ipv6=self.ipv6)

    def record(self) -> bytes:
        """The request as one DTLS record, the same bytes as over TLS: a secret."""
        head = f"GET {self.target} HTTP/1.1\r\nHost: {self.url.authority}\r\nUser-Agent: {self.agent}\r\n\r\n"
        return head.encode("latin-1", "replace")

    def left(self, now: float) -> int:
        """Seconds until the session ends; 0: unknown."""
        return max(self.session - int(now - self.began), 1) if self.session else 0

    def held(self, version: int) -> IPv4Address | IPv6Address | None:
        return next((one.ip for one in self.wishes.held if one.version == version), None)


async def prepare(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float, *, keep: bool) -> Plan:
    """Ask the gateway.  Raises ProtocolError or TransportError."""
    url = Url.parse(ticket.connect_url)
    agent = wishes.user_agent or f"vpnclient {wishes.version}"
    held = cookies.parse(ticket.cookie)
    http = HttpClient(dialer, user_agent=agent)
    for name, value in held.pairs():
        http.cookies.set(name, value)
    notes = Notes()
    try:
        profile = profiles.choose(await _profiles(http, url), ticket.notes.get(RESOURCE, "") or wishes.authgroup)
        answer = await _get(http, url, profile.target)
        found = options.parse(answer.body, notes)
    finally:
        await http.close()
    return Plan(url, found, wishes, now, _left(held.times, answer, notes), keep and bool(wishes.held), agent, notes)


async def _profiles(http: HttpClient, url: Url) -> tuple[profiles.Profile, ...]:
    found = profiles.parse((await _get(http, url, profiles.LIST)).body)
    if found:
        return found
    try:
        query = profiles.resource_query((await _get(http, url, profiles.RESOURCES)).body)
        return profiles.parse_resources((await _get(http, url, query)).body) if query else ()
    except ConfigurationRefused:
        return ()  # a gateway that does not know this list


async def _get(http: HttpClient, url: Url, target: str) -> Response:
    response = await http.request("GET", str(url.join(target)), follow_redirects=False)
    if response.status == 200:
        return response
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if response.status in (301, 302, 303, 307, 308, 401, 403):
        raise SessionRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot tell its configuration now ({said})")
    raise ConfigurationRefused("config-refused", f"got HTTP status {said} for {target.partition('?')[0]}, want 200")


def _left(times: str, answer: Response, notes: Notes) -> int:
    """Seconds until the session ends, by the gateway's own clock; 0: unknown."""
    ends = cookies.expiry(times)
    try:
        told = parsedate_to_datetime(answer.header("Date") or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0
    if ends is None:
        return 0
    if ends <= told:
        notes.warn("F5_ST", "the session should be over already; trying all the same")
        return 0
    return int(ends - told)
