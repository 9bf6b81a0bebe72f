"""What one session has been through, and whether another tunnel is worth asking for (section 8).

new --tunnel--> open --loss, the gateway allows it--> open again
                     --its time is over, refused, tried in vain--> rejected: sign in again
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from protocols.base import Secret
from protocols.errors import ProtocolError
from protocols.fortinet.document import Reauth, Settings
from protocols.fortinet.errors import SessionRejected

# What a reconnect ends in at a gateway that gives this session nothing more.
SPENT = frozenset({"no-address", "ppp-establish-failed", "tunnel-refused", "tunnel-timeout"})


@dataclass(slots=True)
class Standing:
    """cookie: of the ticket.  newest: the gateway may renew it (Q13).  Times: monotonic seconds.

    datagrams: False once the gateway refused DTLS.  by_datagrams: the last tunnel went by it.
    """

    cookie: Secret
    newest: Secret
    datagrams: bool = True
    by_datagrams: bool = False
    tunnels: int = 0
    rejected: bool = False
    _expires_at: float = field(default=inf, repr=False)
    _lost_at: float | None = field(default=None, repr=False)
    _tried: bool = field(default=False, repr=False)  # a reconnect got as far as the gateway since the last tunnel
    _reauth: Reauth = field(default=Reauth(), repr=False)

    @property
    def again(self) -> bool:
        return self.tunnels > 0

    def must_be_worth_it(self, now: float) -> None:
        """Before another tunnel is asked for.  Raises SessionRejected."""
        if now >= self._expires_at:
            raise self._reject("the session's time is over")
        if not self.again:
            return
        if self._lost_at is None:
            self._lost_at = now
        if self._tried and not self._reauth.without:
            raise self._reject("the gateway does not let a session come back twice")
        if self._reauth.without and self._reauth.window and now - self._lost_at >= self._reauth.window:
            raise self._reject(f"the gateway keeps a lost session for {self._reauth.window} s only")

    def reached(self) -> None:
        """The gateway has told its configuration."""
        self._tried = self.again

    def opened(self, settings: Settings, now: float, *, by_datagrams: bool = False) -> None:
        self.tunnels += 1
        self.by_datagrams = by_datagrams
        self._lost_at, self._tried, self._reauth = None, False, settings.reauth
        self._expires_at = now + settings.lifetime if settings.lifetime else inf

    def judge(self, error: ProtocolError) -> ProtocolError:
        """What a failed attempt means for the session."""
        if isinstance(error, SessionRejected):
            self.rejected = True
            return error
        if self.again and error.code in SPENT:
            return self._reject(f"the gateway gives this session no other tunnel ({error})")
        return error

    def _reject(self, text: str) -> SessionRejected:
        self.rejected = True
        return SessionRejected(f"{text}: a new sign-in is needed")
