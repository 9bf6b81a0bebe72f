"""A firewall on the way to a gateway, which says nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vpnclient.lab.netns import Pair

TABLE = "vpn_test"


@contextlib.contextmanager
def without_udp(both: Pair, *, back: bool = False) -> Iterator[None]:
    """UDP to the gateway's port 443 is dropped; back: what comes from there too."""
    both.gateway.run("nft", "add", "table", "inet", TABLE)
    try:
        for hook, way in (("input", "dport"), ("output", "sport"))[: 1 + back]:
            both.gateway.run("nft", f"add chain inet {TABLE} {hook} {{ type filter hook {hook} priority 0 ; }}")
            both.gateway.run("nft", "add", "rule", "inet", TABLE, hook, "udp", way, "443", "drop")
        yield
    finally:
        both.gateway.run("nft", "delete", "table", "inet", TABLE)
