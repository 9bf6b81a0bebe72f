"""Whether a session may come back (section 8)."""

from __future__ import annotations

import pytest

from protocols.base import Secret
from protocols.errors import ConfigurationRefused, CookieRejected, ProtocolError
from protocols.fortinet.document import Reauth, Settings
from protocols.fortinet.errors import SessionRejected, TunnelRefused
from protocols.fortinet.standing import Standing
from tests.protocols.refusals import refused

NOTHING = Reauth()


def opened(reauth: Reauth = NOTHING, lifetime: int = 0) -> Standing:
    standing = Standing(Secret("SVPNCOOKIE=a"), Secret("a"))
    standing.must_be_worth_it(0.0)
    standing.reached()
    standing.opened(Settings((), reauth=reauth, lifetime=lifetime), 0.0)
    return standing


@pytest.mark.parametrize("without", [None, False])
def test_without_leave_one_attempt_that_reaches_the_gateway(without: bool | None) -> None:
    standing = opened(Reauth(without))
    standing.must_be_worth_it(10.0)
    standing.must_be_worth_it(20.0)  # the network was down meanwhile
    standing.reached()
    with refused(CookieRejected, "session-rejected: .*come back twice: a new sign-in is needed"):
        standing.must_be_worth_it(30.0)
    assert standing.rejected


def test_with_leave_as_long_as_the_gateway_keeps_it() -> None:
    standing = opened(Reauth(True, window=240))
    for now in (100.0, 200.0, 339.0):
        standing.must_be_worth_it(now)
        standing.reached()
    with refused(CookieRejected, "for 240 s only"):
        standing.must_be_worth_it(340.0)
    standing = opened(Reauth(True))
    standing.must_be_worth_it(1.0)
    standing.must_be_worth_it(1e6)


def test_a_tunnel_that_opens_counts_anew() -> None:
    standing = opened(Reauth(True, window=10))
    standing.must_be_worth_it(100.0)
    standing.reached()
    standing.opened(Settings((), reauth=Reauth(False)), 105.0)
    standing.must_be_worth_it(1000.0)
    assert standing.again and standing.tunnels == 2


def test_the_end_of_the_session() -> None:
    standing = opened(Reauth(True), lifetime=60)
    standing.must_be_worth_it(59.0)
    with refused(CookieRejected, "session-rejected: the session's time is over"):
        standing.must_be_worth_it(60.0)


@pytest.mark.parametrize(
    ("error", "is_spent"),
    [
        (ConfigurationRefused("no-address", "x"), True),
        (ConfigurationRefused("ppp-establish-failed", "x"), True),
        (TunnelRefused("x"), True),
        (ConfigurationRefused("address-changed", "x"), False),
        (ConfigurationRefused("config-bad-xml", "x"), False),
    ],
)
def test_what_a_failed_attempt_means(error: ProtocolError, is_spent: bool) -> None:
    fresh = Standing(Secret("a"), Secret("a"))
    assert fresh.judge(error) is error and not fresh.rejected  # a first tunnel: as it is
    standing = opened()
    assert isinstance(standing.judge(error), SessionRejected) is is_spent
    assert standing.rejected is is_spent


def test_a_rejection_stays_one() -> None:
    standing = Standing(Secret("secret-cookie"), Secret("secret-cookie"))
    error = SessionRejected("x")
    assert standing.judge(error) is error and standing.rejected
    assert "secret-cookie" not in repr(standing)
