"""The figures that a user sees: sums over the pumps of a session, and what was dropped or odd, by cause."""

from __future__ import annotations

import socket

from transports.pump import Pump
from vpnclient.totals import Totals


def test_what_is_ordinary_is_not_among_the_causes() -> None:
    """Signs of life and packets of ESP that were done together, of which there are many, are nothing to worry about."""
    totals = Totals()
    counters = {"esp_authentic": 900, "esp_together": 800, "esp_icv": 3, "esp_pad": 0}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        stats = Pump(ours, None, "", mtu=1400).stats()
    totals.fold(stats, counters)  # of one that ended
    assert totals.statistics(1.0, {}).counters == (("esp_icv", 3),)
    totals.current = stats
    assert totals.statistics(2.0, counters).counters == (("esp_icv", 6),)
