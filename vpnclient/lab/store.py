"""Who is signed in to a lab gateway, and which addresses they hold.  No I/O, no clock; random bytes come in.

A session is made by a sign-in, found again by its cookie, and keeps its addresses until it ends or expires: a client
that reconnects with its cookie takes them over.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from protocols.base import Secret

MAX_SESSIONS = 200
COOKIE_LIFE = 86400.0  # seconds that a session lives when the gateway has no session timeout
MAX_COOKIE = 256  # characters of a cookie that are worth comparing


class Exhausted(Exception):
    """No session or no address is left."""


@dataclass(slots=True)
class LabSession:
    """One signed-in user.  certificate: SHA-256 of the client certificate it is bound to, or empty."""

    cookie: str
    user: str
    group: str
    v4: IPv4Interface
    v6: IPv6Interface | None
    expires_at: float  # seconds, monotonic
    certificate: str = ""
    connected: int = 0  # how often a tunnel was opened

    def __repr__(self) -> str:
        return f"session of {self.user}{self.group and '@'}{self.group} at {self.v4.ip}"  # never the cookie


class Store:
    """Sessions by cookie, and the pool their addresses come from."""

    def __init__(
        self,
        network: IPv4Network,
        network6: IPv6Network | None,
        *,
        life: float,
        token: Callable[[], str],
    ) -> None:
        self._sessions: dict[str, LabSession] = {}
        self._life = life or COOKIE_LIFE
        self._token = token
        self._network, self._network6 = network, network6

    @property
    def gateway_v4(self) -> IPv4Address:
        return self._network[1]

    @property
    def gateway_v6(self) -> IPv6Address | None:
        return None if self._network6 is None else self._network6[1]

    def __iter__(self) -> Iterator[LabSession]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, user: str, group: str, now: float, *, certificate: str = "") -> LabSession:
        """A new session.  Raises Exhausted."""
        if len(self._sessions) >= MAX_SESSIONS:
            raise Exhausted(f"{MAX_SESSIONS} sessions are open")
        host = self._free_host()
        session = LabSession(
            cookie=self._token(),
            user=user,
            group=group,
            v4=IPv4Interface((self._network[host], self._network.prefixlen)),
            v6=self._v6(host),
            expires_at=now + self._life,
            certificate=certificate,
        )
        self._sessions[session.cookie] = session
        return session

    def find(self, cookie: str, now: float) -> LabSession | None:
        """The live session of a cookie; the comparison takes the same time for every wrong one."""
        wanted = cookie[:MAX_COOKIE].encode()
        found = None
        for session in self._sessions.values():
            if hmac.compare_digest(session.cookie.encode(), wanted) and now < session.expires_at:
                found = session
        return found

    def drop(self, session: LabSession) -> None:
        self._sessions.pop(session.cookie, None)

    def expired(self, now: float) -> list[LabSession]:
        return [session for session in self if now >= session.expires_at]

    def _free_host(self) -> int:
        """The lowest free host number; 0 is the network, 1 the gateway, the last one the broadcast address."""
        taken = {int(session.v4.ip) - int(self._network.network_address) for session in self}
        for host in range(2, min(self._network.num_addresses - 1, MAX_SESSIONS + 2)):
            if host not in taken:
                return host
        raise Exhausted(f"no address of {self._network} is free")

    def _v6(self, host: int) -> IPv6Interface | None:
        if self._network6 is None:
            return None
        return IPv6Interface((self._network6[host], self._network6.prefixlen))


def matches(wanted: Secret | None, given: str) -> bool:
    """A password or a code.  Takes the same time whether the user exists or not."""
    known = wanted.reveal() if wanted is not None else ""
    return hmac.compare_digest(known.encode(), given.encode()) and wanted is not None
