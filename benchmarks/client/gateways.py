"""The gateways of the cases: each is started once, when its first case comes, and stays until the end."""

from __future__ import annotations

import contextlib

from benchmarks.client.cases import Case
from benchmarks.client.contenders import Target
from tests.peers import lab, ocserv
from vpnclient.lab.netns import Pair

FIRST_LAB_PORT = 443


class Gateways:
    """`stack` ends them."""

    def __init__(self, both: Pair, stack: contextlib.ExitStack) -> None:
        self._both, self._stack = both, stack
        self._targets: dict[tuple[str, str, str], Target] = {}

    def target(self, case: Case) -> Target:
        key = (case.gateway, case.protocol, case.variant)
        if key not in self._targets:
            make = self._ocserv if case.gateway == "ocserv" else self._lab
            self._targets[key] = make(case)
        return self._targets[key]

    def _ocserv(self, case: Case) -> Target:
        both, port = self._both, ocserv.PORT
        server = self._stack.enter_context(
            ocserv.ocserv(both.gateway, both.gateway_v4, options={"udp-port": str(port)})
        )
        url = f"https://{both.gateway_v4}:{port}/"
        return Target(both.client, url, server.pin(), ocserv.USER, ocserv.PASSWORD, ocserv.GATEWAY_V4)

    def _lab(self, case: Case) -> Target:
        both, port = self._both, FIRST_LAB_PORT + len(self._targets)
        running = lab.lab_gateway(both.gateway, both.gateway_v4, *case.serve, protocol=case.protocol, port=port)
        facts = self._stack.enter_context(running).facts
        return Target(both.client, facts["url"], facts["pin"], lab.USER, lab.PASSWORD, facts["tunnel_address"])
